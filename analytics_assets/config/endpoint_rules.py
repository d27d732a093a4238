"""Reports settings of `rest_api` that dlt accepts when it builds a source, and that fail or do nothing in each run.

What belongs here: rules about values of the right type. `value_types.py` has the types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import chain
from typing import Any

from dlt.sources.rest_api.config_setup import PAGINATOR_MAP, create_paginator
from dlt.sources.rest_api.typing import IncrementalConfig

from analytics_assets.config.endpoints import WrittenResource, clients
from analytics_assets.config.normal_form import cursors_of
from analytics_assets.config.shapes import keys_of, parameters_of
from analytics_assets.config.validation_errors import Location, error_at, named, suggestion
from analytics_assets.config.value_types import wrong_types

_IGNORE = "ignore"
"""The only action of `response_actions` that dlt knows by name."""


@dataclass(frozen=True)
class _Problem:
    """What is wrong with a setting.

    Attributes:
        sentence: the sentence that says what is wrong, and what to write instead.
        keys: the keys that lead to the setting.
    """

    sentence: str
    keys: Location = ()

    def inside(self, *keys: str | int) -> _Problem:
        """Returns the same problem, as seen from a mapping around the setting."""
        return _Problem(self.sentence, (*keys, *self.keys))


def refuse_unusable_settings(rest_api: Mapping[str, Any], resources: Sequence[WrittenResource]) -> None:
    """Fails at the first setting that cannot work.

    Raises:
        ValidationError: a setting cannot work.
    """
    for place, holder in clients(rest_api):
        for one in chain(_of_paginator(holder.get("paginator")), _of_auth(holder.get("auth"))):
            raise error_at((*place, *one.keys), named(rest_api, place, one.sentence))
    for resource in resources:
        for one in chain(_of_endpoint(resource.endpoint), _of_resource(resource.values)):
            raise resource.error(one.sentence, *one.keys)


def _of_paginator(written: Any) -> Iterator[_Problem]:
    given = written if isinstance(written, dict) else {}
    name = given.get("type") if given else written
    kind = PAGINATOR_MAP.get(name) if isinstance(name, str) else None
    if kind is None:
        return
    for key, parameter in parameters_of(kind).items():
        if parameter.default is parameter.empty and key not in given:
            yield _Problem(
                f"the paginator `{name}` needs `{key}`. Write `{{type: {name}, {key}: …}}`.", ("paginator",)
            )
    for key, value in given.items():
        least = 1 if key == "limit" else 0
        if isinstance(value, int) and value < least:
            yield _Problem(f"`{key}` is {value}. Write a whole number from {least} on.", ("paginator", key))
    try:
        create_paginator(written)
    except ValueError as error:
        problem = " ".join(str(error).split()).removesuffix(".")
        yield _Problem(f"the paginator `{name}` cannot work: {problem}.", ("paginator",))


def _of_auth(written: Any) -> Iterator[_Problem]:
    if isinstance(written, dict) and written.get("location") == "cookie":
        yield _Problem(
            "dlt cannot send a key as a cookie. Write `location: header` and `name: Cookie`, and set the secret to "
            "`<name of the cookie>=<key>`.",
            ("auth", "location"),
        )


def _of_endpoint(endpoint: Mapping[str, Any]) -> Iterator[_Problem]:
    if endpoint.get("json") and endpoint.get("data"):
        yield _Problem(
            "the endpoint has `json` and `data`, and a request has one body. Remove one of them.",
            ("endpoint", "data"),
        )
    for index, action in enumerate(endpoint.get("response_actions") or ()):
        for one in _of_action(action) if isinstance(action, dict) else ():
            yield one.inside("endpoint", "response_actions", index)
    cursors = cursors_of(endpoint)
    for place, cursor in cursors.items():
        if len(cursors) > 1:
            listed = " and ".join(".".join(("endpoint", *keys)) for keys in cursors)
            yield _Problem(
                f"the endpoint has two cursors, {listed}. Keep one of them. If the second is the end of a window, "
                "write its name as `end_param` of endpoint.incremental.",
                ("endpoint", *place),
            )
        for one in _of_cursor(cursor, ".".join(("endpoint", *place))) if isinstance(cursor, dict) else ():
            yield one.inside("endpoint", *place)


def _of_action(action: Mapping[str, Any]) -> Iterator[_Problem]:
    done, status = action.get("action"), action.get("status_code")
    if done is None:
        yield _Problem(f"the rule has no `action`. Write `action: {_IGNORE}`, or use requests.responses.")
    elif isinstance(done, str):
        if done != _IGNORE:
            yield _Problem(
                f"dlt does nothing for the action `{done}`, because it knows only `{_IGNORE}`. Write it, or use "
                "requests.responses, which has more actions.",
                ("action",),
            )
        if status is None and not action.get("content"):
            yield _Problem("the rule fits no response. Add `status_code` or `content`.")
    if isinstance(status, str):
        number = status if status.isdigit() else "404"
        yield _Problem(
            f"`status_code` is the text `{status}`, which fits no response. Write a number, such as {number}.",
            ("status_code",),
        )


def _of_cursor(cursor: Mapping[str, Any], where: str) -> Iterator[_Problem]:
    known = {*keys_of(IncrementalConfig), "type", "transform"}
    for key in cursor.keys() - known:
        yield _Problem(f"unknown key `{key}`.{suggestion(str(key), known)}", (key,))
    for keys, sentence in wrong_types(cursor, IncrementalConfig, ()):
        yield _Problem(sentence, keys)
    if not cursor.get("cursor_path"):
        yield _Problem(f"`{where}` has no `cursor_path`. Set it to the field that says when a row changed.")
    yield from _of_bounds(cursor)


def _of_bounds(cursor: Mapping[str, Any]) -> Iterator[_Problem]:
    start, end = cursor.get("initial_value"), cursor.get("end_value")
    if end is None:
        return
    if start is None:
        yield _Problem("`end_value` needs `initial_value`. Add it, or remove `end_value`.", ("end_value",))
    function = cursor.get("last_value_func")
    order = _order(start, end)
    if order is None or function not in (None, "max", "min", max, min):
        return
    goes_down = function in ("min", min)
    if order and (order < 0) is goes_down:
        side = "before" if goes_down else "after"
        yield _Problem(
            f"`initial_value` {start} is {side} `end_value` {end}, so no row is in between. Exchange them.",
            ("initial_value",),
        )


def _order(start: Any, end: Any) -> int | None:
    """Returns a negative number if `start` is before `end`, 0 if they are equal; None if they cannot be compared."""
    first, last = _moment(start), _moment(end)
    if isinstance(first, datetime) and isinstance(last, datetime):
        return (first > last) - (first < last)
    if isinstance(first, float) and isinstance(last, float):
        return (first > last) - (first < last)
    return None


def _moment(value: Any) -> float | datetime | None:
    """Returns a bound as a number or as a time; None for any other value."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return None


def _of_resource(values: Mapping[str, Any]) -> Iterator[_Problem]:
    nesting = values.get("max_table_nesting")
    if isinstance(nesting, int) and nesting < 0:
        yield _Problem(
            f"`max_table_nesting` is {nesting}. Write a whole number from 0 on.", ("max_table_nesting",)
        )
    written = values.get("write_disposition")
    disposition = written.get("disposition") if isinstance(written, dict) else None
    if isinstance(written, dict) and written.get("strategy") and disposition not in (None, "merge"):
        yield _Problem(
            f"the strategy `{written['strategy']}` needs `disposition: merge`, and it is `{disposition}`. Change it, "
            "or remove `strategy`.",
            ("write_disposition",),
        )

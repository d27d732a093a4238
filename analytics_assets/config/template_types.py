"""Gives the value of a whole template, such as `limit: "{{ env.LIMIT }}"`, the type that its key expects.

What belongs here: the types of keys, and the conversion of a text to a type. `templates.py` renders the templates.

A key with a type gets this type. Where a key may have any type, as in `json`, a text that looks like a number is
refused, because it may also be meant as text: the filter `from_json` or `string` says which.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dlt.common.schema.typing import TColumnSchema
from dlt.sources.rest_api import typing as rest_api_typing

from analytics_assets.config.template_engine import WholeText, read_literal
from analytics_assets.config.validation_errors import Location, error_at, value_at

_BOOLEANS = {True: ("true", "yes", "on", "1"), False: ("false", "no", "off", "0")}
"""The texts of a boolean. A key that may also be text or a number takes only the first of each."""

_BOUNDS = {"bigint": frozenset({int}), "double": frozenset({int, float})}
"""The types of `initial_value` and `end_value`, by the data type of a cursor that is a number."""


def as_type(text: str, kinds: frozenset[Any]) -> Any:
    """Converts the text of a whole template to one of the types of its key.

    Args:
        text: the text.
        kinds: the types that the key may have, such as `int` or `dict`.

    Returns:
        The converted value, or the text if no conversion fits. The rules of the key then judge the text.
    """
    stripped = text.strip()
    if bool in kinds:
        is_clear = kinds.isdisjoint((int, str))
        for value, words in _BOOLEANS.items():
            if stripped.lower() in (words if is_clear else words[:1]):
                return value
    if int in kinds and re.fullmatch(r"[-+]?\d+", stripped):
        return int(stripped)
    if float in kinds and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", stripped):
        return float(stripped)
    if not kinds.isdisjoint((dict, list)) and stripped[:1] in ("[", "{"):
        try:
            return read_literal(stripped)
        except ValueError:
            return str(text)
    return str(text)


def kinds_of(annotation: Any) -> frozenset[Any]:
    """The types that an annotation allows, such as `int` and `str`. Each container is `dict` or `list`."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return frozenset().union(*map(kinds_of, get_args(annotation)))
    if origin is Literal:
        return frozenset(map(type, get_args(annotation)))
    if origin in (typing.Annotated, typing.NotRequired, typing.Required):
        return kinds_of(get_args(annotation)[0])
    kind = origin or annotation
    return frozenset({_container(kind) or kind}) if isinstance(kind, type) else frozenset()


def _container(kind: type) -> type | None:
    if kind is not str and issubclass(kind, (Sequence, set, frozenset)):
        return list
    if hasattr(kind, "__required_keys__") or issubclass(kind, Mapping) or hasattr(kind, "model_fields"):
        return dict
    return None


def _kinds_by_key(models: Sequence[type]) -> dict[str, frozenset[Any]]:
    found: dict[str, frozenset[Any]] = {}
    for model in models:
        for key, hint in get_type_hints(model).items():
            found[key] = found.get(key, frozenset()) | kinds_of(hint)
    return found


_KEYS = _kinds_by_key(
    [
        one
        for name, one in vars(rest_api_typing).items()
        if hasattr(one, "__required_keys__") and not name.startswith("_")
    ]
)
_COLUMN_KEYS = _kinds_by_key([TColumnSchema])


def typed_rest_api(rest_api: Any) -> Any:
    """Returns `rest_api` with each whole template in the type of its key.

    Raises:
        ValidationError: the key may have any type, and the text may be meant as a text or as another type.
    """
    return _typed(rest_api, (), rest_api)


def _typed(value: Any, place: Location, rest_api: Any) -> Any:
    if isinstance(value, WholeText):
        typed = _value(value, place, rest_api)
        return typed if isinstance(typed, str) else _typed(typed, place, rest_api)
    if isinstance(value, dict):
        return {key: _typed(item, (*place, key), rest_api) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item, (*place, index), rest_api) for index, item in enumerate(value)]
    return value


def _value(text: WholeText, place: Location, rest_api: Any) -> Any:
    if not place:
        return as_type(text, frozenset({dict}))
    key, holders = place[-1], place[:-1]
    in_rest_api = ("rest_api", *place)
    if "json" in holders:
        return only_text(text, in_rest_api)
    # In `params`, dlt knows only the keys of a cursor or of a value of a parent.
    is_sent = "params" in holders and value_at(rest_api, (*holders, "type")) not in ("incremental", "resolve")
    if is_sent or key == "data":
        return only_text(text, in_rest_api) if text.strip()[:1] in ("[", "{") else str(text)
    if key in ("initial_value", "end_value"):
        kind = _bound_kind(rest_api, place)
        return only_text(text, in_rest_api) if kind is None else as_type(text, _BOUNDS.get(kind, frozenset()))
    keys = _COLUMN_KEYS if "columns" in holders else _KEYS
    kinds = frozenset() if {"data", "headers"}.intersection(holders) else keys.get(str(key), frozenset())
    return as_type(text, kinds)


def only_text(text: WholeText, place: Location) -> str:
    """Returns the text of a whole template whose key may have any type.

    Args:
        text: the text.
        place: the key, for the error.

    Raises:
        ValidationError: the text may also be meant as another type.
    """
    try:
        value = read_literal(text.strip())
    except ValueError:
        return str(text)
    if isinstance(value, str):
        return str(text)
    raise error_at(
        place,
        f"the value of this template may be {type(value).__name__} or text. Write `| from_json` before `}}}}` for "
        f"{type(value).__name__}, or `| string` for text.",
    )


def _bound_kind(rest_api: Any, place: Location) -> str | None:
    """The declared data type of the cursor whose bound is at `place`; None if the cursor is not declared."""
    path = str(value_at(rest_api, (*place[:-1], "cursor_path"))).removeprefix("$.")
    for holder in (place[:2], ("resource_defaults",)):
        columns = value_at(rest_api, (*holder, "columns"))
        named = columns if isinstance(columns, dict) else {}
        if isinstance(columns, list):
            named = {one.get("name"): one for one in columns if isinstance(one, dict)}
        kind = value_at(named, (path, "data_type"))
        if kind:
            return str(kind)
    return None

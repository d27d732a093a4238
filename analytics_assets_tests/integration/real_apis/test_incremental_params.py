"""A cursor in `endpoint.params`, as in most of dlt's examples, works as in `endpoint.incremental`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import dlt
import pytest
import yaml
from pydantic import ValidationError

from analytics_assets import RestApiSync
from analytics_assets.config.rest_api import expand
from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.real_api import defs

DAY = "2026-01-0{}T00:00:00Z"
TIMESTAMP = {"id": {"data_type": "bigint"}, "at": {"data_type": "timestamp"}}
MERGE = {"write_disposition": "merge"}


class Api:
    """An API whose filter `since` includes its value, and the filters that it was asked."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.since: list[str | None] = []

    def put(self, id_: int, day: int, text: str) -> None:
        self.rows[id_] = {"id": id_, "at": DAY.format(day), "text": text}

    def __call__(self, asked: Asked) -> Any:
        self.since.append(asked.params.get("since"))
        start = asked.params.get("since") or ""
        return {"data": [one for one in self.rows.values() if one["at"] >= start]}


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("columns", [TIMESTAMP, None])
@pytest.mark.parametrize(
    "where",
    [
        {"params": {"since": {"type": "incremental", "cursor_path": "at", "initial_value": DAY.format(1)}}},
        {"incremental": {"start_param": "since", "cursor_path": "at", "initial_value": DAY.format(1)}},
    ],
)
def test_a_change_at_the_last_cursor_value_is_loaded(project: Project, columns: Any, where: Any) -> None:
    api = Api()
    with answering(api) as url:
        text = defs(url, paginator="single_page", resource={**MERGE, "columns": columns}, **where)
        api.put(1, 2, "old")
        api.put(2, 3, "old")
        project.load(text, "things")
        api.put(2, 3, "new")
        api.put(3, 3, "new")
        project.load(text, "things")
    assert api.since == [DAY.format(1), DAY.format(3)]
    assert project.query("SELECT id, text FROM api.things ORDER BY id") == [
        {"id": 1, "text": "old"},
        {"id": 2, "text": "new"},
        {"id": 3, "text": "new"},
    ]


def test_partitions_follow_a_cursor_in_params(project: Project) -> None:
    """Without an end parameter the API returns later rows too, and they belong to other partitions."""
    api = Api()
    for number in range(1, 6):
        api.put(number, number, "x")
    with answering(api) as url:
        text = defs(
            url,
            paginator="single_page",
            resource={**MERGE, "columns": TIMESTAMP},
            asset={"partitions": {"type": "daily", "start_date": "2026-01-01"}},
            params={"since": {"type": "incremental", "cursor_path": "at"}, "kind": "a"},
        )
        project.load(text, "things", "2026-01-02", "2026-01-03")
        assert project.query("SELECT id FROM api.things ORDER BY id") == [{"id": 2}, {"id": 3}]
        project.load(text, "things", "2026-01-04")
    assert project.query("SELECT count(*) AS n FROM api.things") == [{"n": 3}]


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("initial", "since"),
    [
        (1767225600, ["1767225600", "1767312000"]),
        (1767225600.5, ["1767225600", "1767312000"]),
        (1767225600000, ["1767225600000", "1767312000000"]),
        ("2026-01-01", [DAY.format(1), DAY.format(2)]),
        ("{{ env('NOWHERE', '2026-01-01') }}", [DAY.format(1), DAY.format(2)]),
    ],
)
def test_the_filter_follows_the_initial_value(project: Project, initial: Any, since: list[str]) -> None:
    asked: list[str] = []

    def reply(request: Asked) -> Any:
        asked.append(request.params["since"])
        return {"data": [{"id": 1, "at": DAY.format(2)}]}

    with answering(reply) as url:
        cursor = {"type": "incremental", "cursor_path": "at", "initial_value": initial}
        text = defs(
            url, paginator="single_page", resource={**MERGE, "columns": TIMESTAMP}, params={"since": cursor}
        )
        project.load(text, "things")
        project.load(text, "things")
    assert asked == since
    assert project.query("SELECT things.at FROM api.things") == [{"at": datetime(2026, 1, 2, tzinfo=UTC)}]


CURSOR = {"type": "incremental", "cursor_path": "at", "initial_value": "1"}


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        ({"params": {"a": CURSOR, "b": CURSOR}}, "things: the endpoint has two cursors, endpoint.params.a and"),
        (
            {"params": {"a": CURSOR}, "incremental": {"cursor_path": "at"}},
            "things: the endpoint has two cursors, endpoint.params.a and endpoint.incremental",
        ),
        ({"incremental": {"cursor_path": "at", "initial_value": True}}, "initial_value `True` is no timestamp"),
        ({"incremental": {"cursor_path": "at", "initial_value": 10**18}}, "as a number of seconds since 1970"),
        ({"params": {"a": {**CURSOR, "initial_value": "1767225600"}}}, "`1767225600` is no timestamp"),
        ({"params": {"a": {"type": "incremental"}}}, "cursor_path"),
        ({"params": {"a": {**CURSOR, "curser": 1}}}, "curser"),
    ],
)  # fmt: skip
def test_a_cursor_with_a_mistake_is_refused_at_load(endpoint: dict[str, Any], sentence: str) -> None:
    written = yaml.safe_load(defs("http://x", resource={"columns": TIMESTAMP}, **endpoint))
    with pytest.raises(ValidationError) as caught:
        RestApiSync(**written["attributes"])
    assert sentence in str(caught.value)
    assert "things" in str(caught.value) or caught.value.errors()[0]["loc"][:3] == (
        "rest_api",
        "resources",
        0,
    )


UNDECLARED = {"id": {"data_type": "bigint"}}
NUMBER = UNDECLARED | {"at": {"data_type": "bigint"}}
JANUARY, FEBRUARY = "2026-01-01", "2026-02-01"


@pytest.mark.parametrize(
    ("columns", "start", "end", "more", "is_refused"),
    [
        (UNDECLARED, JANUARY, 5, {}, True),
        (UNDECLARED, 5, JANUARY, {}, True),
        (UNDECLARED, date(2026, 1, 1), 5, {}, True),
        (UNDECLARED, date(2026, 1, 1), FEBRUARY, {}, True),
        (UNDECLARED, date(2026, 1, 1), datetime(2026, 2, 1, tzinfo=UTC), {}, True),
        (UNDECLARED, JANUARY, 1.5, {"last_value_func": "max"}, True),
        (NUMBER, JANUARY, 5, {}, True),
        (UNDECLARED, JANUARY, FEBRUARY, {}, False),
        (UNDECLARED, 1, 2.5, {}, False),
        (UNDECLARED, JANUARY, None, {}, False),
        (UNDECLARED, JANUARY, 5, {"last_value_func": repr}, False),
        (TIMESTAMP, JANUARY, 1769904000, {}, False),
    ],
)
@pytest.mark.parametrize("place", ["incremental", "params"])
def test_bounds_of_two_types_are_refused_at_load(
    columns: Any, start: Any, end: Any, more: Any, is_refused: bool, place: str
) -> None:
    cursor = {"cursor_path": "at", "initial_value": start, "end_value": end, **more}
    cursor = {key: value for key, value in cursor.items() if value is not None}
    endpoint = {place: cursor if place == "incremental" else {"a": {"type": "incremental", **cursor}}}
    written = yaml.safe_load(defs("http://x", resource={"columns": columns}))
    written["attributes"]["rest_api"]["resources"][0]["endpoint"] |= endpoint
    if not is_refused:
        assert RestApiSync(**written["attributes"]).resources
        return
    with pytest.raises(ValidationError) as caught:
        RestApiSync(**written["attributes"])
    assert f"things: initial_value `{start}` and end_value `{end}` are of two types" in str(caught.value)
    assert "Write both as the API writes `at`. If it is a time, declare its column as timestamp." in str(
        caught.value
    )


def _upper(value: Any) -> Any:
    return value


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("param", "incremental"),
    [
        (
            {"type": "incremental", "cursor_path": "at", "lag": 5, "row_order": "asc", "end_param": "until"},
            {"cursor_path": "at", "lag": 5, "row_order": "asc", "end_param": "until", "start_param": "since"},
        ),
        (
            {"type": "incremental", "cursor_path": "at", "convert": _upper},
            {"cursor_path": "at", "convert": _upper, "start_param": "since"},
        ),
        (
            {"type": "incremental", "cursor_path": "at", "transform": _upper},
            {"cursor_path": "at", "convert": _upper, "start_param": "since"},
        ),
        (
            dlt.sources.incremental("at", initial_value="2026", row_order="desc"),
            {"cursor_path": "at", "initial_value": "2026", "row_order": "desc", "start_param": "since"},
        ),
    ],
)
def test_every_setting_of_the_cursor_is_kept(param: Any, incremental: dict[str, Any]) -> None:
    resource = {"name": "a", "endpoint": {"path": "a", "params": {"since": param, "kind": "b"}}}
    written: dict[str, Any] = {"client": {"base_url": "http://x"}, "resources": [resource]}
    expanded: Any = expand(written)["a"]
    assert expanded["endpoint"]["incremental"] == incremental
    assert expanded["endpoint"]["params"] == {"kind": "b"}
    RestApiSync(name="api", rest_api=written)


def test_a_cursor_in_the_default_params_is_of_each_resource() -> None:
    written: dict[str, Any] = {
        "client": {"base_url": "http://x"},
        "resource_defaults": {"endpoint": {"params": {"since": CURSOR}}},
        "resources": ["a", {"name": "b", "endpoint": {"params": {"x": 1}}}],
    }
    for one in expand(written).values():
        assert isinstance(one, dict)
        assert one["endpoint"]["incremental"]["start_param"] == "since"
        assert "since" not in one["endpoint"]["params"]

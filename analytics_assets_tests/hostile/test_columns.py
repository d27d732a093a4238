"""Keys without end, such as ids used as keys, add columns and child tables only up to a limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analytics_assets_tests.hostile.limited import Outcome, sync_limited
from analytics_assets_tests.raw_server import Got, json_answer, raw_server
from analytics_assets_tests.real_api import defs

Rows = Callable[[int], list[dict[str, Any]]]
"""The rows of a sync, by the number of the sync."""


def fields(count: int, start: int = 0, name: str = "a_field_") -> dict[str, Any]:
    return {f"{name}{number}": number for number in range(start, start + count)}


def uuids(count: int, start: int) -> dict[str, Any]:
    return {
        f"{number * 7919:08x}-9c0b-4ef8-bb6d-{number:012x}": {"n": 1}
        for number in range(start, start + count)
    }


JSON_STATS = {"columns": {"id": {"data_type": "bigint"}, "stats": {"data_type": "json"}}}
JSON_ROWS = {"columns": {"id": {"data_type": "bigint"}, "visits": {"data_type": "json"}}}
MANY = {"columns": {"id": {"data_type": "bigint"}} | {name: {"data_type": "bigint"} for name in fields(400)}}

CASES: dict[str, tuple[Rows, int, dict[str, Any], str]] = {
    # the rows, the number of syncs, settings, and a part of the error; empty if the last sync is green
    "2,500 fields, then others": (
        lambda _: [{"id": n, **fields(2500, 2500 * (n // 3))} for n in range(6)],
        1,
        {},
        "`a_field_2`. The rows have 2,500 new keys. Nothing was loaded. Declare the columns that you need",
    ),
    "ids as keys": (
        lambda sync: [{"id": 1, "stats": fields(500, 500 * sync, "")}],
        6,
        {},
        "`stats` has 500 keys that look like ids. Nothing was loaded. Declare `stats` under columns as "
        "`{data_type: json}`, or raise assets.things.max_new_columns",
    ),
    "300 lists in a row": (
        lambda _: [{"id": 1, **{name: [{"n": 1}] for name in fields(300)}}],
        1,
        {},
        "The rows have 151 new keys",
    ),
    "declared as json": (
        lambda sync: [{"id": 1, "stats": fields(500, 500 * sync, "")}],
        2,
        {"resource": JSON_STATS},
        "",
    ),
    "a few ids more with each sync": (
        lambda sync: [{"id": 1, "stats": fields(200, 200 * sync, "")}],
        2,
        {},
        "",
    ),
    "uuids as keys of objects": (
        lambda sync: [{"id": 1, "by": {"user": uuids(400, 400 * sync)}}],
        1,
        {},
        "Declare `by__user` under columns",
    ),
    "ids as keys in a list": (
        lambda _: [{"id": 1, "visits": [{"hits": fields(400, 0, "")}]}],
        1,
        {},
        "Declare `visits` under columns",
    ),
    "ids as keys of lists": (
        lambda _: [{"id": 1, "visits": {str(n): [1, 2] for n in range(200)}}],
        1,
        {},
        "Declare `visits` under columns",
    ),
    "ids as keys in a list in a list": (
        lambda _: [{"id": 1, "visits": [{"pages": [fields(400, 0, "")]}]}],
        1,
        {},
        "Declare `visits` under columns",
    ),
    "one new field in each row": (
        lambda _: [{"id": n, **fields(1, n)} for n in range(400)],
        1,
        {},
        "more than 300 new columns",
    ),
    "a list declared as json": (
        lambda _: [{"id": 1, "visits": [{"hits": fields(400, 0, "")}]}],
        1,
        {"resource": JSON_ROWS},
        "",
    ),
    "kept out of columns by dlt": (
        lambda _: [{"id": 1, "stats": fields(400, 0, "")}],
        1,
        {"resource": {"max_table_nesting": 0}},
        "",
    ),
    "400 declared columns": (lambda _: [{"id": 1, **fields(400)}], 1, {"resource": MANY}, ""),
    "400 fields that are null": (
        lambda _: [{"id": 1, "a": 1, **dict.fromkeys(fields(400))}],
        1,
        {},
        "",
    ),
    "the limit raised": (
        lambda _: [{"id": 1, **fields(400)}],
        2,
        {"asset": {"max_new_columns": 400}},
        "",
    ),
    "no new column": (
        lambda sync: [{"id": 1, "a": 1, **(fields(1) if sync > 1 else {})}],
        1,
        {"asset": {"max_new_columns": 1}},
        "",
    ),
    "left out by the contract": (
        lambda _: [{"id": 1, **fields(400)}],
        1,
        {"resource": {"schema_contract": {"columns": "discard_value"}}},
        "",
    ),
}


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize("name", CASES)
def test_columns_have_a_limit(tmp_path: Path, name: str) -> None:
    rows, syncs, settings, error = CASES[name]

    def respond(connection: Any, got: Got) -> None:
        connection.sendall(json_answer({"data": rows(got.number)}))

    with raw_server(respond, keeps_open=True) as url:
        text = defs(url, paginator="single_page", **settings)
        outcome: Outcome = sync_limited(tmp_path, text, syncs=syncs, seconds=60)
    assert outcome.code == ("too_many_columns" if error else ""), outcome
    assert error in outcome.text
    assert outcome.megabytes < 600

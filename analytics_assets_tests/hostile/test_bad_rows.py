"""Bad rows without number, and keys and values without length, stay in bounded memory and in short texts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from dagster_shared.serdes import serialize_value

from analytics_assets_tests.conftest import Project
from analytics_assets_tests.hostile.limited import sync_limited
from analytics_assets_tests.raw_server import Got, json_answer, raw_server
from analytics_assets_tests.real_api import defs

OFFSET = {"type": "offset", "limit": 5000, "total_path": None}
ACCEPTED = {"max_quarantined": "100%"}
ANSI = "\x1b[31m\nred\u202e"
LONG = "k" * 5_000_000


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("size", [5000, 50_000], ids=["pages", "one page"])
def test_bad_rows_need_bounded_memory(tmp_path: Path, size: int) -> None:
    def respond(connection: Any, got: Got) -> None:
        start = int(got.params.get("offset", 0))
        numbers = range(start, min(50_001, start + size))
        rows = [
            {"id": f"bad {n}" if n < 50_000 else 1, "note": "a text that is not so short" * 10}
            for n in numbers
        ]
        connection.sendall(json_answer({"data": rows}))

    with raw_server(respond, keeps_open=True) as url:
        requests = {"page_overlap": False}
        paging = {**OFFSET, "limit": size}
        outcome = sync_limited(
            tmp_path, defs(url, paginator=paging, asset=ACCEPTED, requests=requests), seconds=240
        )
    assert (outcome.code, outcome.rows, outcome.quarantined) == ("", 1, 50_000), outcome
    assert outcome.megabytes < 250


DECLARED = {"columns": {"id": {"data_type": "text"}, "n": {"data_type": "bigint", "nullable": False}}}
ROWS: dict[str, list[Any]] = {
    "a key with codes": [{"id": ANSI, "n": "bad"}],
    "a key of 5 MB": [{"id": LONG, "n": "bad"}, {"id": LONG + "2", "n": "bad"}],
    "a value with codes": [{"id": "a", "n": ANSI}],
    "a field of 5 MB": [{"id": "a", "n": 1, "x": {LONG: 1, LONG.upper(): 2}}],
    "two fields of 5 MB for one column": [{"id": "a", "n": 1, LONG: 1, LONG.upper(): 2}],
    "a field with codes": [
        {"id": "a", "n": 1, f"_dlt_{ANSI}": 1},
        {"id": "b", "n": 1, f"x{ANSI}__v_text": 1},
    ],
    "a field without a name of 5 MB": [{"id": "a", "n": 1, " " * 5_000_000: 1}],
    "no object": [LONG, ANSI],
    "many reasons": [{"id": str(n), "n": 1, f"_dlt_{n}": 1} for n in range(2000)],
    "many fields that are left out": [{"id": "a", "n": 1} | {f"f{n}": n for n in range(5000)}],
}


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("name", ROWS)
def test_what_the_ui_gets_is_short_and_plain(project: Project, name: str) -> None:
    resource: dict[str, Any] = {**DECLARED}
    if name == "many fields that are left out":
        resource["schema_contract"] = {"columns": "discard_value"}

    def respond(connection: Any, _: Got) -> None:
        connection.sendall(json_answer({"data": [*ROWS[name], {"id": "good", "n": 1}]}))

    with raw_server(respond, keeps_open=True) as url:
        text = defs(url, paginator="single_page", asset=ACCEPTED, resource=resource)
        result = project.run(project.definitions(text), "things", source="api")
    written = [serialize_value(event) for event in result.all_events]
    assert sum(map(len, written)) < 400_000
    assert not re.search(r"(?<!\\)\\u(001b|202e)|[\x1b\u202e]", "".join(written))
    assert result.success
    for check in result.get_asset_check_evaluations():
        assert "\n" not in str(check.description)

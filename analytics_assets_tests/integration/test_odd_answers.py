"""Answers with one value that cannot be parsed or stored: that row is in quarantine, and all others in the table."""

from __future__ import annotations

from typing import Any

import pytest

from analytics_assets.ingestion.errors import SyncError
from analytics_assets_tests.answering import Reply, answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.postgres import WAREHOUSE
from analytics_assets_tests.real_api import defs

OFFSET = {"type": "offset", "limit": 100, "total_path": None}
COLUMNS = {"id": {"data_type": "bigint"}, "x": {"data_type": "text"}}
WRAPPED, ROOT, INSIDE = b'{"data": [%s]}', b"[%s]", b'{"a": {"b": [%s]}}'

PLACES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "arrow": (WRAPPED, {"paginator": OFFSET, "resource": {"columns": COLUMNS}}),
    "rows": (WRAPPED, {"paginator": OFFSET}),
    "one page": (WRAPPED, {"paginator": "single_page"}),
    "declared, one page": (WRAPPED, {"paginator": "single_page", "resource": {"columns": COLUMNS}}),
    "root": (ROOT, {"paginator": "single_page", "data_selector": "$"}),
    "no selector": (ROOT, {"paginator": "single_page", "data_selector": None}),
    "inside": (INSIDE, {"paginator": OFFSET, "data_selector": "a.b", "resource": {"columns": COLUMNS}}),
    "json column": (
        WRAPPED,
        {"paginator": OFFSET, "resource": {"columns": {**COLUMNS, "x": {"data_type": "json"}}}},
    ),
}
"""Where the rows are, and which path they take: the body around them, and the keys of the endpoint."""


def _lists(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def _objects(levels: int) -> bytes:
    return b'{"a": ' * levels + b"1" + b"}" * levels


BAD: dict[str, bytes] = {
    "not UTF-8": b'"caf\xe9"',
    "cut in a character": b'"\xe2\x82"',
    "half a pair": b'"\\ud800"',
    "encoded half a pair": b'"\xed\xa0\x80"',
    "300 levels": _lists(300),
    "900 levels": _lists(900),
    "990 levels": _objects(990),
    "1,100 levels": _lists(1100),
    "5,000 levels": _lists(5000),
    "5,000 objects": _objects(5000),
    "mixed levels": b'[{"a": ' * 2500 + b"1" + b"}]" * 2500,
    "100,000 levels": _lists(100_000),
    "100,000 objects": _objects(100_000),
    "5,000 digits": b"9" * 5000,
    "a million digits": b"-" + b"7" * 10**6,
    "1e400": b"1e400",
    "a fraction of 5,000 digits": b"0." + b"3" * 5000,
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
}


FIRST = [("arrow", "not UTF-8"), ("rows", "5,000 levels"), ("arrow", "5,000 digits"), ("root", "NaN")]
CASES = FIRST + [(place, bad) for bad in BAD for place in PLACES if (place, bad) not in FIRST]


@pytest.mark.matrix(keep=len(FIRST))
@pytest.mark.parametrize(("place", "bad"), CASES, ids=[f"{bad}, {place}" for place, bad in CASES])
def test_one_bad_row_is_quarantined(project: Project, place: str, bad: str) -> None:
    around, config = PLACES[place]
    rows = [b'{"id": %d, "x": "ok"}' % number for number in range(5)]
    rows[2] = b'{"id": 2, "x": %s}' % BAD[bad]
    with answering(
        lambda asked: Reply(around % b", ".join(rows[int(asked.params.get("offset", 0)) :]))
    ) as url:
        project.load(defs(url, asset={"max_quarantined": 1}, **config), "things")
    assert [row["id"] for row in project.query("SELECT id FROM api.things ORDER BY id")] == [0, 1, 3, 4]
    [row] = project.query('SELECT reason, "row" FROM api.things__quarantine')
    assert row["reason"].startswith(("x is", "x has", "x cannot be stored", "the row has "))
    assert len(row["reason"]) < 200
    if not bad.endswith(("UTF-8", "character", "pair")):
        assert row["row"] == rows[2].decode(), "the quarantine has what the API sent"


SHOPS = {"name": "shops", "endpoint": {"path": "shops", "data_selector": "data", "paginator": "single_page"}}
BAD_PARENT = b'{"data": [{"id": 1, "k": "caf\xe9"}]}'
ANSWERS: list[tuple[str, bytes, int, dict[str, Any], str]] = [
    # name, body, status, config, code of the error; empty if the sync succeeds
    ("lists", _lists(20_000), 200, {"data_selector": "$"}, "contract_exceeded"),
    ("objects", _objects(20_000), 200, {"data_selector": "$"}, "contract_exceeded"),
    ("objects, no selector", _objects(20_000), 200, {"data_selector": None}, "no_list"),
    ("a deep search", b'{"data": %s}' % _objects(20_000), 200, {"data_selector": "$..b"}, "missing_rows"),
    ("rows of lists", b'{"data": %s}' % _lists(20_000), 200, {}, "contract_exceeded"),
    ("without an end", b'{"data": ' + b"[" * 20_000, 200, {}, "not_json"),
    ("beside the rows", b'{"data": [{"id": 1}], "meta": %s}' % _objects(20_000), 200, {}, ""),
    ("an error", b'{"error": %s}' % _objects(20_000), 200, {}, "error_answer"),
    ("a 404", b'{"error": %s}' % _objects(2000), 404, {}, "halted"),
    ("a cut 500", b'{"error": %s}' % _objects(20_000), 500, {}, "halted"),
    (
        "an error that a rule reads",
        b'{"error": %s}' % _lists(2000),
        200,
        {"requests": {"responses": [{"body": {"error": "*"}, "action": "fail"}]}},
        "halted",
    ),
    ("a rule reads beside a bad byte", b'{"wait": 1, "x": "\xe9"}', 200,
     {"requests": {"responses": [{"body": {"wait": 1}, "action": "fail"}]}}, "halted"),
    ("bytes in an error", b'{"error": "caf\xe9"}', 404, {}, "halted"),
    ("the name of a field", b'{"data": [{"id": 1, "caf\xe9": 1}, {"id": 2}]}', 200, {}, ""),
    ("a path", BAD_PARENT, 200, {"path": "things/{resources.shops.k}", "parents": (SHOPS,)}, "unfit_path_value"),
    ("a param", BAD_PARENT, 200, {"params": {"k": "{resources.shops.k}"}, "parents": (SHOPS,)}, "unfollowable_link"),
]  # fmt: skip


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("body", "status", "config", "code"), [one[1:] for one in ANSWERS], ids=[one[0] for one in ANSWERS]
)
def test_an_answer_that_is_odd_as_a_whole(
    project: Project, body: bytes, status: int, config: dict[str, Any], code: str
) -> None:
    requests = {"max_retries": 0, **config.get("requests", {})}
    with answering(lambda _: Reply(body, status)) as url:
        text = defs(url, **{"paginator": "single_page", **config, "requests": requests})
        if not code:
            project.load(text, "things")
            return
        with pytest.raises(SyncError) as failure:
            project.load(text, "things")
    assert failure.value.code == code
    assert len(str(failure.value)) < 600
    str(failure.value).encode()


_WITH_NUL: list[tuple[str, bytes, Any]] = [
    ("NUL as an escape", b'"a\\u0000b"', "a\0b"),
    ("NUL", b'"a\0b"', "a\0b"),
]
"""PostgreSQL cannot store these."""
STORED: list[tuple[str, bytes, Any]] = [
    *([] if WAREHOUSE else _WITH_NUL),
    ("a tab", b'"a\tb"', "a\tb"),
    ("a line break", b'"a\nb"', "a\nb"),
    ("minus zero", b"-0", 0),
    ("the largest bigint", b"9223372036854775807", 2**63 - 1),
]


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("place", ["arrow", "rows"])
@pytest.mark.parametrize(("value", "stored"), [one[1:] for one in STORED], ids=[one[0] for one in STORED])
def test_an_odd_value_that_a_column_can_hold_is_stored(
    project: Project, value: bytes, stored: Any, place: str
) -> None:
    kind = "text" if isinstance(stored, str) else "bigint"
    columns = {"id": {"data_type": "bigint"}, **({"x": {"data_type": kind}} if place == "arrow" else {})}
    body = b'{"data": [{"id": 1, "x": %s}]}' % value
    with answering(lambda asked: Reply(body if asked.params["offset"] == "0" else b'{"data": []}')) as url:
        project.load(defs(url, paginator=OFFSET, resource={"columns": columns}), "things")
    assert project.query("SELECT x FROM api.things") == [{"x": stored}]

"""Values as real APIs write them: each value is in the table as the API sent it, or its row is in quarantine."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from analytics_assets.ingestion.errors import SyncError
from analytics_assets_tests.answering import Reply, answering
from analytics_assets_tests.conftest import Project, check_of
from analytics_assets_tests.real_api import defs

ROUNDED = "would be rounded"
PATHS: dict[str, dict[str, Any]] = {
    "arrow": {"paginator": {"type": "offset", "limit": 100}},
    "rows": {"paginator": "single_page"},
    "undeclared": {"paginator": {"type": "offset", "limit": 100}},
}
"""The ways of a page to the warehouse: rows that stay text until Arrow reads them, parsed rows, undeclared fields."""

VALUES: list[tuple[str, str, Any]] = [
    # declared type, JSON of the value, stored value or a part of the reason
    ("timestamp", '"2026-01-05T10:00:00Z"', datetime(2026, 1, 5, 10, tzinfo=UTC)),
    ("timestamp", '"2026-01-05 10:00:00"', datetime(2026, 1, 5, 10, tzinfo=UTC)),
    ("timestamp", '"2026-01-05+02:00"', "is text, not a valid timestamp"),
    ("timestamp", '"2026-01-05_10:00:00"', "is text, not a valid timestamp"),
    ("timestamp", '"1712010112000"', "declare it as bigint"),
    ("timestamp", '"20260105"', "declare it as bigint"),
    ("timestamp", "1767225600", datetime(2026, 1, 1, tzinfo=UTC)),
    ("date", '"2026-01-05"', date(2026, 1, 5)),
    ("date", '"2026-01-05+00:00"', "is text, not a valid date"),
    ("bigint", "9007199254740993.0", 9007199254740993),
    ("bigint", "10000000000000000.5", "has a fraction"),
    ("bigint", "5.0", 5),
    ("decimal", "99.99999999999999999", ROUNDED),
    ("decimal", "12345678901234567890.12", Decimal("12345678901234567890.12")),
    ("decimal", "19.99", Decimal("19.99")),
    ("double", "9007199254740993.0", ROUNDED),
    ("double", "0.1", 0.1),
    ("json", '{"a": [NaN]}', "cannot be stored as JSON"),
    ("json", '{"a": 1e999}', "cannot be stored as JSON"),
    ("json", '{"a": -Infinity}', "cannot be stored as JSON"),
    ("json", '{"a": 12345678901234567890.123}', "cannot be stored as JSON"),
    ("json", '{"a": [0.1, 1.50, 1e3]}', '{"a":[0.1,1.5,1000.0]}'),
    # an empty text is no value of most types, and is never NULL
    ("text", '""', ""),
    ("binary", '""', b""),
    ("binary", '"0x"', b""),
    ("binary", '"YQ=="', b"a"),
    ("binary", '" "', "is text, not a valid binary"),
    ("json", '""', '""'),
    ("json", '"5"', '"5"'),
    ("json", "5", "5"),
    ("json", "true", "true"),
    ("json", '"{"', '"{"'),
    *((kind, '""', f"is text, not a valid {kind}") for kind in ("bigint", "double", "bool", "decimal")),
    *((kind, '""', f"is text, not a valid {kind}") for kind in ("wei", "timestamp", "date", "time")),
]


@pytest.mark.parametrize("path", PATHS)
def test_a_value_is_stored_as_sent_or_its_row_is_in_quarantine(project: Project, path: str) -> None:
    more = {"more": 1} if path == "undeclared" else {}
    columns: dict[str, Any] = {"id": {"data_type": "bigint"}}
    rows = []
    for number, (kind, value, _) in enumerate(VALUES):
        name = f"{kind}_{number}"
        columns[name] = {"data_type": kind, **({"precision": 30, "scale": 2} if kind == "decimal" else {})}
        whole = json.dumps({"id": number, **more, name: "?"}).replace('"?"', value)
        rows.append(whole)
    body = ('{"data": [' + ", ".join(rows) + f'], "total": {len(rows)}}}').encode()
    with answering(lambda _: Reply(body)) as url:
        text = defs(url, resource={"columns": columns}, asset={"max_quarantined": "100%"}, **PATHS[path])
        project.load(text, "things")
    stored = {row["id"]: row for row in project.query("SELECT * FROM api.things")}
    quarantined = {
        json.loads(row["row"])["id"]: row
        for row in project.query('SELECT "row", reason FROM api.things__quarantine')
    }
    for number, (kind, value, expected) in enumerate(VALUES):
        is_reason = isinstance(expected, str) and kind not in ("json", "text")
        if is_reason or "cannot" in str(expected):
            assert expected in quarantined[number]["reason"], value
            assert value in quarantined[number]["row"], "the quarantine keeps the digits"
        else:
            assert stored[number][f"{kind}_{number}"] == expected, value


UNDECLARED = [
    # JSON of the value, stored value or a part of the reason
    ("0.1", 0.1),
    ("0.10000000000000001", 0.1),
    ("1.50", 1.5),
    ("9007199254740993.0", "would round"),
    ("12345678901234567890.123", "would round"),
    ("0.1234567890123456789", "would round"),
    ("1e999", "an undeclared field that is a number too large for a double"),
    ("NaN", "NaN or infinite"),
    ("[12345678901234567890.123]", "would round"),
    ('{"a": {"b": 12345678901234567890.123}}', "would round"),
]


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(("value", "expected"), UNDECLARED)
def test_an_undeclared_number_is_judged_by_its_digits(project: Project, value: str, expected: Any) -> None:
    body = f'{{"data": [{{"id": 1, "x": {value}}}]}}'.encode()
    with answering(lambda _: Reply(body)) as url:
        project.load(defs(url, asset={"max_quarantined": "100%"}, paginator="single_page"), "things")
    if isinstance(expected, str):
        [row] = project.query("SELECT reason FROM api.things__quarantine")
        assert expected in row["reason"]
    else:
        assert project.query("SELECT x FROM api.things") == [{"x": expected}]


@pytest.mark.parametrize("path", ["arrow", "undeclared"])
def test_digits_below_the_precision_of_a_timestamp_are_cut_and_told(project: Project, path: str) -> None:
    more = {"more": 1} if path == "undeclared" else {}
    rows = [
        {"id": 1, "at": "2026-01-05T10:00:00.123456Z", **more},
        {"id": 2, "at": "2026-01-05T10:00:00.123000Z", **more},
    ]
    columns = {"id": {"data_type": "bigint"}, "at": {"data_type": "timestamp", "precision": 3}}
    with answering(lambda _: {"data": rows, "total": len(rows)}) as url:
        text = defs(url, resource={"columns": columns}, **PATHS[path])
        result = project.run(project.definitions(text), "things", source="api")
    assert result.success
    assert project.query('SELECT DISTINCT "at" FROM api.things') == [
        {"at": datetime(2026, 1, 5, 10, 0, 0, 123_000, tzinfo=UTC)}
    ]
    drift = check_of(result, "schema_drift")
    assert drift.passed
    assert "Timestamps cut to the precision of their column: at (1 value)." in str(drift.description)


@pytest.mark.parametrize(
    ("hints", "digits", "name"),
    [
        ({"precision": 3}, ("123456", "123457", "123"), "timestamp(3)"),
        ({}, ("0000001", "0000002", "1"), "timestamp"),
    ],
)
def test_a_key_that_would_be_cut_goes_to_quarantine(
    project: Project, hints: dict[str, int], digits: tuple[str, ...], name: str
) -> None:
    rows = [{"at": f"2026-01-05T10:00:00.{one}Z"} for one in digits]
    columns = {"at": {"data_type": "timestamp", **hints}}
    with answering(lambda _: {"data": rows, "total": len(rows)}) as url:
        resource = {"columns": columns, "primary_key": "at"}
        project.load(defs(url, resource=resource, asset={"max_quarantined": 2}, **PATHS["arrow"]), "things")
    assert len(project.query("SELECT * FROM api.things")) == 1
    reasons = project.query("SELECT DISTINCT reason FROM api.things__quarantine")
    assert reasons == [
        {
            "reason": f"at has more digits than {name} keeps, and is part of the primary key: declare it as text"
        }
    ]


@pytest.mark.matrix(keep=8)
@pytest.mark.parametrize(
    "resource", [{}, {"columns": None, "primary_key": None}], ids=["declared", "nothing declared"]
)
@pytest.mark.parametrize("rows", [["BTC", "ETH"], [["a", 1], ["b", 2]], [1, 2.5], [True], [None, None]])
@pytest.mark.parametrize("path", PATHS)
def test_rows_that_are_no_objects_are_refused(
    project: Project, resource: Any, rows: list[Any], path: str
) -> None:
    with answering(lambda _: {"data": rows, "total": len(rows)}) as url, pytest.raises(SyncError) as failure:
        project.load(defs(url, resource=resource, **PATHS[path]), "things")
    assert failure.value.code == "contract_exceeded"
    assert "not an object (check data_selector, or declare a column `value`)" in str(failure.value)


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("hints", [{"data_type": "text"}, {}])
@pytest.mark.parametrize("path", ["arrow", "rows"])
def test_rows_that_are_no_objects_may_be_declared(project: Project, hints: dict[str, str], path: str) -> None:
    rows = ["BTC", "ETH", ["a"]]
    with answering(lambda _: {"data": rows, "total": len(rows)}) as url:
        resource = {"columns": {"value": hints}, "primary_key": None}
        project.load(defs(url, resource=resource, **PATHS[path]), "things")
    assert project.query("SELECT value FROM api.things ORDER BY value") == [
        {"value": "BTC"},
        {"value": "ETH"},
    ]
    assert project.query("SELECT count(*) AS n FROM api.things__quarantine") == [{"n": 1}]

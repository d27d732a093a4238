"""Each value is in PostgreSQL as the API sent it, from the Arrow path and from the row path."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from analytics_assets_tests.answering import answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.postgres import PostgresWarehouse
from analytics_assets_tests.real_api import defs

TEXTS = [
    "",
    " ",
    "\\N",
    "NULL",
    "\\.",
    'a "quoted", text\nwith\ttabs\r\nand \\backslashes\\',
    "é 你好 🎈 \u2028\ufeff",
    "\x01\x1f\x7f",
    "x" * 100_000,
    None,
]
VALUES: list[tuple[dict[str, Any], Any, Any]] = [
    *(({"data_type": "text"}, text, text) for text in TEXTS),
    ({"data_type": "text", "precision": 3}, "äöü", "äöü"),
    ({"data_type": "bigint"}, 2**63 - 1, 2**63 - 1),
    ({"data_type": "bigint"}, -(2**63), -(2**63)),
    ({"data_type": "bigint", "precision": 16}, -32768, -32768),
    ({"data_type": "bigint", "precision": 32}, 2**31 - 1, 2**31 - 1),
    ({"data_type": "bigint"}, None, None),
    ({"data_type": "double"}, 0.1, 0.1),
    ({"data_type": "double"}, 1.7976931348623157e308, 1.7976931348623157e308),
    ({"data_type": "double"}, 5e-324, 5e-324),
    ({"data_type": "double"}, -0.0, -0.0),
    ({"data_type": "bool"}, False, False),
    ({"data_type": "bool"}, True, True),
    ({"data_type": "decimal"}, "0.000000001", Decimal("0.000000001")),
    ({"data_type": "decimal", "precision": 38, "scale": 0}, "9" * 38, Decimal("9" * 38)),
    ({"data_type": "decimal", "precision": 18, "scale": 2}, "-0.01", Decimal("-0.01")),
    ({"data_type": "decimal", "precision": 18, "scale": 2}, 0, Decimal(0)),
    ({"data_type": "decimal", "precision": 60, "scale": 20}, "1" * 40 + ".5", Decimal("1" * 40 + ".5")),
    ({"data_type": "wei"}, "9" * 70, Decimal("9" * 70)),
    (
        {"data_type": "timestamp"},
        "2026-03-29T02:30:00.123456+02:00",
        datetime(2026, 3, 29, 0, 30, 0, 123456, UTC),
    ),
    ({"data_type": "timestamp"}, "0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    (
        {"data_type": "timestamp"},
        "9999-12-31T23:59:59.999999Z",
        datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
    ),
    ({"data_type": "timestamp", "timezone": False}, "2026-03-29T02:30:00", datetime(2026, 3, 29, 2, 30)),  # noqa: DTZ001
    (
        {"data_type": "timestamp", "precision": 3},
        "2026-03-29T02:30:00.125Z",
        datetime(2026, 3, 29, 2, 30, 0, 125000, UTC),
    ),
    (
        {"data_type": "timestamp", "precision": 0},
        "2026-03-29T02:30:01Z",
        datetime(2026, 3, 29, 2, 30, 1, tzinfo=UTC),
    ),
    ({"data_type": "date"}, "0001-01-01", date(1, 1, 1)),
    ({"data_type": "date"}, "9999-12-31", date(9999, 12, 31)),
    ({"data_type": "time"}, "23:59:59.999999", time(23, 59, 59, 999999)),
    ({"data_type": "time"}, "00:00:00", time(0)),
    ({"data_type": "binary"}, "", b""),
    ({"data_type": "binary"}, "AAEC/w==", b"\x00\x01\x02\xff"),
    (
        {"data_type": "json"},
        {"a": [1, 2.5, None, "\u0000", "é"], "b": {}},
        r'{"a":[1,2.5,null,"\u0000","é"],"b":{}}',
    ),
    ({"data_type": "json"}, [], "[]"),
]
SINGLE: dict[str, Any] = {"paginator": "single_page"}


def _comparable(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC)
    return value


@pytest.mark.parametrize("path", ["arrow", "rows"])
@pytest.mark.parametrize("disposition", ["replace", "merge", "append"])
def test_every_value_is_stored_as_sent(
    project: Project, warehouse: PostgresWarehouse, path: str, disposition: str
) -> None:
    """The row path reads the same values, because of an undeclared field."""
    columns: dict[str, Any] = {"id": {"data_type": "bigint"}}
    row: dict[str, Any] = {"id": 1}
    expected: dict[str, Any] = {}
    for number, (hints, sent, stored) in enumerate(VALUES):
        columns[f"c{number}"] = hints
        row[f"c{number}"] = sent
        expected[f"c{number}"] = stored
    if path == "rows":
        row["undeclared"] = ""
        row["texts"] = TEXTS[:-1]
    resource = {"columns": columns, "write_disposition": disposition}
    with answering(lambda _: {"data": [row]}) as url:
        result = project.load(defs(url, resource=resource, **SINGLE), "things")
    assert (result.rows_loaded, result.rows_quarantined) == (1, 0)
    [found] = warehouse.query("SELECT * FROM api.things")
    stored_now: dict[str, Any] = {name: _comparable(found[name]) for name in expected}
    assert stored_now == expected
    if path == "rows":
        assert found["undeclared"] == ""
        parts = warehouse.query("SELECT value FROM api.things__texts ORDER BY _dlt_list_idx")
        assert [one["value"] for one in parts] == TEXTS[:-1]


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("where", ["text", "list", "key"])
def test_a_row_with_the_character_nul_is_quarantined(
    project: Project, warehouse: PostgresWarehouse, where: str, *, declared: bool
) -> None:
    """PostgreSQL stores no NUL in a text. One such text would otherwise fail the whole load."""
    cases: dict[str, dict[str, Any]] = {
        "text": {"name": "a\0b"},
        "list": {"name": "a", "parts": [{"n": "\0"}]},
        "key": {"name": "\0"},
    }
    bad = cases[where]
    rows = [{"id": "1", "name": "good"}, {"id": "2\0" if where == "key" else "2", **bad}]
    columns: dict[str, Any] = {"id": {"data_type": "text"}}
    if declared:
        columns["name"] = {"data_type": "text"}
    resource = {"columns": columns}
    with answering(lambda _: {"data": rows}) as url:
        result = project.load(defs(url, resource=resource, asset={"max_quarantined": 5}, **SINGLE), "things")
    assert (result.rows_loaded, result.rows_quarantined) == (1, 1)
    assert warehouse.query("SELECT id FROM api.things") == [{"id": "1"}]
    [bad_row] = warehouse.query('SELECT reason, "row" FROM api.things__quarantine')
    assert "the character NUL, which the warehouse cannot store" in bad_row["reason"]
    assert json.loads(bad_row["row"]) == rows[1]


def test_a_column_of_jsonb_takes_json(project: Project, warehouse: PostgresWarehouse) -> None:
    """Without the ADBC driver, dlt makes columns of jsonb. An older table has them, and they stay."""
    columns = {"id": {"data_type": "bigint"}, "what": {"data_type": "json"}}
    found = []
    for disposition in ("merge", "append"):
        resource = {"columns": columns, "write_disposition": disposition}
        with answering(lambda _: {"data": [{"id": 1, "what": {"b": 1, "a": [None]}}]}) as url:
            text = defs(url, resource=resource, **SINGLE)
            project.load(text, "things")
            warehouse.execute("ALTER TABLE api.things ALTER COLUMN what TYPE jsonb")
            project.load(text, "things")
        found.append([one["what"] for one in warehouse.query("SELECT what FROM api.things")])
        warehouse.execute("DROP TABLE api.things")
    assert found == [['{"a": [null], "b": 1}'], ['{"a": [null], "b": 1}'] * 2]

"""Converts rows of the API to warehouse types, and rows of the warehouse to Python types, to compare both."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from analytics_assets.demo_api.data import Row

DECIMALS = {"credit_limit", "unit_price", "transaction_amount", "refunded_amount"}
TIMESTAMPS = {"created_at", "updated_at", "discontinued_at"}


def query(database: Path, sql: str) -> list[dict[str, Any]]:
    """The rows of a query as mappings, with timestamps in UTC."""
    with duckdb.connect(str(database), read_only=True) as connection:
        cursor = connection.execute("SET TimeZone = 'UTC'").execute(sql)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def as_loaded(row: Row) -> dict[str, Any]:
    """Converts a row of the API to the types of the warehouse."""
    loaded: dict[str, Any] = {}
    for name, value in row.items():
        if name in DECIMALS and value is not None:
            loaded[name] = Decimal(value)
        elif name in TIMESTAMPS and value is not None:
            loaded[name] = datetime.fromisoformat(value).astimezone(UTC)
        elif name == "address":
            loaded |= {f"address__{key}": part for key, part in value.items()}
        elif name != "items":
            loaded[name] = value
    return loaded


def table(database: Path, name: str) -> list[dict[str, Any]]:
    """All rows of a table of the demo source in a DuckDB file."""
    return comparable(query(database, f"SELECT * FROM analytics_api.{name} ORDER BY id"))


def comparable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the demo source without dlt's own columns, in types that `as_loaded` gives."""
    rows = [{key: value for key, value in row.items() if not key.startswith("_dlt_")} for row in rows]
    for row in rows:
        if "properties" in row:
            row["properties"] = json.loads(row["properties"])
        for column in TIMESTAMPS & row.keys():
            if row[column] is not None:
                assert row[column].tzinfo is not None
                row[column] = row[column].astimezone(UTC)
    return rows


def truth(rows: list[Row]) -> list[dict[str, Any]]:
    return sorted((as_loaded(row) for row in rows), key=lambda row: row["id"])

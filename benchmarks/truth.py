"""The rows of the API in SQL: what a table must hold before a time counts, and a large table to sync into.

It runs apart from what is measured, and from `sync.py`: the kernel counts the memory of whoever starts a process
to that process's peak.
"""

# ruff: noqa: S608  (every name in these queries is ours)
from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from api import COLUMNS, VARIANTS, Rows, row

TABLE = "analytics_api.transactions"
_CAST = ", ".join(f"CAST({name} AS {sql_type}) AS {name}" for name, sql_type in COLUMNS.items())
_SUM = f"""
SELECT count(*), count(DISTINCT id), sum(id), sum(transaction_amount), count(note), min(updated_at)::VARCHAR,
    max(updated_at)::VARCHAR, bit_xor(hash({", ".join(COLUMNS)})) FROM
"""


def complaint(database: Path, rows: Rows, changed: Rows | None, *, typed: bool) -> str | None:
    """What is wrong with a synced table; None where nothing is.

    Args:
        database: DuckDB file.
        rows: of the API, or those that were there before.
        changed: those of the API that were synced over them.
        typed: whether the columns must have their declared types, and not only values that can be cast.
    """
    with _connected(str(database)) as connection:
        types = {name: str(sql_type) for name, sql_type, *_ in _all(connection, f"DESCRIBE {TABLE}")}
        if typed and {name: types.get(name) for name in COLUMNS} != COLUMNS:
            return f"the columns are {types}, and not {COLUMNS}"
        found = _all(connection, f"{_SUM} (SELECT {_CAST} FROM {TABLE})")[0]
    expected = _expected(rows, changed)
    return f"the table sums up to {found}, and not to {expected}" if found != expected else None


def fill(database: Path, rows: Rows) -> None:
    """Fills up a table that a sync through dlt has begun, as if all of it had come that way."""
    with _connected(str(database)) as connection:
        connection.execute(
            f"INSERT INTO {TABLE} BY NAME SELECT *, id::VARCHAR AS _dlt_id, "
            f"(SELECT max(_dlt_load_id) FROM {TABLE}) AS _dlt_load_id "
            f"FROM ({_select(connection, rows)}) ANTI JOIN {TABLE} USING (id)"
        )
        for column in ("_dlt_id", "_dlt_load_id"):  # which mean nothing to who does not use dlt
            connection.execute(f"ALTER TABLE {TABLE} ALTER {column} DROP NOT NULL")


@lru_cache
def _expected(rows: Rows, changed: Rows | None) -> tuple[Any, ...]:
    with _connected(":memory:") as connection:
        held = _select(connection, rows)
        if changed:
            new = _select(connection, changed)
            held = f"SELECT * FROM ({held}) ANTI JOIN ({new}) USING (id) UNION ALL BY NAME {new}"
        return _all(connection, f"{_SUM} ({held})")[0]


def _connected(database: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(database)
    connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    return connection


def _select(connection: duckdb.DuckDBPyConnection, rows: Rows) -> str:
    """The query for these rows."""
    variants = f"variants_of_{rows.day.replace('-', '_')}"
    connection.register(variants, pa.Table.from_pylist([row(n, rows.day) for n in range(VARIANTS)]))
    return (
        f"SELECT {_CAST} FROM (SELECT {variants}.* REPLACE (place * {rows.stride} AS id) "
        f"FROM range({rows.count}) AS places(place) JOIN {variants} ON {variants}.id = place % {VARIANTS})"
    )


def _all(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()

"""The rows of the API in SQL, which verify a synced table and fill a large table before a sync.

This module runs in its own process, because the kernel adds the memory of a parent process to the peak of its child.
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
    """Describes an error in a synced table; None if the table is correct.

    Args:
        database: the path of the DuckDB file.
        rows: the rows of the API, or the rows in the table before the sync.
        changed: the changed rows that the sync loaded over `rows`.
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
    """Adds the remaining rows to a table that dlt created, as if a sync had loaded all rows."""
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
    """Returns the SQL query that generates these rows."""
    variants = f"variants_of_{rows.day.replace('-', '_')}"
    connection.register(variants, pa.Table.from_pylist([row(n, rows.day) for n in range(VARIANTS)]))
    return (
        f"SELECT {_CAST} FROM (SELECT {variants}.* REPLACE (place * {rows.stride} AS id) "
        f"FROM range({rows.count}) AS places(place) JOIN {variants} ON {variants}.id = place % {VARIANTS})"
    )


def _all(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()

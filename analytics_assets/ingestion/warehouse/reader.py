"""What the warehouse says after a load: rows, rows per window, and NULLs where none should be.

Reads only, through dlt's SQL client, so that it works on any SQL destination; waits for writers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
from dlt.destinations.job_client_impl import SqlJobClientBase

from analytics_assets.ingestion.contract.quarantine import KEY_PREFIX, SUFFIX
from analytics_assets.ingestion.errors import NoWarehouseFileError
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.time_window import Cursor, Window
from analytics_assets.ingestion.warehouse.pipeline import WarehousePipeline, open_pipeline

_EXAMPLES = 5


@dataclass(frozen=True)
class NullReport:
    """NULLs in columns declared `nullable: false`.

    Attributes:
        rows: rows looked at.
        missing_columns: declared `nullable: false`, but not in the table.
        nulls: per offending column, the number of rows with NULL.
        example_keys: per offending column, primary keys of up to five such rows.
        query: SQL that shows all such rows; None where there are none.
    """

    rows: int = 0
    missing_columns: tuple[str, ...] = ()
    nulls: dict[str, int] = field(default_factory=dict)
    example_keys: dict[str, list[str]] = field(default_factory=dict)
    query: str | None = None


@dataclass(frozen=True)
class QuarantineReport:
    """Rows in quarantine.

    Attributes:
        rows: how many.
        reasons: what is wrong with them, the most frequent first: reason, rows, primary keys of up to five.
        query: SQL that shows them; None where there are none.
    """

    rows: int = 0
    reasons: tuple[tuple[str, int, list[str]], ...] = ()
    query: str | None = None


@dataclass(frozen=True)
class DuplicateReport:
    """Primary keys that are in the table more than once.

    Attributes:
        keys: how many.
        example_keys: up to five of them, with the number of rows each.
        query: SQL that shows all such rows; None where there are none.
    """

    keys: int = 0
    example_keys: tuple[tuple[str, int], ...] = ()
    query: str | None = None


class Table:
    """One resource's table, open for reading."""

    def __init__(self, client: SqlJobClientBase, info: ResourceInfo) -> None:
        self._info = info
        self._client = client
        self._sql = client.sql_client
        self.name = self._sql.make_qualified_table_name(info.table)
        self._quarantine = self._sql.make_qualified_table_name(info.table + SUFFIX)
        found = dict(client.get_storage_tables([info.table, info.table + SUFFIX]))  # in no particular order
        self.columns = frozenset(found[info.table])
        self._quarantined = frozenset(found[info.table + SUFFIX])

    @property
    def exists(self) -> bool:
        """Whether there is a table: False before the first load that brought rows."""
        return bool(self.columns)

    def row_count(self) -> int:
        """Rows in the table; 0 where there is no table yet."""
        return int(self._rows(f"SELECT COUNT(*) FROM {self.name}")[0][0]) if self.exists else 0  # noqa: S608

    def child(self, name: str) -> tuple[int, dict[str, Any]]:
        """Rows and dlt's column schemas of a child table; none where it does not exist yet."""
        exists, columns = self._client.get_storage_table(name)
        table = self._sql.make_qualified_table_name(name)
        return (int(self._rows(f"SELECT COUNT(*) FROM {table}")[0][0]) if exists else 0), dict(columns)  # noqa: S608

    def rows_by_window(self, cursor: Cursor, windows: Sequence[Window]) -> list[int] | None:
        """Rows whose cursor falls in each of `windows`, in their order; None if the cursor is no column."""
        if not self.exists:
            return [0] * len(windows)
        if cursor.column not in self.columns:
            return None  # nested, and kept as JSON
        counts = []
        for window in windows:
            within, bounds = self._within(cursor, window)
            counts.append(int(self._rows(f"SELECT COUNT(*) FROM {self.name} WHERE {within}", *bounds)[0][0]))  # noqa: S608
        return counts

    def null_report(self, window: Window | None) -> NullReport:
        """NULLs against the contract, in `window` or in the whole table.

        A row without a cursor belongs to no window, so it is reported in every one.
        """
        if not self.exists:
            return NullReport()
        where, values = self._where(window)
        present = [name for name in self._info.contract.not_null if name in self.columns]
        counts = ", ".join(f"COUNT(*) - COUNT({self._quote(name)})" for name in present)
        rows, *nulls = self._rows(
            f"SELECT COUNT(*){', ' + counts if counts else ''} FROM {self.name} WHERE {where}",  # noqa: S608
            *values,
        )[0]
        offending = {name: int(count) for name, count in zip(present, nulls, strict=True) if count}
        bad = " OR ".join(f"{self._quote(name)} IS NULL" for name in offending)
        here = _literally(where, values)
        return NullReport(
            rows=int(rows),
            missing_columns=tuple(n for n in self._info.contract.not_null if n not in self.columns),
            nulls=offending,
            example_keys={name: self._example_keys(name, where, values) for name in offending},
            query=f"SELECT * FROM {self.name} WHERE ({bad}) AND {here}" if bad else None,  # noqa: S608
        )

    def quarantine_report(self, window: Window | None) -> QuarantineReport:
        """Rows in quarantine, in `window` or at all; one whose window is not known is in all it may be of."""
        if not self._quarantined:
            return QuarantineReport()
        where, values = "1 = 1", []
        if window:
            where, values = "window_start < %s AND window_end > %s", [window.end, window.start]
        names = [KEY_PREFIX + column.name for column in self._info.contract.typed_key]
        keys = [self._quote(name) for name in names if name in self._quarantined]
        selected = ", ".join(["reason", *keys])
        found = self._rows(f"SELECT {selected} FROM {self._quarantine} WHERE {where}", *values)  # noqa: S608
        reasons: dict[str, list[str]] = {}
        for reason, *key in found:
            reasons.setdefault(reason, []).append(", ".join("?" if one is None else str(one) for one in key))
        by_frequency = sorted(reasons.items(), key=lambda one: -len(one[1]))
        return QuarantineReport(
            rows=len(found),
            reasons=tuple(
                (reason, len(rows), [one for one in rows if one][:_EXAMPLES]) for reason, rows in by_frequency
            ),
            query=f"SELECT * FROM {self._quarantine} WHERE {_literally(where, values)}" if found else None,  # noqa: S608
        )

    def duplicate_report(self, window: Window | None) -> DuplicateReport:
        """Primary keys that more than one row has, one of them in `window`, or anywhere."""
        names = [name for name in self._info.contract.primary_key if name in self.columns]
        if not names:
            return DuplicateReport()
        keys = ", ".join(self._quote(name) for name in names)
        where, values = self._where(window) if window else ("1 = 1", [])
        here = f"SELECT {keys} FROM {self.name} WHERE {where}"  # noqa: S608
        twice = f"GROUP BY {keys} HAVING COUNT(*) > 1"
        found = self._rows(
            f"SELECT {keys}, COUNT(*) FROM {self.name} WHERE ({keys}) IN ({here}) {twice} ORDER BY {keys}",  # noqa: S608
            *values,
        )
        all_of_them = f"SELECT {keys} FROM {self.name} {twice}"  # noqa: S608
        shown = f"SELECT * FROM {self.name} WHERE ({keys}) IN ({all_of_them})"  # noqa: S608
        shown += f" AND ({keys}) IN ({_literally(here, values)}) ORDER BY {keys}"
        return DuplicateReport(
            keys=len(found),
            example_keys=tuple((", ".join(map(str, key)), int(times)) for *key, times in found[:_EXAMPLES]),
            query=shown if found else None,
        )

    def _example_keys(self, column: str, where: str, values: Sequence[Any]) -> list[str]:
        names = [name for name in self._info.contract.primary_key if name in self.columns]
        if not names:
            return []
        keys = ", ".join(self._quote(name) for name in names)
        found = self._rows(
            f"SELECT {keys} FROM {self.name} WHERE {where} AND {self._quote(column)} IS NULL "  # noqa: S608
            f"ORDER BY {keys} LIMIT {_EXAMPLES}",
            *values,
        )
        return [", ".join(str(part) for part in row) for row in found]

    def _where(self, window: Window | None) -> tuple[str, list[Any]]:
        cursor = self._info.cursor
        if window is None or cursor is None or cursor.column not in self.columns:
            return "1 = 1", []
        within, bounds = self._within(cursor, window)
        return f"({self._quote(cursor.column)} IS NULL OR {within})", bounds

    def _within(self, cursor: Cursor, window: Window) -> tuple[str, list[Any]]:
        column = self._quote(cursor.column)
        return f"{column} >= %s AND {column} < %s", [cursor.bound(window.start), cursor.bound(window.end)]

    def _quote(self, name: str) -> str:
        return str(self._sql.escape_column_name(name))

    def _rows(self, sql: str, *values: Any) -> Sequence[Sequence[Any]]:
        return self._sql.execute_sql(sql, *values) or []


def _literally(condition: str, values: Sequence[Any]) -> str:
    """A condition with its values in it, as a person can run it; they are bounds of windows."""
    literals = [str(one) if isinstance(one, int) else f"'{one.isoformat()}'" for one in values]
    return condition % tuple(literals)


@contextmanager
def open_table(pipeline: WarehousePipeline, info: ResourceInfo) -> Iterator[Table]:
    """The resource's table, open for reading. The caller keeps writers away, by `pipeline.exclusive()`.

    Raises:
        NoSqlError: the destination has no SQL.
    """
    with pipeline.sql() as client:
        yield Table(client, info)


@contextmanager
def read_warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    """The embedded warehouse, open for reading. Waits for the load that is under way; the next load waits for it.

    With DuckDB's own `connect` one of them would fail.

    Raises:
        NoWarehouseFileError: the destination is another, or nothing was ever loaded.
    """
    with open_pipeline("reader", "reader", "a reader") as pipeline:
        database = pipeline.database
        if database is None:
            raise NoWarehouseFileError(
                "",
                f"the warehouse is {pipeline.backend.name}, and no DuckDB file",
                "Use the client of the destination",
            )
        with pipeline.exclusive():
            if not database.exists():
                raise NoWarehouseFileError("", f"there is no {database} yet", "Materialize an asset first")
            with duckdb.connect(str(database), read_only=True) as connection:
                yield connection

"""What the warehouse says after a load: rows, rows per window, and NULLs where none should be.

Reads only, through dlt's SQL client, so that it works on any SQL destination; waits for writers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.errors import NoSqlError
from analytics_assets.ingestion.pipeline import warehouse
from analytics_assets.ingestion.source import Cursor, ResourceInfo, Window

_EXAMPLES = 5


@dataclass(frozen=True)
class NullReport:
    """NULLs in columns declared `nullable: false`.

    Attributes:
        table_exists: False before the first load that brought rows.
        rows: rows looked at.
        missing_columns: declared `nullable: false`, but not in the table.
        nulls: per offending column, the number of rows with NULL.
        example_keys: per offending column, primary keys of up to five such rows.
        misfits: per offending column, where dlt keeps values that do not fit its type.
        query: SQL that shows all such rows; None where there are none.
    """

    table_exists: bool
    rows: int = 0
    missing_columns: tuple[str, ...] = ()
    nulls: dict[str, int] = field(default_factory=dict)
    example_keys: dict[str, list[str]] = field(default_factory=dict)
    misfits: dict[str, list[str]] = field(default_factory=dict)
    query: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the declared nullability holds."""
        return not self.nulls and not (self.missing_columns and self.rows)


class Table:
    """One resource's table, open for reading."""

    def __init__(self, client: SqlJobClientBase, info: ResourceInfo) -> None:
        self._info = info
        self._sql = client.sql_client
        self.name = self._sql.make_qualified_table_name(info.table)
        exists, columns = client.get_storage_table(info.table)
        self.columns: frozenset[str] = frozenset(columns) if exists else frozenset()

    def row_count(self) -> int:
        """Rows in the table; 0 where there is no table yet."""
        return int(self._rows(f"SELECT COUNT(*) FROM {self.name}")[0][0]) if self.columns else 0  # noqa: S608

    def rows_by_window(self, cursor: Cursor, windows: Sequence[Window]) -> list[int] | None:
        """Rows whose cursor falls in each of `windows`, in their order; None if the cursor is no column."""
        if not self.columns:
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
        if not self.columns:
            return NullReport(table_exists=False)
        where, values = self._where(window)
        present = [name for name in self._info.contract.not_null if name in self.columns]
        counts = ", ".join(f"COUNT(*) - COUNT({self._quote(name)})" for name in present)
        rows, *nulls = self._rows(
            f"SELECT COUNT(*){', ' + counts if counts else ''} FROM {self.name} WHERE {where}",  # noqa: S608
            *values,
        )[0]
        offending = {name: int(count) for name, count in zip(present, nulls, strict=True) if count}
        bad = " OR ".join(f"{self._quote(name)} IS NULL" for name in offending)
        return NullReport(
            table_exists=True,
            rows=int(rows),
            missing_columns=tuple(n for n in self._info.contract.not_null if n not in self.columns),
            nulls=offending,
            example_keys={name: self._example_keys(name, where, values) for name in offending},
            misfits={
                name: [one for one in sorted(self.columns) if one.startswith(f"{name}__v_")]
                for name in offending
            },
            query=f"SELECT * FROM {self.name} WHERE {bad}" if bad else None,  # noqa: S608
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


@contextmanager
def open_table(pipeline: Pipeline, info: ResourceInfo) -> Iterator[Table]:
    """The resource's table, with the warehouse kept from writers while it is open.

    Raises:
        NoSqlError: the destination has no SQL.
    """
    require_sql(pipeline)
    with warehouse(pipeline), pipeline.destination_client() as client:
        assert isinstance(client, SqlJobClientBase)
        yield Table(client, info)


def require_sql(pipeline: Pipeline) -> None:
    """Makes sure that what is loaded can be read again, before anything is loaded.

    Raises:
        NoSqlError: the destination has no SQL.
    """
    if not isinstance(pipeline.destination_client(), SqlJobClientBase):
        raise NoSqlError(
            f"the destination {pipeline.destination.destination_name} has no SQL, so nothing loaded there could be "
            "counted or checked: set destination_type to a SQL destination of dlt"
        )

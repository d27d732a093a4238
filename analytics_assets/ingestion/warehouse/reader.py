"""Reads a resource's table: row counts, NULLs, duplicate keys, and the rows in quarantine.

This module uses dlt's SQL client, so it works with every SQL destination. What does not belong here: code that writes
to the warehouse. The asset checks decide whether a count is a problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dlt.destinations.job_client_impl import SqlJobClientBase

from analytics_assets.ingestion.contract.quarantine import KEY_PREFIX, SUFFIX
from analytics_assets.ingestion.errors import shown
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.time_window import Cursor, Window

_EXAMPLES = 5
"""The most primary keys that a report names for each problem."""

_REASONS = 50
"""The most reasons that a report of the quarantine names."""

_EVERYWHERE = "1 = 1"
"""The SQL condition of a report on the whole table."""


@dataclass(frozen=True)
class NullReport:
    """The NULLs in columns that are declared `nullable: false`.

    Attributes:
        rows: the number of rows in the table or window.
        missing_columns: the columns declared `nullable: false` that the table does not have.
        nulls: the number of rows with NULL, by column.
        example_keys: the primary keys of up to five rows with NULL, by column.
        query: the SQL query that shows all rows with NULL; None if there are no such rows.
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
        rows: the number of rows in quarantine.
        reasons: triples of a reason, its number of rows, and up to five primary keys; the most frequent reason first.
        query: the SQL query that shows the rows; None if there are no rows.
    """

    rows: int = 0
    reasons: tuple[tuple[str, int, list[str]], ...] = ()
    query: str | None = None


@dataclass(frozen=True)
class DuplicateReport:
    """The primary keys that occur in more than one row.

    Attributes:
        keys: the number of duplicate keys.
        example_keys: up to five duplicate keys, each with its number of rows.
        query: the SQL query that shows all rows with a duplicate key; None if there are no such rows.
    """

    keys: int = 0
    example_keys: tuple[tuple[str, int], ...] = ()
    query: str | None = None


@dataclass(frozen=True)
class WindowRows:
    """The rows of a window in the table.

    Attributes:
        rows: the number of rows.
        of_loads: the number of rows from the loads in question.
    """

    rows: int
    of_loads: int


class Table:
    """One resource's table, open for reading. The caller excludes writers with `WarehousePipeline.exclusive`.

    Args:
        client: an open client of the destination.
        info: the resource.
    """

    def __init__(self, client: SqlJobClientBase, info: ResourceInfo) -> None:
        self._info = info
        self._client = client
        self._sql = client.sql_client
        self.name = self._sql.make_qualified_table_name(info.table)
        self._quarantine = self._sql.make_qualified_table_name(info.table + SUFFIX)
        # dlt returns the tables in any order, so the code makes a dict by table name.
        found = dict(client.get_storage_tables([info.table, info.table + SUFFIX]))
        self.columns = frozenset(found[info.table])
        self._quarantined = frozenset(found[info.table + SUFFIX])

    @property
    def exists(self) -> bool:
        """Whether the table exists. The first load with rows creates the table."""
        return bool(self.columns)

    @property
    def _has_load_ids(self) -> bool:
        return "_dlt_load_id" in self.columns

    def row_count(self) -> int:
        """Counts the rows in the table; 0 if the table does not exist yet."""
        return self._count(self.name) if self.exists else 0

    def rows_of_loads(self, load_ids: Sequence[str]) -> int | None:
        """Counts the rows of some loads in the table; None if the table does not say which load a row is from."""
        if not self.exists or not load_ids:
            return 0
        if not self._has_load_ids:
            return None
        marks = ", ".join(["%s"] * len(load_ids))
        return self._count(self.name, f"_dlt_load_id IN ({marks})", *load_ids)

    def child(self, name: str) -> tuple[int, dict[str, Any]]:
        """Returns the row count and dlt's column schemas of a child table; 0 and {} if the table does not exist yet."""
        exists, columns = self._client.get_storage_table(name)
        rows = self._count(self._sql.make_qualified_table_name(name)) if exists else 0
        return rows, dict(columns)

    def rows_by_window(
        self, cursor: Cursor, windows: Sequence[Window], load_ids: Sequence[str] = ()
    ) -> list[WindowRows] | None:
        """Counts the rows in each of `windows`, in order; None if the cursor is not a column of the table.

        Args:
            cursor: the cursor of the resource.
            windows: the windows.
            load_ids: the dlt load ids of the loads whose rows are counted apart.
        """
        if not self.exists:
            return [WindowRows(0, 0)] * len(windows)
        if cursor.column not in self.columns:
            return None  # the cursor has no column, because it is inside an object that is stored as JSON
        marks = ", ".join(["%s"] * len(load_ids)) or "NULL"
        ours = f"COUNT(CASE WHEN _dlt_load_id IN ({marks}) THEN 1 END)" if self._has_load_ids else "COUNT(*)"
        counts = []
        for window in windows:
            within, bounds = self._within(cursor, window)
            [(rows, of_loads)] = self._rows(
                f"SELECT COUNT(*), {ours} FROM {self.name} WHERE {within}",  # noqa: S608
                *(load_ids if self._has_load_ids else ()),
                *bounds,
            )
            counts.append(WindowRows(int(rows), int(of_loads)))
        return counts

    def null_report(self, window: Window | None) -> NullReport:
        """Reports NULLs that the contract does not allow, in `window` or in the whole table.

        A row without a cursor value belongs to no window, so the report of every window includes the row.
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
        return NullReport(
            rows=int(rows),
            missing_columns=tuple(n for n in self._info.contract.not_null if n not in self.columns),
            nulls=offending,
            example_keys={name: self._example_keys(name, where, values) for name in offending},
            query=f"SELECT * FROM {self.name} WHERE ({bad}) AND {_literally(where, values)}" if bad else None,  # noqa: S608
        )

    def quarantine_report(self, window: Window | None) -> QuarantineReport:
        """Reports the rows in quarantine, in `window` or in the whole table.

        A row in quarantine has the window of its partition. If the partition of a row in quarantine is unknown, the row
        has the window of the whole run, and is in the report of every partition of the run.
        """
        if not self._quarantined:
            return QuarantineReport()
        where, values = _EVERYWHERE, list[Any]()
        if window:
            where, values = "window_start < %s AND window_end > %s", [window.end, window.start]
        names = [KEY_PREFIX + column.name for column in self._info.contract.typed_key]
        keys = [self._quote(name) for name in names if name in self._quarantined]
        found = self._rows(
            f"SELECT reason, COUNT(*), MIN(rejected_at) FROM {self._quarantine} WHERE {where} "  # noqa: S608
            "GROUP BY reason ORDER BY 2 DESC, 3, 1",
            *values,
        )
        rows = sum(int(count) for _, count, _ in found)
        return QuarantineReport(
            rows=rows,
            reasons=tuple(
                (reason, int(count), self._quarantined_keys(reason, keys, where, values))
                for reason, count, _ in found[:_REASONS]
            ),
            query=f"SELECT * FROM {self._quarantine} WHERE {_literally(where, values)}" if rows else None,  # noqa: S608
        )

    def _quarantined_keys(
        self, reason: str, keys: Sequence[str], where: str, values: Sequence[Any]
    ) -> list[str]:
        if not keys:
            return []
        found = self._rows(
            f"SELECT {', '.join(keys)} FROM {self._quarantine} WHERE {where} AND reason = %s LIMIT {_EXAMPLES}",  # noqa: S608
            *values,
            reason,
        )
        return [", ".join("?" if part is None else shown(part) for part in key) for key in found]

    def duplicate_report(self, window: Window | None) -> DuplicateReport:
        """Reports each primary key that occurs in more than one row, if at least one of the rows is in `window`."""
        names = [name for name in self._info.contract.primary_key if name in self.columns]
        if not names:
            return DuplicateReport()
        keys = ", ".join(self._quote(name) for name in names)
        where, values = self._where(window)
        here = f"SELECT {keys} FROM {self.name} WHERE {where}"  # noqa: S608
        twice = f"GROUP BY {keys} HAVING COUNT(*) > 1"
        found = self._rows(
            f"SELECT {keys}, COUNT(*) FROM {self.name} WHERE ({keys}) IN ({here}) {twice} ORDER BY {keys}",  # noqa: S608
            *values,
        )
        all_of_them = f"SELECT {keys} FROM {self.name} {twice}"  # noqa: S608
        query = f"SELECT * FROM {self.name} WHERE ({keys}) IN ({all_of_them})"  # noqa: S608
        query += f" AND ({keys}) IN ({_literally(here, values)}) ORDER BY {keys}"
        return DuplicateReport(
            keys=len(found),
            example_keys=tuple(
                (", ".join(shown(part) for part in key), int(times)) for *key, times in found[:_EXAMPLES]
            ),
            query=query if found else None,
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
        return [", ".join(shown(part) for part in row) for row in found]

    def _where(self, window: Window | None) -> tuple[str, list[Any]]:
        cursor = self._info.cursor
        if window is None or cursor is None or cursor.column not in self.columns:
            return _EVERYWHERE, []
        within, bounds = self._within(cursor, window)
        return f"({self._quote(cursor.column)} IS NULL OR {within})", bounds

    def _within(self, cursor: Cursor, window: Window) -> tuple[str, list[Any]]:
        column = self._quote(cursor.column)
        return f"{column} >= %s AND {column} < %s", [cursor.bound(window.start), cursor.bound(window.end)]

    def _quote(self, name: str) -> str:
        return str(self._sql.escape_column_name(name))

    def _count(self, table: str, where: str = _EVERYWHERE, *values: Any) -> int:
        return int(self._rows(f"SELECT COUNT(*) FROM {table} WHERE {where}", *values)[0][0])  # noqa: S608

    def _rows(self, sql: str, *values: Any) -> Sequence[Sequence[Any]]:
        return self._sql.execute_sql(sql, *values) or []


def _literally(condition: str, values: Sequence[Any]) -> str:
    """Writes the window bounds into an SQL condition, so that a user can run the query."""
    literals = [str(value) if isinstance(value, int) else f"'{value.isoformat()}'" for value in values]
    return condition % tuple(literals)

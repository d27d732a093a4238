"""Counts the primary keys in the files of a load package, before the load.

A key that occurs more than once means one of three things. An identical row means that rows moved between pages. A row
with another version means that the row changed. Any other row means that the key is not unique, and a merge would lose
the row. DuckDB counts in the files, so no row becomes a Python object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import duckdb

from analytics_assets.ingestion.errors import KeyNotUniqueError, RowsMovedError, SyncError, shown
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.plan.write_mode import WriteMode
from analytics_assets.ingestion.warehouse.duckdb_sql import quoted, rows_of

Execute = Callable[..., Sequence[Sequence[Any]] | None]
"""A function that executes one SQL statement in DuckDB, and returns its rows."""

_OF_DLT = ("_dlt_id", "_dlt_load_id", "_dlt_parent_id", "_dlt_root_id", "_dlt_list_idx")
_EXAMPLES = 2
_NAMES = ("VARCHAR", "DATE")
"""The types of columns that are likely to be a part of a key."""
_NUMBERS = ("BIGINT", "TIMESTAMP WITH TIME ZONE")
"""The types of columns that may be a part of a key, or an amount. Decimals and floats are amounts."""


@contextmanager
def in_memory() -> Iterator[Execute]:
    """Provides a function that executes SQL in a DuckDB database in memory, which reads the files of a package."""
    with duckdb.connect() as connection:
        yield lambda sql: connection.execute(sql).fetchall()


@dataclass(frozen=True)
class PackageKeys:
    """The primary keys in a load package.

    Attributes:
        rows: the number of rows.
        keys: the number of distinct primary keys.
        repeated: the number of rows that are identical to another row.
        older: the number of rows that are an older version of another row.
    """

    rows: int
    keys: int
    repeated: int = 0
    older: int = 0

    @property
    def are_distinct(self) -> bool:
        """Whether each primary key occurs only once."""
        return self.rows == self.keys


@dataclass(frozen=True)
class PackageTable:
    """A table in a load package.

    Attributes:
        files: the paths of its Parquet files.
        children: its child tables, which have the lists of its rows; only those with files.
    """

    files: Sequence[str]
    children: Sequence[PackageTable] = ()


def count_keys(
    execute: Execute, table: PackageTable, plan: LoadPlan, versions: Sequence[str]
) -> PackageKeys | SyncError | None:
    """Counts the primary keys in the Parquet files of a load package.

    Args:
        execute: executes SQL in DuckDB.
        table: the table of the resource.
        plan: the plan of the sync.
        versions: the columns by which the load keeps the newest version of a row; empty if it keeps no newest version.

    Returns:
        The counts; an error if a key occurs in rows with the same version and other values; None without a primary key.
    """
    files = table.files
    columns = _columns(execute, files) if files else {}
    key = [name for name in plan.resource.contract.primary_key if name in columns]
    if not key or len(key) < len(plan.resource.contract.primary_key):
        return None
    [(rows, keys)] = execute(f"SELECT count(*), count(DISTINCT {_tuple(key)}) FROM {rows_of(files)}") or []  # noqa: S608
    if rows == keys:
        return PackageKeys(rows, keys)
    doubled = _Doubled(execute, table, key, [one for one in versions if one in columns], columns)
    alike, distinct, versioned, of_keys = doubled.counts()
    if distinct > versioned:
        examples, more = doubled.examples(), doubled.missing_columns(distinct)
        return KeyNotUniqueError(plan.resource.name, tuple(key), rows, keys, examples, more)
    return PackageKeys(rows, keys, repeated=alike - distinct, older=versioned - of_keys)


def refuse_moved_rows(repeated: int, rows: int, plan: LoadPlan, pages: int) -> None:
    """Fails if identical rows came from more than one page, because then rows moved between the pages.

    Args:
        repeated: the number of rows that are identical to another row.
        rows: the number of rows among which they were counted.
        plan: the plan of the sync.
        pages: the number of pages that the sync read.

    Raises:
        RowsMovedError: identical rows came from more than one page.
    """
    resource = plan.resource
    if not repeated or pages < 2 or resource.parent or plan.asset.accept_repeated_rows:
        return
    raise RowsMovedError(
        resource.name,
        f"{repeated:,} of {rows:,} rows came twice, so that others may be missing",
        f"{resource.method} {resource.path}",
        suspect="Have the API sort them by a unique field (endpoint.params). If it does send rows more than once, set "
        f"assets.{resource.name}.accept_repeated_rows: true",
    )


def version_columns(plan: LoadPlan, hints: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns the columns by which a load keeps only the newest version of a row: those with the hint `dedup_sort`."""
    if plan.write_mode is not WriteMode.MERGE:
        return []
    return [name for name, one in hints.items() if one.get("dedup_sort")]


class _Doubled:
    """The rows whose key occurs more than once, without dlt's own columns, and with the content of their lists."""

    def __init__(
        self,
        execute: Execute,
        table: PackageTable,
        key: Sequence[str],
        versions: Sequence[str],
        columns: Mapping[str, str],
    ) -> None:
        self._execute = execute
        self._key = key
        self._version = [*key, *(one for one in versions if one not in key)]
        self._columns = columns
        keys, files = ", ".join(map(quoted, key)), rows_of(table.files)
        self._rows = (
            f"(SELECT {', '.join(_values(columns, table))} FROM {_with_lists(execute, table)} WHERE {_tuple(key)} IN "  # noqa: S608
            f"(SELECT {_tuple(key)} FROM {files} GROUP BY {keys} HAVING count(*) > 1))"
        )
        self._distinct = f"(SELECT DISTINCT * FROM {self._rows})"  # noqa: S608

    def counts(self) -> tuple[int, int, int, int]:
        """Returns the number of rows, distinct rows, distinct versions of a key, and distinct keys."""
        [(rows,)] = self._execute(f"SELECT count(*) FROM {self._rows}") or []  # noqa: S608
        [found] = (
            self._execute(
                f"SELECT count(*), count(DISTINCT {_tuple(self._version)}), count(DISTINCT {_tuple(self._key)}) "  # noqa: S608
                f"FROM {self._distinct}"
            )
            or []
        )
        distinct, versioned, keys = found
        return rows, distinct, versioned, keys

    def examples(self) -> tuple[str, ...]:
        """Returns keys that occur in rows with the same version and other values."""
        keys, version = (", ".join(map(quoted, names)) for names in (self._key, self._version))
        found = self._execute(
            f"SELECT DISTINCT {keys} FROM (SELECT {version} FROM {self._distinct} GROUP BY {version} "  # noqa: S608
            f"HAVING count(*) > 1) ORDER BY ALL LIMIT {_EXAMPLES}"
        )
        return tuple(", ".join(shown(part) for part in one) for one in found or ())

    def missing_columns(self, distinct: int) -> tuple[str, ...]:
        """Returns one or two columns that make the key unique; empty if no such columns are found."""

        def of_types(kinds: Sequence[str], ending: str = "") -> list[str]:
            found = [name for kind in kinds for name, one in self._columns.items() if one == kind]
            return [name for name in found if name not in self._key and name.endswith(ending)]

        likely = [*of_types(_NAMES), *of_types(("BIGINT",), "id")]
        choices = [(one,) for one in likely] + list(combinations(likely[:8], 2))
        choices += [(one,) for one in of_types(_NUMBERS) if one not in likely]
        if not choices:
            return ()
        counts = ", ".join(f"count(DISTINCT {_tuple([*self._key, *one])})" for one in choices)
        [found] = self._execute(f"SELECT {counts} FROM {self._distinct}") or []  # noqa: S608
        return next((one for one, count in zip(choices, found, strict=True) if count == distinct), ())


def _with_lists(execute: Execute, table: PackageTable) -> str:
    """Returns the table expression for the rows of a table, each with the content of its lists in columns of their own.

    Rows that differ only in their lists are equal in their own table.
    """
    joined = rows_of(table.files)
    for number, child in enumerate(table.children):
        values = ", ".join(_values(_columns(execute, child.files), child)) or "_dlt_list_idx"
        joined += (
            f" LEFT JOIN (SELECT _dlt_parent_id AS parent_{number}, "  # noqa: S608
            f"CAST(list(row({values}) ORDER BY _dlt_list_idx) AS VARCHAR) AS {_list_name(number)} "
            f"FROM {_with_lists(execute, child)} GROUP BY _dlt_parent_id) ON _dlt_id = parent_{number}"
        )
    return f"(SELECT * FROM {joined})" if table.children else joined  # noqa: S608


def _values(columns: Iterable[str], table: PackageTable) -> list[str]:
    """Returns the columns, and those with the content of the lists, in quotation marks."""
    return [*map(quoted, columns), *(_list_name(number) for number, _ in enumerate(table.children))]


def _list_name(number: int) -> str:
    return quoted(f"_dlt list {number}")  # no column of dlt has a blank in its name


def _columns(execute: Execute, files: Sequence[str]) -> dict[str, str]:
    """Returns the types of the columns in the files, by name, without dlt's own columns."""
    described = execute(f"DESCRIBE SELECT * FROM {rows_of(files)}") or ()  # noqa: S608
    return {str(name): str(kind) for name, kind, *_ in described if name not in _OF_DLT}


def _tuple(names: Sequence[str]) -> str:
    # DuckDB needs twice the time and memory to count `row(key)` instead of `key`.
    return quoted(names[0]) if len(names) == 1 else f"row({', '.join(map(quoted, names))})"

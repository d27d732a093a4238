"""The limit on new columns: an API whose keys are ids would add columns and child tables without end.

The normalizer counts each column that the stored tables lack and the `defs.yaml` does not declare. It counts before
dlt changes a table, because a table with thousands of columns costs dlt and DuckDB minutes and gigabytes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from analytics_assets.ingestion.errors import TooManyColumnsError

Names = tuple[str, Sequence[str], Sequence[str]]
"""dlt's names of a row: its table, the path of the table's parent, and the path of the list within a parent's row."""

_LONG_ID = 16
_counting: ContextVar[NewColumns | None] = ContextVar("new_columns", default=None)


class NewColumns:
    """The new columns of one load, also those of child tables. A new child table counts as one more.

    Args:
        resource: the dlt resource name.
        most: the most new columns.
        knows_table: whether dlt's schema has the columns of the table; false in a dry run.
    """

    def __init__(self, resource: str, most: int, *, knows_table: bool = True) -> None:
        self._knows_table = knows_table
        self._resource = resource
        self._most = most
        self._seen: dict[str, set[str]] = {}
        self._lists: dict[tuple[str, ...], str] = {}
        # Each has the column in the table of the rows, and the whole path.
        self._new: list[tuple[str, tuple[str, ...]]] = []

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Within the `with` block, the normalizer counts the columns here."""
        token = _counting.set(self)
        try:
            yield
        finally:
            _counting.reset(token)

    def add(self, tables: Mapping[str, Any], names: Names, row: Mapping[str, Any]) -> None:
        """Counts the new columns of a row.

        Args:
            tables: dlt's stored tables, with the declared columns.
            names: dlt's names of the row.
            row: the row of one table, by column.

        Raises:
            TooManyColumnsError: there are more new columns than the limit.
        """
        table = names[0]
        seen = self._seen.get(table)
        if seen is None:
            known = tables.get(table, {}).get("columns", {})
            seen = {name for name, column in known.items() if not _was_only_null(column)}
            self._seen[table] = seen
            if table not in tables:
                self._count(names, [""])
        if not row.keys() <= seen:
            new = [name for name in row if name not in seen and row[name] is not None]
            seen.update(new)
            self._count(names, [name for name in new if not name.startswith("_dlt_")])

    def _count(self, names: Names, columns: Sequence[str]) -> None:
        path = (*names[1], *names[2])[1:]
        if len(names[1]) == 1:
            self._lists[path] = "__".join(path)
        own = next((self._lists[path[:end]] for end in range(len(path) + 1) if path[:end] in self._lists), "")
        self._new += [(own or column, (*path, *([column] if column else ()))) for column in columns]
        if len(self._new) > self._most:
            field, keys = _widest(self._new)
            like_ids = sum(map(_is_like_an_id, keys)) * 2 > len(keys)
            examples = tuple(".".join(one) for _, one in self._new[:3])
            raise TooManyColumnsError(
                self._resource, self._most, examples, field, len(keys), like_ids, self._knows_table
            )


def count_new_columns(tables: Mapping[str, Any], names: Names, row: Mapping[str, Any]) -> None:
    """Counts the new columns of a row, if a load counts them. The arguments are those of `NewColumns.add`."""
    counting = _counting.get()
    if counting is not None:
        counting.add(tables, names, row)


def _was_only_null(column: Mapping[str, Any]) -> bool:
    """Whether the column has had no value yet, so that the table does not have it."""
    return "data_type" not in column and bool(column.get("x-normalizer", {}).get("seen-null-first"))


def _widest(new: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[str, list[str]]:
    """Returns the field with the most keys among new columns, and its keys; an empty name for the row itself.

    A list counts as one field with all that is in it, because only a column of the table itself can be declared.
    """
    keys: dict[str, set[str]] = defaultdict(set)
    for column, path in new:
        parts = column.split("__")
        for end in range(len(parts)):
            keys["__".join(parts[:end])].add(parts[end])
        if "__".join(path) != column:
            keys[column].add(".".join(path))
    widest = max(keys, key=lambda field: (len(keys[field]), len(field)))
    return widest, sorted(keys[widest])


def _is_like_an_id(key: str) -> bool:
    """Whether most characters of a key are digits, or it is long and has a digit, as a hash."""
    letters = re.sub(r"[^a-z0-9]", "", key.rpartition(".")[2].lower())
    digits = sum(one.isdigit() for one in letters)
    return digits * 2 >= len(letters) > 0 or (digits > 0 and len(letters) >= _LONG_ID)

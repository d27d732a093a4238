"""Gives fields other names, as `assets.<resource>.rename` says, before the fields get their warehouse names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Row = dict[str, Any]


class Renames:
    """The new names of fields.

    Args:
        written: the new name of each field. A dot leads into an object, or into the objects of a list.
    """

    def __init__(self, written: Mapping[str, str]) -> None:
        self._written = dict(written)

    def __bool__(self) -> bool:
        return bool(self._written)

    def apply(self, row: Row) -> tuple[Row, str]:
        """Returns a row with the new names, and the reason why the row cannot have them; the reason is usually empty.

        A field of an object becomes a field of the row. A field of an object in a list stays in this object.
        """
        renamed, problem = dict(row), ""
        for field, column in self._written.items():
            problem = _rename(renamed, field, column, renamed) or problem
        return renamed, problem

    def path_of(self, row: Row, column: str) -> tuple[str, ...] | None:
        """Returns the path in a row of the API of the field that gets the name `column`; None without such a field."""
        for field, new in self._written.items():
            if new == column and (path := _path(row, field)):
                return path
        return None


def _rename(record: Row, field: str, column: str, home: Row) -> str:
    if field in record:
        value = record.pop(field)
        present = home.get(column)
        if value is None and column in home:
            return ""
        home[column] = value
        is_lost = present is not None and present != value
        return f"`{field}`, renamed to `{column}`, beside another `{column}`" if is_lost else ""
    for head, rest in _splits(field):
        inner = record.get(head)
        if isinstance(inner, dict):
            record[head] = dict(inner)
            return _rename(record[head], rest, column, home)
        if isinstance(inner, list):
            record[head] = [dict(one) if isinstance(one, dict) else one for one in inner]
            problems = [_rename(one, rest, column, one) for one in record[head] if isinstance(one, dict)]
            return next(filter(None, problems), "")
    return ""


def _path(record: Any, field: str) -> tuple[str, ...]:
    if not isinstance(record, dict):
        return ()
    if field in record:
        return (field,)
    for head, rest in _splits(field):
        if inner := _path(record.get(head), rest):
            return (head, *inner)
    return ()


def _splits(field: str) -> Iterator[tuple[str, str]]:
    """Yields each way to split a path at a dot, because the name of a field may contain dots."""
    at = field.find(".")
    while at > 0:
        yield field[:at], field[at + 1 :]
        at = field.find(".", at + 1)

"""A row that stays JSON text although dlt adds fields of its parent's row to it (`include_from_parent`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from analytics_assets.ingestion.raw_json import read_row


class RowOfParent:
    """A row that is JSON text, and the fields that dlt adds to it.

    Args:
        text: the row.
    """

    __slots__ = ("_fields", "_text")

    def __init__(self, text: Raw) -> None:
        self._text = text
        self._fields: Mapping[str, Any] = {}

    def __len__(self) -> int:
        """The bytes of the text."""
        return len(self._text)

    def update(self, fields: Mapping[str, Any]) -> None:
        """Adds fields. dlt calls this method, as that of a parsed row, once and with one mapping for all rows."""
        self._fields = fields

    def parsed(self) -> Any:
        """Returns the parsed row with the added fields. A row that is no object has no fields."""
        row = read_row(self._text)
        return {**row, **self._fields} if isinstance(row, dict) else row


def for_fields_of_parent(rows: list[Any]) -> list[Any]:
    """Returns rows, to each of which dlt can add fields."""
    return [RowOfParent(row) if type(row) is Raw else row for row in rows]


def parsed(row: Any) -> Any:
    """Parses a row that is JSON text; returns any other row as it is."""
    if type(row) is Raw:
        return read_row(row)
    return row.parsed() if type(row) is RowOfParent else row

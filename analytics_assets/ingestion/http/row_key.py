"""The primary key of a row, and its hash, with which the checks of paging recognise a row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from analytics_assets.ingestion.http.end_hints import plain

_MISSING = object()


def key_of(row: Any, primary_key: Sequence[str]) -> tuple[Any, ...] | None:
    """Returns the primary key values of a parsed row; None if there is no primary key, or the row lacks a part of it.

    Args:
        row: the parsed row.
        primary_key: the fields of the primary key, or their columns, such as `order_id` for `orderId` and `meta__id`
            for `meta: {id}`; empty if the resource has none.
    """
    if not primary_key or not isinstance(row, dict):
        return None
    found = tuple(row[name] if name in row else _value(row, name) for name in primary_key)
    return None if any(one is _MISSING for one in found) else found


def _value(row: Any, column: str) -> Any:
    for head, rest in [(column, ""), *_splits(column)]:
        field = _field(tuple(row), head) if isinstance(row, dict) else None
        if field is not None:
            return _value(row[field], rest) if rest else row[field]
    return _MISSING


@lru_cache(maxsize=1024)
def _splits(column: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (column[: one.start()], column[one.end() :]) for one in re.finditer(r"(?<=.)(__|\.)(?=.)", column)
    )


@lru_cache(maxsize=1024)
def _field(fields: tuple[str, ...], name: str) -> str | None:
    """Returns the field with a name, or the one that differs from it in case and punctuation alone."""
    if name in fields or not name.isascii():
        return name if name in fields else None
    return next((one for one in fields if one.isascii() and plain(one) == plain(name)), None)


def hash_of(identity: Any) -> int:
    """Returns a hash of a primary key or a row. The hash is that of its text, because hash(-1) equals hash(-2)."""
    return hash(str(identity))

"""The primary key of a row, and its hash, with which the checks of paging recognise a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def key_of(row: Any, primary_key: Sequence[str]) -> tuple[Any, ...] | None:
    """Returns the primary key values of a parsed row; None if there is no primary key, or the row lacks a part of it.

    Args:
        row: the parsed row.
        primary_key: the fields of the primary key; empty if the resource has none.
    """
    if not (primary_key and isinstance(row, dict) and all(name in row for name in primary_key)):
        return None
    return tuple(row[name] for name in primary_key)


def hash_of(identity: Any) -> int:
    """Returns a hash of a primary key or a row. The hash is that of its text, because hash(-1) equals hash(-2)."""
    return hash(str(identity))

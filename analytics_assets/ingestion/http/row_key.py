"""The primary key of a row, and its hash, with which the checks of paging recognise a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from analytics_assets.ingestion.http.end_hints import plain
from analytics_assets.ingestion.raw_json import read_number, read_row

_MISSING = object()
_ABSENT = (msgspec.UNSET,)


def key_of(row: Any, primary_key: Sequence[str]) -> tuple[Any, ...] | None:
    """Returns the primary key values of a row; None if there is no primary key, or the row lacks a part of it.

    Args:
        row: the row, parsed or as JSON text.
        primary_key: the fields of the primary key, or their columns, such as `order_id` for `orderId` and `meta__id`
            for `meta: {id}`; empty if the resource has none.
    """
    return next(keys_of((row,), primary_key))


def keys_of(rows: Iterable[Any], primary_key: Sequence[str]) -> Iterator[tuple[Any, ...] | None]:
    """Yields the primary key of each row, as `key_of` returns it."""
    if not primary_key:
        yield from (None for _ in rows)
        return
    parse, in_order = _key_parser(tuple(primary_key)), msgspec.structs.astuple
    for row in rows:
        if isinstance(row, msgspec.Raw):
            try:
                key = in_order(parse(row))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                key = _ABSENT
            yield _key_in(read_row(row), primary_key) if msgspec.UNSET in key else key
        else:
            yield _key_in(row, primary_key)


def same_rows(rows: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether two pages have the same rows, even if the rows are written with other spaces or in another order."""
    return len(rows) == len(others) and all(
        one == other or _parsed(one) == _parsed(other) for one, other in zip(rows, others, strict=True)
    )


def _parsed(row: Any) -> Any:
    return read_row(row) if isinstance(row, msgspec.Raw) else row


def _key_in(row: Any, primary_key: Sequence[str]) -> tuple[Any, ...] | None:
    if not isinstance(row, dict):
        return None
    found = tuple(row[name] if name in row else _value(row, name) for name in primary_key)
    return None if any(one is _MISSING for one in found) else found


@lru_cache(maxsize=64)
def _key_parser(fields: tuple[str, ...]) -> Callable[[msgspec.Raw], Any]:
    """Returns a function that parses only some fields of a row, in a fraction of the time."""
    named = [
        (f"key_{number}", Any, msgspec.field(default=msgspec.UNSET, name=name))
        for number, name in enumerate(fields)
    ]
    return msgspec.json.Decoder(msgspec.defstruct("Key", named), float_hook=read_number).decode


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

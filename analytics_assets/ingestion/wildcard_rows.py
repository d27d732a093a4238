"""Finds the rows that a path with a wildcard selects in JSON text, such as `data[*].node`. Each row stays JSON text.

What belongs here: what a wildcard means, and how it is read without parsing. `raw_rows.py` reads the fields around.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from functools import lru_cache
from typing import Any

import msgspec

FILLER = b"\x7f"
"""The character that fills an odd text in a strict copy. A name with it is not read from the copy."""


class Wildcard(Enum):
    """A step of a path that leads to every value."""

    ITEMS = "[*]"  # of a list
    FIELDS = ".*"  # of an object


Path = tuple[str | Wildcard, ...]
"""The steps that lead to the rows: names of fields, and wildcards. Without a wildcard, it leads to the list of rows."""


class SelectedRows(list[msgspec.Raw]):
    """The rows that a path with a wildcard selects. They stand in place of the value before the first wildcard."""


_any_of = msgspec.json.Decoder(msgspec.Raw).decode
_items_of = msgspec.json.Decoder(list[msgspec.Raw]).decode
_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def select(text: bytes | bytearray | memoryview | msgspec.Raw, steps: Path) -> SelectedRows:
    """Returns the values at the end of some steps.

    Args:
        text: strict JSON.
        steps: the steps, of which the first is a wildcard.

    Raises:
        msgspec.DecodeError: the text is not strict JSON.
        msgspec.ValidationError: the rows must not stay text. That is so if a wildcard meets a value of another kind,
            which not all versions of the JSONPath library treat alike, if a single value is found that is no list, or
            if there is null in place of all rows.
        UnicodeDecodeError: a name is not UTF-8.
    """
    if _first_of(text) == b"n":
        raise msgspec.ValidationError("null in place of all rows is not the same as no rows")
    found: Iterable[Any] = [text]
    for step in steps:
        found = _items(found, step) if isinstance(step, Wildcard) else _fields(found, step)
    rows = SelectedRows(found)
    return SelectedRows(_items_of(rows[0])) if len(rows) == 1 else rows  # of one list, dlt takes the items


def field_at(text: Any, names: tuple[str, ...]) -> msgspec.Raw | None:
    """Returns a field of strict JSON, which some names lead to; None if there is none.

    Args:
        text: the JSON text, in UTF-8.
        names: the names of the fields, from the outermost.

    Raises:
        msgspec.DecodeError: the text is not strict JSON.
    """
    found: Iterable[Any] = [_any_of(text)]
    for name in names:
        found = _fields(found, name)
    return next(iter(found), None)


def _items(texts: Iterable[Any], wildcard: Wildcard) -> Iterator[msgspec.Raw]:
    for text in texts:
        first = _first_of(text)
        if first == b"[" and wildcard is Wildcard.ITEMS:
            yield from _each(_items_of(text))
        elif first == b"{" and wildcard is Wildcard.FIELDS:
            fields = _fields_of(text)
            if any(FILLER.decode() in name for name in fields):
                raise msgspec.ValidationError("two odd names may be alike in a strict copy")
            values = [*fields.values()]
            fields.clear()  # the names of a large object take as much memory as its text
            yield from _each(values)
        elif first != b"n":  # null has nothing in it
            raise msgspec.ValidationError("the wildcard is for another kind of value")


def _each(texts: list[msgspec.Raw]) -> Iterator[msgspec.Raw]:
    """Yields texts in order, and forgets each, because the texts inside it may be as many."""
    texts.reverse()
    while texts:
        yield texts.pop()


def _fields(texts: Iterable[Any], name: str) -> Iterator[msgspec.Raw]:
    parse = _parser_of(name)
    for text in texts:
        try:
            value = parse(text).value
        except msgspec.ValidationError:  # no object, so it has no fields
            continue
        if value is not None:
            yield value


@lru_cache(maxsize=64)
def _parser_of(name: str) -> Any:
    """Returns a function that parses only one field of an object, in a fraction of the time."""
    value = ("value", msgspec.Raw, msgspec.field(default=None, name=name))
    return msgspec.json.Decoder(msgspec.defstruct("Holder", [value])).decode


def _first_of(text: Any) -> bytes:
    """Returns the first character of a JSON value."""
    return bytes(memoryview(text)[:1]) if isinstance(text, msgspec.Raw) else bytes(text[:64]).lstrip()[:1]

"""Finds the rows in the body of a response, and leaves each row as JSON text (`msgspec.Raw`).

A parsed row takes 6 to 13 times its text, so only code that needs the fields of a row parses it, part by part.

One odd value, such as `NaN`, must not make all rows of a large body Python objects. msgspec finds rows only in strict
JSON. So it gets a copy of the text, in which something strict stands in place of each odd value. The copy has the same
length, and gets the text of the API again once the places of the rows are known.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any

import msgspec

from analytics_assets.ingestion.raw_json import MOST_LEVELS, encodings_of, read_row
from analytics_assets.ingestion.wildcard_rows import FILLER, Path, SelectedRows, Wildcard, field_at, select

_PIECE = 1_048_576
"""The bytes of a body that are decoded at once. The text of a large body may take four times its size."""

_PLAIN = rb"""
    [^"NI\\-]++
  | "[^"\\\x00-\x1f]*+
    (?: \\ (?: ["\\/bfnrt]
             | u (?![dD][89a-fA-F]) [0-9a-fA-F]{4}
             | u [dD][89abAB][0-9a-fA-F]{2} \\u [dD][c-fC-F][0-9a-fA-F]{2} )
        [^"\\\x00-\x1f]*+ )* "
  | - (?!I)
"""
"""What strict JSON may have: anything outside of a text, a text, or a minus before a digit."""

_NEXT_ODD = re.compile(
    rb"(?: %b ){0,500} (?: (?<=[\[,:\s]) (?P<number>NaN|-?Infinity) (?=[\],}\s])"
    rb"""| (?P<text> " [^"\\]*+ (?: \\(?: ["\\/bfnrt] | u[0-9a-fA-F]{4} ) [^"\\]*+ )* " ) )?""" % _PLAIN,
    re.VERBOSE,
)
"""Some strict JSON, and then perhaps a number or a text that only `read_lenient_json` accepts.

Such a text has a control character or half of a surrogate pair. Before Python 3.11.5, a possessive repetition must have
no alternatives (bug 106052 of CPython). An ordinary one remembers each repetition, so there are at most 500."""

_NEXT_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[\]{}]*+)*+([\[\]{}])', re.DOTALL)

_FIRST_CHARACTER = re.compile(rb"[ \t\n\r]*+(.)", re.DOTALL)

Text = bytes | bytearray | memoryview
"""JSON text in UTF-8."""

_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_rows_of = msgspec.json.Decoder(list[msgspec.Raw]).decode


def read_around_rows(body: bytes, charset: str | None, path_in: Callable[[Text], Path | None]) -> Any:
    """Parses a body, of which each row stays JSON text.

    Args:
        body: the body, in any encoding that `read_body` reads.
        charset: the encoding that the headers name; None if they name none.
        path_in: a function that returns the path of the rows in strict JSON; None if rows must not stay text there.

    Raises:
        ValueError: the body is not JSON.

    Returns:
        The parsed body, with a list of `msgspec.Raw` at the path of the rows, or before its first wildcard. None if
        there is no list of rows, or if its rows must not stay text.
    """
    for text in _texts(body, charset):
        for strict in _strict_forms(text):
            try:
                path = path_in(strict)
                found = None if path is None else _around(strict, path)
            except (msgspec.ValidationError, UnicodeDecodeError):  # no list at the path, or an odd name
                return None
            except (msgspec.DecodeError, RecursionError):
                continue
            is_without_rows = isinstance(found, SelectedRows) and not found  # its fields may report an error
            if found is None or is_without_rows or (strict is not text and _has_filler(found)):
                return None
            if strict is not text:
                memoryview(strict)[:] = text
            return _parsed(found)
    raise ValueError("the body is not JSON")


def read_fields(body: bytes, paths: Collection[tuple[str, ...]], most: int) -> Any:
    """Parses only some fields of a body, such as those beside the rows.

    Args:
        body: the body, in any encoding that `read_body` reads.
        paths: the names of the fields that lead to each field.
        most: the bytes of the largest list or object that is parsed. An object of no other use stands for a larger one.

    Raises:
        ValueError: the body is not JSON.

    Returns:
        An object with these fields alone.
    """
    for text in _texts(body, None):
        for strict in _strict_forms(text):
            try:
                found = {path: field_at(strict, path) for path in paths}
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if strict is not text:
                memoryview(strict)[:] = text
            return _fields_alone(found, most)
    raise ValueError("the body is not JSON")


def _fields_alone(found: Mapping[tuple[str, ...], msgspec.Raw | None], most: int) -> dict[str, Any]:
    response: dict[str, Any] = {}
    for path, text in sorted(
        found.items(), key=lambda one: -len(one[0])
    ):  # the fields of a large object first
        if text is not None:
            holder = response
            for name in path[:-1]:
                holder = holder.setdefault(name, {})
            if len(text) > most and bytes(memoryview(text)[:1]) in b"[{":
                holder.setdefault(path[-1], object())
            else:
                holder[path[-1]] = read_row(text)
    return response


def _around(text: Text | msgspec.Raw, path: Path) -> Any:
    """Returns the rows and the fields around them, all as JSON text."""
    if not path:
        return _rows_of(text)
    if isinstance(path[0], Wildcard):
        return select(text, path)
    return {
        name: _around(value, path[1:]) if name == path[0] else value
        for name, value in _fields_of(text).items()
    }


def _parsed(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _parsed(one) for name, one in found.items()}
    return found if isinstance(found, list) else read_row(found)


def _has_filler(found: Any) -> bool:
    return isinstance(found, dict) and any(
        FILLER.decode() in name or _has_filler(one) for name, one in found.items()
    )


def read_outline(text: Text | msgspec.Raw, levels: int) -> Any:
    """Reads the objects at the outer levels of JSON text, and nothing in a list.

    Args:
        text: the JSON text.
        levels: the number of levels.

    Raises:
        msgspec.DecodeError: an object is not strict JSON.

    Returns:
        An empty list in place of each list, and None in place of each other value, and of each object further inside.
    """
    found = _FIRST_CHARACTER.match(text)
    first = found[1] if found else b""
    if first == b"{" and levels:
        return {name: read_outline(value, levels - 1) for name, value in _fields_of(text).items()}
    return [] if first == b"[" else None


def _texts(body: bytes, charset: str | None) -> Iterator[Text]:
    """Yields the texts that a body may be, the most probable first, in UTF-8."""
    is_utf_8_text = json.detect_encoding(body).startswith("utf-8") and is_utf_8(body)
    if is_utf_8_text:
        yield memoryview(body)[len(codecs.BOM_UTF8) :] if body.startswith(codecs.BOM_UTF8) else body
    for encoding, errors in encodings_of(body, charset):
        with suppress(UnicodeError, LookupError):
            if not (is_utf_8_text and codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")):
                yield _as_utf_8(body, encoding, errors)


def _as_utf_8(body: bytes, encoding: str, errors: str) -> bytes:
    """Decodes a body, and encodes it again. Halves of surrogate pairs are encoded as if they were characters."""
    " ".encode(encoding)  # fails for a codec that makes no text
    decode = codecs.getincrementaldecoder(encoding)(errors).decode
    text = BytesIO()
    for start in range(0, len(body), _PIECE):
        is_last = start + _PIECE >= len(body)
        text.write(decode(body[start : start + _PIECE], is_last).encode("utf-8", "surrogatepass"))
    return text.getvalue()


def is_utf_8(body: bytes) -> bool:
    """Whether a body is UTF-8."""
    if body.isascii():
        return True
    decode = codecs.getincrementaldecoder("utf-8")().decode
    try:
        for start in range(0, len(body), _PIECE):
            decode(body[start : start + _PIECE])
        decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _strict_forms(text: Text) -> Iterator[Text]:
    """Yields a text, then the text without odd values, and then without values that have too many levels, too.

    Each form is as long as the text. A form is skipped if it is the form before.
    """
    yield text
    copy: bytearray | None = None
    for begin, end, filler in _odd_values(text):
        copy = copy or bytearray(text)
        copy[begin:end] = filler
    if copy:
        yield copy
    has_deep = False
    for begin, end in _deep_values(copy or text):
        copy = copy or bytearray(text)
        copy[begin:end] = b"{}".ljust(end - begin)
        has_deep = True
    if copy and has_deep:
        yield copy


def _odd_values(text: Text) -> Iterator[tuple[int, int, bytes]]:
    """Yields the place of each odd number and text, and what strict JSON may have in its place."""
    place = 0
    while (found := _NEXT_ODD.match(text, place)) and found.end() > place:
        place = found.end()
        if found["number"]:
            yield *found.span("number"), b"1" * len(found["number"])
        elif found["text"]:
            yield *found.span("text"), b'"%b"' % (FILLER * (len(found["text"]) - 2))


def _deep_values(text: Text) -> Iterator[tuple[int, int]]:
    """Yields the place of each value that is too deep to be parsed."""
    levels = begin = 0
    for found in _NEXT_BRACKET.finditer(text):
        if found[1] in b"[{":
            levels += 1
            if levels == MOST_LEVELS + 1:
                begin = found.end() - 1
        else:
            if levels == MOST_LEVELS + 1:
                yield begin, found.end()
            levels -= 1

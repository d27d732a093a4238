"""Parses JSON without a loss of digits. Only code that needs the fields of a row parses a row that is JSON text.

A JSON number becomes a `float` if the float stands for the same number. Any other JSON number becomes a `JsonNumber`,
which keeps the digits. So a later step can decide whether to round the number, or to reject the row.

One bad row must not make a whole response unreadable. So a value with too many levels becomes a `TooDeep`, and a byte
that is not UTF-8 becomes half a surrogate pair. A later step rejects the row with such a value.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

_LONGEST_EXACT = 16
"""The most characters of a number without an exponent that a float always keeps: 15 digits and a point."""

_MOST_DIGITS = 800
"""The most significant digits of a float that is written in full."""

MOST_LEVELS = 300
"""The most levels of JSON that Python parses here. No column can store more than 254 levels."""

_PIECE = 1_048_576
"""The bytes of a body that are decoded at once."""

_PART = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]|-?Infinity|NaN', re.DOTALL)
"""The parts of JSON text that matter for its levels: a whole text, a bracket, or a number that JSON does not know."""


class JsonNumber(float):
    """A JSON number for which no float stands: as a float it is rounded, infinite or NaN.

    Args:
        literal: the number as the API wrote it.

    Attributes:
        literal: the number as the API wrote it.
    """

    literal: str

    @property
    def is_number(self) -> bool:
        """Whether the API wrote a number, and not `NaN` or `Infinity`."""
        return self.literal[-1].isdigit()

    def __new__(cls, literal: str) -> JsonNumber:
        """Rounds the number to a float, and keeps its text."""
        number = super().__new__(cls, literal)
        number.literal = literal
        return number

    def __eq__(self, other: object) -> bool:
        """Whether both are the same number. `NaN` equals `NaN`, so that a row equals itself when it comes again."""
        if isinstance(other, JsonNumber) and self.literal == other.literal:
            return True
        return super().__eq__(other)

    def __hash__(self) -> int:
        return hash(self.literal) if math.isnan(self) else super().__hash__()

    @property
    def is_of_a_float(self) -> bool:
        """Whether an API that has this float writes it with these digits, as with `0.10000000000000001` for 0.1."""
        number = _decimal(self.literal)
        if number is None or not math.isfinite(self):
            return False
        digits = len(number.as_tuple().digits)
        return digits <= _MOST_DIGITS and Decimal(f"{float(self):.{digits - 1}e}") == number

    def __str__(self) -> str:
        return self.literal

    def asdict(self) -> float:
        """Returns the float, for dlt, whose JSON writer calls this method.

        Raises:
            TypeError: the float would be another number than the API sent.
        """
        if not self.is_of_a_float:
            raise TypeError("a number that a float would round")
        return float(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.literal,)


class TooDeep(float):
    """A value with more lists and objects inside each other than Python can parse. As a float it is NaN.

    Args:
        text: the value as JSON text.

    Attributes:
        text: the value as JSON text.
    """

    text: str

    def __new__(cls, text: str) -> TooDeep:
        """Keeps the text of the value."""
        value = super().__new__(cls, math.nan)
        value.text = text
        return value

    def __repr__(self) -> str:
        return self.text

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TooDeep) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def asdict(self) -> float:
        """Fails, so that dlt's JSON writer does not write NaN.

        Raises:
            TypeError: always.
        """
        raise TypeError("a value with too many levels")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.text,)


def read_number(literal: str) -> float:
    """Converts a JSON number with a point or an exponent; returns a `JsonNumber` if no float stands for the number."""
    if len(literal) <= _LONGEST_EXACT and "e" not in literal and "E" not in literal:
        return float(literal)
    value = float(literal)
    if repr(value) == literal or (math.isfinite(value) and _decimal(literal) == Decimal(repr(value))):
        return value
    return JsonNumber(literal)


def _decimal(literal: str) -> Decimal | None:
    try:
        return Decimal(literal)
    except InvalidOperation:  # the exponent is too large for Python's Decimal
        return None


_decode = msgspec.json.Decoder(float_hook=read_number).decode


def read_json(text: bytes) -> Any:
    """Parses JSON text.

    Raises:
        msgspec.DecodeError: the text is not strict JSON.
        UnicodeDecodeError: the text is not UTF-8.
        RecursionError: lists and objects are nested too deep.
    """
    return _decode(text)


def read_lenient_json(text: str) -> Any:
    """Parses JSON text that may also contain what strict JSON and Python's parser refuse.

    That is `NaN` and `Infinity`, halves of surrogate pairs, control characters in a text, numbers of any length, and
    any number of levels.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        return _parse(text, JsonNumber)
    except RecursionError:
        pieces, found = _without_deep_values(text)
        values = iter(found)
        return _parse("".join(pieces), lambda _: next(values))


def _parse(text: str, parse_constant: Any) -> Any:
    return json.loads(
        text, parse_int=_whole_number, parse_float=read_number, parse_constant=parse_constant, strict=False
    )


def _whole_number(literal: str) -> float:
    try:
        return int(literal)
    except ValueError:  # Python refuses a number of thousands of digits
        return JsonNumber(literal)


def _without_deep_values(text: str) -> tuple[list[str], list[float]]:
    """Replaces each value with too many levels by `NaN`.

    Raises:
        ValueError: the text is not JSON.

    Returns:
        The pieces of the new text, and the value of each `NaN` and `Infinity` in it, in order.
    """
    pieces: list[str] = []
    values: list[float] = []
    levels = begin = end = 0
    for part in _PART.finditer(text):
        kind = part[0][0]
        if kind in "[{":
            levels += 1
            if levels == MOST_LEVELS + 1:
                begin = part.start()
        elif kind in "]}":
            if levels == MOST_LEVELS + 1:
                pieces += [text[end:begin], "NaN"]
                end = part.end()
                values.append(TooDeep(text[begin:end]))
            levels -= 1
        elif kind != '"' and levels <= MOST_LEVELS:
            values.append(JsonNumber(part[0]))
    if levels > MOST_LEVELS:
        raise ValueError("the text is not JSON, because a list or an object has no end")
    return [*pieces, text[end:]], values


def read_body(body: bytes, charset: str | None = None) -> Any:
    """Parses the body of a response, in whatever encoding it is.

    JSON is UTF-8, UTF-16 or UTF-32. Another encoding counts if the body is none of these. Otherwise each byte that is
    not UTF-8 becomes half a surrogate pair.

    Args:
        body: the body.
        charset: the encoding that the headers name; None if they name none.

    Raises:
        ValueError: the body is not JSON.
    """
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return read_json(body)
    for text in _texts(body, charset):
        with suppress(ValueError):
            return read_lenient_json(text)
    raise ValueError("the body is not JSON")


def _texts(body: bytes, charset: str | None) -> Iterator[str]:
    """Yields the texts that a body may be, the most probable first."""
    for encoding, errors in encodings_of(body, charset):
        with suppress(UnicodeError, LookupError):
            yield body.decode(encoding, errors)


def encodings_of(body: bytes, charset: str | None) -> Iterator[tuple[str, str]]:
    """Yields the encodings that a body may have, the most probable first, and Python's name for what errors become.

    Args:
        body: the body.
        charset: the encoding that the headers name, which Python may not know; None if they name none.
    """
    yield json.detect_encoding(body), "surrogatepass"
    with suppress(LookupError):
        # Latin-1 can decode any bytes, and it is a guess for `text/*`. So it does not count for what is mostly UTF-8.
        is_guess = charset and codecs.lookup(charset).name == "iso8859-1"
        if charset and not (is_guess and _has_utf_8(body)):
            yield charset, "strict"
    yield "utf-8-sig", "surrogateescape"


def _has_utf_8(body: bytes) -> bool:
    """Whether a body has a character in UTF-8 beyond ASCII. A large body is decoded in pieces."""
    decode = codecs.getincrementaldecoder("utf-8")("ignore").decode
    return not all(decode(body[start : start + _PIECE]).isascii() for start in range(0, len(body), _PIECE))


def read_row(row: msgspec.Raw) -> Any:
    """Parses a row. If msgspec rejects the text, Python's JSON parser parses the text."""
    try:
        return _decode(row)  # each row of the row path comes here
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return read_body(bytes(row))


def write_json(value: Any) -> str:
    """Writes a value as JSON, with each `JsonNumber` and `TooDeep` as the API wrote it.

    Values that are not JSON become text. Halves of surrogate pairs become escapes, because no warehouse can store them.
    """
    pieces: list[str] = []
    rest: list[Any] = [value]
    while rest:  # no recursion, because a row may have more levels than Python allows
        one = rest.pop()
        if isinstance(one, _Written):
            pieces.append(one)
        elif isinstance(one, (dict, list)):
            rest.extend(reversed(_parts_of(one)))
        elif isinstance(one, (JsonNumber, TooDeep)):
            pieces.append(one.literal if isinstance(one, JsonNumber) else one.text)
        else:
            pieces.append(_encode(one))
    return "".join(pieces).encode(errors="backslashreplace").decode()


_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


class _Written(str):
    """A piece of JSON text that is already written."""

    __slots__ = ()


def _parts_of(value: dict[Any, Any] | list[Any]) -> list[Any]:
    """Returns the values in a list or an object, with the JSON text between them."""
    parts: list[Any] = []
    comma = ""
    for one in value:
        if isinstance(value, dict):
            parts += [_Written(f"{comma}{_encode(str(one))}: "), value[one]]
        else:
            parts += [_Written(comma), one]
        comma = ", "
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return [_Written(opening), *parts, _Written(closing)]

"""Parses JSON without a loss of digits. Only code that needs the fields of a row parses a row that is JSON text.

A JSON number becomes a `float` if the float stands for the same number. Any other JSON number becomes a `JsonNumber`,
which keeps the digits. So a later step can decide whether to round the number, or to reject the row.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

_LONGEST_EXACT = 16
"""The most characters of a number without an exponent that a float always keeps: 15 digits and a point."""

_MOST_DIGITS = 800
"""The most significant digits of a float that is written in full."""

_MARK = "\ue000 number \ue000"
"""Encloses a number within JSON text while Python writes the text."""

_HALF = re.compile("[\ud800-\udfff]")


class JsonNumber(float):
    """A JSON number for which no float stands: as a float it is rounded, infinite or NaN.

    Args:
        literal: the number as the API wrote it.

    Attributes:
        literal: the number as the API wrote it.
    """

    literal: str

    def __new__(cls, literal: str) -> JsonNumber:
        """Rounds the number to a float, and keeps its text."""
        number = super().__new__(cls, literal)
        number.literal = literal
        return number

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


_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_beside(text: bytes | msgspec.Raw, path: tuple[str, ...]) -> Any:
    """Parses JSON text without the value at a path, in whose place is None. The value may be almost the whole text.

    Args:
        text: the JSON text.
        path: the names of the fields that lead to the value; empty if the whole text is the value.

    Raises:
        msgspec.DecodeError: the text is not strict JSON, or has another value than an object on the path.
    """
    if not path:
        return None
    return {
        name: read_beside(value, path[1:]) if name == path[0] else read_row(value)
        for name, value in _fields_of(text).items()
    }


def read_lenient_json(text: bytes | str) -> Any:
    """Parses JSON text that may also contain `NaN`, `Infinity` and halves of surrogate pairs.

    Raises:
        ValueError: the text is not JSON.
        RecursionError: lists and objects are nested too deep.
    """
    return json.loads(text, parse_float=read_number, parse_constant=JsonNumber)


def read_row(row: msgspec.Raw) -> Any:
    """Parses a row. If msgspec rejects the text, Python's JSON parser parses the text."""
    try:
        return _decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return read_lenient_json(bytes(row))


def write_json(value: Any) -> str:
    """Writes a value as JSON, with each `JsonNumber` as the API wrote it.

    Values that are not JSON become text. If the levels are too many for Python, the result is a sentence in place of
    JSON.
    """
    try:
        written = json.dumps(_marked(value), ensure_ascii=False, default=str)
        if _HALF.search(written):  # no warehouse can store half a surrogate pair
            written = json.dumps(_marked(value), default=str)
    except RecursionError:
        return "(too many nested lists and objects)"
    for mark in (_MARK, json.dumps(_MARK)[1:-1]):
        written = written.replace(f'"{mark}', "").replace(f'{mark}"', "")
    return written


def _marked(value: Any) -> Any:
    if isinstance(value, JsonNumber):
        return f"{_MARK}{value.literal}{_MARK}"
    if isinstance(value, dict):
        return {key: _marked(one) for key, one in value.items()}
    return [_marked(one) for one in value] if isinstance(value, list) else value

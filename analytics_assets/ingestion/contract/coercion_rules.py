"""The coercion rules for one value. The rules check whether the declared type can hold the value, and convert it.

A rule accepts a value if the conversion loses no information. So the values 5.0 and "5" are accepted for a bigint, and
the value 1.239 is rejected for a decimal(18, 2). A rule judges a JSON number by its digits, not by the float nearest to
it. There are three exceptions, as in dlt. A double rounds a fraction to the nearest float. A timestamp loses the digits
below the precision of its column, and the loss is counted. A timestamp without a time zone is taken as UTC.
`coercion.py` converts whole columns.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import msgspec
import pyarrow as pa
from dlt.common.json import json

from analytics_assets.ingestion.contract.columns import data_type_name
from analytics_assets.ingestion.json_kind import kind_of
from analytics_assets.ingestion.raw_json import JsonNumber, read_json

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE_NUMBER = re.compile(r"[+-]?\d+", re.ASCII)
_TIME = r"\d\d(:?\d\d(:?\d\d([.,]\d+)?)?)?"
_DATE = r"(\d{4}-\d\d-\d\d|\d{8}|\d{4}-?W\d\d-?\d)"
_ISO_DATE = re.compile(_DATE, re.ASCII)
ISO_MOMENT = re.compile(rf"{_DATE}([T ]{_TIME}(Z|[+-]{_TIME})?)?", re.ASCII)
"""ISO 8601. Python also accepts any character between day and time, so `2026-01-05+02:00` would be 2 o'clock."""
_BELOW_MICROSECONDS = re.compile(r"[.,]\d{6}(\d+)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_FLOAT_DIGITS = 15
"""The decimal digits of a JSON number that a binary float preserves (IEEE 754, `DBL_DIG`)."""

_LONGEST_WHOLE_NUMBER, _LONGEST_NUMBER = 40, 400
"""The most characters of a number in a text. Python refuses to parse a much longer number."""


def digits_below_microseconds(text: str) -> str:
    """Returns the digits below the microsecond of an ISO 8601 text, without zeros at the end."""
    found = _BELOW_MICROSECONDS.search(text)
    return found[1].rstrip("0") if found else ""


class CoercionError(ValueError):
    """A declared type cannot hold a value.

    The caller puts the column name before the error text. No error text contains the value.
    """


class CoercionRules:
    """Coerces one value at a time into one declared column.

    Args:
        hints: dlt's hints of the column, which include `data_type`.
        arrow_type: the Arrow type of the column, which depends on the destination.
        stores_nul: whether the destination stores the character NUL in a text.

    Attributes:
        data_type: the dlt data type of the column.
        max_length: the most characters or bytes of a value; None for no limit.
        coerce: a function that converts a value other than None to the column's type, or raises `CoercionError`.
        cut: the number of timestamps that lost digits below the precision of the column.
    """

    def __init__(self, hints: Mapping[str, Any], arrow_type: pa.DataType, *, stores_nul: bool = True) -> None:
        self.data_type = str(hints["data_type"])
        self._stores_nul = stores_nul
        self.max_length = hints.get("precision") if self.data_type in ("text", "binary") else None
        self.cut = 0
        self._arrow_type = arrow_type
        self._is_key = bool(hints.get("primary_key"))
        self._name = data_type_name(hints)
        rules: dict[str, Callable[[Any], Any]] = {
            "text": self._text,
            "bigint": self._bigint,
            "double": self._double,
            "bool": self._bool,
            "decimal": self._decimal,
            "wei": self._decimal,
            "timestamp": self._timestamp,
            "date": self._date,
            "time": self._time,
            "binary": self._binary,
            "json": self._json,
        }
        self.coerce = rules[self.data_type]

    def _wrong_type(self, value: Any) -> CoercionError:
        return CoercionError(f"is {kind_of(value)}, not a valid {self._name}")

    def _too_large(self) -> CoercionError:
        return CoercionError(f"is too large for {self._name}")

    def _text(self, value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            if abs(value) >= 10**_LONGEST_NUMBER:
                raise self._too_large()
            value = str(value)
        if not isinstance(value, str):
            raise self._wrong_type(value)
        if not is_unicode(value):
            raise CoercionError("is not valid Unicode")
        if not self._stores_nul and "\0" in value:
            raise CoercionError("has the character NUL, which the warehouse cannot store")
        if self.max_length and len(value) > self.max_length:
            raise CoercionError(f"has {len(value):,} characters, more than {self._name} can hold")
        return value

    def _digits(self, value: str, pattern: re.Pattern[str], longest: int) -> str:
        text = value.strip()
        if not pattern.fullmatch(text):
            raise self._wrong_type(value)
        if len(text) > longest:
            raise self._too_large()
        return text

    def _bigint(self, value: Any) -> int:
        if isinstance(value, str):
            value = int(self._digits(value, _WHOLE_NUMBER, _LONGEST_WHOLE_NUMBER))
        if isinstance(value, JsonNumber):
            value = self._number(value)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise self._wrong_type(value)
            value = Decimal(value)
        if isinstance(value, Decimal):
            if not value.is_finite():
                raise self._wrong_type(value)
            if value.adjusted() > _LONGEST_WHOLE_NUMBER:
                raise self._too_large()
            if not _is_whole(value):
                raise CoercionError(f"has a fraction, which {self._name} cannot hold")
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong_type(value)
        limit = 1 << (self._arrow_type.bit_width - 1)
        if not -limit <= value < limit:
            raise self._too_large()
        return value

    def _double(self, value: Any) -> float:
        exact: Decimal | int | None = None
        if isinstance(value, str):
            if not _NUMBER.fullmatch(value.strip()):
                raise self._wrong_type(value)
            value = JsonNumber(value.strip())
        if isinstance(value, JsonNumber) and math.isfinite(value):
            exact = self._number(value)
        elif isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
            exact = value
        if exact is not None:
            try:
                value = float(exact)
            except OverflowError:
                raise self._too_large() from None
        if not isinstance(value, float):
            raise self._wrong_type(value)
        if not math.isfinite(value):
            raise self._too_large() if math.isinf(value) else self._wrong_type(value)
        if exact is not None and value.is_integer() and _is_whole(exact) and int(value) != exact:
            raise CoercionError(f"would be rounded: {self._name} keeps {_FLOAT_DIGITS} digits")
        return value

    def _number(self, value: JsonNumber) -> Decimal:
        """Returns the number that the API wrote."""
        try:
            number = Decimal(value.literal)
        except InvalidOperation:  # the exponent of the number is too large for Python's Decimal
            raise self._too_large() from None
        if not number.is_finite():
            raise self._wrong_type(value)
        return number

    def _bool(self, value: Any) -> bool:
        if isinstance(value, str):
            value = {"true": True, "false": False}.get(value.strip().lower(), value)
        if isinstance(value, int) and value in (0, 1):
            return bool(value)
        raise self._wrong_type(value)

    def _decimal(self, value: Any) -> Decimal:
        if isinstance(value, str):
            value = JsonNumber(self._digits(value, _NUMBER, _LONGEST_NUMBER))
        if isinstance(value, JsonNumber):
            number = self._number(value)
        elif isinstance(value, float):
            number = Decimal(repr(value))
        elif isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
            number = Decimal(value)
        else:
            raise self._wrong_type(value)
        if not number.is_finite():
            raise self._wrong_type(value)
        return self._exact(number)

    def _exact(self, number: Decimal) -> Decimal:
        """Returns the number without trailing zeros. Fails if the column's precision or scale is too small."""
        _, digits, exponent = number.as_tuple()
        assert isinstance(exponent, int)
        significant = len(digits)
        while significant > 1 and digits[significant - 1] == 0:
            significant -= 1
            exponent += 1
        if digits == (0,) or not any(digits):
            return Decimal(0)
        precision, scale = self._arrow_type.precision, self._arrow_type.scale
        if significant + exponent > precision - scale:
            raise self._too_large()
        if -exponent > scale:
            raise CoercionError(f"would be rounded: {self._name} keeps {scale} digits after the point")
        return number

    def _timestamp(self, value: Any) -> datetime | int:
        """Converts a value to a time, or to nanoseconds since 1970 for a column of nanoseconds."""
        below = Fraction()  # the part of a microsecond that a Python time cannot hold
        try:
            if isinstance(value, str):
                moment, below = self._moment_of_text(value.strip())
            elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
                moment, below = self._moment_of_number(value)
            elif isinstance(value, datetime):
                moment = value
            elif isinstance(value, date):
                moment = datetime.combine(value, time())
            else:
                raise self._wrong_type(value)
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except CoercionError:
            raise
        except (ValueError, OverflowError):
            raise self._wrong_type(value) from None
        if self._arrow_type.unit == "ns":
            if not 1678 <= moment.year <= 2261:
                raise self._too_large()
            self._count_cut(is_cut=below * 1000 % 1 != 0)
            return (moment - _EPOCH) // timedelta(microseconds=1) * 1000 + int(below * 1000)
        microsecond = self._cut_off(moment.microsecond)
        self._count_cut(is_cut=bool(below) or microsecond != moment.microsecond)
        moment = moment.replace(microsecond=microsecond)
        return moment if self._arrow_type.tz else moment.replace(tzinfo=None)

    def _moment_of_text(self, text: str) -> tuple[datetime, Fraction]:
        """Parses ISO 8601. Also returns the part of a microsecond that the time does not hold."""
        if text.isdigit():
            raise CoercionError(
                "is text of digits only, which may be a day or a count of time: declare it as bigint"
            )
        if not ISO_MOMENT.fullmatch(text):
            raise ValueError
        below = digits_below_microseconds(text)
        return datetime.fromisoformat(text), Fraction(f"0.{below}") if below else Fraction()

    def _moment_of_number(self, value: float | Decimal) -> tuple[datetime, Fraction]:
        """Converts a number, which as in dlt means seconds since 1970, like `_moment_of_text`."""
        if isinstance(value, JsonNumber):
            seconds = self._number(value)
        else:
            seconds = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if not seconds.is_finite() or seconds.adjusted() > _LONGEST_WHOLE_NUMBER:
            raise ValueError
        whole, below = divmod(Fraction(seconds) * 1_000_000, 1)
        return _EPOCH + timedelta(microseconds=whole), below

    def _count_cut(self, *, is_cut: bool) -> None:
        if is_cut and self._is_key:
            raise CoercionError(
                f"has more digits than {self._name} keeps, and is part of the primary key: declare it as text"
            )
        self.cut += is_cut

    def _date(self, value: Any) -> date:
        if isinstance(value, str):
            if not ISO_MOMENT.fullmatch(value.strip()):
                raise self._wrong_type(value)
            try:
                value = datetime.fromisoformat(value.strip())
            except ValueError:
                raise self._wrong_type(value) from None
        if isinstance(value, datetime):
            if value.time() != time():
                raise CoercionError(f"has a time of day, which {self._name} cannot hold")
            return value.date()
        if not isinstance(value, date):
            raise self._wrong_type(value)
        return value

    def _time(self, value: Any) -> time:
        if isinstance(value, str):
            try:
                value = time.fromisoformat(value.strip())
            except ValueError:
                raise self._wrong_type(value) from None
        if not isinstance(value, time):
            raise self._wrong_type(value)
        if value.tzinfo not in (None, UTC):
            raise CoercionError(f"has a time zone, which {self._name} cannot hold")
        return value.replace(microsecond=self._cut_off(value.microsecond), tzinfo=None)

    def _cut_off(self, microseconds: int) -> int:
        """Returns the microseconds without the digits below the column's precision."""
        unit = {"s": 1_000_000, "ms": 1_000}.get(self._arrow_type.unit, 1)
        return microseconds // unit * unit

    def _binary(self, value: Any) -> bytes:
        if isinstance(value, str):
            try:
                hexadecimal = value.startswith("0x")
                value = bytes.fromhex(value[2:]) if hexadecimal else base64.b64decode(value, validate=True)
            except (ValueError, binascii.Error):
                raise self._wrong_type(value) from None
        if not isinstance(value, bytes):
            raise self._wrong_type(value)
        if self.max_length and len(value) > self.max_length:
            raise CoercionError(f"has {len(value):,} bytes, more than {self._name} can hold")
        return value

    def _json(self, value: Any) -> str:
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            # As in dlt, a text that contains JSON is parsed.
            with suppress(ValueError, msgspec.DecodeError, RecursionError):
                value = read_json(value.encode())
        return as_json(value)


def as_json(value: Any) -> str:
    """Converts a value to JSON text, as dlt does.

    Raises:
        CoercionError: the value has a number that JSON or a float cannot hold, invalid Unicode, or too many levels.
    """
    try:
        text = str(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        raise _no_json() from None
    if "null" in text and _has_no_number(value):
        raise _no_json()
    return text


def _no_json() -> CoercionError:
    return CoercionError(
        "cannot be stored as JSON: it has a number that is NaN, infinite, of more than 64 bits or would be rounded, "
        "invalid Unicode, or too many levels"
    )


def _has_no_number(value: Any) -> bool:
    """Whether a value contains NaN or Infinity, for which dlt would write null."""
    if isinstance(value, float):
        return not math.isfinite(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return any(map(_has_no_number, parts))


def _is_whole(number: Decimal | int) -> bool:
    return isinstance(number, int) or number == number.to_integral_value()


def is_unicode(text: str) -> bool:
    """Whether a text is valid Unicode.

    JSON allows half a surrogate pair in a text, but no warehouse can store such a text.
    """
    return text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text)

"""The coercion rules for one value. The rules check whether the declared type can hold the value, and convert it.

A rule accepts a value if the conversion loses no information. So the values 5.0 and "5" are accepted for a bigint, and
the value 1.239 is rejected for a decimal(18, 2). Timestamps are an exception, as in dlt. A timestamp loses the digits
below the precision of its column, and a timestamp without a time zone is taken as UTC. `coercion.py` converts whole
columns.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
from dlt.common.json import json

from analytics_assets.ingestion.contract.columns import data_type_name
from analytics_assets.ingestion.json_kind import kind_of

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE_NUMBER = re.compile(r"[+-]?\d+", re.ASCII)
_FLOAT_DIGITS = 15
"""The decimal digits of a JSON number that a binary float preserves (IEEE 754, `DBL_DIG`)."""

_LONGEST_WHOLE_NUMBER, _LONGEST_NUMBER = 40, 400
"""The most characters of a number in a text. Python refuses to parse a much longer number."""


class CoercionError(ValueError):
    """A declared type cannot hold a value.

    The caller puts the column name before the error text. No error text contains the value.
    """


class CoercionRules:
    """Coerces one value at a time into one declared column.

    Args:
        hints: dlt's hints of the column, which include `data_type`.
        arrow_type: the Arrow type of the column, which depends on the destination.

    Attributes:
        data_type: the dlt data type of the column.
        max_length: the most characters or bytes of a value; None for no limit.
        coerce: a function that converts a value other than None to the column's type, or raises `CoercionError`.
    """

    def __init__(self, hints: Mapping[str, Any], arrow_type: pa.DataType) -> None:
        self.data_type = str(hints["data_type"])
        self.max_length = hints.get("precision") if self.data_type in ("text", "binary") else None
        self._arrow_type = arrow_type
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
        is_no_number = isinstance(value, float) and not math.isfinite(value)
        kind = "NaN or infinite" if is_no_number else kind_of(value)
        return CoercionError(f"is {kind}, not a valid {self._name}")

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
        if isinstance(value, (float, Decimal)):
            if not math.isfinite(value):
                raise self._wrong_type(value)
            if value != int(value):
                raise CoercionError(f"has a fraction, which {self._name} cannot hold")
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong_type(value)
        limit = 1 << (self._arrow_type.bit_width - 1)
        if not -limit <= value < limit:
            raise self._too_large()
        return value

    def _double(self, value: Any) -> float:
        if isinstance(value, str):
            if not _NUMBER.fullmatch(value.strip()):
                raise self._wrong_type(value)
            value = float(value)
        if isinstance(value, Decimal):
            value = float(value)
        if isinstance(value, int) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                raise self._too_large() from None
            if int(number) != value:
                raise CoercionError(f"would be rounded: {self._name} keeps {_FLOAT_DIGITS} digits")
            return number
        if not isinstance(value, float):
            raise self._wrong_type(value)
        if not math.isfinite(value):
            raise self._too_large() if math.isinf(value) else self._wrong_type(value)
        return value

    def _bool(self, value: Any) -> bool:
        if isinstance(value, str):
            value = {"true": True, "false": False}.get(value.strip().lower(), value)
        if isinstance(value, int) and value in (0, 1):
            return bool(value)
        raise self._wrong_type(value)

    def _decimal(self, value: Any) -> Decimal:
        if isinstance(value, str):
            try:
                number = Decimal(self._digits(value, _NUMBER, _LONGEST_NUMBER))
            except InvalidOperation:  # the exponent of the number is too large for Python's Decimal
                raise self._too_large() from None
        elif isinstance(value, float):
            number = Decimal(repr(value))
            if math.isfinite(value) and len(number.normalize().as_tuple().digits) > _FLOAT_DIGITS:
                raise CoercionError(
                    f"may have been rounded: it came as a JSON number of more than {_FLOAT_DIGITS} digits, not as text"
                )
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

    def _timestamp(self, value: Any) -> datetime:
        try:
            moment = self._moment(value)
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError, OSError):
            raise self._wrong_type(value) from None
        if self._arrow_type.unit == "ns" and not 1678 <= moment.year <= 2261:
            raise self._too_large()
        moment = moment.replace(microsecond=self._cut_off(moment.microsecond))
        return moment if self._arrow_type.tz else moment.replace(tzinfo=None)

    def _moment(self, value: Any) -> datetime:
        if isinstance(value, str):
            return datetime.fromisoformat(value.strip())
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)  # as in dlt, a number means seconds since 1970
        if isinstance(value, datetime):
            return value
        if isinstance(value, date):
            return datetime.combine(value, time())
        raise self._wrong_type(value)

    def _date(self, value: Any) -> date:
        if isinstance(value, str):
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
            with suppress(ValueError):  # as in dlt, a text that contains JSON is parsed
                value = json.loads(value)
        return as_json(value)


def as_json(value: Any) -> str:
    """Converts a value to JSON text, as dlt does.

    Raises:
        CoercionError: the value has a whole number of more than 64 bits, invalid Unicode, or too many nested levels.
    """
    try:
        return str(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        raise CoercionError(
            "cannot be stored as JSON: it has a number of more than 64 bits, invalid Unicode, or too many levels"
        ) from None


def is_unicode(text: str) -> bool:
    """Whether a text is valid Unicode.

    JSON allows half a surrogate pair in a text, but no warehouse can store such a text.
    """
    return text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text)

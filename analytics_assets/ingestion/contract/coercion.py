"""Whether values fit a declared type, and what they are in it: a whole column at once, or one by one.

What belongs here: the rules of each dlt data type. A value is accepted if nothing of it is lost: `5.0` and `"5"`
are a bigint, `1.239` is no decimal(18, 2). What is left of a timestamp below the precision of its column is cut off,
and one without a zone is taken for UTC, both as in dlt.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.json import json

from analytics_assets.ingestion.contract.columns import data_type_name
from analytics_assets.ingestion.json_kind import kind_of

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_FLOAT_DIGITS = 15
"""Decimal digits that a JSON number keeps on its way through a binary float (IEEE 754, `DBL_DIG`)."""

_COARSE = {"s": "second", "ms": "millisecond"}

_FIRST, _LAST = (
    (one - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    for one in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
)
"""The moments there are, in microseconds since 1970: what Python and the warehouses know as years 1 to 9999."""

_FIRST_DAY = (date(1, 1, 1) - date(1970, 1, 1)).days

_LONGEST_WHOLE, _LONGEST_NUMBER = 40, 400
"""Characters of a number that is worth reading: Python refuses to read the longest ones at all."""


class CoercionError(ValueError):
    """A value does not fit. The text says why, after the name of the column, and never holds the value."""


class Coercer:
    """Fits values into one declared column.

    Args:
        hints: dlt's hints of the column, `data_type` among them.
        arrow_type: what it is in Arrow, for the destination at hand.

    Attributes:
        arrow_type: as given.
        data_type: dlt's.
    """

    def __init__(self, hints: Mapping[str, Any], arrow_type: pa.DataType) -> None:
        self.arrow_type = arrow_type
        self.data_type = str(hints["data_type"])
        self._name = data_type_name(hints)
        self._length = hints.get("precision") if self.data_type in ("text", "binary") else None
        one: dict[str, Callable[[Any], Any]] = {
            "text": self._text,
            "bigint": self._whole,
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
        self._one = one[self.data_type]

    def coerce(self, values: Sequence[Any]) -> tuple[pa.Array, dict[int, str]]:
        """The values in the column's type, and what is wrong with those that do not fit, by position.

        Args:
            values: of JSON, or of Python where a step of the user's has made them; None for NULL.

        Returns:
            An array of the same length, NULL where a value does not fit; and the errors.
        """
        kinds = set(map(type, values)) - {type(None)}
        if not kinds:
            return pa.nulls(len(values), self.arrow_type), {}
        try:
            column = self._column(values, kinds)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError):
            column = None  # at least one does not fit, or not as simply
        return (column, {}) if column is not None else self._one_by_one(values)

    def coerce_texts(self, texts: pa.Array) -> pa.Array | None:
        """Texts in the column's type, all at once; None where that needs a closer look.

        Raises:
            pa.ArrowInvalid: at least one does not fit, or not as simply.
        """
        if texts.null_count == len(texts):
            return pa.nulls(len(texts), self.arrow_type)
        if self.data_type in ("decimal", "wei", "date"):
            column = texts.cast(self.arrow_type)
            year_0 = self.data_type == "date" and pc.min(column.cast(pa.int32())).as_py() < _FIRST_DAY
            return None if year_0 else column
        if self.data_type == "timestamp":
            return self._timestamps(texts)
        if self.data_type == "text":
            too_long = self._length and pc.max(pc.utf8_length(texts)).as_py() > self._length
            return None if too_long else texts
        return None

    def _column(self, values: Sequence[Any], kinds: set[type]) -> pa.Array | None:
        """All of them at once; None where that needs a closer look."""
        if kinds == {str}:
            return self.coerce_texts(pa.array(values, pa.string()))
        if (kinds == {int} and self.data_type == "bigint") or (kinds == {bool} and self.data_type == "bool"):
            return pa.array(values, self.arrow_type)
        if kinds <= {int, float} and self.data_type == "double":
            doubles = pa.array(values, self.arrow_type)
            return doubles if pc.all(pc.is_finite(doubles)).as_py() else None
        return None

    def _timestamps(self, texts: pa.Array) -> pa.Array:
        """Of ISO 8601, all with a zone or all without."""
        unit = "ns" if self.arrow_type.unit == "ns" else "us"
        try:
            moments = texts.cast(pa.timestamp(unit, "UTC"))
        except pa.ArrowInvalid:
            moments = texts.cast(pa.timestamp(unit)).cast(pa.timestamp(unit, "UTC"))
        bounds = pc.min_max(moments.cast(pa.int64())).as_py()
        if unit == "us" and not _FIRST <= bounds["min"] <= bounds["max"] <= _LAST:
            raise pa.ArrowInvalid("its zone has moved it out of the years there are")
        if self.arrow_type.unit in ("s", "ms"):
            moments = pc.floor_temporal(moments, unit=_COARSE[self.arrow_type.unit])
        return moments.cast(self.arrow_type)

    def _one_by_one(self, values: Sequence[Any]) -> tuple[pa.Array, dict[int, str]]:
        coerced: list[Any] = []
        errors: dict[int, str] = {}
        for position, value in enumerate(values):
            try:
                coerced.append(None if value is None else self._one(value))
            except CoercionError as error:
                errors[position] = str(error)
                coerced.append(None)
        return pa.array(coerced, self.arrow_type), errors

    def _no(self, value: Any) -> CoercionError:
        return CoercionError(f"is {kind_of(value)} and no {self._name}")

    def _too_large(self) -> CoercionError:
        return CoercionError(f"is too large for {self._name}")

    def _text(self, value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            if abs(value) >= 10**_LONGEST_NUMBER:
                raise self._too_large()
            value = str(value)
        if not isinstance(value, str):
            raise self._no(value)
        if not is_unicode(value):
            raise CoercionError("is no valid Unicode")
        if self._length and len(value) > self._length:
            raise CoercionError(
                f"has {len(value):,} characters, and {self._name} has room for {self._length:,}"
            )
        return value

    def _digits(self, value: str, pattern: re.Pattern[str], longest: int) -> str:
        text = value.strip()
        if not pattern.fullmatch(text):
            raise self._no(value)
        if len(text) > longest:
            raise self._too_large()
        return text

    def _whole(self, value: Any) -> int:
        if isinstance(value, str):
            value = int(self._digits(value, _WHOLE, _LONGEST_WHOLE))
        if isinstance(value, (float, Decimal)):
            if not math.isfinite(value):
                raise self._no(value)
            if value != int(value):
                raise CoercionError(f"has a fraction, and {self._name} has none")
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._no(value)
        limit = 1 << (self.arrow_type.bit_width - 1)
        if not -limit <= value < limit:
            raise self._too_large()
        return value

    def _double(self, value: Any) -> float:
        if isinstance(value, str):
            if not _NUMBER.fullmatch(value.strip()):
                raise self._no(value)
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
            raise self._no(value)
        if not math.isfinite(value):
            raise self._too_large() if math.isinf(value) else self._no(value)
        return value

    def _bool(self, value: Any) -> bool:
        if isinstance(value, str):
            value = {"true": True, "false": False}.get(value.strip().lower(), value)
        if isinstance(value, int) and value in (0, 1):
            return bool(value)
        raise self._no(value)

    def _decimal(self, value: Any) -> Decimal:
        if isinstance(value, str):
            try:
                number = Decimal(self._digits(value, _NUMBER, _LONGEST_NUMBER))
            except InvalidOperation:  # an exponent beyond all bounds
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
            raise self._no(value)
        if not number.is_finite():
            raise self._no(value)
        return self._exact(number)

    def _exact(self, number: Decimal) -> Decimal:
        _, digits, exponent = number.as_tuple()
        assert isinstance(exponent, int)
        significant = len(digits)
        while significant > 1 and digits[significant - 1] == 0:
            significant -= 1
            exponent += 1
        if digits == (0,) or not any(digits):
            return Decimal(0)
        precision, scale = self.arrow_type.precision, self.arrow_type.scale
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
            raise self._no(value) from None
        if self.arrow_type.unit == "ns" and not 1678 <= moment.year <= 2261:
            raise self._too_large()
        moment = moment.replace(microsecond=self._cut_off(moment.microsecond))
        return moment if self.arrow_type.tz else moment.replace(tzinfo=None)

    def _moment(self, value: Any) -> datetime:
        if isinstance(value, str):
            return datetime.fromisoformat(value.strip())
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)  # dlt, too, takes a number for seconds since 1970
        if isinstance(value, datetime):
            return value
        if isinstance(value, date):
            return datetime.combine(value, time())
        raise self._no(value)

    def _date(self, value: Any) -> date:
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value.strip())
            except ValueError:
                raise self._no(value) from None
        if isinstance(value, datetime):
            if value.time() != time():
                raise CoercionError(f"has a time of day, and {self._name} has none")
            return value.date()
        if not isinstance(value, date):
            raise self._no(value)
        return value

    def _time(self, value: Any) -> time:
        if isinstance(value, str):
            try:
                value = time.fromisoformat(value.strip())
            except ValueError:
                raise self._no(value) from None
        if not isinstance(value, time):
            raise self._no(value)
        if value.tzinfo not in (None, UTC):
            raise CoercionError(f"has a zone, and {self._name} has none")
        return value.replace(microsecond=self._cut_off(value.microsecond), tzinfo=None)

    def _cut_off(self, microseconds: int) -> int:
        """What of them the column keeps."""
        unit = {"s": 1_000_000, "ms": 1_000}.get(self.arrow_type.unit, 1)
        return microseconds // unit * unit

    def _binary(self, value: Any) -> bytes:
        if isinstance(value, str):
            try:
                hexadecimal = value.startswith("0x")
                value = bytes.fromhex(value[2:]) if hexadecimal else base64.b64decode(value, validate=True)
            except (ValueError, binascii.Error):
                raise self._no(value) from None
        if not isinstance(value, bytes):
            raise self._no(value)
        if self._length and len(value) > self._length:
            raise CoercionError(f"has {len(value):,} bytes, and {self._name} has room for {self._length:,}")
        return value

    def _json(self, value: Any) -> str:
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            with suppress(ValueError):  # JSON within JSON, which dlt reads as well
                value = json.loads(value)
        return as_json(value)


def as_json(value: Any) -> str:
    """JSON as dlt writes it.

    Raises:
        CoercionError: it cannot be written: a whole number of more than 64 bits, or no valid Unicode.
    """
    try:
        return str(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        raise CoercionError(
            "cannot be kept as JSON: a number of more than 64 bits, no valid Unicode, or too deep"
        ) from None


def is_unicode(text: str) -> bool:
    """Whether it can be stored: JSON allows halves of characters, such as D800."""
    return text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text)

"""Coerces a whole column at once into its declared type, or value by value where that is needed.

The fast way takes only what Arrow converts without loss, and gives the same result as the rules for one value, which
are in `coercion_rules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from analytics_assets.ingestion.contract.coercion_rules import CoercionError, CoercionRules

_FLOOR_UNITS = {"s": "second", "ms": "millisecond"}

_FIRST_MOMENT, _LAST_MOMENT = (
    (one - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    for one in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
)
"""The first and last moment of years 1 to 9999, which Python and the warehouses know, in microseconds since 1970."""

_FIRST_DAY = (date(1, 1, 1) - date(1970, 1, 1)).days


class Coercer:
    """Coerces values into one declared column.

    Args:
        hints: dlt's hints of the column, `data_type` among them.
        arrow_type: the column's type in Arrow, for the destination.

    Attributes:
        arrow_type: as above.
        data_type: dlt's name of the type.
    """

    def __init__(self, hints: Mapping[str, Any], arrow_type: pa.DataType) -> None:
        rules = CoercionRules(hints, arrow_type)
        self.arrow_type = arrow_type
        self.data_type = rules.data_type
        self._max_length = rules.max_length
        self._coerce_one = rules.coerce

    def coerce(self, values: Sequence[Any]) -> tuple[pa.Array, dict[int, str]]:
        """The values in the column's type, and the reasons of those that it cannot hold, by position.

        Args:
            values: JSON values, or Python values where a user's processing step made them; None for NULL.

        Returns:
            An array of the same length, NULL where the type cannot hold a value; and the reasons.
        """
        types = set(map(type, values)) - {type(None)}
        if not types:
            return pa.nulls(len(values), self.arrow_type), {}
        try:
            column = self._all_at_once(values, types)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError):
            column = None  # at least one value is not simple: the rules decide
        return (column, {}) if column is not None else self._one_by_one(values)

    def coerce_texts(self, texts: pa.Array) -> pa.Array | None:
        """A column of texts in the column's type; None where the rules for one value must decide.

        Raises:
            pa.ArrowInvalid: Arrow cannot convert at least one text, so the rules for one value must decide.
        """
        if texts.null_count == len(texts):
            return pa.nulls(len(texts), self.arrow_type)
        if self.data_type in ("decimal", "wei", "date"):
            column = texts.cast(self.arrow_type)
            has_year_0 = self.data_type == "date" and pc.min(column.cast(pa.int32())).as_py() < _FIRST_DAY
            return None if has_year_0 else column
        if self.data_type == "timestamp":
            return self._timestamps(texts)
        if self.data_type == "text":
            is_too_long = self._max_length and pc.max(pc.utf8_length(texts)).as_py() > self._max_length
            return None if is_too_long else texts
        return None

    def _all_at_once(self, values: Sequence[Any], types: set[type]) -> pa.Array | None:
        if types == {str}:
            return self.coerce_texts(pa.array(values, pa.string()))
        if (types == {int} and self.data_type == "bigint") or (types == {bool} and self.data_type == "bool"):
            return pa.array(values, self.arrow_type)
        if types <= {int, float} and self.data_type == "double":
            doubles = pa.array(values, self.arrow_type)
            return doubles if pc.all(pc.is_finite(doubles)).as_py() else None
        return None

    def _timestamps(self, texts: pa.Array) -> pa.Array:
        """Timestamps from ISO 8601 texts, which must all have a time zone, or all have none."""
        unit = "ns" if self.arrow_type.unit == "ns" else "us"
        try:
            moments = texts.cast(pa.timestamp(unit, "UTC"))
        except pa.ArrowInvalid:
            moments = texts.cast(pa.timestamp(unit)).cast(pa.timestamp(unit, "UTC"))
        bounds = pc.min_max(moments.cast(pa.int64())).as_py()
        if unit == "us" and not _FIRST_MOMENT <= bounds["min"] <= bounds["max"] <= _LAST_MOMENT:
            raise pa.ArrowInvalid("a timestamp is outside the years 1 to 9999 in UTC")
        if self.arrow_type.unit in _FLOOR_UNITS:
            moments = pc.floor_temporal(moments, unit=_FLOOR_UNITS[self.arrow_type.unit])
        return moments.cast(self.arrow_type)

    def _one_by_one(self, values: Sequence[Any]) -> tuple[pa.Array, dict[int, str]]:
        coerced: list[Any] = []
        reasons: dict[int, str] = {}
        for position, value in enumerate(values):
            try:
                coerced.append(None if value is None else self._coerce_one(value))
            except CoercionError as error:
                reasons[position] = str(error)
                coerced.append(None)
        return pa.array(coerced, self.arrow_type), reasons

"""Coerces a column into its declared type: all values at once if possible, and otherwise value by value.

Arrow converts a whole column at once where it can. The rules in `coercion_rules.py` convert one value at a time, with
the same result.
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
"""The bounds of the years 1 to 9999, which Python and the warehouses support, in microseconds since 1970."""

_FIRST_DAY = (date(1, 1, 1) - date(1970, 1, 1)).days


class Coercer:
    """Coerces values into one declared column.

    Args:
        hints: dlt's hints of the column, which include `data_type`.
        arrow_type: the Arrow type of the column, which depends on the destination.
        stores_nul: whether the destination stores the character NUL in a text.

    Attributes:
        arrow_type: the Arrow type of the column.
        data_type: the dlt data type of the column.
    """

    def __init__(self, hints: Mapping[str, Any], arrow_type: pa.DataType, *, stores_nul: bool = True) -> None:
        rules = CoercionRules(hints, arrow_type, stores_nul=stores_nul)
        self._stores_nul = stores_nul
        self.arrow_type = arrow_type
        self.data_type = rules.data_type
        self._max_length = rules.max_length
        self._rules = rules
        self._is_key = bool(hints.get("primary_key"))

    @property
    def cut(self) -> int:
        """The number of timestamps that lost digits below the precision of the column."""
        return self._rules.cut

    def coerce(self, values: Sequence[Any]) -> tuple[pa.Array, dict[int, str]]:
        """Converts values to the column's type.

        Args:
            values: the values of one column, from JSON or from a processing step of the user; None stands for NULL.

        Returns:
            An array of the same length, with NULL in place of each value that the column's type cannot hold. Also a
            dict with the reason for each such NULL, by position in the array.
        """
        types = set(map(type, values)) - {type(None)}
        if not types:
            return pa.nulls(len(values), self.arrow_type), {}
        try:
            column = self._all_at_once(values, types)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError):
            column = None  # Arrow failed on one or more values, so `coercion_rules.py` converts the values one by one.
        return (column, {}) if column is not None else self._one_by_one(values)

    def coerce_texts(self, texts: pa.Array) -> pa.Array | None:
        """Converts texts to the column's type. Returns None if `coercion_rules.py` must convert the texts one by one.

        Raises:
            pa.ArrowInvalid: Arrow cannot convert one or more of the texts. The caller must then convert the values one
                by one.
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
            has_nul = not self._stores_nul and pc.any(pc.match_substring(texts, "\0")).as_py()
            return None if is_too_long or has_nul else texts
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
        """Converts ISO 8601 texts to timestamps. Arrow fails if only some of the texts have a time zone."""
        unit = "ns" if self.arrow_type.unit == "ns" else "us"
        try:
            moments = texts.cast(pa.timestamp(unit, "UTC"))
        except pa.ArrowInvalid:
            moments = texts.cast(pa.timestamp(unit)).cast(pa.timestamp(unit, "UTC"))
        bounds = pc.min_max(moments.cast(pa.int64())).as_py()
        if unit == "us" and not _FIRST_MOMENT <= bounds["min"] <= bounds["max"] <= _LAST_MOMENT:
            raise pa.ArrowInvalid("a timestamp is outside the years 1 to 9999 in UTC")
        if self.arrow_type.unit in _FLOOR_UNITS:
            whole = pc.floor_temporal(moments, unit=_FLOOR_UNITS[self.arrow_type.unit])
            cut = pc.sum(pc.not_equal(moments, whole)).as_py() or 0
            if cut and self._is_key:
                raise pa.ArrowInvalid("a part of the primary key would lose digits")
            self._rules.cut += cut
            moments = whole
        return moments.cast(self.arrow_type)

    def _one_by_one(self, values: Sequence[Any]) -> tuple[pa.Array, dict[int, str]]:
        coerced: list[Any] = []
        reasons: dict[int, str] = {}
        for position, value in enumerate(values):
            try:
                coerced.append(None if value is None else self._rules.coerce(value))
            except CoercionError as error:
                reasons[position] = str(error)
                coerced.append(None)
        return pa.array(coerced, self.arrow_type), reasons

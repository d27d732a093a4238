"""dlt's normalizer for rows with undeclared fields, with an exact conversion of values to the types of columns.

If the type of a column cannot hold a value without a change, dlt puts the value into a variant column, such as
`price__v_text`. dlt's own conversion would store 7 in a column of timestamps as `1970-01-01 00:00:07`. The stored
schema names this module, so the module and its class keep their names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec
from dlt.common.data_types.typing import TDataType
from dlt.common.json import json
from dlt.common.normalizers.json import TNormalizedRowIterator
from dlt.common.normalizers.json.relational import DataItemNormalizer as RelationalNormalizer
from dlt.common.schema import Schema
from dlt.common.schema.normalizers import configured_normalizers

from analytics_assets.ingestion.contract.coercion_rules import (
    ISO_MOMENT,
    CoercionError,
    as_json,
    digits_below_microseconds,
)
from analytics_assets.ingestion.contract.new_columns import count_new_columns
from analytics_assets.ingestion.raw_json import read_json

_ESCAPE = "\n"
"""The first character of the JSON of a number, text or flag in a declared JSON column. No JSON of an API begins so."""

_EMPTY_BYTES = json.loads(json.typed_dumps(b""))
"""How dlt's files of extracted rows hold bytes of length 0, which dlt then reads as this text."""

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_BIGINTS = range(-(2**63), 2**63)


def new_schema(name: str) -> Schema:
    """Creates a dlt schema whose rows go through the normalizer of this module."""
    normalizers = configured_normalizers(schema_name=name)
    normalizers["json"] = {"module": __name__}
    schema = Schema(name, normalizers)
    schema.remove_type_detection("iso_timestamp")  # the normalizer detects timestamps itself
    return schema


class DataItemNormalizer(RelationalNormalizer):
    """dlt's relational normalizer, which converts a value only if the conversion keeps the value."""

    def coerce_type(self, to_type: TDataType, from_type: TDataType, value: Any) -> Any:
        """Converts a value to the type of its column.

        Raises:
            ValueError: the type of the column cannot hold the value, so dlt uses a variant column.
        """
        if to_type == from_type:
            return super().coerce_type(to_type, from_type, value)
        if (to_type, from_type, value) == ("binary", "text", _EMPTY_BYTES):
            return b""
        if (to_type, from_type) == ("timestamp", "text"):
            moment = moment_of(value)
            if moment is None:
                raise ValueError(value)
            return moment
        keeps = _KEEPS.get((to_type, from_type))
        if keeps is None or not keeps(value):
            raise ValueError(value)
        return super().coerce_type(to_type, from_type, value)

    def normalize_data_item(self, item: Any, load_id: str, table_name: str) -> TNormalizedRowIterator:
        """Yields the rows of an item. A text with a moment becomes a timestamp if its column is new."""
        rows = super().normalize_data_item(item, load_id, table_name)
        with suppress(StopIteration):
            names, row = next(rows)
            while True:
                count_new_columns(self.schema.tables, names, row)
                self._detect_moments(names[0], row)
                descends = yield names, row
                names, row = rows.send(descends)

    def _detect_moments(self, table: str, row: Any) -> None:
        known = self.schema.tables.get(table, {}).get("columns", {})
        for name, value in row.items():
            if type(value) is str and "data_type" not in known.get(name, ()):
                row[name] = moment_of(value) or value


def moment_of(text: str) -> datetime | None:
    """Returns the moment that an ISO 8601 text with a day and a time means; None for any other text.

    As in dlt, a moment without a time zone is in UTC.
    """
    if len(text) <= len("20260105") or not ISO_MOMENT.fullmatch(text) or not _has_time(text):
        return None
    if digits_below_microseconds(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _has_time(text: str) -> bool:
    return "T" in text or " " in text


def _whole(value: Any) -> bool:
    return math.isfinite(value) and int(value) == value and int(value) in _BIGINTS


def _bigint_text(value: str) -> bool:
    return (
        len(value) <= 20
        and value.isascii()
        and value.lstrip("-").isdigit()
        and str(int(value)) == value
        and int(value) in _BIGINTS
    )


def _double_text(value: str) -> bool:
    try:
        number = float(value)
    except ValueError:
        return False
    return math.isfinite(number) and repr(number) == value


def _double_number(value: Any) -> bool:
    try:
        return bool(Decimal(repr(float(value))) == value)
    except OverflowError:
        return False


def _day_text(value: str) -> bool:
    try:
        return bool(_DAY.fullmatch(value) and date.fromisoformat(value))
    except ValueError:
        return False


def _time_text(value: str) -> bool:
    try:
        return time.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def escaped(scalar: str) -> str:
    """Returns the JSON of a number, text or flag so that the normalizer keeps it in a declared JSON column."""
    return _ESCAPE + as_json(scalar)


def _json_text(value: str) -> bool:
    if value[:1] == _ESCAPE:
        return value[1:2] == '"'
    if value[:1] not in ("{", "["):
        return False
    try:
        return as_json(read_json(value.encode())) == value
    except (msgspec.DecodeError, ValueError, RecursionError, CoercionError):
        return False


def _always(_: Any) -> bool:
    return True


_KEEPS: dict[tuple[TDataType, TDataType], Callable[[Any], bool]] = {
    **{
        ("text", kind): _always
        for kind in ("bigint", "double", "decimal", "wei", "timestamp", "date", "time", "json")
    },
    ("bigint", "text"): _bigint_text,
    ("bigint", "double"): _whole,
    ("bigint", "decimal"): _whole,
    ("double", "text"): _double_text,
    ("double", "bigint"): _double_number,
    ("double", "decimal"): _double_number,
    ("date", "text"): _day_text,
    ("time", "text"): _time_text,
    ("json", "text"): _json_text,
    ("decimal", "wei"): _always,
    ("wei", "decimal"): _always,
}
"""For each pair of a column's type and a value's type: whether the column holds the value without a change.

No pair has bool: `true` is neither 1 nor a text.
"""

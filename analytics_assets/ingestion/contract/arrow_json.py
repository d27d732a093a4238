"""Reads a page of JSON rows into Arrow columns, without intermediate Python objects.

`JsonReader` accepts a page only if all rows are good and all fields are declared. `validator.py` parses and checks the
rows of each page that `JsonReader` rejects. `JsonReader` passes only rows that are JSON objects to Arrow. If the first
row is `null`, Arrow crashes the process (pyarrow 26.0.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from analytics_assets.ingestion.contract.coercion import Coercer
from analytics_assets.ingestion.contract.columns import Contract
from analytics_assets.ingestion.contract.field_mapping import FieldPath
from analytics_assets.ingestion.raw_rows import is_utf_8

_AS_JSON = {
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    **dict.fromkeys(("text", "decimal", "wei", "timestamp", "date"), pa.string()),
}
"""The Arrow type that the JSON reader uses for each dlt type. `coercion.py` converts text afterwards."""

_EXACT_IN_DOUBLE = 2**53
"""The limit up to which a double stores each whole number exactly. A double may round larger whole numbers."""
_MAX_FAILURES = 3
_OPENING_BRACE = ord("{")


def reads_json(contract: Contract) -> bool:
    """Whether `JsonReader` can read the type of every declared column."""
    return bool(contract.typed) and all(
        column.hints["data_type"] in _AS_JSON for column in contract.columns if column.data_type
    )


class JsonReader:
    """Reads pages of JSON rows. Before `read`, the caller must pass the field paths of the columns to `learn`.

    Args:
        coercers: the coercers of the declared columns, by name.
    """

    def __init__(self, coercers: Mapping[str, Coercer]) -> None:
        self._coercers = coercers
        self._paths: dict[str, FieldPath] = {}
        self._options: pyarrow.json.ParseOptions | None = None
        self._failures = 0

    @property
    def gave_up(self) -> bool:
        """Whether the reader rejected so many pages in succession that another attempt would waste time."""
        return self._failures >= _MAX_FAILURES

    def learn(self, paths: Mapping[str, FieldPath]) -> None:
        """Stores, for each declared column, the path of the JSON field with the column's values."""
        if not paths.keys() <= self._paths.keys():
            self._paths = {**paths, **self._paths}
            self._options = None

    def read(self, rows: list[msgspec.Raw]) -> dict[str, pa.Array] | None:
        """Returns the columns of all rows; None if a row is bad or has an undeclared field."""
        if self.gave_up or not self._paths:
            return None
        lines = b"\n".join(rows)
        columns = None
        are_objects = set(map(itemgetter(0), map(bytes, rows))) == {_OPENING_BRACE}
        # Arrow would make a text of bytes that are no UTF-8.
        if are_objects and lines.count(b"\n") == len(rows) - 1 and is_utf_8(lines):
            columns = self._columns(lines, len(rows))
        self._failures = 0 if columns is not None else self._failures + 1
        return columns

    def _columns(self, lines: bytes, count: int) -> dict[str, pa.Array] | None:
        if self._options is None:
            schema = pa.schema(
                _fields(
                    {path: _AS_JSON[self._coercers[name].data_type] for name, path in self._paths.items()}
                )
            )
            self._options = pyarrow.json.ParseOptions(
                explicit_schema=schema, newlines_in_values=False, unexpected_field_behavior="error"
            )
        whole = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
        try:
            table = pyarrow.json.read_json(
                pa.BufferReader(lines), read_options=whole, parse_options=self._options
            )
            found = {name: self._coerce(name, _at(table, path)) for name, path in self._paths.items()}
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return None
        missing = {
            name: pa.nulls(count, one.arrow_type) for name, one in self._coercers.items() if name not in found
        }
        if len(table) != count or any(column is None for column in found.values()):
            return None
        columns = found | missing
        return {name: columns[name] for name in self._coercers}

    def _coerce(self, name: str, values: pa.Array) -> pa.Array | None:
        coercer = self._coercers[name]
        if coercer.data_type == "double":
            bounds = pc.min_max(values).as_py()
            safe = bounds["min"] is None or (
                -_EXACT_IN_DOUBLE < bounds["min"] <= bounds["max"] < _EXACT_IN_DOUBLE
            )
            return values if safe and not pc.any(pc.is_nan(values)).as_py() else None
        return coercer.coerce_texts(values) if values.type == pa.string() else values.cast(coercer.arrow_type)


def _fields(types: Mapping[FieldPath, pa.DataType]) -> list[pa.Field]:
    inner: dict[str, dict[FieldPath, pa.DataType]] = {}
    for (first, *rest), kind in types.items():
        inner.setdefault(first, {})[tuple(rest)] = kind
    return [
        pa.field(name, kinds[()] if () in kinds else pa.struct(_fields(kinds)))
        for name, kinds in inner.items()
    ]


def _at(table: pa.Table, path: FieldPath) -> Any:
    column = table[path[0]].combine_chunks()
    for field in path[1:]:
        column = pc.struct_field(column, field)
    return column

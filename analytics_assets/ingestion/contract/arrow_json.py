"""Rows from JSON to columns without a Python object between: for rows that are all declared, and all good.

What belongs here: what Arrow's JSON reader can be trusted with. It takes a page whole or not at all; `validator.py`
then looks at each row. It must never be given a line that is no object: it ends the process (pyarrow 26.0.1).
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

_AS_JSON = {
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    **dict.fromkeys(("text", "decimal", "wei", "timestamp", "date"), pa.string()),
}
"""What each type is read as: text is fitted afterwards, by the rules of `coercion.py`."""

_EXACT = 2**53  # whole numbers beyond are rounded in a double, without a word
_PATIENCE = 3
_OBJECT = ord("{")  # how one begins


def reads_json(contract: Contract) -> bool:
    """Whether every declared column is of a type that can be read here."""
    return bool(contract.typed) and all(
        column.hints["data_type"] in _AS_JSON for column in contract.columns if column.data_type
    )


class JsonReader:
    """Reads rows whose fields are known.

    Args:
        coercers: of the declared columns, by name.
    """

    def __init__(self, coercers: Mapping[str, Coercer]) -> None:
        self._coercers = coercers
        self._paths: dict[str, FieldPath] = {}
        self._options: pyarrow.json.ParseOptions | None = None
        self._failures = 0

    @property
    def gave_up(self) -> bool:
        """Whether too many pages in a row could not be read here: it would be work for nothing."""
        return self._failures >= _PATIENCE

    def learn(self, paths: Mapping[str, FieldPath]) -> None:
        """Takes in under which fields of a row the columns have been found, by name of the column."""
        if not paths.keys() <= self._paths.keys():
            self._paths |= paths
            self._options = None

    def read(self, rows: list[msgspec.Raw]) -> dict[str, pa.Array] | None:
        """The columns of all rows; None where one of them is not as it must be, or has more to it.

        Args:
            rows: JSON texts.
        """
        if self.gave_up or not self._paths:
            return None
        lines = b"\n".join(rows)
        columns = None
        are_objects = set(map(itemgetter(0), map(bytes, rows))) == {_OBJECT}
        if are_objects and lines.count(b"\n") == len(rows) - 1:
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
        return {name: (found | missing)[name] for name in self._coercers}

    def _coerce(self, name: str, values: pa.Array) -> pa.Array | None:
        coercer = self._coercers[name]
        if coercer.data_type == "double":
            bounds = pc.min_max(values).as_py()
            safe = bounds["min"] is None or (-_EXACT < bounds["min"] <= bounds["max"] < _EXACT)
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

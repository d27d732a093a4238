"""Rows of the API against the contract: what fits becomes Arrow, a whole column at once; what does not is told apart.

What belongs here: which field is which column, which rows are good, and what is wrong with the others. What a value
must be is `coercion.py`; what becomes of good and bad rows is `pipe_steps.py` and `quarantine.py`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import pyarrow as pa
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.libs.pyarrow import dlt_column_to_arrow_field

from analytics_assets.ingestion.contract.arrow_json import JsonReader
from analytics_assets.ingestion.contract.coercion import Coercer, as_json, is_unicode
from analytics_assets.ingestion.contract.columns import Column, Contract, field_name
from analytics_assets.ingestion.contract.unstorable import unstorable_in
from analytics_assets.ingestion.errors import UndeclaredFieldError
from analytics_assets.ingestion.json_kind import kind_of
from analytics_assets.ingestion.raw_json import read_row

Row = dict[str, Any]
Violation = tuple[str | None, str, Any]
"""What is wrong with a row: the column (None for the row as a whole), the reason and the value."""
Violations = dict[int, list[Violation]]
"""By position of the row."""

_NANOSECONDS = (pa.timestamp("ns"), pa.timestamp("ns", "UTC"))


@dataclass(frozen=True)
class Rejected:
    """A row that breaks the contract.

    Attributes:
        violations: what is wrong.
        row: as the API gave it, as JSON.
        values: of its columns that do fit, by name.
    """

    violations: tuple[Violation, ...]
    row: str
    values: Mapping[str, Any]

    @property
    def reason(self) -> str:
        """All that is wrong, in one sentence."""
        return "; ".join(f"{column} {why}" if column else why for column, why, _ in self.violations)


@dataclass(frozen=True)
class ValidationResult:
    """What became of some rows.

    Attributes:
        items: the good ones, for dlt: a table with the declared columns, or rows where there is more to them.
        rejected: the others.
    """

    items: pa.Table | list[Any]
    rejected: list[Rejected]


class Validator:
    """Holds rows against a contract.

    Args:
        resource: dlt resource name.
        contract: the declared columns.
        capabilities: of the destination, whose types the columns get.
        cursor: the incremental cursor as a column, where its type is known.
        required: further columns that must not be NULL, with the reason a person is told.
        kept: further fields, in names of the warehouse, that are not declared and stay as they are.
        as_rows: whether dlt must have rows, for it cannot do what is asked with Arrow.

    Attributes:
        undeclared: fields seen that are not declared, with the number of rows that had something there.
    """

    def __init__(
        self,
        resource: str,
        contract: Contract,
        capabilities: DestinationCapabilitiesContext,
        *,
        cursor: Column | None = None,
        required: Mapping[str, str] | None = None,
        kept: Sequence[str] = (),
        as_rows: bool = False,
    ) -> None:
        self._resource = resource
        self._mode = contract.undeclared
        typed = {column.name: column for column in contract.typed}
        if cursor is not None:
            typed.setdefault(cursor.name, cursor)
        fields = {
            name: dlt_column_to_arrow_field(one.hints, capabilities, "UTC") for name, one in typed.items()
        }
        self._schema = pa.schema(list(fields.values()))
        self._coercers = {name: Coercer(one.hints, fields[name].type) for name, one in typed.items()}
        self._json_reader = JsonReader(self._coercers)
        self._loose = {column.name for column in contract.columns if column.name not in typed} | set(kept)
        self._required = dict.fromkeys(contract.not_null, "") | dict(required or {})
        self._kinds: dict[str, str] = {}
        names = [*self._coercers, *self._loose]
        self._groups = {
            "__".join(parts[:depth])
            for parts in (n.split("__") for n in names)
            for depth in range(1, len(parts))
        }
        self._as_rows = as_rows or not typed
        self._declares = bool(contract.typed)
        self._sent: set[str] = set()
        self.undeclared: Counter[str] = Counter()

    @property
    def unsent(self) -> set[str]:
        """Declared columns that no row so far had a field for; none where there was no row."""
        return self._coercers.keys() - self._sent if self._sent else set()

    def read(self, rows: list[msgspec.Raw]) -> ValidationResult:
        """Tells good rows from bad ones, given as JSON: at once where all are good, else as `validate` does."""
        if not self._sent:
            self._learn([read_row(rows[0])])
        columns = self._json_reader.read(rows)
        if columns is not None and all(
            name in columns and not columns[name].null_count for name in self._required
        ):
            return ValidationResult(pa.Table.from_arrays(list(columns.values()), schema=self._schema), [])
        read = [read_row(row) for row in rows]
        if not self._json_reader.gave_up:
            self._learn(read)
        return self.validate(read)

    def _learn(self, rows: Sequence[Any]) -> None:
        """Which fields are which columns, from rows that have them."""
        for row in rows:
            if isinstance(row, dict):
                paths = {
                    name: path for name, path, _ in _leaves(row, "", self._groups) if name in self._coercers
                }
                self._json_reader.learn(paths)
                self._sent |= paths.keys()

    def validate(self, rows: list[Any]) -> ValidationResult:
        """Tells good rows from bad ones.

        Raises:
            UndeclaredFieldError: a field is not declared, and the contract is frozen.
        """
        violations: Violations = {}
        for position in [position for position, row in enumerate(rows) if not isinstance(row, dict)]:
            violations[position] = [
                (None, f"the row is {kind_of(rows[position])} and no object (is data_selector right?)", None)
            ]
        objects = [row if isinstance(row, dict) else {} for row in rows] if violations else rows
        found: dict[str, Sequence[Any]] = {}
        more = self._spread(objects, "", found, violations)
        self._sent |= found.keys()
        columns = []
        for name, coercer in self._coercers.items():
            values = found.get(name)
            column, errors = (
                coercer.coerce(values) if values else (pa.nulls(len(rows), coercer.arrow_type), {})
            )
            columns.append(column)
            for position, why in errors.items():
                violations.setdefault(position, []).append((name, why, values[position] if values else None))
            if name in self._required and column.null_count:
                self._missing(name, column.is_null().to_pylist(), objects, violations)
        for name in self._loose & self._required.keys():
            values = found.get(name) or [None] * len(rows)
            self._missing(
                name, [type(one) in (type(None), dict, list) for one in values], objects, violations
            )
            self._mixed(name, values, violations)
        table = pa.Table.from_arrays(columns, schema=self._nullable()) if columns else None
        as_rows = self._as_rows or more
        if as_rows:
            self._unstorable(objects, violations)
        return self._result(rows, objects, table, violations, as_rows=as_rows)

    def _result(
        self,
        rows: list[Any],
        objects: list[Row],
        table: pa.Table | None,
        violations: Mapping[int, list[Violation]],
        *,
        as_rows: bool,
    ) -> ValidationResult:
        rejected = [
            Rejected(
                tuple(violations[position]),
                _as_it_came(rows[position]),
                _to_python(table.slice(position, 1))[0] if table else {},
            )
            for position in sorted(violations)
        ]
        if rejected:
            good = [position not in violations for position in range(len(rows))]
            objects = [row for row, kept in zip(objects, good, strict=True) if kept]
            table = table.filter(pa.array(good)) if table else None
        if table is None:
            return ValidationResult(objects, rejected)
        if not objects:
            return ValidationResult([], rejected)
        table = table.cast(self._schema) if table.schema != self._schema else table
        if not as_rows:
            return ValidationResult(table, rejected)
        declared = self._for_normalizer(table)
        return ValidationResult(
            [{**self._rest(row, ""), **own} for row, own in zip(objects, declared, strict=True)], rejected
        )

    def _for_normalizer(self, table: pa.Table) -> list[Row]:
        """The declared columns as rows, which dlt's normalizer makes the same of."""
        rows = _to_python(table)
        for name in (name for name, coercer in self._coercers.items() if coercer.data_type == "json"):
            for row in rows:
                # It reads JSON columns given as text, and writes text that it has read as it is.
                if row[name] is not None and row[name][0] not in "[{":
                    row[name] = as_json(row[name])
        return rows

    def _nullable(self) -> pa.Schema:
        """The schema before bad rows are out of it."""
        return pa.schema([field.with_nullable(True) for field in self._schema])

    def _spread(
        self, rows: Sequence[Row], prefix: str, found: dict[str, Sequence[Any]], violations: Violations
    ) -> bool:
        """Finds the values of each declared column; whether there is more to the rows, for dlt to have."""
        shapes = Counter(map(tuple, rows))
        keys = dict.fromkeys(chain.from_iterable(shapes))
        if len(shapes) == 1:
            columns = dict(zip(keys, zip(*map(dict.values, rows), strict=True), strict=True))
        else:
            own = [key for key in keys if self._is_own(field_name(prefix, key))]
            columns = {key: tuple([row.get(key) for row in rows]) for key in own}
        more = False
        for key, values in columns.items():
            name = field_name(prefix, key)
            if name in self._coercers or name in self._loose:
                more = more or name in self._loose
                found[name] = _either(name, found.get(name), values, violations)
            elif name in self._groups:
                inner = [value if isinstance(value, dict) else {} for value in values]
                more = self._spread(inner, name, found, violations) or more
                more = self._odd(name, [one for one in values if not isinstance(one, dict)]) or more
            else:
                more = self._odd(name or key, values) or more
        strays: dict[str, list[Any]] = {}
        unknown = keys.keys() - columns.keys()
        for row in rows if unknown else ():
            for key in row.keys() & unknown:
                strays.setdefault(key, []).append(row[key])
        for key, found_here in strays.items():
            more = self._odd(field_name(prefix, key) or key, found_here) or more
        return more

    def _is_own(self, name: str) -> bool:
        return name in self._coercers or name in self._loose or name in self._groups

    def _odd(self, name: str, values: Sequence[Any]) -> bool:
        """Whether a field that is not declared has anything that dlt is to have."""
        if not self._declares:
            return True
        count = len(values) - sum(map(_is_nothing, values))
        if not count:
            return False
        self.undeclared[name] += count
        if self._mode == "freeze":
            raise UndeclaredFieldError(self._resource, name)
        return self._mode != "discard_value"

    def _missing(
        self,
        name: str,
        missing: Sequence[bool],
        rows: Sequence[Row],
        violations: Violations,
    ) -> None:
        for position, is_missing in enumerate(missing):
            known = violations.get(position, [])
            if is_missing and not any(column in (name, None) for column, _, _ in known):
                here = [value for one, _, value in _leaves(rows[position], "", self._groups) if one == name]
                what = "absent" if not here else "null" if here[0] is None else kind_of(here[0])
                why = f"is {what}{self._required[name]}"
                violations.setdefault(position, []).append((name, why, here[0] if here else None))

    def _mixed(self, name: str, values: Sequence[Any], violations: Violations) -> None:
        """Of a key without a declared type, what is of another kind than the first one was: dlt cannot load both."""
        for position, value in enumerate(values):
            if value is not None and position not in violations:
                kind = kind_of(value)
                first = self._kinds.setdefault(name, kind)
                if kind != first:
                    violations[position] = [
                        (name, f"is {kind}, and {first} before: declare its data_type", value)
                    ]

    def _unstorable(self, rows: Sequence[Row], violations: Violations) -> None:
        """Finds what dlt's normalizer would stumble over in fields that are not declared, or not wanted."""
        for position, row in enumerate(rows):
            if position in violations:
                continue
            rest = self._rest(row, "")
            unstorable = unstorable_in(rest)
            if any(field_name("", key) == "quarantine" for key, one in rest.items() if isinstance(one, list)):
                unstorable = "a list `quarantine`: the name of the table for rows that break the contract"
            if unstorable:
                violations[position] = [(None, f"the row has {unstorable}", None)]
            elif self._mode == "discard_row":
                leaves = _leaves(rest, "", self._groups)
                strays = [
                    (name, one) for name, _, one in leaves if name not in self._loose and not _is_nothing(one)
                ]
                why = "is not declared, and schema_contract is discard_row"
                if strays:
                    violations[position] = [(name, why, one) for name, one in strays]

    def _rest(self, row: Row, prefix: str) -> Row:
        """What of a row is in no declared column of a known type."""
        rest: Row = {}
        for key, value in row.items():
            name = field_name(prefix, key)
            if name in self._coercers:
                continue
            if name in self._groups and isinstance(value, dict):
                inner = self._rest(value, name)
                if inner:
                    rest[key] = inner
            elif name in self._loose or self._mode != "discard_value":
                rest[key] = value
        return rest


def _either(
    name: str, one: Sequence[Any] | None, other: Sequence[Any], violations: Violations
) -> Sequence[Any]:
    """Values of two fields that are one column: `orderId` and `order_id`. dlt drops one of them without a word."""
    if one is None:
        return other
    for position, (a, b) in enumerate(zip(one, other, strict=True)):
        if a is not None and b is not None and a != b:
            violations.setdefault(position, []).append((name, "is two fields, with two values", b))
    return [b if b is not None else a for a, b in zip(one, other, strict=True)]


def _is_nothing(value: Any) -> bool:
    """What dlt makes no column and no row of."""
    return value is None or (type(value) in (dict, list) and not value)


def _leaves(
    row: Row, prefix: str, groups: set[str], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """The fields of a row, in objects where columns are declared of these: name, path and value."""
    for key, value in row.items():
        name = field_name(prefix, key)
        if name in groups and isinstance(value, dict):
            yield from _leaves(value, name, groups, (*path, key))
        else:
            yield name, (*path, key), value


def _as_it_came(row: Any) -> str:
    text = json.dumps(row, ensure_ascii=False, default=str)
    return text if is_unicode(text) else json.dumps(row, default=str)


def _to_python(table: pa.Table) -> list[Row]:
    """Rows in types of Python, which knows no nanoseconds."""
    fields = [
        field.with_type(pa.timestamp("us", field.type.tz)) if field.type in _NANOSECONDS else field
        for field in table.schema
    ]
    rows: list[Row] = table.cast(pa.schema(fields), safe=False).to_pylist()
    return rows

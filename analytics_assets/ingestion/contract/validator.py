"""Validates rows of the API against the contract. Good rows become an Arrow table, and bad rows are rejected.

`field_mapping.py` maps fields to columns, and `coercion.py` converts values. `pipe_steps.py` passes good rows to dlt,
and `quarantine.py` stores bad rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.libs.pyarrow import dlt_column_to_arrow_field

from analytics_assets.ingestion.contract.arrow_json import JsonReader
from analytics_assets.ingestion.contract.coercion import Coercer
from analytics_assets.ingestion.contract.columns import Column, Contract
from analytics_assets.ingestion.contract.field_mapping import FieldMapping, FieldPath, Fields, Row
from analytics_assets.ingestion.contract.normalizer import escaped
from analytics_assets.ingestion.contract.rejected import Rejected, Violation
from analytics_assets.ingestion.contract.renames import Renames
from analytics_assets.ingestion.contract.unstorable import UndeclaredFields
from analytics_assets.ingestion.errors import UndeclaredFieldError
from analytics_assets.ingestion.json_kind import kind_of
from analytics_assets.ingestion.raw_json import read_row, write_json

_NANOSECONDS = (pa.timestamp("ns"), pa.timestamp("ns", "UTC"))

_VALUE = "value"
"""The column in which dlt stores an item that is not an object."""

_Violations = defaultdict[int, list[Violation]]
"""The violations of each bad row, by its position on the page."""


@dataclass(frozen=True)
class ValidationResult:
    """The good and the bad rows of a page.

    Attributes:
        items: the good rows for dlt: an Arrow table of the declared columns, or Python rows if there are other fields.
        rejected: the bad rows.
    """

    items: pa.Table | list[Any]
    rejected: list[Rejected]


class Validator:
    """Validates the rows of one resource.

    Args:
        resource: the dlt resource name.
        contract: the declared columns.
        capabilities: dlt's capabilities of the destination, which decide the Arrow types of the columns.
        cursor: the incremental cursor as a column; None if the type of the cursor is unknown.
        required: further columns that must not be NULL; by column name, a text that is added to the reason of a
            rejection.
        kept: the warehouse names of undeclared fields that dlt gets unchanged.
        as_rows: whether dlt needs Python rows in place of Arrow tables.
        renames: the new names of fields.

    Attributes:
        undeclared: the number of rows with a value, by name of each undeclared field.
    """

    def __init__(  # noqa: PLR0913  each parameter is a setting of the resource
        self,
        resource: str,
        contract: Contract,
        capabilities: DestinationCapabilitiesContext,
        *,
        cursor: Column | None = None,
        required: Mapping[str, str] | None = None,
        kept: Sequence[str] = (),
        as_rows: bool = False,
        renames: Renames | None = None,
    ) -> None:
        typed = {column.name: column for column in contract.typed}
        if cursor is not None:
            typed.setdefault(cursor.name, cursor)
        fields = {
            name: dlt_column_to_arrow_field(one.hints, capabilities, "UTC") for name, one in typed.items()
        }
        untyped = {column.name for column in contract.columns if column.name not in typed} | set(kept)
        self._resource = resource
        self._mode = contract.undeclared
        self._schema = pa.schema(list(fields.values()))
        stores_nul = capabilities.sqlglot_dialect != "postgres"
        self._coercers = {
            name: Coercer(one.hints, fields[name].type, stores_nul=stores_nul) for name, one in typed.items()
        }
        self._json_reader = JsonReader(self._coercers)
        self._mapping = FieldMapping(self._coercers, untyped)
        self._required = dict.fromkeys(contract.not_null, "") | dict(required or {})
        self._named_paths: dict[str, FieldPath] = {}
        self._first_kinds: dict[str, str] = {}
        self._as_rows = as_rows or not typed
        self._declares = bool(contract.typed)
        self._renames = renames or Renames({})
        self._undeclared_fields = UndeclaredFields(stores_nul=stores_nul)
        self._seen: set[str] = set()
        self.undeclared: Counter[str] = Counter()

    @property
    def unsent(self) -> set[str]:
        """The typed columns that no row has had so far; an empty set before the first row."""
        return self._coercers.keys() - self._seen if self._seen else set()

    @property
    def cut(self) -> dict[str, int]:
        """The number of timestamps that lost digits below the precision of their column, by column."""
        return {name: coercer.cut for name, coercer in self._coercers.items() if coercer.cut}

    def read(self, rows: list[msgspec.Raw]) -> ValidationResult:
        """Validates rows that are still JSON text. If all rows are good, Arrow reads the page directly into a table."""
        if not self._seen:
            self._learn([read_row(rows[0])])
        columns = self._json_reader.read(rows)
        if (
            columns is not None
            and all(name in columns and not columns[name].null_count for name in self._required)
            and all(
                columns[name].null_count == len(rows) or self._mapping.owns(name, path)
                for name, path in self._named_paths.items()
            )
        ):
            return ValidationResult(pa.Table.from_arrays(list(columns.values()), schema=self._schema), [])
        read = [read_row(row) for row in rows]
        if not self._json_reader.gave_up:
            self._learn(read)
        return self.validate(read)

    def validate(
        self, rows: list[Any], known: Mapping[int, list[Violation]] | None = None
    ) -> ValidationResult:
        """Separates good rows from bad rows.

        Args:
            rows: the parsed rows of a page.
            known: violations that were already found, by position of the row.

        Raises:
            UndeclaredFieldError: a field is not declared, and `schema_contract` is `freeze`.
        """
        violations: _Violations = defaultdict(list, known or {})
        objects = rows
        if set(map(type, rows)) != {dict}:
            objects = [self._as_object(row, violations[position]) for position, row in enumerate(rows)]
            violations = defaultdict(list, {position: one for position, one in violations.items() if one})
        if self._renames:
            renamed = [self._renames.apply(row) for row in objects]
            objects = [row for row, _ in renamed]
            for position, (_, problem) in enumerate(renamed):
                if problem:
                    violations[position].append(Violation(None, f"the row has {problem}", None))
        fields = self._mapping.collect(objects)
        self._seen |= fields.columns.keys()
        for position, name, reason, value in fields.conflicts:
            violations[position].append(Violation(name, reason, value))
        loads_undeclared = self._count_undeclared(fields)
        columns = self._coerce(objects, fields, violations)
        self._check_untyped(objects, fields, violations)
        table = pa.Table.from_arrays(columns, schema=self._nullable_schema()) if columns else None
        as_rows = self._as_rows or loads_undeclared or not self._mapping.untyped.isdisjoint(fields.columns)
        if as_rows:
            self._check_rest(objects, violations)
            self._check_nanoseconds(table, violations)
        bad = sorted(violations)
        values = _to_python(table.take(pa.array(bad))) if table and bad else [{} for _ in bad]
        rejected = [
            Rejected(tuple(violations[position]), write_json(rows[position]), found)
            for position, found in zip(bad, values, strict=True)
        ]
        if rejected:
            is_good = [position not in violations for position in range(len(rows))]
            objects = [row for row, good in zip(objects, is_good, strict=True) if good]
            table = table.filter(pa.array(is_good)) if table else None
        return ValidationResult(self._items(objects, table, as_rows=as_rows), rejected)

    @property
    def needs_whole_pages(self) -> bool:
        """Whether a page must be validated at once: Python rows lose nanoseconds, and one row decides for its page."""
        return any(field.type in _NANOSECONDS for field in self._schema)

    def _as_object(self, row: Any, violations: list[Violation]) -> Row:
        """Returns a row as an object. Numbers, texts and flags need a declared column `value`, which is dlt's name."""
        if isinstance(row, dict):
            return row
        takes_value = _VALUE in self._mapping.typed | self._mapping.untyped
        if takes_value and isinstance(row, (str, int, float)):
            return {_VALUE: row}
        reason = (
            f"the row is {kind_of(row)}, not an object (check data_selector, or declare a column `{_VALUE}`)"
        )
        violations.append(Violation(None, reason, None))
        return {}

    def _learn(self, rows: Sequence[Any]) -> None:
        """Finds in `rows` the field paths of the declared columns, and passes the paths to the JSON reader."""
        for row in rows:
            if isinstance(row, dict):
                renamed, _ = self._renames.apply(row)
                leaves = self._mapping.leaves(renamed)
                paths = {name: path for name, path, _ in leaves if name in self._coercers}
                for name, path in paths.items():
                    self._named_paths.setdefault(name, path)
                if self._renames:
                    paths = {name: self._renames.path_of(row, name) or path for name, path in paths.items()}
                self._json_reader.learn(paths)
                self._seen |= paths.keys()

    def _items(self, good: list[Row], table: pa.Table | None, *, as_rows: bool) -> pa.Table | list[Row]:
        """Returns the good rows for dlt.

        Python rows contain the coerced values, so that dlt loads the same values as from an Arrow table.
        """
        if table is None or not good:
            return good
        table = table.cast(self._schema) if table.schema != self._schema else table
        if not as_rows:
            return table
        typed = self._for_normalizer(table)
        return [{**self._rest(row), **values} for row, values in zip(good, typed, strict=True)]

    def _for_normalizer(self, table: pa.Table) -> list[Row]:
        """Returns the typed columns as Python rows, from which dlt loads the same values as from Arrow tables."""
        rows = _to_python(table)
        for name in (name for name, coercer in self._coercers.items() if coercer.data_type == "json"):
            for row in rows:
                # The normalizer parses a text that is a JSON object or list, and stores no other text in a JSON column.
                if row[name] is not None and row[name][0] not in "[{":
                    row[name] = escaped(row[name])
        return rows

    def _nullable_schema(self) -> pa.Schema:
        """Returns the schema for a table that still contains bad rows, with NULL allowed in every column."""
        return pa.schema([field.with_nullable(True) for field in self._schema])

    def _count_undeclared(self, fields: Fields) -> bool:
        """Counts the rows with a value for each undeclared field. Returns whether dlt loads any undeclared field."""
        if not self._declares:
            return bool(fields.undeclared)
        loads = False
        for name, values in fields.undeclared:
            count = len(values) - sum(map(_is_empty, values))
            if count:
                self.undeclared[name] += count
                if self._mode == "freeze":
                    raise UndeclaredFieldError(self._resource, name)
                loads = self._mode != "discard_value"
        return loads

    def _coerce(self, rows: Sequence[Row], fields: Fields, violations: _Violations) -> list[pa.Array]:
        """Returns the typed columns, with NULL in place of each wrong value."""
        columns = []
        for name, coercer in self._coercers.items():
            values = fields.columns.get(name)
            column, reasons = (
                coercer.coerce(values) if values else (pa.nulls(len(rows), coercer.arrow_type), {})
            )
            columns.append(column)
            for position, reason in reasons.items():
                violations[position].append(Violation(name, reason, values[position] if values else None))
            if name in self._required and column.null_count:
                self._check_required(name, column.is_null().to_pylist(), rows, violations)
        return columns

    def _check_required(
        self, name: str, is_missing: Sequence[bool], rows: Sequence[Row], violations: _Violations
    ) -> None:
        for position, missing in enumerate(is_missing):
            if not missing:
                continue
            if position in violations and any(one.column in (name, None) for one in violations[position]):
                continue
            found = [value for leaf, _, value in self._mapping.leaves(rows[position]) if leaf == name]
            what = "absent" if not found else "null" if found[0] is None else kind_of(found[0])
            violation = Violation(name, f"is {what}{self._required[name]}", found[0] if found else None)
            violations[position].append(violation)

    def _check_untyped(self, rows: Sequence[Row], fields: Fields, violations: _Violations) -> None:
        """Checks each required column without a declared type.

        The values of the column must not be NULL, and must all be of one JSON kind, such as text or number.
        """
        for name in self._mapping.untyped & self._required.keys():
            values = fields.columns.get(name) or [None] * len(rows)
            is_missing = [type(one) in (type(None), dict, list) for one in values]
            self._check_required(name, is_missing, rows, violations)
            for position, value in enumerate(values):
                if value is None or position in violations:
                    continue
                kind = kind_of(value)
                first = self._first_kinds.setdefault(name, kind)
                if kind != first:
                    reason = f"is {kind}, but was {first} in an earlier row: declare its data_type"
                    violations[position].append(Violation(name, reason, value))

    def _check_rest(self, rows: Sequence[Row], violations: _Violations) -> None:
        """Checks the fields without a typed column: the contract must allow them, and dlt must support the values."""
        for position, row in enumerate(rows):
            if position in violations:
                continue
            rest = self._rest(row)
            problem = self._undeclared_fields.problem_of(rest)
            if problem:
                violations[position].append(Violation(None, f"the row has {problem}", None))
            elif self._mode == "discard_row":
                reason = "is not declared, and schema_contract is discard_row"
                undeclared = [
                    Violation(name, reason, value)
                    for name, _, value in self._mapping.leaves(rest)
                    if name not in self._mapping.untyped and not _is_empty(value)
                ]
                if undeclared:
                    violations[position] = undeclared

    def _check_nanoseconds(self, table: pa.Table | None, violations: _Violations) -> None:
        """Rejects rows with nanoseconds, because a Python row holds microseconds."""
        if table is None:
            return
        for field in self._schema:
            if field.type in _NANOSECONDS:
                reason = "has nanoseconds, which are only kept if all fields are declared: declare the others"
                for position, value in enumerate(table[field.name].cast(pa.int64()).to_pylist()):
                    if value and value % 1000:
                        violations[position].append(Violation(field.name, reason, None))

    def _rest(self, row: Row) -> Row:
        return self._mapping.untyped_part(row, with_undeclared=self._mode != "discard_value")


def _is_empty(value: Any) -> bool:
    """Whether a value is null, an empty list or an empty object.

    dlt makes no column and no child row from null or an empty value.
    """
    return value is None or (type(value) in (dict, list) and not value)


def _to_python(table: pa.Table) -> list[Row]:
    """Converts the rows of a table to Python objects.

    Cuts timestamps to microseconds, because Python has no nanoseconds.
    """
    fields = [
        field.with_type(pa.timestamp("us", field.type.tz)) if field.type in _NANOSECONDS else field
        for field in table.schema
    ]
    rows: list[Row] = table.cast(pa.schema(fields), safe=False).to_pylist()
    return rows

"""The contract of a resource: the declared columns from dlt's `columns` hints, under their warehouse names.

The validator, the dlt schema, the Dagster UI and the asset checks all use the class `Contract`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, cast

from dlt.common.schema import Schema
from dlt.common.schema.typing import TColumnSchema, TTableSchemaColumns
from dlt.extract.resource import DltResource
from dlt.extract.utils import ensure_table_schema_columns

from analytics_assets.ingestion.errors import UnfitResourceError

_NAMING = Schema("naming").naming

Undeclared = Literal["evolve", "discard_value", "discard_row", "freeze"]
"""The modes for undeclared fields, which are dlt's modes of `schema_contract.columns`."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One declared column.

    Attributes:
        name: the warehouse name of the column.
        data_type: the declared type in words, such as `decimal(18, 2)`; None for a column without a declared type.
        nullable: whether the user allows NULL; a row with a forbidden NULL goes to quarantine.
        primary_key: whether the column is part of the primary key.
        unique: whether the values of the column are declared unique.
        description: the user's description of the column.
        hints: the column hints for dlt, with NOT NULL only on the primary key.
    """

    name: str
    data_type: str | None
    nullable: bool
    primary_key: bool
    unique: bool
    description: str | None
    hints: TColumnSchema = field(compare=False)


@dataclass(frozen=True)
class Contract:
    """The declared columns of one resource, in order of declaration.

    Attributes:
        columns: the declared columns, and the primary key columns even without a declaration.
        undeclared: what happens to undeclared fields, as a mode of dlt's `schema_contract`.
    """

    columns: tuple[Column, ...]
    undeclared: Undeclared = "evolve"

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The names of the primary key columns."""
        return tuple(column.name for column in self.columns if column.primary_key)

    @property
    def not_null(self) -> tuple[str, ...]:
        """The names of the columns declared `nullable: false`, and of the primary key columns."""
        return tuple(column.name for column in self.columns if not column.nullable)

    @property
    def typed(self) -> tuple[Column, ...]:
        """The columns of the contract that have a declared type."""
        return tuple(column for column in self.columns if column.data_type)

    @property
    def typed_key(self) -> tuple[Column, ...]:
        """The primary key columns if all of them have a declared type, and otherwise an empty tuple."""
        key = tuple(column for column in self.columns if column.primary_key)
        return key if all(column.data_type for column in key) else ()

    def column(self, name: str) -> Column | None:
        """Returns the declared column with this warehouse name; None if there is no such column."""
        return next((column for column in self.columns if column.name == name), None)


def contract_of(resource: DltResource, schema_contract: Any = None) -> Contract:
    """Reads the contract from a resource that dlt built from the config.

    The contract ignores hints that dlt itself added, such as NOT NULL on a cursor.

    Args:
        resource: the dlt resource.
        schema_contract: dlt's `schema_contract` as the user wrote it: one mode, or separate modes for tables, columns
            and data_type.

    Raises:
        UnfitResourceError: two declared columns have the same warehouse name, or a column has a name that dlt reserves.
    """
    written = ensure_table_schema_columns(cast(TTableSchemaColumns, resource.columns or {}))
    known = resource.compute_table_schema()["columns"]
    _refuse_clashes(resource.name, written)
    mode = schema_contract.get("columns") if isinstance(schema_contract, Mapping) else schema_contract
    return Contract(
        tuple(
            _column(name, {**hints, "nullable": written.get(name, {}).get("nullable", True)})
            for name, hints in known.items()
            if name in written or hints.get("primary_key")
        ),
        # For a resource without declared columns, dlt itself applies `schema_contract` to the table.
        cast(Undeclared, mode) if mode and written else "evolve",
    )


def _refuse_clashes(resource: str, written: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for column in written:
        name = _NAMING.normalize_path(column)
        if name.startswith("_dlt_"):
            raise UnfitResourceError(
                resource, f"the declared column `{column}` is one of dlt's own", "Remove it"
            )
        other = seen.setdefault(name, column)
        if other != column:
            raise UnfitResourceError(
                resource,
                f"the declared columns `{other}` and `{column}` are one column, `{name}`",
                "Remove one of them",
            )


def column_name(path: str) -> str:
    """Returns the warehouse name of a field, or of nested fields with dots: `buyer.id` becomes `buyer__id`."""
    return nested_name(*path.split("."))


def table_name(name: str) -> str:
    """Returns the warehouse name of a table."""
    return _NAMING.normalize_tables_path(name)


def nested_name(*fields: str) -> str:
    """Returns the warehouse name of a nested field, from the field names on its path, outermost first.

    As in dlt, `__` in the name of a field stays, so `a__b` and the field `b` of the object `a` have one name.

    Raises:
        ValueError: the name of a field is empty.
    """
    if not all(one.strip() for one in fields):
        raise ValueError("a field without a name")
    return _NAMING.make_path(*(_NAMING.normalize_path(one) for one in fields))


@lru_cache(maxsize=10_000)
def field_name(prefix: str, field: str) -> str:
    """Returns the warehouse name of a field in the object `prefix`.

    Without `prefix`, the field is at the top level of a row. Returns an empty text if dlt gives the field no name.
    """
    try:
        return f"{prefix}__{nested_name(field)}" if prefix else nested_name(field)
    except ValueError:
        return ""


def data_type_name(column: Mapping[str, Any] | TColumnSchema) -> str:
    """Returns a column's type in words, such as `decimal(18, 2)`, `timestamp` or `text`."""
    sizes = [str(column[key]) for key in ("precision", "scale") if column.get(key) is not None]
    name = column.get("data_type") or "text"
    return f"{name}({', '.join(sizes)})" if sizes else str(name)


def _column(name: str, hints: TColumnSchema) -> Column:
    primary_key = bool(hints.get("primary_key"))
    normalized = _NAMING.normalize_path(name)
    nullable = bool(hints.get("nullable", True)) and not primary_key
    return Column(
        name=normalized,
        data_type=data_type_name(hints) if "data_type" in hints else None,
        nullable=nullable,
        primary_key=primary_key,
        unique=bool(hints.get("unique")) or primary_key,
        description=hints.get("description"),
        hints={**hints, "name": normalized, "nullable": not primary_key},
    )

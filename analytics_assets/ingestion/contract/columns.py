"""The declared columns of a resource: one description, read by the parser, the DDL, the UI and the checks.

What belongs here: what dlt's `columns` hints say, in names as they are in the warehouse.
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
"""What becomes of a field that is not declared: dlt's modes of `schema_contract.columns`."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One declared column.

    Attributes:
        name: in the warehouse.
        data_type: as people write it; None where none is declared.
        nullable: what the user declared. The warehouse enforces it on the primary key alone; rows that break it
            elsewhere go to quarantine.
        primary_key: whether it is part of it.
        unique: as declared.
        description: as declared.
        hints: as dlt gets them: NOT NULL on the primary key alone.
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
        columns: of the table, the primary key among them, written or not.
        undeclared: what becomes of other fields.
    """

    columns: tuple[Column, ...]
    undeclared: Undeclared = "evolve"

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Names of the primary-key columns."""
        return tuple(column.name for column in self.columns if column.primary_key)

    @property
    def not_null(self) -> tuple[str, ...]:
        """Names of the columns declared `nullable: false`, the primary key included."""
        return tuple(column.name for column in self.columns if not column.nullable)

    @property
    def typed(self) -> tuple[Column, ...]:
        """The columns with a declared type."""
        return tuple(column for column in self.columns if column.data_type)

    @property
    def typed_key(self) -> tuple[Column, ...]:
        """The primary-key columns, where all have a declared type; none otherwise."""
        key = tuple(column for column in self.columns if column.primary_key)
        return key if all(column.data_type for column in key) else ()

    def column(self, name: str) -> Column | None:
        """The declared column of that warehouse name."""
        return next((column for column in self.columns if column.name == name), None)


def contract_of(resource: DltResource, schema_contract: Any = None) -> Contract:
    """Reads the contract off a resource built from the config as written.

    dlt adds hints of its own to what is written, such as NOT NULL on a cursor: only what is written counts.

    Args:
        resource: the resource.
        schema_contract: dlt's hint of that name, as written: a mode, or a mode each for tables, columns and data_type.

    Raises:
        UnfitResourceError: two declared columns are one in the warehouse, or one is dlt's own.
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
        # Without columns there is nothing to hold fields against: the table's own are dlt's to compare with.
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
    """The warehouse name of a field, or of fields joined by dots: `buyer.id` is `buyer__id`."""
    return nested_name(*path.split("."))


def table_name(name: str) -> str:
    """The warehouse name of a table."""
    return _NAMING.normalize_tables_path(name)


def nested_name(*fields: str) -> str:
    """The warehouse name of a field in a field in a field.

    Raises:
        ValueError: one of them is empty.
    """
    return _NAMING.make_path(*(_NAMING.normalize_identifier(one) for one in fields))


@lru_cache(maxsize=10_000)
def field_name(prefix: str, field: str) -> str:
    """The warehouse name of a field, in the object of that warehouse name if any; empty where it can have none."""
    try:
        return f"{prefix}__{nested_name(field)}" if prefix else nested_name(field)
    except ValueError:
        return ""


def data_type_name(column: Mapping[str, Any] | TColumnSchema) -> str:
    """A column's type as people write it: `decimal(18, 2)`, `timestamp`, `text`."""
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

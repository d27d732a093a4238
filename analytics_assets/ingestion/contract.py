"""The declared columns of a resource: one description, read by the DDL, the UI and the checks.

What belongs here: what dlt's `columns` hints say, in names as they are in the warehouse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from dlt.common.schema import Schema
from dlt.common.schema.typing import TColumnSchema, TTableSchemaColumns
from dlt.extract.resource import DltResource
from dlt.extract.utils import ensure_table_schema_columns

_NAMING = Schema("naming").naming


@dataclass(frozen=True)
class Column:
    """One declared column.

    `nullable` is what the user declared; the warehouse enforces it on the primary key alone, and the
    `schema_nullability` check watches over the rest.
    """

    name: str
    data_type: str | None
    nullable: bool
    primary_key: bool
    unique: bool
    description: str | None


@dataclass(frozen=True)
class Contract:
    """The declared columns of one resource, in order of declaration."""

    columns: tuple[Column, ...]

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Names of the primary-key columns."""
        return tuple(column.name for column in self.columns if column.primary_key)

    @property
    def not_null(self) -> tuple[str, ...]:
        """Names of the columns declared `nullable: false`, the primary key included."""
        return tuple(column.name for column in self.columns if not column.nullable)

    def column(self, name: str) -> Column | None:
        """The declared column of that warehouse name."""
        return next((column for column in self.columns if column.name == name), None)


def contract_of(resource: DltResource) -> Contract:
    """Reads the contract off a resource built from the config as written.

    dlt adds hints of its own to what is written, such as NOT NULL on a cursor: only what is written counts.
    """
    written = ensure_table_schema_columns(cast(TTableSchemaColumns, resource.columns or {}))
    known = resource.compute_table_schema()["columns"]
    return Contract(
        tuple(
            _column(name, {**hints, "nullable": written.get(name, {}).get("nullable", True)})
            for name, hints in known.items()
            if name in written or hints.get("primary_key")
        )
    )


def column_name(path: str) -> str:
    """The warehouse name of a field, or of fields joined by dots: `buyer.id` is `buyer__id`."""
    return _NAMING.make_path(*(_NAMING.normalize_identifier(part) for part in path.split(".")))


def data_type_name(column: Mapping[str, Any] | TColumnSchema) -> str:
    """A column's type as people write it: `decimal(18, 2)`, `timestamp`, `text`."""
    sizes = [str(column[key]) for key in ("precision", "scale") if column.get(key) is not None]
    name = column.get("data_type") or "text"
    return f"{name}({', '.join(sizes)})" if sizes else str(name)


def _column(name: str, hints: TColumnSchema) -> Column:
    primary_key = bool(hints.get("primary_key"))
    return Column(
        name=_NAMING.normalize_path(name),
        data_type=data_type_name(hints) if "data_type" in hints else None,
        nullable=bool(hints.get("nullable", True)) and not primary_key,
        primary_key=primary_key,
        unique=bool(hints.get("unique")) or primary_key,
        description=hints.get("description"),
    )

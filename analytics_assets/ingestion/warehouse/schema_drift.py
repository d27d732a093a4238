"""Finds differences between the declared columns and the table schema that dlt has stored.

What belongs here: declared types that the table cannot store, and stored hints that the `defs.yaml` no longer has. The
validator finds undeclared fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.libs.pyarrow import dlt_column_to_arrow_field
from dlt.common.schema import Schema
from dlt.common.schema.utils import get_nested_tables
from dlt.destinations.job_client_impl import SqlJobClientBase

from analytics_assets.ingestion.contract.columns import Contract, data_type_name
from analytics_assets.ingestion.errors import ColumnTypeChangedError

_OF_A_MERGE = ("hard_delete", "dedup_sort", "merge_key")


def forget_hints(schema: Schema, table: str) -> None:
    """Removes the merge hints from a restored schema, so that only the merge hints of the `defs.yaml` apply.

    When dlt updates a schema, dlt adds the hints of the `defs.yaml`, and removes no stored hint. With an old
    `hard_delete` hint, dlt would leave out rows that the sync must load.

    Args:
        schema: the schema that was restored from the destination.
        table: the table name in the warehouse.
    """
    for column in schema.tables.get(table, {}).get("columns", {}).values():
        for hint in _OF_A_MERGE:
            column.pop(hint, None)  # type: ignore[misc]


def retyped_columns(
    schema: Schema, table: str, contract: Contract, capabilities: DestinationCapabilitiesContext
) -> dict[str, tuple[str, str]]:
    """Returns the columns whose declared type the table cannot store: the stored type and the declared type, by name.

    Args:
        schema: the schema that was restored from the destination.
        table: the table name in the warehouse.
        contract: the declared columns of the resource.
        capabilities: the capabilities of the destination.
    """
    stored = schema.tables.get(table, {}).get("columns", {})
    return {
        column.name: (data_type_name(stored[column.name]), str(column.data_type))
        for column in contract.typed
        if column.name in stored and not _takes(capabilities, stored[column.name], column.hints)
    }


def variant_columns(schema: Schema, table: str) -> dict[str, str]:
    """Returns dlt's variant columns of a table and of its child tables.

    A variant column has the values of a field that the field's own column cannot hold.

    Args:
        schema: the schema after a load.
        table: the table name in the warehouse.

    Returns:
        The type of the field's own column, by `table.column` of the variant column.
    """
    if table not in schema.tables:
        return {}
    found = {}
    for one in get_nested_tables(schema.tables, table):
        columns = one["columns"]
        for name, column in columns.items():
            own = name.rpartition("__v_")[0]
            if column.get("variant") and own:
                found[f"{one['name']}.{name}"] = data_type_name(columns.get(own, {}))
    return found


def refuse_retyped(
    client: SqlJobClientBase, resource: str, table: str, retyped: Mapping[str, tuple[str, str]]
) -> None:
    """Fails the sync if the table exists with other column types than the declared ones.

    Args:
        client: an open client of the destination.
        resource: the dlt resource name.
        table: the table name in the warehouse.
        retyped: the result of `retyped_columns`.

    Raises:
        ColumnTypeChangedError: the table exists with other column types than the declared ones.
    """
    if not client.get_storage_table(table)[0]:
        return  # no load has brought a row
    name = client.sql_client.make_qualified_table_name(table)
    raise ColumnTypeChangedError(resource, name, dict(retyped))


def _takes(
    capabilities: DestinationCapabilitiesContext, stored: Mapping[str, Any], declared: Mapping[str, Any]
) -> bool:
    """Whether a column of the table can store every value of the declared type."""
    if "data_type" not in stored:
        return True  # the stored column never had a value, so the table does not have the column yet
    if stored["data_type"] != declared["data_type"]:
        return False
    there = dlt_column_to_arrow_field({"name": "c", **stored}, capabilities, "UTC").type  # type: ignore[typeddict-item]
    here = dlt_column_to_arrow_field({"name": "c", **declared}, capabilities, "UTC").type  # type: ignore[typeddict-item]
    if stored["data_type"] in ("decimal", "wei"):
        whole = there.precision - there.scale >= here.precision - here.scale
        return bool(whole and there.scale >= here.scale)
    if stored["data_type"] == "bigint":
        return bool(there.bit_width >= here.bit_width)
    if stored["data_type"] == "timestamp":
        units = ("s", "ms", "us", "ns")
        return there.tz == here.tz and units.index(there.unit) >= units.index(here.unit)
    return True

"""Differences between the declared columns and the schema that dlt has stored of a table.

What belongs here: types that the table cannot take, and hints that the file no longer has. The validator finds fields
that are not declared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.libs.pyarrow import dlt_column_to_arrow_field
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.contract.columns import Contract, data_type_name
from analytics_assets.ingestion.errors import ColumnTypeChangedError

_OF_A_MERGE = ("hard_delete", "dedup_sort", "merge_key")


def forget_hints(pipeline: Pipeline, table: str) -> None:
    """Removes from a restored schema the hints that say how rows are merged. The file says that.

    dlt adds hints to those it has stored, and removes none. Rows that an old `hard_delete` leaves out would be lost.

    Args:
        pipeline: with its schema restored from the destination.
        table: in the warehouse.
    """
    if pipeline.default_schema_name:
        for column in pipeline.default_schema.tables.get(table, {}).get("columns", {}).values():
            for hint in _OF_A_MERGE:
                column.pop(hint, None)


def retyped_columns(pipeline: Pipeline, table: str, contract: Contract) -> dict[str, tuple[str, str]]:
    """Columns that the table cannot take as they are declared now. By name: the type it has, and the declared type.

    Args:
        pipeline: with its schema restored from the destination.
        table: in the warehouse.
        contract: its declared columns.
    """
    if not pipeline.default_schema_name:
        return {}  # nothing was ever loaded
    stored = pipeline.default_schema.tables.get(table, {}).get("columns", {})
    capabilities = pipeline.destination.capabilities()  # dlt resolves them at each call, in milliseconds
    return {
        column.name: (data_type_name(stored[column.name]), str(column.data_type))
        for column in contract.typed
        if column.name in stored and not _takes(capabilities, stored[column.name], column.hints)
    }


def refuse_retyped(
    pipeline: Pipeline, resource: str, table: str, retyped: Mapping[str, tuple[str, str]]
) -> None:
    """Fails unless the table is gone, so that dlt can make it again.

    Args:
        pipeline: as above.
        resource: dlt resource name.
        table: in the warehouse.
        retyped: as `retyped_columns` gives them.

    Raises:
        ColumnTypeChangedError: the table is there.
    """
    with pipeline.destination_client() as client:
        assert isinstance(client, SqlJobClientBase)
        if not client.get_storage_table(table)[0]:
            _drop_staging(client, table)
            return
        name = client.sql_client.make_qualified_table_name(table)
    raise ColumnTypeChangedError(resource, name, dict(retyped))


def _drop_staging(client: SqlJobClientBase, table: str) -> None:
    """Drops the copy that dlt merges from, which has the columns of the table that is gone."""
    with client.sql_client.with_staging_dataset():
        if client.sql_client.has_dataset():
            name = client.sql_client.make_qualified_table_name(table)
            client.sql_client.execute_sql(f"DROP TABLE IF EXISTS {name}")


def _takes(
    capabilities: DestinationCapabilitiesContext, stored: Mapping[str, Any], declared: Mapping[str, Any]
) -> bool:
    """Whether a column of the table can take every value of the declared type."""
    if "data_type" not in stored:
        return True  # it has never had a value, so the table does not have it yet
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

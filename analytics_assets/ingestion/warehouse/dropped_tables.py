"""Tables and columns that somebody dropped, although dlt's stored schema still has them.

dlt creates a table only if its schema changes, so without this module each load into a dropped table would fail.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from dlt.common.schema import Schema
from dlt.common.schema.utils import has_table_seen_data
from dlt.destinations.job_client_impl import SqlJobClientBase

from analytics_assets.ingestion.warehouse.load_order import column_names
from analytics_assets.ingestion.warehouse.table_owner import family

_REPAIRED = "x-repaired-at"
"""The hint that changes the version of a schema, so that dlt compares it with the tables at the next load."""


def repair(client: SqlJobClientBase, schema: Schema, pipeline_name: str, table: str) -> bool:
    """Prepares the destination and the schema for a load, if a table or a column was dropped.

    If the table is gone, the destination forgets the resource: its state, its schema, its child tables and the list of
    its loads. The next load is then a first load, also after a kill.
    If only a child table, the quarantine or a column is gone, the next load creates it again.

    Args:
        client: an open client of the destination.
        schema: the restored schema of the resource.
        pipeline_name: the name of the dlt pipeline.
        table: the table name in the warehouse.

    Returns:
        Whether the destination forgot the resource.
    """
    if table not in schema.tables:
        return False
    tables = family(schema, table)
    known = [str(one["name"]) for one in schema.data_tables() if has_table_seen_data(one)]
    if not known:
        return False
    found: dict[str, Mapping[str, Any]] = dict(client.get_storage_tables(known))
    if table in known and not found[table]:
        _forget(client, schema.name, pipeline_name, table, tables)
        return True
    if _lacks_any(schema, found, known):
        schema.tables[table][_REPAIRED] = f"{time.time():.6f}"  # type: ignore[literal-required]
    _repair_staging(client, schema, tables)
    return False


def _lacks_any(schema: Schema, found: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> bool:
    """Whether a table, or one of its columns, is not in the destination."""
    return any(not found[one] or schema.get_table_columns(one).keys() - found[one].keys() for one in names)


def _repair_staging(client: SqlJobClientBase, schema: Schema, tables: list[str]) -> None:
    """Lets the next load make staging tables again that somebody dropped, without the rest of the staging dataset."""
    sql = client.sql_client
    with sql.with_staging_dataset():
        names = [one for one in tables if has_table_seen_data(schema.tables[one])]
        if not sql.has_dataset() or not client.get_storage_table(schema.version_table_name)[0]:
            return
        if _lacks_any(schema, dict(client.get_storage_tables(names)), names):
            _delete(client, schema.version_table_name, "schema_name", schema.name)


def forget_remains(client: SqlJobClientBase, pipeline_name: str, table: str) -> bool:
    """Prepares the destination for a load without a restored schema, because somebody dropped or emptied dlt's tables.

    A schema that is still stored would keep dlt from making the missing tables. If the table is gone, a state that is
    still stored would leave out all rows before its cursor.

    Args:
        client: an open client of the destination, whose dataset exists or not.
        pipeline_name: the name of the dlt pipeline, and of its schema.
        table: the table name in the warehouse.

    Returns:
        Whether the destination forgot a state.
    """
    sql, own = client.sql_client, client.schema
    if not sql.has_dataset():
        return False
    names = [table, own.version_table_name, own.state_table_name, own.loads_table_name]
    found = {name for name, columns in client.get_storage_tables(names) if columns}
    owner = dict.fromkeys(names, "schema_name") | {own.state_table_name: "pipeline_name"}
    forgotten = [own.version_table_name] if table in found else names[1:]
    with sql.begin_transaction():
        for one in forgotten:
            if one in found:
                _delete(client, one, owner[one], pipeline_name)
    return table not in found


def _forget(
    client: SqlJobClientBase, schema_name: str, pipeline_name: str, table: str, family: list[str]
) -> None:
    sql, schema = client.sql_client, client.schema
    children = [one for one in family if one != table]
    # A table without this column is of another resource, made after somebody dropped the child table.
    own = (
        [name for name, columns in client.get_storage_tables(children) if "_dlt_parent_id" in columns]
        if children
        else []
    )

    def drop(tables: Iterable[str]) -> None:
        for one in tables:
            sql.execute_sql(f"DROP TABLE IF EXISTS {sql.make_qualified_table_name(one)}")

    with sql.begin_transaction():
        with sql.with_staging_dataset():
            if sql.has_dataset() and client.get_storage_table(schema.version_table_name)[0]:
                drop(family)
                _delete(client, schema.version_table_name, "schema_name", schema_name)
        drop(own)
        _delete(client, schema.state_table_name, "pipeline_name", pipeline_name)
        _delete(client, schema.version_table_name, "schema_name", schema_name)
        _delete(client, schema.loads_table_name, "schema_name", schema_name)


def _delete(client: SqlJobClientBase, table: str, column: str, value: str) -> None:
    [name] = column_names(client, column)
    there = client.sql_client.make_qualified_table_name(table)
    client.sql_client.execute_sql(f"DELETE FROM {there} WHERE {name} = %s", value)  # noqa: S608  names from dlt

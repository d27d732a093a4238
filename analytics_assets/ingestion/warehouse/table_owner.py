"""Finds the dlt pipeline that a table belongs to, and refuses tables of others. Several APIs may share a dataset."""

from __future__ import annotations

import json
from contextlib import suppress

from dlt.common.schema import Schema
from dlt.common.schema.utils import get_nested_tables, has_table_seen_data
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.job_client_impl import SqlJobClientBase

from analytics_assets.ingestion.contract.quarantine import SUFFIX
from analytics_assets.ingestion.errors import TakenTableError, ViewInPlaceOfTableError
from analytics_assets.ingestion.warehouse.load_order import column_names


def refuse_taken_table(client: SqlJobClientBase, resource: str, schema_name: str, table: str) -> None:
    """Fails the first load of a resource if another dlt pipeline has loaded its table.

    Args:
        client: an open client of the destination, whose dataset exists or not.
        resource: the dlt resource name.
        schema_name: the name of the resource's own schema.
        table: the table name in the warehouse.

    Raises:
        TakenTableError: another pipeline has loaded the table.
    """
    owner = _owner(client, schema_name, table)
    if owner and client.get_storage_table(table)[0]:
        raise TakenTableError(resource, client.sql_client.make_qualified_table_name(table), owner)


def refuse_others_tables(client: SqlJobClientBase, resource: str, table: str, views: str) -> None:
    """Fails a load if one of its tables is a view, or if one of its child tables is not a child table.

    Args:
        client: an open client of the destination, whose schema has the tables of the load.
        resource: the dlt resource name.
        table: the table name in the warehouse.
        views: the query for the names of the views of a schema, with a place for the name of the schema.

    Raises:
        ViewInPlaceOfTableError: one of the tables is a view.
        TakenTableError: another pipeline or program has made a child table.
    """
    sql, tables = client.sql_client, family(client.schema, table)
    for (view,) in sql.execute_sql(views, sql.dataset_name) or ():
        if view in (*tables, f"{table}{SUFFIX}"):
            raise ViewInPlaceOfTableError(resource, sql.make_qualified_table_name(view))
    children = [one for one in tables if one != table]
    for child, columns in client.get_storage_tables(children) if children else ():
        if columns and "_dlt_parent_id" not in columns:
            owner = _owner(client, client.schema.name, child)
            raise TakenTableError(resource, sql.make_qualified_table_name(child), owner)


def family(schema: Schema, table: str) -> list[str]:
    """Returns the names of a table and of its child tables; empty if the schema does not have the table."""
    return (
        [str(one["name"]) for one in get_nested_tables(schema.tables, table)]
        if table in schema.tables
        else []
    )


def _owner(client: SqlJobClientBase, schema_name: str, table: str) -> str:
    """Returns the name of another pipeline that has loaded a table; empty if there is none."""
    sql, schema = client.sql_client, client.schema
    name, text, version = column_names(client, "schema_name", "schema", "version")
    there = sql.make_qualified_table_name(schema.version_table_name)
    rows: list[tuple[str, str]] = []
    with suppress(DatabaseUndefinedRelation):
        rows = [
            (str(other), str(stored))
            for other, stored in sql.execute_sql(
                f"SELECT {name}, {text} FROM {there} WHERE {name} <> %s ORDER BY {version}",  # noqa: S608
                schema_name,
            )
            or ()
        ]
    for other, stored in dict(rows).items():  # the last version of each schema
        tables = json.loads(stored).get("tables") or {}
        if table in tables and has_table_seen_data(tables[table]):
            return other
    return ""

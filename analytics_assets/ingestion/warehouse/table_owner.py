"""Finds the dlt pipeline that a table belongs to, because several APIs may share a dataset."""

from __future__ import annotations

import json
from contextlib import suppress

from dlt.common.schema.utils import has_table_seen_data
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.job_client_impl import SqlJobClientBase

from analytics_assets.ingestion.errors import TakenTableError
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
        if table in tables and has_table_seen_data(tables[table]) and client.get_storage_table(table)[0]:
            raise TakenTableError(resource, sql.make_qualified_table_name(table), other)

"""What must not be loaded: what is older than what another run has loaded meanwhile, and a key that comes twice.

What belongs here: finding out, under the lock, before anything is loaded. Runs of one partition, and of a resource
without partitions, take turns; between runs of different partitions a row may move.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.contract.quarantine import Quarantine
from analytics_assets.ingestion.errors import DuplicateKeysError, StaleLoadError
from analytics_assets.ingestion.warehouse.duckdb import rows_of

_BY_KEY_ALONE = ("upsert", "insert-only", "cdc")
"""Strategies of a merge that take each row of a load for the only one of its key."""


def refuse_overtaken(pipeline: Pipeline, quarantine: Quarantine, restored: str | None) -> None:
    """Fails where what is to be loaded would put older rows, or a schema with less in it, over newer.

    Args:
        pipeline: of the embedded DuckDB, whose load packages are normalized.
        quarantine: of the resource it loads.
        restored: hash of the schema that the run began with; None where there was none.

    Raises:
        StaleLoadError: it would.
    """
    packages = pipeline.list_normalized_load_packages()
    if not quarantine.windows or not packages:
        return
    with pipeline.destination_client() as client:
        assert isinstance(client, SqlJobClientBase)
        stored = client.get_stored_schema(client.schema.name)
        ours = client.schema.stored_version_hash
        if stored is None:
            return
        if ours != restored and stored.version_hash not in (ours, restored):
            raise StaleLoadError(quarantine.resource, "it has added columns that this run does not know")
        for load_id in packages:
            if any(
                _newer_rows(client, quarantine, load_id, _files(pipeline, quarantine.good_table, load_id))
            ):
                raise StaleLoadError(quarantine.resource, "it has loaded a newer version of a row")


def refuse_twice(pipeline: Pipeline, quarantine: Quarantine) -> None:
    """Fails where a key comes twice in what is to be loaded, by a strategy that does not look for the newest version.

    dlt would load both rows; or, where the key is there already, DuckDB would refuse the merge.

    Args:
        pipeline: of the embedded DuckDB, whose load packages are normalized.
        quarantine: of the resource it loads.

    Raises:
        DuplicateKeysError: it does.
    """
    packages, keys = pipeline.list_normalized_load_packages(), quarantine.contract.primary_key
    if not packages or not keys:
        return
    strategy = pipeline.default_schema.tables.get(quarantine.good_table, {}).get("x-merge-strategy")
    files = [one for load_id in packages for one in _files(pipeline, quarantine.good_table, load_id)]
    if not files or strategy not in _BY_KEY_ALONE:
        return
    with pipeline.destination_client() as client:
        assert isinstance(client, SqlJobClientBase)
        names = ", ".join(map(client.sql_client.escape_column_name, keys))
        found = client.sql_client.execute_sql(
            f"SELECT {names} FROM {rows_of(files)} GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL"  # noqa: S608
        )
    if found:
        examples = tuple(", ".join(map(str, one)) for one in found[:5])
        raise DuplicateKeysError(quarantine.resource, len(found), examples, str(strategy))


def _files(pipeline: Pipeline, table: str, load_id: str) -> list[str]:
    jobs = pipeline.get_load_package_info(load_id).jobs["new_jobs"]
    return [one.file_path for one in jobs if one.job_file_info.table_name == table]


def _newer_rows(
    client: SqlJobClientBase, quarantine: Quarantine, load_id: str, files: list[str]
) -> Iterator[object]:
    """A row of the table that is newer than in `files`, and loaded since they were begun."""
    cursor, keys = quarantine.cursor, quarantine.contract.primary_key
    exists, columns = client.get_storage_table(quarantine.good_table)
    if not (files and exists and cursor and cursor.column in columns):
        return
    sql, loads = (
        client.sql_client,
        client.sql_client.make_qualified_table_name(client.schema.loads_table_name),
    )
    since = f"SELECT load_id FROM {loads} WHERE schema_name = %s AND inserted_at > to_timestamp(%s)"  # noqa: S608
    began = [client.schema.name, float(load_id)]
    if not sql.execute_sql(since, *began):
        return
    quote = sql.escape_column_name
    same = " AND ".join(f"t.{quote(key)} = n.{quote(key)}" for key in keys)
    yield from (
        sql.execute_sql(
            f"SELECT 1 FROM {sql.make_qualified_table_name(quarantine.good_table)} AS t "  # noqa: S608
            f"JOIN {rows_of(files)} AS n ON {same} "
            f"WHERE t.{quote(cursor.column)} > n.{quote(cursor.column)} AND t._dlt_load_id IN ({since}) LIMIT 1",
            *began,
        )
        or ()
    )

"""Finds conflicts of a load: rows older than the versions that another run loaded, and duplicate keys.

What belongs here: checks that run before the load, while the caller has exclusive use of the warehouse. Two runs of one
partition cannot conflict, because a lock makes them run one after the other. But if a row moves from one partition to
another, two parallel runs may load two versions of this row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.errors import DuplicateKeysError, StaleLoadError, SyncError, shown
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.plan.write_mode import WriteMode
from analytics_assets.ingestion.warehouse.duckdb_sql import quoted, rows_of
from analytics_assets.ingestion.warehouse.load_order import Restored, loads_since
from analytics_assets.ingestion.warehouse.merge_jobs import ReadsFiles
from analytics_assets.ingestion.warehouse.package_keys import (
    Execute,
    PackageKeys,
    PackageTable,
    count_keys,
    refuse_moved_rows,
    version_columns,
)

_BY_KEY_ALONE = ("upsert", "insert-only", "cdc")
"""Merge strategies that require each key at most once in a load."""

_EXAMPLES = 5


def refuse_stale_load(
    pipeline: Pipeline, client: SqlJobClientBase, plan: LoadPlan, restored: Restored
) -> None:
    """Fails if a load of partitions would replace newer rows, or a newer schema, of another run.

    Args:
        pipeline: the pipeline, which has normalized load packages.
        client: an open client of the destination.
        plan: the plan of the sync.
        restored: what the destination had when the sync began.

    Raises:
        StaleLoadError: since this sync began, another run has loaded newer rows or new columns.
    """
    packages = pipeline.list_normalized_load_packages()
    if not plan.windows or not packages:
        return
    name, table = plan.resource.name, plan.resource.table
    stored = client.get_stored_schema(client.schema.name)
    ours = client.schema.stored_version_hash
    if stored is None:
        return
    if ours != restored.schema_hash and stored.version_hash not in (ours, restored.schema_hash):
        raise StaleLoadError(name, "it has added columns that this run does not know")
    since = loads_since(client, restored.load_ids)
    files = [one for load_id in packages for one in _files(pipeline, table, load_id)]
    if since and files and _has_newer_rows(client, plan.resource, since, files):
        raise StaleLoadError(name, "it has loaded a newer version of a row")


def refuse_duplicate_keys(
    pipeline: Pipeline, execute: Execute, plan: LoadPlan, pages: int
) -> PackageKeys | None:
    """Counts the primary keys of a load, and fails if the load would lose rows or load a key twice.

    Args:
        pipeline: the pipeline, which has normalized load packages.
        execute: executes SQL in DuckDB.
        plan: the plan of the sync.
        pages: the number of pages that the sync read.

    Returns:
        The counts; None if the resource has no primary key, or if its strategy keeps versions.

    Raises:
        RowsMovedError: identical rows came from more than one page.
        KeyNotUniqueError: rows with the same key have other values.
        DuplicateKeysError: a key occurs twice, and the merge strategy would load both rows or fail.
    """
    table = plan.resource.table
    stored = pipeline.default_schema.tables.get(table, {})
    strategy = stored.get("x-merge-strategy")
    if plan.write_mode in (WriteMode.SKIP, WriteMode.HISTORY) and strategy not in _BY_KEY_ALONE:
        return None
    packages = pipeline.list_normalized_load_packages()
    in_package = _package_table(pipeline, table, packages)
    versions = version_columns(plan, cast(Any, stored.get("columns", {})))
    found = count_keys(execute, in_package, plan, versions)
    if (
        strategy in _BY_KEY_ALONE
        and found is not None
        and not (isinstance(found, PackageKeys) and found.are_distinct)
    ):
        raise _duplicate_keys(execute, plan, in_package.files, str(strategy))
    if isinstance(found, SyncError):
        raise found
    if found is not None:
        refuse_moved_rows(found.repeated, found.rows, plan, pages)
    return found


def _duplicate_keys(
    execute: Execute, plan: LoadPlan, files: Sequence[str], strategy: str
) -> DuplicateKeysError:
    names = ", ".join(map(quoted, plan.resource.contract.primary_key))
    found = execute(
        f"SELECT {names} FROM {rows_of(files)} GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL"  # noqa: S608
    )
    found = found or []
    examples = tuple(", ".join(shown(part) for part in one) for one in found[:_EXAMPLES])
    return DuplicateKeysError(plan.resource.name, len(found), examples, strategy)


def _package_table(pipeline: Pipeline, name: str, packages: Sequence[str]) -> PackageTable:
    """Returns a table of the load packages, with its child tables."""
    files = [one for load_id in packages for one in _files(pipeline, name, load_id)]
    children = (child for child, one in pipeline.default_schema.tables.items() if one.get("parent") == name)
    found = [_package_table(pipeline, child, packages) for child in children]
    return PackageTable(files, [one for one in found if one.files])


def _files(pipeline: Pipeline, table: str, load_id: str) -> list[str]:
    jobs = pipeline.get_load_package_info(load_id).jobs["new_jobs"]
    return [one.file_path for one in jobs if one.job_file_info.table_name == table]


def _has_newer_rows(
    client: SqlJobClientBase, resource: ResourceInfo, since: Sequence[str], files: Sequence[str]
) -> bool:
    """Whether one of the loads `since` brought a newer version of a row in `files`."""
    cursor, keys, sql = resource.cursor, resource.contract.primary_key, client.sql_client
    if not cursor:
        return False
    exists, columns = client.get_storage_table(resource.table)
    if not exists or cursor.column not in columns:
        return False
    quote = sql.escape_column_name
    assert isinstance(client, ReadsFiles)
    loading = client.rows_of(files, [*{*keys, cursor.column}])
    same = " AND ".join(f"t.{quote(key)} = n.{quote(key)}" for key in keys)
    marks = ", ".join(["%s"] * len(since))
    return bool(
        sql.execute_sql(
            f"SELECT 1 FROM {sql.make_qualified_table_name(resource.table)} AS t "  # noqa: S608
            f"JOIN {loading} AS n ON {same} "
            f"WHERE t.{quote(cursor.column)} > n.{quote(cursor.column)} AND t._dlt_load_id IN ({marks}) LIMIT 1",
            *since,
        )
    )

"""The Dagster record of a successful sync: writes and reads materializations with metadata."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import dagster as dg

from analytics_assets.ingestion.contract.columns import Contract
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.sync_result import SyncResult
from analytics_assets.orchestration.metadata import (
    COLUMN_SCHEMA,
    PARTITION_ROW_COUNT,
    ROW_COUNT,
    ROWS_FETCHED,
    Metadata,
    for_page,
    read,
)
from analytics_assets.orchestration.partitions import latest_materializations
from analytics_assets.orchestration.translator import SyncTranslator, loaded_schema


def sync_metadata(plan: LoadPlan, result: SyncResult) -> dict[str, Any]:
    """Returns the metadata of a sync, with the columns of the table."""
    return {**result.to_metadata(), COLUMN_SCHEMA: loaded_schema(plan.resource.contract, result.columns)}


_PAGE = 100  # the materializations that one query reads
_MOST_PAGES = 100


def latest_sync(instance: dg.DagsterInstance, key: dg.AssetKey) -> tuple[Metadata | None, bool]:
    """Reads the metadata of the latest sync of an asset.

    A person may report materializations in the UI, even of many partitions at once. Only a sync counts its rows.

    Returns:
        The metadata, or None without a sync, and whether the latest materialization is not of a sync.
    """
    cursor, by_hand = None, False
    for _ in range(_MOST_PAGES):
        page = instance.fetch_materializations(key, limit=_PAGE, cursor=cursor)
        for one in page.records:
            found = one.asset_materialization
            if found is not None and read(found.metadata, ROWS_FETCHED) is not None:
                return found.metadata, by_hand
            by_hand = True
        if not page.has_more:
            break
        cursor = page.cursor
    return None, by_hand


def lost_partitions(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    partitions: dg.TimeWindowPartitionsDefinition,
    first_load: datetime | None,
) -> list[str]:
    """Returns the partitions whose rows the table no longer has, because it was dropped after they were loaded.

    Args:
        instance: the Dagster instance.
        key: the asset key.
        partitions: the partitions definition of the asset.
        first_load: the time of the first load of the table that is there now; None if there was none.
    """
    table_since = first_load.timestamp() if first_load else float("inf")
    first = instance.fetch_materializations(key, limit=1, ascending=True).records
    if not first or first[0].timestamp >= table_since:
        return []  # no load is older than the table
    keys = partitions.get_partition_keys()
    latest = {
        partition: found
        for partition, found in latest_materializations(instance, key, keys)
        if found.timestamp < table_since
    }
    return [one for one in keys if one in latest and _has_rows(latest[one])]


def _has_rows(record: dg.EventLogRecord) -> bool:
    found = record.asset_materialization
    return found is not None and bool(read(found.metadata, PARTITION_ROW_COUNT))


def record(
    context: dg.AssetExecutionContext,
    translator: SyncTranslator,
    plan: LoadPlan,
    result: SyncResult,
    metadata: Mapping[str, Any],
) -> Iterator[dg.MaterializeResult[None]]:
    """Yields the materialization of the asset, and logs the materializations of lookback partitions and child tables.

    Lookback partitions are not part of the Dagster run, so the step logs their materializations as events. The step
    logs the oldest partition first, because the UI shows the event that was logged last.

    Args:
        context: the context of the step.
        translator: the translator, which builds the asset keys.
        plan: the plan of the sync.
        result: the result of the sync.
        metadata: the result of `sync_metadata`.
    """
    key = translator.key(plan.resource)
    asked = set(context.partition_keys) if plan.windows else set()
    for partition in plan.windows:
        rows = result.rows_by_partition.get(partition)
        page = for_page({**metadata, PARTITION_ROW_COUNT: rows})
        if partition in asked:
            context.add_asset_metadata(page, asset_key=key, partition_key=partition)
        else:
            context.log_event(dg.AssetMaterialization(key, partition=partition, metadata=page))
    # `MaterializeResult` has no metadata in a partitioned run, so that Dagster shows the partition's own metadata.
    yield dg.MaterializeResult(asset_key=key, metadata={} if plan.windows else for_page(metadata))
    for name, child in result.children.items():
        described: dict[str, Any] = {
            ROW_COUNT: child.rows,
            COLUMN_SCHEMA: loaded_schema(Contract(()), child.columns),
        }
        for child_partition in plan.windows or (None,):
            context.log_event(
                dg.AssetMaterialization(
                    translator.child_key(plan.resource, name), metadata=described, partition=child_partition
                )
            )

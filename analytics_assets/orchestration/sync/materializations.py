"""Reads the materializations of earlier runs: the metadata of the latest sync, and what is loaded or lost.

`run_record.py` writes the materializations of a run.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

import dagster as dg

from analytics_assets.orchestration.metadata import PARTITION_ROW_COUNT, ROWS_FETCHED, Metadata, read
from analytics_assets.orchestration.partitions import latest_materializations
from analytics_assets.orchestration.runs import loaded_in_resumed_runs, loaded_in_run

_T = TypeVar("_T")


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


def not_loaded(
    context: dg.AssetExecutionContext, key: dg.AssetKey, windows: Mapping[str, _T]
) -> dict[str, _T]:
    """Returns the windows that a re-execution from failure, or a retry of the step, still has to load.

    A run loads its partitions in order of time, so the rest begins at the first partition that is missing.

    Args:
        context: the context of the step.
        key: the asset key.
        windows: the windows of the partitions of the run, by partition key in order of time.
    """
    loaded = loaded_in_resumed_runs(context.instance, context.run, key)
    if context.retry_number:
        loaded |= loaded_in_run(context.instance, context.run.run_id, key)
    partitions = list(windows)
    first = next((at for at, one in enumerate(partitions) if one not in loaded), len(partitions))
    return {one: windows[one] for one in partitions[first:]}

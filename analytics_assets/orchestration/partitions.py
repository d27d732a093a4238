"""Time partitions: the partitions definition from the config, the windows of a run, and the latest materializations."""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC

import dagster as dg

from analytics_assets.config.assets import BackfillPolicyConfig, PartitionsConfig
from analytics_assets.ingestion.time_window import Window

_QUERY_SIZE = 1000  # the most materializations that one query reads; Dagster allows 10,000

_PARTITIONS: dict[str, Callable[..., dg.TimeWindowPartitionsDefinition]] = {
    "hourly": dg.HourlyPartitionsDefinition,
    "daily": dg.DailyPartitionsDefinition,
    "weekly": dg.WeeklyPartitionsDefinition,
    "monthly": dg.MonthlyPartitionsDefinition,
}


def partitions_def(config: PartitionsConfig | None) -> dg.TimeWindowPartitionsDefinition | None:
    """Builds Dagster's partitions definition; None for an unpartitioned resource."""
    if config is None:
        return None
    return _PARTITIONS[config.type](
        start_date=config.start_date, timezone=config.timezone, end_offset=config.end_offset
    )


def backfill_policy(config: BackfillPolicyConfig) -> dg.BackfillPolicy:
    """Builds Dagster's backfill policy. One run of many partitions is faster, because a run takes seconds to start."""
    if config.max_partitions_per_run is None:
        return dg.BackfillPolicy.single_run()
    return dg.BackfillPolicy.multi_run(config.max_partitions_per_run)


def run_windows(context: dg.AssetExecutionContext, lookback: int = 0) -> dict[str, Window]:
    """Returns the windows of this run's partitions, by partition key in order of time; empty without partitions.

    A run may have no partitions for an asset, even if another asset of the run is partitioned. A check that runs
    without a sync may also have no partition.

    Args:
        context: the context of the asset's step.
        lookback: the number of earlier partitions to add.
    """
    definition = context.assets_def.partitions_def
    if definition is None or not (context.has_partition_key or context.has_partition_key_range):
        return {}
    assert isinstance(definition, dg.TimeWindowPartitionsDefinition)
    keys = list(context.partition_keys)
    if lookback and keys:  # a range from a later partition to an earlier one has none
        before = definition.get_partition_keys()
        first = before.index(keys[0])
        keys = [*before[max(0, first - lookback) : first], *keys]
    return windows_of(definition, keys)


def windows_of(definition: dg.TimeWindowPartitionsDefinition, keys: Iterable[str]) -> dict[str, Window]:
    """Returns the windows of partitions, by partition key.

    Args:
        definition: the partitions definition.
        keys: the partition keys, in order of time.
    """
    windows = {}
    for key in keys:
        window = definition.time_window_for_partition_key(key)
        # Python compares two times of one zone by local time, and local time may repeat an hour. UTC repeats no hour.
        windows[key] = Window(window.start.astimezone(UTC), window.end.astimezone(UTC))
    return windows


def latest_materializations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, keys: Collection[str]
) -> Iterator[tuple[str, dg.EventLogRecord]]:
    """Yields the latest materialization of each partition that has one, with the partition key.

    Args:
        instance: the Dagster instance.
        asset: the key of the asset.
        keys: the partition keys.
    """
    if not keys:
        return
    materialized = dg.DagsterEventType.ASSET_MATERIALIZATION
    latest = [*instance.get_latest_storage_id_by_partition(asset, materialized, {*keys}).values()]
    for start in range(0, len(latest), _QUERY_SIZE):
        wanted = dg.AssetRecordsFilter(asset, storage_ids=latest[start : start + _QUERY_SIZE])
        for record in instance.fetch_materializations(wanted, limit=_QUERY_SIZE).records:
            if record.partition_key:
                yield record.partition_key, record

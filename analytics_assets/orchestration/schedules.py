"""A schedule per asset, and the job it starts, from the asset's cron expression."""

import dagster as dg

from analytics_assets.config import AssetConfig


def sync_schedule(
    name: str,
    key: dg.AssetKey,
    asset: AssetConfig,
    partitions: dg.TimeWindowPartitionsDefinition | None,
) -> dg.ScheduleDefinition:
    """A schedule on the asset's cron, in UTC, off until it is turned on in the UI.

    It starts the job `<name>__sync`, which materializes the asset and runs its checks. For a partitioned
    asset each tick asks for the last partition that is complete at the tick's time.

    Args:
        name: `<source>__<resource>`.
        key: the asset.
        asset: what the file says of the asset; its `schedule` is set.
        partitions: the asset's partitions.
    """
    assert asset.schedule is not None

    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        moment = context.scheduled_execution_time
        if partitions is None:
            return dg.RunRequest(run_key=moment.isoformat())
        with dg.partition_loading_context(effective_dt=moment):
            key = partitions.get_last_partition_key()
        if key is None:
            return dg.SkipReason(f"No partition is complete yet at {moment:%Y-%m-%d %H:%M} UTC.")
        return dg.RunRequest(run_key=f"{key}@{moment.isoformat()}", partition_key=key)

    return dg.ScheduleDefinition(
        name=f"{name}__schedule",
        job=dg.define_asset_job(f"{name}__sync", dg.AssetSelection.assets(key)),
        cron_schedule=asset.schedule,
        execution_timezone="UTC",
        execution_fn=tick,
        description="The last complete partition at each tick."
        if partitions
        else "A full sync at each tick.",
    )

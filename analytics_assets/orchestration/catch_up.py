"""What is asked for of one asset: by a tick of its schedule, or when an API is back after an outage."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import dagster as dg

# Not in Dagster's public names, but the argument of `get_backfills`: without it a partition of a backfill whose
# runs are still to be launched looks like one that nobody has asked for.
from dagster._core.execution.backfill import BulkActionStatus

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def due_spans(
    instance: dg.DagsterInstance,
    repository: dg.RepositoryDefinition,
    asset: dg.AssetKey,
    partitions: dg.TimeWindowPartitionsDefinition,
    keys: Sequence[str],
    always: str | None = None,
) -> list[tuple[str, str]]:
    """The partitions that are missing, oldest first, each span from a first to a last one for one run.

    Missing is what was never loaded, or whose latest run has failed. Nothing is asked for that is queued, running
    or in a backfill.

    Consecutive partitions are one run, which costs Dagster as much as a single one. What has failed before is
    asked for alone, so that a partition that cannot be loaded keeps no other back.

    Args:
        instance: knows runs and backfills.
        repository: of the code location.
        asset: the partitioned asset.
        partitions: its partitions.
        keys: consecutive partition keys, oldest first.
        always: the one of them that is asked for even if it is there.
    """
    statuses = instance.get_status_by_partition(asset, keys, partitions) or {}
    claimed = _in_backfills(instance, repository, asset)
    spans: list[list[str]] = []
    extends = False  # whether the partition before is the end of a span that may grow
    for key in keys:
        status = statuses.get(key)
        said = status.value if status else None
        failed, loaded = said == "FAILED", said == "MATERIALIZED" and key != always
        if loaded or key in claimed or said == "IN_PROGRESS":
            extends = False
        elif extends and not failed:
            spans[-1].append(key)
        else:
            spans.append([key])
            extends = not failed
    return [(span[0], span[-1]) for span in spans]


def span_request(span: tuple[str, str], run_key: str, job_name: str | None = None) -> dg.RunRequest:
    """The one run over the partitions from a first to a last one.

    Args:
        span: partition keys.
        run_key: what the run is asked for once by.
        job_name: of the job, where it is not plain.
    """
    first, last = span
    if first == last:
        return dg.RunRequest(run_key=run_key, job_name=job_name, partition_key=first)
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return dg.RunRequest(run_key=run_key, job_name=job_name, tags=tags)


def was_missed(instance: dg.DagsterInstance, asset: dg.AssetKey, job: str, cron: str) -> bool:
    """Whether an unpartitioned asset has not been loaded since the last tick of its schedule, and is not now.

    Args:
        instance: knows runs and materializations.
        asset: the asset.
        job: the job of its schedule.
        cron: when the schedule ticks, in UTC.
    """
    ticks = dg.TimeWindowPartitionsDefinition(
        start=datetime(2020, 1, 1, tzinfo=UTC), fmt="%Y-%m-%dT%H:%M", cron_schedule=cron
    )
    window = ticks.get_last_partition_window()
    if window is None:
        return False
    latest = instance.get_latest_materialization_event(asset)
    if latest is not None and latest.timestamp >= window.end.timestamp():
        return False
    return not instance.get_runs(dg.RunsFilter(job_name=job, statuses=_UNFINISHED), limit=1)


def _in_backfills(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, asset: dg.AssetKey
) -> set[str]:
    """The partitions of `asset` in backfills that are not over."""
    keys: set[str] = set()
    for backfill in instance.get_backfills(status=BulkActionStatus.REQUESTED):
        # It asks its workspace for the asset graph alone.
        subset = backfill.get_target_partitions_subset(cast(Any, repository), asset)
        keys |= set(subset.get_partition_keys()) if subset else set()
    return keys

"""Finds the runs that an asset needs now: runs of missing partitions, or a full sync whose tick was missed.

Each schedule calls this module at each tick. The recovery sensor calls this module during and after an outage.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from analytics_assets.orchestration.dagster_internals import BulkActionStatus, partitions_in_backfill
from analytics_assets.orchestration.partitions import latest_materializations
from analytics_assets.orchestration.runs import (
    CIRCUIT_KEY,
    REFUSED_KEY,
    PartitionRange,
    is_dry_run,
    is_of,
    run_partitions,
    sync_job_name,
)

EvaluationContext = dg.ScheduleEvaluationContext | dg.SensorEvaluationContext

_MAX_REQUESTS = 10  # the most runs that one evaluation requests for missing partitions

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class RangeRequest:
    """Consecutive partitions that one run loads.

    Attributes:
        partitions: the range of the partitions.
        failed_before: whether the range is one partition that its latest run began with, and failed to load. A failure
            because of an outage does not count.
    """

    partitions: PartitionRange
    failed_before: bool = False

    def run_request(self, run_key: str, job_name: str | None = None) -> dg.RunRequest:
        """Makes the run request for this range of partitions.

        Args:
            run_key: the run key, for which Dagster launches at most one run.
            job_name: the name of the job, for a sensor with several jobs.
        """
        if self.partitions.is_single:
            return dg.RunRequest(run_key=run_key, job_name=job_name, partition_key=self.partitions.first)
        return dg.RunRequest(run_key=run_key, job_name=job_name, tags=self.partitions.tags)


@dataclass(frozen=True)
class Candidates:
    """The partitions that one evaluation of a schedule or sensor considers.

    Attributes:
        keys: the consecutive partition keys, oldest first.
        moment: the time of the evaluation, which decides whether a partition has ended.
        always: the keys of partitions that are requested even if they are loaded.
    """

    keys: Sequence[str]
    moment: datetime
    always: Collection[str] = ()


def missing_ranges(
    context: EvaluationContext,
    asset: dg.AssetKey,
    partitions: dg.TimeWindowPartitionsDefinition,
    candidates: Candidates,
) -> list[RangeRequest]:
    """Returns the missing partitions as ranges, oldest first.

    A partition is missing if it was never loaded, if its latest run failed and was not refused, or if its latest load
    began before the partition ended. A partition that is queued, running or in a backfill is not requested.

    Consecutive partitions share one run, because each run takes seconds to start. A run loads its partitions one after
    the other, and keeps what it has loaded. So after a failure, one run asks for the rest. If it fails at its first
    partition for a reason other than an outage, that partition gets its own run, and holds up no other partition.

    Args:
        context: the context of the evaluation, with the Dagster instance and the code location.
        asset: the key of the partitioned asset.
        partitions: the partitions definition of the asset.
        candidates: the partitions to consider.
    """
    instance, keys = context.instance, candidates.keys
    found = instance.get_status_by_partition(asset, keys, partitions) or {}
    statuses = {key: status.value if status else None for key, status in found.items()}
    failed = [key for key in keys if statuses.get(key) == "FAILED"]
    latest = _latest_runs(instance, asset, failed)
    refused = {key for key, run in latest.items() if run.tags.get(REFUSED_KEY) == run.run_id}
    failed_before = {key for key, run in latest.items() if _is_suspect(key, run)} - refused
    skipped = _in_backfills(context, asset) | {key for key in keys if statuses.get(key) == "IN_PROGRESS"}
    loaded = {key for key in keys if statuses.get(key) == "MATERIALIZED"}
    if refused:  # a refused run has done nothing, so what was loaded before it counts
        loaded |= dict(latest_materializations(instance, asset, refused)).keys()
    loaded -= {*candidates.always}
    skipped |= loaded - _loaded_too_early(instance, asset, partitions, loaded, candidates.moment)
    ranges: list[RangeRequest] = []
    extends = False  # whether the range of the previous partition may grow by this partition
    for key in keys:
        if key in skipped:
            extends = False
        elif extends and key not in failed_before:
            ranges[-1] = RangeRequest(PartitionRange(ranges[-1].partitions.first, key))
        else:
            ranges.append(RangeRequest(PartitionRange(key, key), key in failed_before))
            extends = key not in failed_before
    return ranges


def split_by_policy(
    ranges: Sequence[RangeRequest], keys: Sequence[str], max_partitions: int | None
) -> list[RangeRequest]:
    """Splits each range into ranges of at most `max_partitions` partitions. `keys` lists the partitions in order."""
    if max_partitions is None:
        return list(ranges)
    runs = []
    for one in ranges:
        inside = keys[keys.index(one.partitions.first) : keys.index(one.partitions.last) + 1]
        parts = [inside[at : at + max_partitions] for at in range(0, len(inside), max_partitions)]
        runs += [RangeRequest(PartitionRange.of_keys(part), one.failed_before) for part in parts]
    return runs


def first_requests(ranges: Sequence[RangeRequest]) -> list[RangeRequest]:
    """Returns at most ten ranges, oldest first. The next evaluation requests the remaining ranges.

    Partitions that failed before have the lowest priority, so that ten failing partitions do not delay other
    partitions.
    """
    chosen = sorted(ranges, key=lambda one: one.failed_before)[:_MAX_REQUESTS]
    return [one for one in ranges if one in chosen]


def was_missed(instance: dg.DagsterInstance, asset: dg.AssetKey, step: str, cron: str, timezone: str) -> bool:
    """Whether an unpartitioned asset was not loaded since the last tick of its schedule, and no run loads it now.

    Args:
        instance: the Dagster instance.
        asset: the asset key.
        step: the key of the asset's step, which also begins the name of its job.
        cron: the cron expression of the schedule.
        timezone: the IANA time zone of the schedule.
    """
    ticks = dg.TimeWindowPartitionsDefinition(
        start=datetime(2020, 1, 1, tzinfo=UTC), fmt="%Y-%m-%dT%H:%M", cron_schedule=cron, timezone=timezone
    )
    window = ticks.get_last_partition_window()
    if window is None:
        return False
    latest = instance.get_latest_materialization_event(asset)
    if latest is not None and latest.timestamp >= window.end.timestamp():
        return False
    running = instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))
    return not any(is_of(run, asset, sync_job_name(step)) and not is_dry_run(run, step) for run in running)


def ended_by_outage(instance: dg.DagsterInstance, asset: dg.AssetKey) -> bool:
    """Whether the latest run of an unpartitioned asset opened the circuit, or found the circuit open."""
    latest = instance.get_latest_planned_materialization_info(asset)
    run = instance.get_run_by_id(latest.run_id) if latest else None
    return run is not None and run.tags.get(CIRCUIT_KEY) == run.run_id


def _latest_runs(
    instance: dg.DagsterInstance, asset: dg.AssetKey, keys: Sequence[str]
) -> dict[str, dg.DagsterRun]:
    """Returns the latest run of each partition, without runs that were deleted.

    When a run is created, Dagster records a planned materialization for each partition of the run. The planned
    materializations show the latest run of each partition, even if a person or a backfill launched the run.
    """
    latest = {key: instance.get_latest_planned_materialization_info(asset, key) for key in keys}
    run_ids = {info.run_id for info in latest.values() if info}
    if not run_ids:
        return {}
    runs = {run.run_id: run for run in instance.get_runs(dg.RunsFilter(run_ids=[*run_ids]))}
    return {key: runs[info.run_id] for key, info in latest.items() if info and info.run_id in runs}


def _is_suspect(key: str, run: dg.DagsterRun) -> bool:
    """Whether a failed run began with a partition, and no outage ended the run."""
    partitions = run_partitions(run.tags)
    is_first = partitions is None or partitions.first == key
    return is_first and run.tags.get(CIRCUIT_KEY) != run.run_id


def _loaded_too_early(
    instance: dg.DagsterInstance,
    asset: dg.AssetKey,
    partitions: dg.TimeWindowPartitionsDefinition,
    keys: Collection[str],
    moment: datetime,
) -> set[str]:
    """Returns the partitions that have ended at `moment`, but had not ended when their latest load began."""
    ends = {key: partitions.time_window_for_partition_key(key).end.timestamp() for key in keys}
    over = {key: end for key, end in ends.items() if end <= moment.timestamp()}
    if not over:
        return set()
    latest = dict(latest_materializations(instance, asset, over))
    runs = instance.get_run_records(dg.RunsFilter(run_ids=list({one.run_id for one in latest.values()})))
    began = {one.dagster_run.run_id: one.start_time for one in runs}
    return {
        key
        for key, record in latest.items()
        # A materialization that a person reported has no run.
        if (began.get(record.run_id) or record.timestamp) < over[key]
    }


def _in_backfills(context: EvaluationContext, asset: dg.AssetKey) -> set[str]:
    """Returns the partitions of `asset` in active backfills."""
    keys: set[str] = set()
    for backfill in context.instance.get_backfills(status=BulkActionStatus.REQUESTED):
        keys |= partitions_in_backfill(backfill, context, asset)
    return keys

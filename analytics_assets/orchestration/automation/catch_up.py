"""Which runs an asset needs now: the partitions that are missing, or a full sync that was missed.

Schedules ask at each tick, and the recovery sensor asks when an API is back after an outage.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import dagster as dg

# Not in Dagster's public names, but the argument of `get_backfills`: without it a partition of a backfill whose
# runs are still to be launched looks like one that nobody has requested.
from dagster._core.execution.backfill import BulkActionStatus

from analytics_assets.orchestration.runs import CIRCUIT_KEY, PartitionRange, is_dry_run, is_of

EvaluationContext = dg.ScheduleEvaluationContext | dg.SensorEvaluationContext

_MAX_REQUESTS = 10  # runs that one evaluation requests for what is missing

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
        partitions: first and last.
        failed_before: whether it is one partition whose latest run failed, and not because of an outage.
    """

    partitions: PartitionRange
    failed_before: bool = False

    def run_request(self, run_key: str, job_name: str | None = None) -> dg.RunRequest:
        """The request of the run.

        Args:
            run_key: Dagster launches one run per key.
            job_name: the job, where the schedule or sensor has several.
        """
        if self.partitions.is_single:
            return dg.RunRequest(run_key=run_key, job_name=job_name, partition_key=self.partitions.first)
        return dg.RunRequest(run_key=run_key, job_name=job_name, tags=self.partitions.tags)


@dataclass(frozen=True)
class Candidates:
    """The partitions that one evaluation considers.

    Attributes:
        keys: consecutive partition keys, oldest first.
        moment: the time of the evaluation: it decides which partitions are over.
        always: those of the keys that are requested even if they are loaded.
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
    """The partitions that are missing, oldest first.

    A partition is missing if it was never loaded, if its latest run failed, or if it is over and was last loaded
    before it was. A partition that is queued, running or in a backfill is not requested.

    Consecutive partitions become one run, which costs Dagster as much as a run of one partition. A partition that
    failed before, and not because of an outage, gets a run of its own, so that it holds no other partition back.

    Args:
        context: gives the instance and the code location.
        asset: the partitioned asset.
        partitions: its partitions.
        candidates: the partitions to consider.
    """
    instance, keys = context.instance, candidates.keys
    found = instance.get_status_by_partition(asset, keys, partitions) or {}
    statuses = {key: status.value if status else None for key, status in found.items()}
    failed = [key for key in keys if statuses.get(key) == "FAILED"]
    failed_before = {*failed} - _ended_by_outage(instance, asset, failed)
    skipped = _in_backfills(context, asset) | {key for key in keys if statuses.get(key) == "IN_PROGRESS"}
    loaded = {key for key in keys if statuses.get(key) == "MATERIALIZED"} - {*candidates.always}
    skipped |= loaded - _loaded_too_early(instance, asset, partitions, loaded, candidates.moment)
    ranges: list[RangeRequest] = []
    extends = False  # whether the partition before is the end of a range that may grow
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
    """The ranges, each cut into runs of at most `max_partitions` of the partitions `keys`."""
    if max_partitions is None:
        return list(ranges)
    runs = []
    for one in ranges:
        inside = keys[keys.index(one.partitions.first) : keys.index(one.partitions.last) + 1]
        parts = [inside[at : at + max_partitions] for at in range(0, len(inside), max_partitions)]
        runs += [RangeRequest(PartitionRange.of_keys(part), one.failed_before) for part in parts]
    return runs


def first_requests(ranges: Sequence[RangeRequest]) -> list[RangeRequest]:
    """The ranges that one evaluation requests, oldest first; the next evaluation requests more.

    Partitions that failed before come last: ten that cannot be loaded must not hold back all others.
    """
    chosen = sorted(ranges, key=lambda one: one.failed_before)[:_MAX_REQUESTS]
    return [one for one in ranges if one in chosen]


def was_missed(instance: dg.DagsterInstance, asset: dg.AssetKey, job: str, cron: str) -> bool:
    """Whether an unpartitioned asset was not loaded since the last tick of its schedule, and no run loads it now.

    Args:
        instance: holds runs and materializations.
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
    running = instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))
    return not any(is_of(run, asset, job) and not is_dry_run(run, asset) for run in running)


def _ended_by_outage(instance: dg.DagsterInstance, asset: dg.AssetKey, failed: Sequence[str]) -> set[str]:
    """The failed partitions whose latest run opened the circuit, or found it open: nothing is wrong with them.

    Dagster records for each partition which run was to load it, when the run is created. So the run is found
    however many others failed since, and whoever launched it.
    """
    latest = {key: instance.get_latest_planned_materialization_info(asset, key) for key in failed}
    run_ids = {info.run_id for info in latest.values() if info}
    if not run_ids:
        return set()
    runs = instance.get_runs(dg.RunsFilter(run_ids=[*run_ids]))
    ended = {run.run_id for run in runs if run.tags.get(CIRCUIT_KEY) == run.run_id}
    return {key for key, info in latest.items() if info and info.run_id in ended}


def _loaded_too_early(
    instance: dg.DagsterInstance,
    asset: dg.AssetKey,
    partitions: dg.TimeWindowPartitionsDefinition,
    keys: Collection[str],
    moment: datetime,
) -> set[str]:
    """The partitions that are over at `moment`, but were not over when the run that loaded them last began."""
    ends = {key: partitions.time_window_for_partition_key(key).end.timestamp() for key in keys}
    over = {key: end for key, end in ends.items() if end <= moment.timestamp()}
    if not over:
        return set()
    latest = instance.get_latest_storage_id_by_partition(
        asset, dg.DagsterEventType.ASSET_MATERIALIZATION, {*over}
    )
    wanted = dg.AssetRecordsFilter(asset, storage_ids=list(latest.values()))
    records = instance.fetch_materializations(wanted, limit=len(over)).records
    runs = instance.get_run_records(dg.RunsFilter(run_ids=list({record.run_id for record in records})))
    began = {one.dagster_run.run_id: one.start_time for one in runs}
    return {
        key
        for record in records
        if (key := record.partition_key)
        and (began.get(record.run_id) or record.timestamp) < over[key]  # one reported by hand has no run
    }


def _in_backfills(context: EvaluationContext, asset: dg.AssetKey) -> set[str]:
    """The partitions of `asset` in backfills that are not over."""
    keys: set[str] = set()
    for backfill in context.instance.get_backfills(status=BulkActionStatus.REQUESTED):
        if asset in (backfill.asset_selection or ()):
            # It asks its workspace for the asset graph alone.
            subset = backfill.get_target_partitions_subset(cast(Any, context.repository_def), asset)
            keys |= set(subset.get_partition_keys()) if subset else set()
    return keys

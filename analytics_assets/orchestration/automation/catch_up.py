"""What is asked for of one asset: by a tick of its schedule, or when an API is back after an outage."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import dagster as dg

# Not in Dagster's public names, but the argument of `get_backfills`: without it a partition of a backfill whose
# runs are still to be launched looks like one that nobody has asked for.
from dagster._core.execution.backfill import BulkActionStatus

from analytics_assets.orchestration.sync.run_config import is_dry_run
from analytics_assets.orchestration.translator import CIRCUIT_KEY

_RUNS_AT_ONCE = 10
_LATEST = 200  # failed runs that are looked through for why a partition has failed

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class Span(NamedTuple):
    """Consecutive partitions that are asked for as one run.

    Attributes:
        first: partition key.
        last: partition key.
        alone: whether it is one that has failed by itself before.
    """

    first: str
    last: str
    alone: bool = False

    def request(self, run_key: str, job_name: str | None = None) -> dg.RunRequest:
        """The run.

        Args:
            run_key: what it is asked for once by.
            job_name: of the job, where it is not plain.
        """
        if self.first == self.last:
            return dg.RunRequest(run_key=run_key, job_name=job_name, partition_key=self.first)
        tags = {
            "dagster/asset_partition_range_start": self.first,
            "dagster/asset_partition_range_end": self.last,
        }
        return dg.RunRequest(run_key=run_key, job_name=job_name, tags=tags)


def due_spans(
    context: dg.ScheduleEvaluationContext | dg.SensorEvaluationContext,
    asset: dg.AssetKey,
    job: str,
    partitions: dg.TimeWindowPartitionsDefinition,
    keys: Sequence[str],
    *,
    moment: datetime,
    always: Collection[str] = (),
) -> list[Span]:
    """The partitions that are missing, oldest first.

    Missing is what was never loaded, whose latest run has failed, or what is over and was last loaded before it was.
    Nothing is asked for that is queued, running or in a backfill.

    Consecutive partitions are one run, which costs Dagster as much as a single one. What has failed before, and not
    because of an outage, is asked for alone, so that a partition that cannot be loaded keeps no other back.

    Args:
        context: knows runs, backfills and the code location.
        asset: the partitioned asset.
        job: the job of its schedule.
        partitions: its partitions.
        keys: consecutive partition keys, oldest first.
        moment: when it is asked: what is over then.
        always: those of them that are asked for even if they are there.
    """
    instance = context.instance
    statuses = instance.get_status_by_partition(asset, keys, partitions) or {}
    told = {key: status.value if status else None for key, status in statuses.items()}
    failed = [key for key in keys if told.get(key) == "FAILED"]
    alone = {*failed} - _held_back(instance, asset, job, keys) if failed else set()
    claimed = _in_backfills(context, asset)
    there = {key for key in keys if told.get(key) == "MATERIALIZED"} - {*always}
    there -= _loaded_too_early(instance, asset, partitions, there, moment)
    spans: list[Span] = []
    extends = False  # whether the partition before is the end of a span that may grow
    for key in keys:
        if told.get(key) == "IN_PROGRESS" or key in claimed or key in there:
            extends = False
        elif extends and key not in alone:
            spans[-1] = Span(spans[-1].first, key)
        else:
            spans.append(Span(key, key, key in alone))
            extends = key not in alone
    return spans


def in_runs_of(most: int | None, spans: Sequence[Span], keys: Sequence[str]) -> list[Span]:
    """`spans` of the partitions `keys`, cut where one has more than `most` partitions."""
    if most is None:
        return list(spans)
    cut = []
    for span in spans:
        inside = keys[keys.index(span.first) : keys.index(span.last) + 1]
        parts = [inside[at : at + most] for at in range(0, len(inside), most)]
        cut += [Span(part[0], part[-1], span.alone) for part in parts]
    return cut


def at_once(spans: Sequence[Span]) -> list[Span]:
    """As many of the missing as may be asked for at once, oldest first; the others come next time.

    What has failed by itself comes last, or ten partitions that cannot be loaded would keep all others back.
    """
    chosen = sorted(spans, key=lambda span: span.alone)[:_RUNS_AT_ONCE]
    return sorted(chosen)


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
    running = instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))
    return not any(_is_of(run, asset, job) and not is_dry_run(run, asset) for run in running)


def _held_back(instance: dg.DagsterInstance, asset: dg.AssetKey, job: str, keys: Sequence[str]) -> set[str]:
    """The partitions whose latest failed run was ended by an open circuit, or opened it: nothing is wrong with them."""
    held: dict[str, bool] = {}
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]), limit=_LATEST):
        span = run_partitions(run.tags)
        if span is None or not _is_of(run, asset, job):
            continue
        for key in keys:
            if span[0] <= key <= span[1]:
                held.setdefault(key, run.tags.get(CIRCUIT_KEY) == run.run_id)
    return {key for key, outage in held.items() if outage}


def _loaded_too_early(
    instance: dg.DagsterInstance,
    asset: dg.AssetKey,
    partitions: dg.TimeWindowPartitionsDefinition,
    keys: Collection[str],
    moment: datetime,
) -> set[str]:
    """The partitions that are over at `moment`, but were not yet when the run that loaded them last began."""
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


def _is_of(run: dg.DagsterRun, asset: dg.AssetKey, job: str) -> bool:
    """Whether a run is of `asset`: of its schedule's job, or launched for it by hand or by a backfill."""
    return run.job_name == job if run.asset_selection is None else asset in run.asset_selection


def run_partitions(tags: Mapping[str, str]) -> tuple[str, str] | None:
    """The first and the last partition of a run, by its tags; None where it has none."""
    if "dagster/partition" in tags:
        return tags["dagster/partition"], tags["dagster/partition"]
    first, last = (tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    return (first, last) if first and last else None


def _in_backfills(
    context: dg.ScheduleEvaluationContext | dg.SensorEvaluationContext, asset: dg.AssetKey
) -> set[str]:
    """The partitions of `asset` in backfills that are not over."""
    keys: set[str] = set()
    for backfill in context.instance.get_backfills(status=BulkActionStatus.REQUESTED):
        if asset in (backfill.asset_selection or ()):
            # It asks its workspace for the asset graph alone.
            subset = backfill.get_target_partitions_subset(cast(Any, context.repository_def), asset)
            keys |= set(subset.get_partition_keys()) if subset else set()
    return keys

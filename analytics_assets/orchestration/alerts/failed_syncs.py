"""Finds the failed syncs of one source in Dagster's event log, with the reason of each failure.

This module also finds out whether a later run has loaded the rows of a failed sync. The module ignores failed dry runs,
and failures that `circuit_alerts.py` reports.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.alerts.cursor import IncidentState, ReportedFailure
from analytics_assets.orchestration.partitions import latest_materializations, partitions_def
from analytics_assets.orchestration.runs import (
    CIRCUIT_KEY,
    SOURCE_KEY,
    PartitionRange,
    is_dry_run,
    run_partitions,
)

_FIRST_POLL_REACH = 3600.0  # the first poll reports failures up to this age in seconds
# After a run has failed, Dagster needs up to three seconds to store whether it will retry the run.
_RETRY_DECISION_DELAY = 3.0
_MAX_FAILURES = 200  # the most failed runs that one poll reads

_STEP_EVENTS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.STEP_FAILURE,
}


@dataclass(frozen=True)
class FailedSync:
    """A resource that a failed run did not load.

    Attributes:
        resource: the dlt resource name.
        reason: the reason of the failure, in a sentence.
        run_id: the id of the failed run.
        partitions: the `PartitionRange.key` of the run; "" for a run without partitions.
        at: the time when the run failed, in seconds since 1970.
    """

    resource: str
    reason: str
    run_id: str
    partitions: str
    at: float


@dataclass(frozen=True)
class FailedRuns:
    """The failed runs that one poll found.

    Attributes:
        records: the records of failed runs that Dagster will not retry.
        run_failure: the storage id of the last run failure that was read.
        awaiting_retry: the ids of failed runs that Dagster will retry.
    """

    records: Sequence[dg.RunRecord]
    run_failure: int
    awaiting_retry: Sequence[str]


class FailedSyncs:
    """The failed syncs of one source.

    Args:
        instance: the Dagster instance.
        config: the config of the API.
        clock: a function that returns the time in seconds since 1970.
    """

    def __init__(self, instance: dg.DagsterInstance, config: SyncConfig, clock: Callable[[], float]) -> None:
        self._instance = instance
        self._config = config
        self._clock = clock

    def runs(self, state: IncidentState) -> FailedRuns:
        """Returns the runs that failed since the last poll, and earlier failed runs that Dagster did not retry."""
        run_failure = state.run_failure
        if run_failure is None:
            run_failure = self._last_failure_before(self._clock() - _FIRST_POLL_REACH)
        failed = [*state.awaiting_retry]
        wanted = dg.RunStatusChangeRecordsFilter(
            event_type=dg.DagsterEventType.RUN_FAILURE, after_storage_id=run_failure
        )
        changes = self._instance.fetch_run_status_changes(wanted, limit=_MAX_FAILURES, ascending=True)
        for change in changes.records:
            if change.timestamp > self._clock() - _RETRY_DECISION_DELAY:
                break
            run_failure = change.storage_id
            failed.append(change.run_id)
        records, awaiting_retry = [], []
        for run_id in failed:
            record = self._instance.get_run_record_by_id(run_id)
            if record is None or record.dagster_run.status is not dg.DagsterRunStatus.FAILURE:
                continue  # a person has deleted the run
            if record.dagster_run.is_complete_and_waiting_to_retry:
                awaiting_retry.append(run_id)
            elif "dagster/auto_retry_run_id" not in record.dagster_run.tags:
                records.append(record)
        return FailedRuns(records, run_failure, awaiting_retry)

    def of_run(self, record: dg.RunRecord) -> Iterator[FailedSync]:
        """Yields the failed syncs of a failed run."""
        run = record.dagster_run
        partitions = run_partitions(run.tags)
        for resource, reason in self._reasons(run):
            yield FailedSync(
                resource=resource,
                reason=reason,
                run_id=run.run_id,
                partitions=partitions.key if partitions else "",
                at=record.end_time or self._clock(),
            )

    def still_failed(self, reported: ReportedFailure) -> dict[str, float]:
        """Returns the failures of a reported sync for which there is no later load."""
        return {
            partitions: at
            for partitions, at in reported.failures.items()
            if not self._loaded_since(reported.resource, partitions, at)
        }

    def _last_failure_before(self, moment: float) -> int:
        wanted = dg.RunStatusChangeRecordsFilter(
            event_type=dg.DagsterEventType.RUN_FAILURE, before_timestamp=moment
        )
        records = self._instance.fetch_run_status_changes(wanted, limit=1).records
        return records[0].storage_id if records else 0

    def _reasons(self, run: dg.DagsterRun) -> Iterator[tuple[str, str]]:
        """Yields the resources of this source that a failed run did not load, each with the reason."""
        planned: set[str] = set()
        loaded: set[str] = set()
        failures = {}
        for record in self._instance.get_records_for_run(run.run_id, of_type=_STEP_EVENTS).records:
            event = record.event_log_entry.dagster_event
            assert event is not None
            if event.is_step_failure and event.step_key:
                failures[event.step_key] = event.step_failure_data
            elif event.asset_key and event.asset_key.path[0] == self._config.name:
                (loaded if event.is_step_materialization else planned).add(event.asset_key.path[-1])
        for resource in sorted(planned - loaded):
            if is_dry_run(run, dg.AssetKey([self._config.name, resource])):
                continue  # no alert for a dry run, because the person who launched it sees the failure
            failure = failures.get(f"{self._config.name}__{resource}")
            if failure is None:
                yield resource, "the run ended before the sync could report a reason"
                continue
            metadata: Mapping[str, Any] = (
                failure.user_failure_data.metadata if failure.user_failure_data else {}
            )
            if CIRCUIT_KEY in metadata:
                continue
            if SOURCE_KEY in metadata:
                yield resource, str(metadata["reason"].value)
            else:
                error = failure.error
                while error and error.cause:
                    error = error.cause
                # The reason does not contain the text of the error, because the text may contain rows.
                yield resource, f"{error.cls_name if error else 'an error'}; the log of the run has its text"

    def _loaded_since(self, resource: str, partitions: str, at: float) -> bool:
        """Whether an asset, or each partition of a range, was loaded after the time `at`."""
        asset = dg.AssetKey([self._config.name, resource])
        if not partitions:
            wanted = dg.AssetRecordsFilter(asset, after_timestamp=at)
            return bool(self._instance.fetch_materializations(wanted, limit=1).records)
        keys = self._partition_keys(resource, partitions)
        latest = latest_materializations(self._instance, asset, keys)
        return {key for key, record in latest if record.timestamp > at} == {*keys}

    def _partition_keys(self, resource: str, partitions: str) -> Sequence[str]:
        failed = PartitionRange.from_key(partitions)
        definition = partitions_def(self._config.asset(resource).partitions)
        if definition is None or not all(map(definition.has_partition_key, (failed.first, failed.last))):
            # Since the failure, the partitions in the `defs.yaml` have changed.
            return [failed.first, failed.last]
        return definition.get_partition_keys_in_range(dg.PartitionKeyRange(failed.first, failed.last))

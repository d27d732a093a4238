"""Failed syncs of one source, from Dagster's records: which resources failed, why, and which are loaded again.

Failures that the circuit already reports are left out, and so are dry runs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.alerts.cursor import IncidentState, ReportedFailure
from analytics_assets.orchestration.runs import (
    CIRCUIT_KEY,
    SOURCE_KEY,
    PartitionRange,
    is_dry_run,
    run_partitions,
)

_FIRST_POLL_REACH = 3600.0  # seconds before the first poll: older failures are history
_RETRY_DECISION_DELAY = (
    3.0  # seconds from a run's failure until Dagster has stored whether it will retry the run
)
_MAX_FAILURES = 200  # failed runs that one poll reads; the next poll reads more

_STEP_EVENTS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.STEP_FAILURE,
}


@dataclass(frozen=True)
class FailedSync:
    """One resource that a run was to sync and did not.

    Attributes:
        resource: dlt resource name.
        reason: why, in a sentence.
        run_id: the run.
        partitions: `PartitionRange.key` of the run; "" for a run without partitions.
        at: when the run failed, in seconds since 1970.
    """

    resource: str
    reason: str
    run_id: str
    partitions: str
    at: float


@dataclass(frozen=True)
class FailedRuns:
    """The failed runs of one poll.

    Attributes:
        records: runs that Dagster will not retry.
        run_failure: storage id of the last failure that was read.
        awaiting_retry: ids of runs that Dagster is about to retry.
    """

    records: Sequence[dg.RunRecord]
    run_failure: int
    awaiting_retry: Sequence[str]


class FailedSyncs:
    """The failed syncs of one source.

    Args:
        instance: holds the records.
        config: the source.
        clock: seconds since 1970.
    """

    def __init__(self, instance: dg.DagsterInstance, config: SyncConfig, clock: Callable[[], float]) -> None:
        self._instance = instance
        self._config = config
        self._clock = clock

    def runs(self, state: IncidentState) -> FailedRuns:
        """The runs that failed since the last poll, and those whose retry came to nothing."""
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
                continue  # deleted
            if record.dagster_run.is_complete_and_waiting_to_retry:
                awaiting_retry.append(run_id)
            elif "dagster/auto_retry_run_id" not in record.dagster_run.tags:
                records.append(record)
        return FailedRuns(records, run_failure, awaiting_retry)

    def of_run(self, record: dg.RunRecord) -> Iterator[FailedSync]:
        """The resources of this source that a run was to sync and did not."""
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
        """The failures of a reported sync whose partitions were not loaded since."""
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
        """The resources of this source that a run was to sync and did not, each with the reason."""
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
                continue  # no table lacks rows, and the person who launched it sees the failure
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
                # The text of the error may hold rows.
                yield resource, f"{error.cls_name if error else 'an error'}; the log of the run has its text"

    def _loaded_since(self, resource: str, partitions: str, at: float) -> bool:
        """Whether an asset, or both ends of a range of its partitions, were loaded after a moment."""
        asset = dg.AssetKey([self._config.name, resource])
        failed = PartitionRange.from_key(partitions) if partitions else None
        return all(
            self._instance.fetch_materializations(
                dg.AssetRecordsFilter(asset, asset_partitions=keys, after_timestamp=at), limit=1
            ).records
            for keys in ([[failed.first], [failed.last]] if failed else [None])
        )

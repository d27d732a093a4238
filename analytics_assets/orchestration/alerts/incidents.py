"""From Dagster's records to alerts: an incident is reported once, and once more when it is over.

An incident is an outage that opened the circuit, or a sync that failed for another reason. Nothing is stored here
beyond the state that each poll returns, and nothing is sent.
"""

import time
from collections.abc import Callable, Iterable, Sequence

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.alerts.alert import Alert, run_details
from analytics_assets.orchestration.alerts.circuit_alerts import CircuitAlerts
from analytics_assets.orchestration.alerts.cursor import IncidentState, ReportedFailure
from analytics_assets.orchestration.alerts.failed_syncs import FailedSync, FailedSyncs
from analytics_assets.orchestration.circuit.event_log import EventLogCircuit

_MAX_REPORTED = 100  # failed syncs that are remembered until they are loaded again; older ones are forgotten


class Incidents:
    """The incidents of one source.

    Args:
        instance: holds the records.
        config: the source.
        clock: seconds since 1970.

    Attributes:
        store: the events of the circuit.
    """

    def __init__(
        self, instance: dg.DagsterInstance, config: SyncConfig, clock: Callable[[], float] = time.time
    ) -> None:
        self._instance = instance
        self._config = config
        self.store = EventLogCircuit(instance, config)
        self._circuit = CircuitAlerts(instance, config, self.store)
        self._failed = FailedSyncs(instance, config, clock)

    def poll(self, state: IncidentState) -> tuple[list[Alert], IncidentState]:
        """The alerts since the last poll, and the state after this one."""
        circuit, circuit_event = self._circuit.poll(state.circuit_event)
        recovered, reported = self._poll_recovered(state.reported)
        runs = self._failed.runs(state)
        failures = [failure for record in runs.records for failure in self._failed.of_run(record)]
        failed, reported = self._report(failures, reported)
        after = IncidentState(
            circuit_event=circuit_event,
            run_failure=runs.run_failure,
            awaiting_retry=tuple(runs.awaiting_retry),
            reported=tuple(reported[-_MAX_REPORTED:]),
        )
        return [*circuit, *recovered, *failed], after

    def _report(
        self, failures: Iterable[FailedSync], reported: Sequence[ReportedFailure]
    ) -> tuple[list[Alert], list[ReportedFailure]]:
        """An alert for each failed sync whose resource and reason are not reported yet."""
        alerts, after = [], [*reported]
        for failure in failures:
            moment = {failure.partitions: failure.at}
            for index, known in enumerate(after):
                if (known.resource, known.reason) == (failure.resource, failure.reason):
                    after[index] = known.model_copy(update={"failures": known.failures | moment})
                    break
            else:
                after.append(
                    ReportedFailure(resource=failure.resource, reason=failure.reason, failures=moment)
                )
                alerts.append(self._failure_alert(failure))
        return alerts, after

    def _failure_alert(self, failure: FailedSync) -> Alert:
        return Alert(
            f"{self._config.name}: the sync of {failure.resource} failed",
            {
                "source": self._config.name,
                "resource": failure.resource,
                "reason": failure.reason,
                **run_details(self._instance, self._config, failure.run_id),
            },
        )

    def _poll_recovered(
        self, reported: Iterable[ReportedFailure]
    ) -> tuple[list[Alert], list[ReportedFailure]]:
        """An alert for each reported sync whose partitions were all loaded since, and the syncs that remain."""
        alerts, remaining = [], []
        for one in reported:
            failures = self._failed.still_failed(one)
            if failures:
                remaining.append(one.model_copy(update={"failures": failures}))
                continue
            details = {
                "source": self._config.name,
                "resource": one.resource,
                "it had failed with": one.reason,
            }
            alerts.append(Alert(f"{self._config.name}: {one.resource} is synced again", details, good=True))
        return alerts, remaining

"""Creates alerts from Dagster's event log: one alert per incident, and one alert at the end of the incident.

An incident is an outage that opened the circuit, or a sync that failed for another reason. This module sends no message
and stores no state: each poll returns the new alerts and the new state.
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

_MAX_REPORTED = 100  # the most failed syncs that the state keeps; the state drops the oldest first


class Incidents:
    """The incidents of one source.

    Args:
        instance: the Dagster instance.
        config: the config of the API.
        clock: a function that returns the time in seconds since 1970.

    Attributes:
        store: the store of the circuit's events.
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
        """Returns the alerts since the last poll, and the new state."""
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
        """Creates an alert for each failed sync whose resource and reason are not yet reported."""
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
        """Creates an alert for each reported failed sync that a later run has loaded.

        Returns the other reported failed syncs.
        """
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

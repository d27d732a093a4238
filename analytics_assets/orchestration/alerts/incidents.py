"""Creates alerts from Dagster's event log: one alert per incident, and one alert at the end of the incident.

An incident is an outage that opened the circuit, a sync that failed for another reason, a check that failed with the
severity ERROR, or rows in quarantine. The rule about which failures are one incident is in this module, and in
docs/adr/0041. This module sends no message and stores no state: each poll returns the new alerts and the new state.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.alerts import incident_alerts
from analytics_assets.orchestration.alerts.alert import Alert
from analytics_assets.orchestration.alerts.check_results import CheckResults
from analytics_assets.orchestration.alerts.circuit_alerts import CircuitAlerts
from analytics_assets.orchestration.alerts.cursor import Incident, IncidentState, Kind
from analytics_assets.orchestration.alerts.failed_syncs import FailedSyncs, same_reason
from analytics_assets.orchestration.alerts.finished_runs import FinishedRun, FinishedRuns, Position
from analytics_assets.orchestration.alerts.outcomes import Outcome
from analytics_assets.orchestration.alerts.run_events import events_of_run, selects_any
from analytics_assets.orchestration.alerts.upgrade import upgraded
from analytics_assets.orchestration.circuit.event_log import EventLogCircuit

_MAX_INCIDENTS = 500  # the most incidents that the state keeps; the state drops the oldest first
_MAX_PARTS = 10_000  # the most partitions that an incident keeps; it drops those that failed first

_AGAIN_AFTER_GOOD = 3600.0
"""A new failure after a good run is reported again if the last alert is at least this many seconds old.

Without this limit, a backfill in which every second partition fails would send an alert for each of them."""

_AGAIN_ANYWAY = 23 * 3600.0
"""Any new failure is reported again after this many seconds. 24 hours would skip every second day."""


class Incidents:
    """The incidents of one source.

    Args:
        instance: the Dagster instance.
        config: the config of the API.
        assets: the dlt resource names, by asset key.
        clock: a function that returns the time in seconds since 1970.

    Attributes:
        store: the store of the circuit's events.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        config: SyncConfig,
        assets: Mapping[dg.AssetKey, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._instance = instance
        self._config = config
        self._assets = assets
        self._keys = {asset.to_string(): asset for asset in assets}
        self.store = EventLogCircuit(instance, config)
        self._circuit = CircuitAlerts(instance, config, self.store)
        self._runs = FinishedRuns(instance, clock)
        self._syncs = FailedSyncs(instance, config, assets)
        self._checks = CheckResults(config, assets)
        self._kinds = {kind for kind in Kind if getattr(config.alerts, kind.value)}

    def poll(self, state: IncidentState) -> tuple[list[Alert], IncidentState]:
        """Returns the alerts since the last poll, and the new state."""
        state = upgraded(state, self._assets, self._runs)
        alerts, circuit_event = self._circuit.poll(state.circuit_event)
        incidents = self._known(state.incidents)
        alerts += self._end_loaded(incidents)
        runs, state = self._runs.poll(state, self._statuses())
        for run in runs:
            for outcome in self._outcomes(run):
                alerts += self._apply(outcome, incidents)
        kept = tuple(incidents[-_MAX_INCIDENTS:])
        return alerts, state.model_copy(update={"circuit_event": circuit_event, "incidents": kept})

    def _known(self, incidents: Sequence[Incident]) -> list[Incident]:
        """Leaves out the incidents of assets and kinds that the file has no more."""
        return [one for one in incidents if one.asset in self._keys and one.kind in self._kinds]

    def _statuses(self) -> list[Position]:
        """Returns the statuses of runs to read. Only checks and quarantines are in runs that did not fail."""
        if self._kinds & {Kind.FAILED_CHECK, Kind.QUARANTINE}:
            return ["run_failure", "run_success", "run_canceled"]
        return ["run_failure"]

    def _outcomes(self, run: FinishedRun) -> Iterator[Outcome]:
        if not selects_any(run.run, self._assets):
            return
        events = events_of_run(self._instance, run.run.run_id, self._assets)
        if run.retried:
            # A retry executes the failed steps again, and decides about them. Other steps may not run again.
            events = {
                asset: found
                for asset, found in events.items()
                if found.failure is None and (found.materialized or found.evaluations)
            }
        for outcome in (*self._syncs.outcomes(run, events), *self._checks.outcomes(run, events)):
            if outcome.kind in self._kinds:
                yield outcome

    def _end_loaded(self, incidents: list[Incident]) -> list[Alert]:
        """Ends the failed syncs that were loaded since, in `incidents`, and returns an alert for each."""
        alerts = []
        for one in [*incidents]:
            if one.kind is not Kind.FAILED_SYNC:
                continue
            remaining = self._syncs.not_loaded(one, self._keys[one.asset])
            alerts += self._replace(one, remaining, incidents)
        return alerts

    def _apply(self, outcome: Outcome, incidents: list[Incident]) -> list[Alert]:
        """Changes `incidents` by the outcome of a run, and returns the alerts about it."""
        known = next((one for one in incidents if _is_of(one, outcome)), None)
        if known is None:
            if not outcome.wrong:
                return []
            incidents.append(_incident(outcome))
            return [self._began(outcome)]
        if outcome.kind is Kind.QUARANTINE:
            # The rows of an old quarantine are counted at each sync of an asset without partitions.
            new = any(rows > known.parts.get(part, 0) for part, rows in outcome.wrong.items())
        else:
            new = bool(outcome.wrong)
        left = {} if outcome.all_right else known.parts
        parts = {part: value for part, value in left.items() if part not in outcome.right}
        parts |= outcome.wrong
        good_since = known.good_since or bool(outcome.right) or outcome.all_right
        alerts: list[Alert] = []
        after = known.model_copy(update={"parts": dict([*parts.items()][-_MAX_PARTS:])})
        if new:
            age = outcome.at - known.alerted_at
            if age >= _AGAIN_ANYWAY or (known.good_since and age >= _AGAIN_AFTER_GOOD):
                alerts.append(self._began(outcome))
                after = after.model_copy(update={"alerted_at": outcome.at})
            after = after.model_copy(update={"last_failure": outcome.storage_id, "good_since": False})
        elif good_since:
            after = after.model_copy(update={"good_since": True})
        return alerts + self._replace(known, after if parts else None, incidents)

    def _replace(self, one: Incident, after: Incident | None, incidents: list[Incident]) -> list[Alert]:
        """Replaces an incident in `incidents`. If nothing of the incident is left, returns an alert about its end."""
        index = incidents.index(one)
        if after is not None:
            incidents[index] = after
            return []
        del incidents[index]
        return [incident_alerts.ended(self._config, self._assets[self._keys[one.asset]], one)]

    def _began(self, outcome: Outcome) -> Alert:
        return incident_alerts.began(self._instance, self._config, self._assets[outcome.asset], outcome)


def _incident(outcome: Outcome) -> Incident:
    return Incident(
        kind=outcome.kind,
        asset=outcome.asset.to_string(),
        reason=outcome.reason,
        parts=dict([*outcome.wrong.items()][-_MAX_PARTS:]),
        last_failure=outcome.storage_id,
        alerted_at=outcome.at,
    )


def _is_of(incident: Incident, outcome: Outcome) -> bool:
    return (incident.kind, incident.asset) == (outcome.kind, outcome.asset.to_string()) and same_reason(
        incident.reason, outcome.reason
    )

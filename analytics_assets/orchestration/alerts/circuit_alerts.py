"""Creates alerts about the circuit: the circuit opened or closed, or a person reported an event without effect."""

from collections.abc import Iterator, Sequence

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.errors import utc
from analytics_assets.ingestion.http.circuit_breaker import (
    Circuit,
    CircuitEvent,
    CircuitEventKind,
    policy_of,
)
from analytics_assets.orchestration.alerts.alert import Alert, run_details
from analytics_assets.orchestration.circuit.event_log import CLOCK_NOTE, EventLogCircuit


class CircuitAlerts:
    """The alerts about one circuit.

    Args:
        instance: the Dagster instance.
        config: the config of the API.
        store: the store of the circuit's events.
    """

    def __init__(self, instance: dg.DagsterInstance, config: SyncConfig, store: EventLogCircuit) -> None:
        self._instance = instance
        self._config = config
        self._store = store

    def poll(self, last_event: int | None) -> tuple[list[Alert], int]:
        """Returns the alerts for the circuit events since the last poll.

        A failed probe causes no alert, because the circuit was already open.

        Args:
            last_event: the id of the last event that was read; None at the first poll, which reports only a current
                outage.

        Returns:
            The alerts since the last poll, and the id of the last circuit event.
        """
        events = self._store.events()
        if last_event is None:
            now = self._circuit.after(events)
            last_event = now.opened.id - 1 if now.opened else events[-1].id if events else -1
        alerts = [*self._alerts(events, last_event)]
        return alerts, max([last_event, *(event.id for event in events)])

    @property
    def _circuit(self) -> Circuit:
        return Circuit(policy_of(self._config))

    def _alerts(self, events: Sequence[CircuitEvent], last_event: int) -> Iterator[Alert]:
        circuit = self._circuit
        for event in events:
            before, circuit = circuit, circuit.after([event])
            if event.id <= last_event:
                continue
            if event.kind is CircuitEventKind.NOTE:
                yield self._note(event)
            elif before.opened is None and circuit.opened is not None:
                yield self._forced_open(event) if event.cause is None else self._halted(event, circuit)
            elif before.opened is not None and circuit.opened is None:
                yield self._closed(before.opened, event)

    def _note(self, event: CircuitEvent) -> Alert:
        if event.by:
            return Alert(
                f"{self._config.name}: a clock was ahead",
                {
                    "what": CLOCK_NOTE,
                    "instead": "set the clock of each machine that runs syncs",
                    **run_details(self._instance, self._config, event.run_id),
                },
            )
        return Alert(
            f"{self._config.name}: the report on the circuit changes nothing",
            {"reported": event.reason, "instead": "begin the description with `reset`, or with `open`"},
        )

    def _forced_open(self, event: CircuitEvent) -> Alert:
        return Alert(
            f"{self._config.name}: opened by hand, no sync asks the API",
            {
                "source": self._config.name,
                "reason": event.reason or "none given",
                "next probe": f"none, until {self._store.reset} has run",
                **run_details(self._instance, self._config, event.run_id),
            },
        )

    def _halted(self, event: CircuitEvent, circuit: Circuit) -> Alert:
        halted = event.cause
        assert halted is not None
        return Alert(
            f"{self._config.name}: halted, {halted.reason}",
            {
                "source": self._config.name,
                "resource": halted.resource,
                "endpoint": halted.endpoint,
                "status": str(halted.answer),
                "attempts": str(halted.attempts),
                "reason": halted.reason,
                **run_details(self._instance, self._config, event.run_id),
                "next probe": f"after {circuit.half_open_in_words}" if circuit.half_open_at else "none",
                "until then": "no run asks the API",
                "after that": "assets whose schedule is on probe the API, and load what they missed",
            },
        )

    def _closed(self, opened: CircuitEvent, event: CircuitEvent) -> Alert:
        minutes = max(0.0, event.at - opened.at) / 60
        is_back = event.kind is CircuitEventKind.CLOSED
        return Alert(
            f"{self._config.name}: {'the API is back' if is_back else 'reset by hand'}, after {minutes:.0f} min",
            {
                "source": self._config.name,
                "closed by": "a probe that succeeded"
                if is_back
                else event.reason or "a person, without a reason",
                "since": utc(opened.at),
                **run_details(self._instance, self._config, event.run_id),
            },
            good=True,
        )

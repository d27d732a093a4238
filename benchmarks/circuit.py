"""A circuit store in memory, for a sync without Dagster."""

from __future__ import annotations

import time
from typing import Any

from analytics_assets.ingestion.http.breaker_client import Breaker
from analytics_assets.ingestion.http.circuit_breaker import Circuit, CircuitEvent, CircuitEventKind, Policy


class MemoryCircuit:
    """A `CircuitStore` that stores events in a list."""

    source, reset = "benchmark", ""

    def __init__(self) -> None:
        self._events: list[CircuitEvent] = []

    def circuit(self) -> Circuit:
        """The circuit after all events so far."""
        return Circuit(Policy(cooldown=300, max_cooldown=300, lease=100)).after(self._events)

    def append(self, kind: CircuitEventKind, *, by: str, run_id: str, cause: Any = None) -> None:
        """Appends an event."""
        self._events.append(CircuitEvent(len(self._events), time.time(), kind, by, run_id, cause))


def breaker(resource: str) -> Breaker:
    """A breaker of its own."""
    return Breaker(MemoryCircuit(), resource, "")

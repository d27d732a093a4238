"""A circuit store in memory, for tests and benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable

from analytics_assets.ingestion.errors import SyncHalted
from analytics_assets.ingestion.http.circuit_breaker import Circuit, CircuitEvent, CircuitEventKind, Policy


class MemoryCircuit:
    """A `CircuitStore` that stores events in a list."""

    def __init__(self, policy: Policy, source: str = "local", clock: Callable[[], float] = time.time) -> None:
        self.source = source
        self.reset = f"the job {source}__circuit_reset"
        self.events: list[CircuitEvent] = []
        self._policy = policy
        self._clock = clock

    def circuit(self) -> Circuit:
        return Circuit(self._policy).after(self.events)

    def append(
        self, kind: CircuitEventKind, *, by: str, run_id: str, cause: SyncHalted | None = None
    ) -> None:
        self.events.append(CircuitEvent(len(self.events), self._clock(), kind, by, run_id, cause))

"""The circuit as one sync uses it: permission before a request, and a record of what came of it.

It claims the probe, and it notices that another process has opened the circuit. `circuit_breaker.py` decides what the
events mean.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Lock
from typing import Protocol
from uuid import uuid4

from analytics_assets.ingestion.errors import CircuitOpenError, SyncError, SyncHalted
from analytics_assets.ingestion.http.circuit_breaker import Circuit, CircuitEventKind, CircuitState, Phase

log = logging.getLogger("analytics_assets")

_POLL_INTERVAL = 0.5
"""Seconds between two reads of the store: how long a healthy sync may take to notice that another process halted."""

_COMMIT_DELAY = 0.5
"""Seconds between a claim and the read that decides who was first. A database that gives out ids before it commits,
such as PostgreSQL, may show a lower id a moment later."""


class CircuitStore(Protocol):
    """Where the events of one source's circuit are kept. Any number of processes append to it and read it.

    Attributes:
        source: the source.
        reset: what closes the circuit by hand, such as `the job x`; empty where nothing does.
    """

    @property
    def source(self) -> str: ...  # noqa: D102  described by the class

    @property
    def reset(self) -> str: ...  # noqa: D102

    def circuit(self) -> Circuit:
        """The circuit after all events so far."""

    def append(
        self, kind: CircuitEventKind, *, by: str, run_id: str, cause: SyncHalted | None = None
    ) -> None:
        """Adds an event."""


def describe(store: CircuitStore, circuit: Circuit, now: float) -> str:
    """The state of a store's circuit in words."""
    return circuit.describe(store.source, store.reset, now)


class Breaker:
    """The circuit breaker of one sync. Safe across threads.

    Args:
        store: the events of the source.
        resource: dlt resource that is synced.
        run_id: the Dagster run, for people.
        clock: seconds since 1970.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        store: CircuitStore,
        resource: str,
        run_id: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._store = store
        self._resource = resource
        self._run_id = run_id
        self._by = f"{run_id}/{uuid4()}"
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()
        self._stopped_by: SyncError | None = None
        self._probing = False
        self._next_read = 0.0

    def check(self) -> None:
        """Raises if this sync has stopped; reads nothing.

        Raises:
            SyncHalted: a request of this sync failed for good.
            CircuitOpenError: this sync found the circuit open.
        """
        if self._stopped_by is not None:
            raise self._stopped_by

    def refresh(self) -> CircuitState:
        """Reads the circuit from the store.

        Returns:
            Closed, or half-open if this sync may probe.

        Raises:
            CircuitOpenError: no request may be sent.
        """
        now = self._clock()
        circuit = self._store.circuit()
        state = circuit.state(now)
        if state.refuses(self._by):
            text = describe(self._store, circuit, now)
            self._stopped_by = CircuitOpenError(self._resource, self._store.source, text)
            raise self._stopped_by
        self._next_read = now + _POLL_INTERVAL if state.phase is Phase.CLOSED else 0.0
        return state

    def acquire_permission(self, *, fresh: bool = False) -> bool:
        """Permission to send one request.

        Args:
            fresh: read the store now, not only every half second.

        Returns:
            Whether the request is the probe: sent once, alone, and followed by `record_success` or `record_failure`.

        Raises:
            SyncHalted, CircuitOpenError: no request may be sent.
        """
        with self._lock:
            self.check()
            if not fresh and self._clock() < self._next_read:
                return False
            state = self.refresh()
            if state.probe_is_free:
                self._store.append(CircuitEventKind.PROBE, by=self._by, run_id=self._run_id)
                self._sleep(_COMMIT_DELAY)
                state = self.refresh()  # raises if another run was first
            self._probing = state.claim is not None
            return self._probing

    def record_success(self) -> None:
        """The probe succeeded: the circuit closes."""
        self._probing = False
        self._store.append(CircuitEventKind.CLOSED, by=self._by, run_id=self._run_id)

    def record_failure(self, halted: SyncHalted) -> SyncHalted:
        """A request failed for good: the circuit opens, and this sync and all others stop.

        Returns:
            The failure, to be raised. `check` raises the first failure of the sync.
        """
        with self._lock:
            first, self._stopped_by = self._stopped_by is None, self._stopped_by or halted
            # A circuit that another process opened meanwhile is open already; only a probe adds to that.
            if first and (self._probing or self._store.circuit().phase(self._clock()) is Phase.CLOSED):
                self._probing = False
                self._store.append(CircuitEventKind.OPENED, by=self._by, run_id=self._run_id, cause=halted)
                log.warning("%s", describe(self._store, self._store.circuit(), self._clock()))
        return halted

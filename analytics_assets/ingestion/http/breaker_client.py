"""The circuit breaker of one sync: grants permission before a request, and records the outcome of the request.

`Breaker` claims the probe, which is the one request that tests whether the API is back. `Breaker` also notices when
another process has opened the circuit. `circuit_breaker.py` computes the state of the circuit from the events.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import Protocol
from uuid import uuid4

from analytics_assets.ingestion.errors import CircuitOpenError, SyncError, SyncHalted
from analytics_assets.ingestion.http.circuit_breaker import Circuit, CircuitEventKind, CircuitState, Phase

log = logging.getLogger("analytics_assets")

_POLL_INTERVAL = 0.5
"""Seconds between two reads of the store. A sync notices within this time that another process opened the circuit."""

_COMMIT_DELAY = 0.5
"""Seconds between the claim of a probe and the read that shows which run claimed the probe first.

A database that assigns ids before it commits, such as PostgreSQL, may show an event with a lower id later."""


class CircuitStore(Protocol):
    """Stores the circuit events of one source. Many processes may append and read events at the same time.

    Attributes:
        source: the dlt source name.
        reset: the job that closes the circuit by hand, as text such as `the job x`; empty if there is none.
    """

    @property
    def source(self) -> str: ...  # noqa: D102  described by the class

    @property
    def reset(self) -> str: ...  # noqa: D102

    def circuit(self) -> Circuit:
        """The circuit, computed from all events so far."""

    def append(
        self, kind: CircuitEventKind, *, by: str, run_id: str, cause: SyncHalted | None = None
    ) -> None:
        """Appends an event to the store."""


def read_circuit(store: CircuitStore, now: float, by: str, run_id: str = "") -> Circuit:
    """Reads the circuit. If an event is far in the future, the function appends a note, and the cool-down starts now.

    Without the note, a circuit that was opened by a clock 30 days ahead would stay open for 30 days.

    Args:
        store: the store of the circuit events.
        now: the current time in seconds since 1970.
        by: the name of the reader, which is not empty.
        run_id: the id of the Dagster run that reads.
    """
    circuit = store.circuit()
    if not circuit.is_ahead_of(now):
        return circuit
    log.warning(
        "%s: the circuit was opened by a clock that was ahead. Its cool-down starts now.", store.source
    )
    store.append(CircuitEventKind.NOTE, by=by, run_id=run_id)
    return store.circuit()


def describe(store: CircuitStore, circuit: Circuit, now: float) -> str:
    """Describes the state of a store's circuit in words."""
    return circuit.describe(store.source, store.reset, now)


class Breaker:
    """The circuit breaker of one sync. The class is thread-safe.

    Args:
        store: the store of the source's circuit events.
        resource: the dlt resource of the sync.
        run_id: the id of the Dagster run, which each event records.
        clock: a function that returns the time in seconds since 1970.
        sleep: a function that waits the given number of seconds.
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
        """Raises if this sync is known to have stopped. The method does not read the circuit events again.

        Raises:
            SyncHalted: a request of this sync failed for good.
            CircuitOpenError: this sync has already found the circuit open.
        """
        if self._stopped_by is not None:
            raise self._stopped_by

    def refresh(self) -> CircuitState:
        """Reads the circuit from the store.

        Returns:
            The state of the circuit: closed, or half-open if this sync may send the probe.

        Raises:
            CircuitOpenError: the circuit permits no request of this sync.
        """
        now = self._clock()
        circuit = read_circuit(self._store, now, self._by, self._run_id)
        state = circuit.state(now)
        if state.refuses(self._by):
            text = describe(self._store, circuit, now)
            self._stopped_by = CircuitOpenError(self._resource, self._store.source, text)
            raise self._stopped_by
        self._next_read = now + _POLL_INTERVAL if state.phase is Phase.CLOSED else 0.0
        return state

    def acquire_permission(self, *, fresh: bool = False) -> bool:
        """Grants permission to send one request.

        Args:
            fresh: whether to read the store even if the last read is less than half a second ago.

        Returns:
            Whether the request is the probe. The caller sends a probe without retries, and then calls
            `record_success` or `record_failure`.

        Raises:
            SyncHalted, CircuitOpenError: this sync may send no request.
        """
        with self._lock:
            self.check()
            # The clock may have been set back since the last read.
            if not fresh and self._next_read - _POLL_INTERVAL <= self._clock() < self._next_read:
                return False
            state = self.refresh()
            while state.probe_is_free:  # this run's claim may expire during a very slow read of the store
                self._store.append(CircuitEventKind.PROBE, by=self._by, run_id=self._run_id)
                self._sleep(_COMMIT_DELAY)
                state = self.refresh()  # `refresh` raises if another run claimed the probe first
            self._probing = state.claim is not None
            return self._probing

    def record_success(self) -> None:
        """Records that the probe succeeded. The circuit closes."""
        self._probing = False
        self._store.append(CircuitEventKind.CLOSED, by=self._by, run_id=self._run_id)

    def record_failure(
        self, halted: SyncHalted, wait: float | None = None, wait_header: str = ""
    ) -> SyncHalted:
        """Records that a request failed for good. The circuit opens, and all syncs of the API stop.

        Args:
            halted: the failure.
            wait: the seconds until the API accepts requests again, as its headers say; None if they do not.
            wait_header: the name of the header that says `wait`.

        Returns:
            The failure that the caller then raises, with the time until which the circuit is open if the API names it.
            `check` raises the first failure of the sync.
        """
        with self._lock:
            if self._stopped_by is not None:
                first = self._stopped_by
                if isinstance(first, SyncHalted):
                    halted = replace(halted, retry_at=first.retry_at, retry_header=first.retry_header)
                return halted
            circuit, now = self._store.circuit(), self._clock()
            # If another process has already opened the circuit, only a failed probe is recorded.
            opens = self._probing or circuit.phase(now) is Phase.CLOSED
            if opens and wait is not None and wait > circuit.policy.cooldown_after(circuit.failures + 1):
                halted = replace(halted, retry_at=now + wait, retry_header=wait_header)
            self._stopped_by = halted
            if opens:
                self._probing = False
                self._store.append(CircuitEventKind.OPENED, by=self._by, run_id=self._run_id, cause=halted)
                log.warning("%s", describe(self._store, self._store.circuit(), self._clock()))
        return halted

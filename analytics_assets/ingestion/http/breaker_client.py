"""When a circuit is asked and told: what stands between a sync and its next request.

What belongs here: claiming the probe, and noticing that another process has opened the circuit. What the events
mean is `circuit_breaker.py`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Lock
from typing import Protocol
from uuid import uuid4

from analytics_assets.ingestion.errors import CircuitOpenError, SyncError, SyncHalted
from analytics_assets.ingestion.http.circuit_breaker import Circuit, Event, Kind, Phase, Policy

log = logging.getLogger("analytics_assets")

_LOOK_EVERY = 0.5
"""Seconds. Another process opens the circuit: how long one in which all goes well may take to notice."""

_SETTLE = 0.5
"""Seconds from a claim to the look who was first. A database that gives out ids before it commits, such as
PostgreSQL, may show a lower one a moment later."""


class CircuitLog(Protocol):
    """Where the events of one source's circuit are kept: appended to and read by any number of processes."""

    source: str

    def circuit(self) -> Circuit:
        """The circuit after all events so far."""

    def append(self, kind: Kind, *, by: str, run_id: str, cause: SyncHalted | None = None) -> None:
        """Adds an event."""


class Breaker:
    """The circuit as one sync meets it. Safe across threads.

    Args:
        log: of the source.
        resource: dlt resource that is synced.
        run_id: of the Dagster run, for people.
        clock: seconds since 1970.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        log: CircuitLog,
        resource: str,
        run_id: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._log = log
        self._resource = resource
        self._run_id = run_id
        self._by = f"{run_id}/{uuid4()}"
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()
        self._cause: SyncError | None = None
        self._probing = False
        self._clear_until = 0.0

    def check(self) -> None:
        """Lets a request pass, by what this sync knows.

        Raises:
            SyncHalted: a request has failed for good.
            CircuitOpenError: the circuit was found open.
        """
        if self._cause is not None:
            raise self._cause

    def look(self) -> Phase:
        """Reads the log.

        Returns:
            CLOSED, or DUE or PROBING where the next request is to be the probe.

        Raises:
            CircuitOpenError: nothing may be asked.
        """
        now = self._clock()
        circuit = self._log.circuit()
        if circuit.refuses(self._by, now):
            state = circuit.sentence(self._log.source, now)
            self._cause = CircuitOpenError(self._resource, self._log.source, state)
            raise self._cause
        phase = circuit.phase(now)
        self._clear_until = now + _LOOK_EVERY if phase is Phase.CLOSED else 0.0
        return phase

    def admit(self, *, fresh: bool = False) -> bool:
        """Lets a request pass, by what all processes know.

        Args:
            fresh: look now, and not only every half second.

        Returns:
            Whether the request is the probe: to be sent once, alone, and told of.

        Raises:
            SyncHalted, CircuitOpenError: see `check`.
        """
        with self._lock:
            self.check()
            if not fresh and self._clock() < self._clear_until:
                return False
            phase = self.look()
            if phase is Phase.DUE:
                self._log.append(Kind.PROBE, by=self._by, run_id=self._run_id)
                self._sleep(_SETTLE)
                phase = self.look()  # raises where another was first
            self._probing = phase is Phase.PROBING
            return self._probing

    def answered(self) -> None:
        """The probe was answered: the circuit closes."""
        self._probing = False
        self._log.append(Kind.CLOSED, by=self._by, run_id=self._run_id)

    def trip(self, halted: SyncHalted) -> SyncHalted:
        """From now on nothing is asked, here and elsewhere; the first cause stands."""
        with self._lock:
            first, self._cause = self._cause is None, self._cause or halted
            # What another process has opened meanwhile is open; only its probe says more of it.
            if first and (self._probing or self._log.circuit().phase(self._clock()) is Phase.CLOSED):
                self._probing = False
                self._log.append(Kind.OPENED, by=self._by, run_id=self._run_id, cause=halted)
                log.warning("%s", self._log.circuit().sentence(self._log.source, self._clock()))
        return halted


class LocalLog:
    """A log that is this process's alone, for a session without Dagster."""

    def __init__(self, policy: Policy, source: str = "local", clock: Callable[[], float] = time.time) -> None:
        self.source = source
        self.events: list[Event] = []
        self._policy = policy
        self._clock = clock

    def circuit(self) -> Circuit:
        """The circuit after all events so far."""
        return Circuit(self._policy).after(self.events)

    def append(self, kind: Kind, *, by: str, run_id: str, cause: SyncHalted | None = None) -> None:
        """Adds an event."""
        self.events.append(Event(len(self.events), self._clock(), kind, by, run_id, cause))

"""The circuit breaker of one source as a pure state machine: events, clock and policy in, state out.

What belongs here: what an event means, and what may be asked of the API at a moment. Where the events are kept is
not its concern, nor when one is added (`breaker_client.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.errors import SyncHalted


class Kind(StrEnum):
    """What an event says happened."""

    OPENED = "opened"  # a sync gave up, or a probe failed
    PROBE = "probe"  # somebody is about to send the one request that finds out
    CLOSED = "closed"  # a probe was answered
    RESET = "reset"  # closed by hand
    HELD = "held"  # opened by hand, until reset
    NOTE = "note"  # a person's words that mean neither, and change nothing


class Phase(StrEnum):
    """What may be asked of the API."""

    CLOSED = "closed"  # anything
    OPEN = "open"  # nothing
    DUE = "due"  # one request, by whoever claims it first
    PROBING = "probing"  # nothing but that one request
    HELD = "held"  # nothing, until reset by hand


@dataclass(frozen=True)
class Policy:
    """How long an open circuit stays open.

    Attributes:
        cooldown: seconds after the first failure; doubles with each probe that fails.
        max_cooldown: seconds; the most it grows to.
        lease: seconds a probe may take. One that says nothing for longer has died, and another may be sent.
    """

    cooldown: float
    max_cooldown: float
    lease: float

    def after(self, failures: int) -> float:
        """Seconds of cool-down after so many failures in a row, from 1."""
        return float(min(self.max_cooldown, self.cooldown * 2 ** min(failures - 1, 64)))


_LEASE_MARGIN = 30.0  # seconds, between a probe's claim and what is said of its answer


def policy_of(config: SyncConfig) -> Policy:
    """The policy that a `defs.yaml` sets."""
    breaker, requests = config.circuit_breaker, config.requests
    return Policy(
        cooldown=breaker.cooldown_minutes * 60,
        max_cooldown=breaker.max_cooldown_minutes * 60,
        lease=requests.connect_timeout + requests.read_timeout + _LEASE_MARGIN,
    )


@dataclass(frozen=True)
class Event:
    """One entry of a circuit's log.

    Attributes:
        id: its place in the log; the order of ids is the order of events.
        at: when, in seconds since 1970, by the clock of who wrote it.
        kind: what happened.
        by: who wrote it; a probe's answer is known by it. Empty for a person.
        run_id: the run it was written in, if any.
        cause: of an opening, what was given up.
        reason: what a person gave as the reason.
    """

    id: int
    at: float
    kind: Kind
    by: str = ""
    run_id: str = ""
    cause: SyncHalted | None = None
    reason: str = ""


@dataclass(frozen=True)
class Circuit:
    """A circuit after the events so far. A new one is closed.

    Attributes:
        policy: how long it stays open.
        since: the event it was opened by; None while closed.
        latest: the latest failure, from which the cool-down counts.
        failures: in a row: the opening, and the probes that failed.
        probe: the latest claim, while nothing is known of its answer.
    """

    policy: Policy
    since: Event | None = None
    latest: Event | None = None
    failures: int = 0
    probe: Event | None = None

    def after(self, events: Iterable[Event]) -> Circuit:
        """The circuit after more events, in the order of the log."""
        circuit = self
        for event in events:
            if event.kind is Kind.RESET:
                circuit = Circuit(self.policy)
            elif event.kind is Kind.HELD:
                circuit = Circuit(self.policy, since=circuit.since or event, latest=event)
            elif event.kind is not Kind.NOTE and not circuit.held:
                circuit = circuit._after(event)
        return circuit

    def _after(self, event: Event) -> Circuit:
        if event.kind is Kind.CLOSED:
            return Circuit(self.policy)
        if event.kind is Kind.PROBE:
            due = self.phase(event.at) is Phase.DUE
            return replace(self, probe=event) if due else self
        if self.since is None:
            return Circuit(self.policy, since=event, latest=event, failures=1)
        if self.probe and self.probe.by == event.by:
            return replace(self, latest=event, failures=self.failures + 1, probe=None)
        return self  # of an outage that is known, by another run that was on its way

    @property
    def held(self) -> bool:
        """Whether a person opened it, and only a person closes it."""
        return self.latest is not None and self.latest.kind is Kind.HELD

    @property
    def until(self) -> float | None:
        """The moment from which it may be probed, in seconds since 1970; None while closed or held."""
        if self.latest is None or self.held:
            return None
        return self.latest.at + self.policy.after(self.failures)

    def phase(self, now: float) -> Phase:
        """What may be asked at a moment."""
        if self.held:
            return Phase.HELD
        if self.until is None:
            return Phase.CLOSED
        if now < self.until:
            return Phase.OPEN
        if self.probe and now < self.probe.at + self.policy.lease:
            return Phase.PROBING
        return Phase.DUE

    def refuses(self, by: str, now: float) -> bool:
        """Whether `by` may ask nothing: not even the one request that finds out."""
        phase = self.phase(now)
        if phase is Phase.PROBING:
            return self.probe is not None and self.probe.by != by
        return phase in (Phase.OPEN, Phase.HELD)

    def sentence(self, source: str, now: float) -> str:
        """Why nothing may be asked, and until when, for a person."""
        phase = self.phase(now)
        if self.since is None or self.latest is None:
            return f"the circuit of {source} is closed"
        reset = f"{source}__circuit_reset"
        if phase is Phase.HELD:
            why = f" ({self.latest.reason})" if self.latest.reason else ""
            since = utc(self.latest.at)
            return (
                f"the circuit of {source} is held open by hand since {since}{why}; the job {reset} closes it"
            )
        why = self.since.cause.cause if self.since.cause else "opened by hand"
        head = f"the circuit of {source} is open since {utc(self.since.at)}: {why}"
        if self.failures > 1 and self.latest.cause:
            head += f"; a probe at {utc(self.latest.at)} failed with {self.latest.cause.reason}"
        if phase is Phase.PROBING and self.probe:
            lost = utc(self.probe.at + self.policy.lease)
            run = self.probe.run_id[:8]
            return f"{head}; run {run} is finding out whether it is over, and another one may after {lost}"
        if phase is Phase.DUE:
            return f"{head}; the next run finds out whether it is over"
        assert self.until is not None
        return f"{head}; it may be asked again after {utc(self.until)}, or once the job {reset} has run"

    def statement(self, source: str, now: float) -> str:
        """The same as a sentence of its own."""
        said = self.sentence(source, now)
        return f"{said[0].upper()}{said[1:]}."


def utc(moment: float) -> str:
    """A moment in seconds since 1970, to the second, in UTC."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"

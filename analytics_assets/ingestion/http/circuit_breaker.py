"""The circuit breaker of one source, as a pure state machine: events, clock and policy in, state out.

It decides what an event means, and whether a request may be sent at a moment. `breaker_client.py` decides when an
event is written. The store of the events is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.errors import SyncHalted


class CircuitEventKind(StrEnum):
    """What happened. The values are stored."""

    OPENED = "opened"  # a sync gave up, or a probe failed
    PROBE = "probe"  # a run claims the one request that tests whether the API is back
    CLOSED = "closed"  # a probe succeeded
    RESET = "reset"  # a person closed it
    FORCED_OPEN = "held"  # a person opened it, until a reset
    NOTE = "note"  # a person reported something else, which changes nothing


class Phase(StrEnum):
    """Which requests may be sent."""

    CLOSED = "closed"  # all
    OPEN = "open"  # none
    HALF_OPEN = "half_open"  # one: the probe, by the run that claims it first
    FORCED_OPEN = "forced_open"  # none, until a person resets the circuit


@dataclass(frozen=True)
class Policy:
    """How long an open circuit stays open.

    Attributes:
        cooldown: seconds after the first failure; doubles with each probe that fails.
        max_cooldown: seconds; the longest cool-down.
        lease: seconds a probe may take. A run that reports nothing for longer has died, and another may probe.
    """

    cooldown: float
    max_cooldown: float
    lease: float

    def cooldown_after(self, failures: int) -> float:
        """Seconds of cool-down after so many failures in a row, from 1."""
        return float(min(self.max_cooldown, self.cooldown * 2 ** min(failures - 1, 64)))


_LEASE_MARGIN = 30.0  # seconds between the answer to a probe and the event that reports it


def policy_of(config: SyncConfig) -> Policy:
    """The policy that a `defs.yaml` sets."""
    breaker, requests = config.circuit_breaker, config.requests
    return Policy(
        cooldown=breaker.cooldown_minutes * 60,
        max_cooldown=breaker.max_cooldown_minutes * 60,
        lease=requests.connect_timeout + requests.read_timeout + _LEASE_MARGIN,
    )


@dataclass(frozen=True)
class CircuitEvent:
    """One entry of a circuit's history.

    Attributes:
        id: its place in the store; the order of ids is the order of events.
        at: seconds since 1970, by the clock of the writer.
        kind: what happened.
        by: the writer, which relates the outcome of a probe to its claim. Empty for a person.
        run_id: the run it was written in, if any.
        cause: the failure that opened the circuit.
        reason: a person's reason.
    """

    id: int
    at: float
    kind: CircuitEventKind
    by: str = ""
    run_id: str = ""
    cause: SyncHalted | None = None
    reason: str = ""


@dataclass(frozen=True)
class CircuitState:
    """A circuit at one moment.

    Attributes:
        phase: which requests may be sent.
        claim: the claim of the probe, if the circuit is half-open and a run has claimed it.
    """

    phase: Phase
    claim: CircuitEvent | None = None

    @property
    def probe_is_free(self) -> bool:
        """Whether the circuit is half-open and no run has claimed the probe."""
        return self.phase is Phase.HALF_OPEN and self.claim is None

    def refuses(self, by: str) -> bool:
        """Whether `by` may send no request, not even the probe."""
        if self.claim is not None:
            return self.claim.by != by
        return self.phase in (Phase.OPEN, Phase.FORCED_OPEN)


@dataclass(frozen=True)
class Circuit:
    """A circuit after a history of events. A new one is closed.

    Attributes:
        policy: how long it stays open.
        opened: the event that opened it; None while closed.
        latest: the latest failure, from which the cool-down counts.
        failures: failures in a row: the opening, and the probes that failed.
        claim: the latest claim of a probe, until its outcome is known.
    """

    policy: Policy
    opened: CircuitEvent | None = None
    latest: CircuitEvent | None = None
    failures: int = 0
    claim: CircuitEvent | None = None

    def after(self, events: Iterable[CircuitEvent]) -> Circuit:
        """The circuit after more events, in the order of the store."""
        circuit = self
        for event in events:
            if event.kind is CircuitEventKind.RESET:
                circuit = Circuit(self.policy)
            elif event.kind is CircuitEventKind.FORCED_OPEN:
                circuit = Circuit(self.policy, opened=circuit.opened or event, latest=event)
            elif event.kind is not CircuitEventKind.NOTE and not circuit.is_forced_open:
                circuit = circuit._after(event)
        return circuit

    def _after(self, event: CircuitEvent) -> Circuit:
        if event.kind is CircuitEventKind.CLOSED:
            return Circuit(self.policy)
        if event.kind is CircuitEventKind.PROBE:
            return replace(self, claim=event) if self.state(event.at).probe_is_free else self
        if self.opened is None:
            return Circuit(self.policy, opened=event, latest=event, failures=1)
        if self.claim and self.claim.by == event.by:
            return replace(self, latest=event, failures=self.failures + 1, claim=None)
        return self  # the same outage, seen by another run whose request was on its way

    @property
    def is_forced_open(self) -> bool:
        """Whether a person opened it, so that only a person closes it."""
        return self.latest is not None and self.latest.kind is CircuitEventKind.FORCED_OPEN

    @property
    def half_open_at(self) -> float | None:
        """When the cool-down ends, in seconds since 1970; None while closed or forced open."""
        if self.latest is None or self.is_forced_open:
            return None
        return self.latest.at + self.policy.cooldown_after(self.failures)

    def state(self, now: float) -> CircuitState:
        """The state at a moment."""
        if self.is_forced_open:
            return CircuitState(Phase.FORCED_OPEN)
        if self.half_open_at is None:
            return CircuitState(Phase.CLOSED)
        if now < self.half_open_at:
            return CircuitState(Phase.OPEN)
        alive = self.claim is not None and now < self.claim.at + self.policy.lease
        return CircuitState(Phase.HALF_OPEN, self.claim if alive else None)

    def phase(self, now: float) -> Phase:
        """The phase at a moment."""
        return self.state(now).phase

    def describe(self, source: str, reset: str, now: float) -> str:
        """The state in words: why no request may be sent, and until when.

        Args:
            source: the source.
            reset: what closes the circuit by hand, such as `the job x`; empty where nothing does.
            now: seconds since 1970.
        """
        state = self.state(now)
        if self.opened is None or self.latest is None:
            return f"the circuit of {source} is closed"
        if state.phase is Phase.FORCED_OPEN:
            reason = f" ({self.latest.reason})" if self.latest.reason else ""
            closes = f"; {reset} closes it" if reset else ""
            return f"the circuit of {source} is held open by hand since {utc(self.latest.at)}{reason}{closes}"
        cause = self.opened.cause.cause if self.opened.cause else "opened by hand"
        text = f"the circuit of {source} is open since {utc(self.opened.at)}: {cause}"
        if self.failures > 1 and self.latest.cause:
            text += f"; a probe at {utc(self.latest.at)} failed with {self.latest.cause.reason}"
        if state.claim:
            lease_end = utc(state.claim.at + self.policy.lease)
            return (
                f"{text}; run {state.claim.run_id[:8]} probes the API, and another run may after {lease_end}"
            )
        if state.probe_is_free:
            return f"{text}; the next run probes the API"
        assert self.half_open_at is not None
        or_reset = f", or once {reset} has run" if reset else ""
        return f"{text}; it may be asked again after {utc(self.half_open_at)}{or_reset}"


def utc(moment: float) -> str:
    """A moment in seconds since 1970, to the second, in UTC."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def capitalized(text: str) -> str:
    """A text as a sentence of its own."""
    return f"{text[0].upper()}{text[1:]}."

"""The circuit breaker of one source, as a pure state machine that computes the state from events, time and policy.

The state decides whether a request may be sent. `breaker_client.py` decides when an event is written, and a
`CircuitStore` stores the events. The text helpers `Circuit.describe` and `capitalized` are also in this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.errors import SyncHalted, utc


class CircuitEventKind(StrEnum):
    """The kind of a circuit event. The event log stores the values of this enum, so the values never change."""

    OPENED = "opened"  # a sync halted, or a probe failed
    PROBE = "probe"  # a run claims the probe: the one request that tests whether the API is back
    CLOSED = "closed"  # a probe succeeded
    RESET = "reset"  # a person closed the circuit
    FORCED_OPEN = "held"  # a person opened the circuit, which stays open until a reset
    NOTE = "note"  # a person's note, which changes nothing, or a sync's note that the clock of earlier events was ahead


class Phase(StrEnum):
    """The phase of a circuit. The phase decides which requests may be sent."""

    CLOSED = "closed"  # all requests may be sent
    OPEN = "open"  # no request may be sent
    HALF_OPEN = "half_open"  # only the probe may be sent, by the run that claims it first
    FORCED_OPEN = "forced_open"  # no request may be sent until a person resets the circuit


@dataclass(frozen=True)
class Policy:
    """How long the cool-down lasts, and how long a run's claim of the probe is valid.

    Attributes:
        cooldown: seconds of cool-down after the first failure; each failed probe doubles the cool-down.
        max_cooldown: the longest cool-down in seconds.
        lease: seconds for which a claim of the probe is valid; later, another run may claim the probe.
    """

    cooldown: float
    max_cooldown: float
    lease: float

    def cooldown_after(self, failures: int) -> float:
        """The seconds of cool-down after `failures` failures in a row. `failures` is at least one."""
        return float(min(self.max_cooldown, self.cooldown * 2 ** min(failures - 1, 64)))


CLOCK_TOLERANCE = 3600.0
"""The seconds by which an event may be in the future before the clock of its writer counts as wrong."""

_LEASE_MARGIN = 30.0  # extra seconds in `Policy.lease` to record the outcome of the probe


def policy_of(config: SyncConfig) -> Policy:
    """Returns the policy that the config of an API sets."""
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
        id: the id of the event in the store, which orders the events.
        at: the time of the event in seconds since 1970, by the clock of the writer.
        kind: the kind of the event.
        by: the writer of the event, which is the same for a probe's claim and its outcome; empty for a person.
        run_id: the id of the Dagster run that wrote the event; empty for an event outside a run.
        cause: the failure that opened the circuit; None for other events.
        reason: the reason that a person gave; empty for other events.
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
    """The state of a circuit at one moment.

    Attributes:
        phase: the phase of the circuit.
        claim: the valid claim of the probe in a half-open circuit; None if no run has claimed the probe.
    """

    phase: Phase
    claim: CircuitEvent | None = None

    @property
    def probe_is_free(self) -> bool:
        """Whether the circuit is half-open and no run has claimed the probe."""
        return self.phase is Phase.HALF_OPEN and self.claim is None

    def refuses(self, by: str) -> bool:
        """Whether the circuit refuses every request of the sync that `by` names, even the probe."""
        if self.claim is not None:
            return self.claim.by != by
        return self.phase in (Phase.OPEN, Phase.FORCED_OPEN)


@dataclass(frozen=True)
class Circuit:
    """The circuit of a source after a history of events. A circuit without events is closed.

    Attributes:
        policy: the durations of cool-down and lease.
        opened: the event that opened the circuit; None while the circuit is closed.
        latest: the latest failure, which starts the cool-down; None while the circuit is closed.
        failures: the number of failures in a row: the first failure, and each failed probe.
        claim: the latest claim of a probe whose outcome is not yet recorded.
    """

    policy: Policy
    opened: CircuitEvent | None = None
    latest: CircuitEvent | None = None
    failures: int = 0
    claim: CircuitEvent | None = None

    def after(self, events: Iterable[CircuitEvent]) -> Circuit:
        """Returns the circuit after more events. The events must have the same order as in the store."""
        circuit = self
        for event in events:
            if event.kind is CircuitEventKind.RESET:
                circuit = Circuit(self.policy)
            elif event.kind is CircuitEventKind.FORCED_OPEN:
                circuit = Circuit(self.policy, opened=circuit.opened or event, latest=event)
            elif circuit.is_forced_open:
                continue
            elif event.kind is not CircuitEventKind.NOTE:
                circuit = circuit._after(event)
            elif event.by and circuit.is_ahead_of(event.at):
                circuit = circuit._moved_back_to(event.at)
        return circuit

    def is_ahead_of(self, now: float) -> bool:
        """Whether an event that opened the circuit, or claimed the probe, is far in the future at the time `now`."""
        times = [one.at for one in (self.latest, self.claim) if one is not None]
        return not self.is_forced_open and max(times, default=now) > now + CLOCK_TOLERANCE

    def _moved_back_to(self, moment: float) -> Circuit:
        """Returns the circuit with the same durations, in which no event is after `moment`."""

        def moved(event: CircuitEvent | None) -> CircuitEvent | None:
            if event is None or event.at <= moment:
                return event
            cause = event.cause
            if cause is not None and cause.retry_at is not None:
                cause = replace(cause, retry_at=cause.retry_at - event.at + moment)
            return replace(event, at=moment, cause=cause)

        return replace(self, opened=moved(self.opened), latest=moved(self.latest), claim=moved(self.claim))

    def _after(self, event: CircuitEvent) -> Circuit:
        if event.kind is CircuitEventKind.CLOSED:
            return Circuit(self.policy)
        if event.kind is CircuitEventKind.PROBE:
            return replace(self, claim=event) if self.state(event.at).probe_is_free else self
        if self.opened is None:
            return Circuit(self.policy, opened=event, latest=event, failures=1)
        if self.claim and self.claim.by == event.by:
            return replace(self, latest=event, failures=self.failures + 1, claim=None)
        return self  # another run's request failed in an outage that is already recorded

    @property
    def is_forced_open(self) -> bool:
        """Whether a person opened the circuit. Then only a person can close the circuit."""
        return self.latest is not None and self.latest.kind is CircuitEventKind.FORCED_OPEN

    @property
    def half_open_at(self) -> float | None:
        """The time from which a probe may be sent, in seconds since 1970; None if the circuit is closed or forced open.

        It is the end of the cool-down, or a later time that the API named in its latest response. The doubling of the
        cool-down does not change that time.
        """
        if self.latest is None or self.is_forced_open:
            return None
        cooled = self.latest.at + self.policy.cooldown_after(self.failures)
        named = self.latest.cause.retry_at if self.latest.cause else None
        return cooled if named is None else max(cooled, named)

    @property
    def half_open_in_words(self) -> str:
        """The time `half_open_at`, and where it comes from if the API named it; empty if there is no such time."""
        if self.half_open_at is None:
            return ""
        halted = self.latest.cause if self.latest else None
        if halted is None or halted.retry_at != self.half_open_at:
            return utc(self.half_open_at)
        return f"{utc(self.half_open_at)} (the API says so in `{halted.retry_header}`)"

    def state(self, now: float) -> CircuitState:
        """The state of the circuit at the time `now`."""
        if self.is_forced_open:
            return CircuitState(Phase.FORCED_OPEN)
        if self.half_open_at is None:
            return CircuitState(Phase.CLOSED)
        if now < self.half_open_at:
            return CircuitState(Phase.OPEN)
        alive = self.claim is not None and now < self.claim.at + self.policy.lease
        return CircuitState(Phase.HALF_OPEN, self.claim if alive else None)

    def phase(self, now: float) -> Phase:
        """The phase of the circuit at the time `now`."""
        return self.state(now).phase

    def describe(self, source: str, reset: str, now: float) -> str:
        """Describes the state of the circuit in words: why no request may be sent, and until when.

        Args:
            source: the dlt source name.
            reset: the job that closes the circuit by hand, as text such as `the job x`; empty if there is none.
            now: the current time in seconds since 1970.
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
        or_reset = f", or once {reset} has run" if reset else ""
        return f"{text}; it may be asked again after {self.half_open_in_words}{or_reset}"


def capitalized(text: str) -> str:
    """Turns a clause into a sentence, with a capital letter and a full stop."""
    return f"{text[0].upper()}{text[1:]}."

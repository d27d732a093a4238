"""What all requests of one source share in a process: the budget, and one voice while it is in trouble."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from threading import BoundedSemaphore, Lock

from analytics_assets.config.models import RequestsConfig

_EPOCH_FROM, _MILLISECONDS_FROM = 1e9, 1e11
"""From these on, a reset header is a moment in seconds or milliseconds since 1970, and no time from now."""


class Gate:
    """The budget of one source, honoured by all its threads.

    Attributes:
        slots: as many as requests may be in flight.
        trouble: held by the one request that is tried again, while all others wait: an API that is down is
            asked by one voice, however many requests were in flight.
    """

    def __init__(self, config: RequestsConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.slots = BoundedSemaphore(config.max_in_flight)
        self.trouble = Lock()
        self._interval = 1 / config.requests_per_second if config.requests_per_second else 0.0
        self._clock = clock
        self._lock = Lock()
        self._next = 0.0
        self._in_flight = 0

    def reserve(self) -> float:
        """Takes the next place in the line; the seconds until it may be used."""
        with self._lock:
            now = self._clock()
            at = max(now, self._next)
            self._next = at + self._interval
            self._in_flight += 1
            return at - now

    def heed(self, headers: Mapping[str, str] | None) -> None:
        """A request is over; what the API says of its limits holds for the next ones.

        With no more requests left than are in flight, the next one waits for the reset: it would be answered 429.

        Args:
            headers: of the answer; None where there was none. Read are (X-)RateLimit-Remaining and
                (X-)RateLimit-Reset, in seconds from now or since 1970.
        """
        limits = _limits(headers) if headers is not None else None
        with self._lock:
            self._in_flight -= 1
            if limits and limits[0] <= self._in_flight:
                seconds = min(limits[1], self.config.max_retry_delay)
                self._next = max(self._next, self._clock() + seconds)


_gates: dict[str, Gate] = {}
_gates_lock = Lock()


def gate_of(source: str, config: RequestsConfig) -> Gate:
    """The gate of a source in this process; a new one where its budget has changed."""
    with _gates_lock:
        gate = _gates.get(source)
        if gate is None or gate.config != config:
            gate = _gates[source] = Gate(config)
        return gate


def _limits(headers: Mapping[str, str]) -> tuple[float, float] | None:
    """Requests left, and seconds until there are more; None where the API does not say both."""
    remaining = headers.get("X-RateLimit-Remaining") or headers.get("RateLimit-Remaining")
    if remaining is None:
        return None
    reset = headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset")
    with suppress(ValueError, TypeError):
        left, seconds = float(remaining), float(reset or "")
        if seconds > _MILLISECONDS_FROM:
            seconds /= 1000
        if seconds > _EPOCH_FROM:
            seconds -= _now(headers)
        return left, max(0.0, seconds)
    return None


def _now(headers: Mapping[str, str]) -> float:
    """Seconds since 1970 by the clock of the API, which its reset is told by; by ours where it does not say."""
    with suppress(ValueError, TypeError):
        return parsedate_to_datetime(headers["Date"]).timestamp() if "Date" in headers else time.time()
    return time.time()

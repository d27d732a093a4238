"""What all requests of one source share in a process: its rate limit, and the single-flight retry.

How long one failed request waits before its retry is in `retry_policy.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from threading import BoundedSemaphore, Lock

from analytics_assets.config.models import RequestsConfig

_EPOCH_FROM, _MILLISECONDS_FROM = 1e9, 1e11
"""From these on, a reset header is a moment in seconds or milliseconds since 1970, and not a number of seconds."""


@dataclass
class Turn:
    """One turn of a rate limiter, and the headers of the response that it was used for."""

    headers: Mapping[str, str] | None = None


class RateLimiter:
    """The rate limit of one source, kept by all its threads.

    Attributes:
        config: the limits.
        slots: one for each request that may be in flight.
        single_flight: the request that is being retried holds it, and all others wait. So an API that is down gets
            the retries of one request, however many were in flight.
    """

    def __init__(self, config: RequestsConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.slots = BoundedSemaphore(config.max_in_flight)
        self.single_flight = Lock()
        self._interval = 1 / config.requests_per_second if config.requests_per_second else 0.0
        self._clock = clock
        self._lock = Lock()
        self._next = 0.0
        self._in_flight = 0

    def reserve(self) -> float:
        """Takes the next turn; returns the seconds until it comes."""
        with self._lock:
            now = self._clock()
            at = max(now, self._next)
            self._next = at + self._interval
            self._in_flight += 1
            return at - now

    def update_from_headers(self, headers: Mapping[str, str] | None) -> None:
        """Ends a request, and keeps to the limits that its response states.

        If no more requests are left than are in flight, the next one waits for the reset: it would get a 429.

        Args:
            headers: of the response; None where there was none. Those read are (X-)RateLimit-Remaining and
                (X-)RateLimit-Reset, in seconds from now or since 1970.
        """
        limits = _limits(headers) if headers is not None else None
        with self._lock:
            self._in_flight -= 1
            if limits and limits[0] <= self._in_flight:
                seconds = min(limits[1], self.config.max_retry_delay)
                self._next = max(self._next, self._clock() + seconds)


_limiters: dict[str, RateLimiter] = {}
_limiters_lock = Lock()


def rate_limiter_of(source: str, config: RequestsConfig) -> RateLimiter:
    """The rate limiter of a source in this process; a new one where its limits have changed."""
    with _limiters_lock:
        limiter = _limiters.get(source)
        if limiter is None or limiter.config != config:
            limiter = _limiters[source] = RateLimiter(config)
        return limiter


def _limits(headers: Mapping[str, str]) -> tuple[float, float] | None:
    """The requests left, and the seconds until the reset; None where the API does not state both."""
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
    """Seconds since 1970 by the clock of the API, which its reset refers to; by ours where it sends none."""
    with suppress(ValueError, TypeError):
        return parsedate_to_datetime(headers["Date"]).timestamp() if "Date" in headers else time.time()
    return time.time()

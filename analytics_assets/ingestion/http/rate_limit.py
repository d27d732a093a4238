"""The rate limit and the single-flight lock, which all requests of one source in a process share.

`retry_policy.py` computes how long a failed request waits before its retry.
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
"""Thresholds for a reset header: a larger value is a time since 1970, in seconds or in milliseconds."""


@dataclass
class Turn:
    """One turn of a rate limiter: the right to send one request.

    Attributes:
        headers: the headers of the response; None until there is a response.
    """

    headers: Mapping[str, str] | None = None


class RateLimiter:
    """The rate limiter of one source, which all threads of a process share.

    Attributes:
        config: the request settings of the API.
        slots: the semaphore that limits the requests in flight.
        single_flight: the lock that a request holds during its retries. All other requests wait for the lock, so an API
            that is down gets the retries of only one request.
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
        """Reserves the next turn, and returns the seconds until the turn starts."""
        with self._lock:
            now = self._clock()
            at = max(now, self._next)
            self._next = at + self._interval
            self._in_flight += 1
            return at - now

    def update_from_headers(self, headers: Mapping[str, str] | None) -> None:
        """Ends the turn of a request, and applies the rate limit headers of its response.

        If the API allows no request beyond those in flight, the next request waits until the limit resets, so that the
        API does not answer with status 429.

        Args:
            headers: the headers of the response; None if there was no response. The method reads
                (X-)RateLimit-Remaining and (X-)RateLimit-Reset, in seconds from now or since 1970.
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
    """Returns the rate limiter of a source in this process, or a new rate limiter if the settings have changed."""
    with _limiters_lock:
        limiter = _limiters.get(source)
        if limiter is None or limiter.config != config:
            limiter = _limiters[source] = RateLimiter(config)
        return limiter


def _limits(headers: Mapping[str, str]) -> tuple[float, float] | None:
    """Returns the number of remaining requests and the seconds until the reset; None if a header is missing."""
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
    """The current time in seconds since 1970, from the `Date` header, or from the local clock without that header."""
    with suppress(ValueError, TypeError):
        return parsedate_to_datetime(headers["Date"]).timestamp() if "Date" in headers else time.time()
    return time.time()

"""The rate limit, and the lock that lets only one request retry at a time.

All requests of one source in a process share the rate limit and the lock.

`rate_limit_headers.py` reads the rate limit headers, and `retry_policy.py` computes how long a failed request waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock, RLock

from analytics_assets.config.models import RequestsConfig
from analytics_assets.ingestion.http.rate_limit_headers import read_rate_limits


@dataclass
class Turn:
    """One turn of a rate limiter: the right to send one request.

    Attributes:
        headers: the headers of the response; None until there is a response.
    """

    headers: Mapping[str, str] | None = None


class RateLimiter:
    """The rate limiter of one source. All threads of a process share the rate limiter.

    Attributes:
        config: the request settings of the API.
        slots: the semaphore that limits the requests in flight.
        single_flight: the lock that a request holds during its retries. All other requests wait for the lock, so an API
            that is down gets the retries of only one request. The renewal of an access token takes the lock, too.
    """

    def __init__(self, config: RequestsConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.slots = BoundedSemaphore(config.max_in_flight)
        self.single_flight = RLock()
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

        If the API allows no more requests than those in flight, the next request waits until the limit resets. Without
        the wait, the API would answer with status 429. A reset after `max_retry_delay` is not waited for: the next
        request shows whether the API means it, and `retry_policy.py` decides.

        Args:
            headers: the headers of the response; None if there was no response.
        """
        limits = read_rate_limits(headers) if headers is not None else None
        with self._lock:
            self._in_flight -= 1
            if limits is None or limits.remaining is None or limits.reset is None:
                return
            if limits.remaining <= self._in_flight and limits.reset <= self.config.max_retry_delay:
                self._next = max(self._next, self._clock() + limits.reset)


_limiters: dict[str, RateLimiter] = {}
_limiters_lock = Lock()


def rate_limiter_of(source: str, config: RequestsConfig) -> RateLimiter:
    """Returns the rate limiter of a source in this process, or a new rate limiter if the settings have changed."""
    with _limiters_lock:
        limiter = _limiters.get(source)
        if limiter is None or limiter.config != config:
            limiter = _limiters[source] = RateLimiter(config)
        return limiter

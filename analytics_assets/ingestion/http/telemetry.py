"""What a sync asked of the API and what it got: counted across threads, and told at a human pace."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Lock

log = logging.getLogger("analytics_assets")
log.setLevel(logging.INFO)  # by Python's default the progress would not reach the run's log

_PACE = 10.0  # seconds between two lines of progress


class Telemetry:
    """The count of one sync of one resource. Safe across threads.

    Attributes:
        requests: sent, retries included.
        pages: answers with rows that were read, in order.
        retries: requests sent again.
        too_many_requests: answers with status 429.
        restarts: times the sync began anew because rows moved while they were read.
        seconds_waited: for retries and for the budget, over all threads.
        bytes_received: of bodies, decoded.
        rows_fetched: rows read from pages, each once.
        total: rows that the API says there are; None where it does not.
    """

    def __init__(self, resource: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.requests = 0
        self.pages = 0
        self.retries = 0
        self.too_many_requests = 0
        self.restarts = 0
        self.seconds_waited = 0.0
        self.bytes_received = 0
        self.rows_fetched = 0
        self.total: int | None = None
        self._resource = resource
        self._clock = clock
        self._lock = Lock()
        self._started: float | None = None
        self._last_page = 0.0
        self._told = 0.0

    def request(self) -> None:
        """One request is about to be sent."""
        with self._lock:
            if self._started is None:
                self._started = self._told = self._clock()
            self.requests += 1

    def answer(self, status: int, size: int) -> None:
        """One answer has come, with a body of `size` bytes."""
        with self._lock:
            self.bytes_received += size
            self.too_many_requests += status == 429

    def waited(self, seconds: float, *, for_retry: bool = False) -> None:
        """A thread is about to wait."""
        with self._lock:
            self.seconds_waited += seconds
            self.retries += for_retry

    def page(self, rows: int, total: int | None = None) -> None:
        """A page was read; `total` rows are to be expected in all, where that is known."""
        now = self._clock()
        with self._lock:
            self.pages += 1
            self.rows_fetched += rows
            self.total = total
            self._last_page = now
            tell = now - self._told >= _PACE
            if tell:
                self._told = now
        if tell:
            log.info("%s", self._progress(total))

    def restart(self) -> None:
        """The rows so far do not count: they are fetched anew."""
        with self._lock:
            self.restarts += 1
            self.rows_fetched = 0
            self.total = None
            self._started = None

    @property
    def rows_per_second(self) -> float:
        """From the first request to the last page; 0 where there was none."""
        seconds = self._last_page - (self._started or 0)
        return self.rows_fetched / seconds if self._started is not None and seconds > 0 else 0.0

    def _progress(self, total: int | None) -> str:
        done, rate = self.rows_fetched, self.rows_per_second
        if total is None or total < done:
            return f"{self._resource}: {done:,} rows, {rate:,.0f} rows/s"
        left = f", about {_duration((total - done) / rate)} left" if rate else ""
        return f"{self._resource}: {done:,} of {total:,} rows, {rate:,.0f} rows/s{left}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

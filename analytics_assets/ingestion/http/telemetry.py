"""Counts the requests and responses of a sync across threads, and logs progress every few seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Lock

log = logging.getLogger("analytics_assets")

_PACE = 10.0  # seconds between two log lines of progress


class Telemetry:
    """The counts of one sync of one resource. The class is thread-safe.

    Attributes:
        requests: the number of requests sent, retries included.
        pages: the number of pages read.
        pages_of_attempt: the number of pages read since the last restart.
        retries: the number of retries.
        too_many_requests: the number of responses with status 429.
        restarts: the number of times that the sync started over.
        seconds_waited: seconds of waiting for retries and the rate limit, summed over all threads.
        bytes_received: the size of all response bodies after decompression.
        rows_fetched: the number of rows read from pages, without the repeated rows of overlapping pages.
        total: the total number of rows that the API reports; None if the API reports none.
    """

    def __init__(self, resource: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.requests = 0
        self.pages = self.pages_of_attempt = 0
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
        self._reported = 0.0

    def request(self) -> None:
        """Counts a request before the request is sent."""
        with self._lock:
            if self._started is None:
                self._started = self._reported = self._clock()
            self.requests += 1

    def response(self, status: int, size: int) -> None:
        """Counts a response whose body has `size` bytes."""
        with self._lock:
            self.bytes_received += size
            self.too_many_requests += status == 429

    def chunk(self, size: int) -> None:
        """Counts `size` bytes of a streamed body."""
        with self._lock:
            self.bytes_received += size

    def waited(self, seconds: float, *, for_retry: bool = False) -> None:
        """Counts a wait before the wait starts."""
        with self._lock:
            self.seconds_waited += seconds
            self.retries += for_retry

    def page(self, rows: int, total: int | None = None) -> None:
        """Counts a page of `rows` rows, and sets the total number of rows that the API reports."""
        now = self._clock()
        with self._lock:
            self.pages += 1
            self.pages_of_attempt += 1
            self.rows_fetched += rows
            self.total = total
            self._last_page = now
            is_due = now - self._reported >= _PACE
            if is_due:
                self._reported = now
        if is_due:
            log.info("%s", self._progress(total))

    def restart(self) -> None:
        """Counts a restart, and resets the count of rows, because the sync fetches the rows again."""
        with self._lock:
            self.restarts += 1
            self.rows_fetched = self.pages_of_attempt = 0
            self.total = None
            self._started = None

    @property
    def rows_per_second(self) -> float:
        """Rows fetched per second, from the first request to the last page; 0 before the first page."""
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

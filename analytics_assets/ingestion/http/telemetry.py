"""What a sync sent and received: counted across threads, and logged as progress every few seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

log = logging.getLogger("analytics_assets")
_dlt_log = logging.getLogger("dlt")

_PACE = 10.0  # seconds between two lines of progress


class _RunsInProcess:
    """How many runs of this process log, and the level to go back to after the last one."""

    def __init__(self) -> None:
        self.count = 0
        self.level_before = logging.NOTSET
        self.lock = Lock()


_runs = _RunsInProcess()


def _says_something(record: logging.LogRecord) -> bool:
    """False for a warning that dlt gives for each declared JSON column: Arrow has it as text, the table as JSON."""
    return "when merging arrow schema with dlt schema" not in str(record.msg)


@contextmanager
def run_logging() -> Iterator[None]:
    """Lets progress into the run's log for the block, and keeps a warning without meaning out.

    Dagster takes from our logger what the logger lets through, and by Python's default that is warnings only. Runs may
    overlap in one process: the level goes back with the last of them.
    """
    with _runs.lock:
        if not _runs.count:
            _runs.level_before = log.level
            log.setLevel(logging.INFO)
            _dlt_log.addFilter(_says_something)
        _runs.count += 1
    try:
        yield
    finally:
        with _runs.lock:
            _runs.count -= 1
            if not _runs.count:
                log.setLevel(_runs.level_before)
                _dlt_log.removeFilter(_says_something)


class Telemetry:
    """The counts of one sync of one resource. Safe across threads.

    Attributes:
        requests: sent, retries included.
        pages: responses whose rows were read, in order.
        retries: requests sent again.
        too_many_requests: responses with status 429.
        restarts: times the sync started over because rows moved while they were read.
        seconds_waited: for retries and for the rate limit, over all threads.
        bytes_received: of bodies, decoded.
        rows_fetched: rows read from pages, each once.
        total: rows that the API has, as it says; None where it does not say.
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
        self._reported = 0.0

    def request(self) -> None:
        """Counts a request that is about to be sent."""
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
        """Counts bytes of a body that is read as a stream."""
        with self._lock:
            self.bytes_received += size

    def waited(self, seconds: float, *, for_retry: bool = False) -> None:
        """Counts a wait that is about to begin."""
        with self._lock:
            self.seconds_waited += seconds
            self.retries += for_retry

    def page(self, rows: int, total: int | None = None) -> None:
        """Counts a page that was read; the API has `total` rows in all, where that is known."""
        now = self._clock()
        with self._lock:
            self.pages += 1
            self.rows_fetched += rows
            self.total = total
            self._last_page = now
            is_due = now - self._reported >= _PACE
            if is_due:
                self._reported = now
        if is_due:
            log.info("%s", self._progress(total))

    def restart(self) -> None:
        """Drops the count of rows: they are fetched again."""
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

"""File locks beside the DuckDB file, and the wait for programs that do not take them.

If a process dies, the operating system releases its locks. A second file per lock names the process that holds the
lock.

What belongs here: the names of locks, and the wait for a lock. `pipeline.py` has the steps that take a lock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from analytics_assets.ingestion.time_window import Window

log = logging.getLogger("analytics_assets")

WAREHOUSE = "warehouse"
"""The name of the lock that a process needs to open the DuckDB file."""

_T = TypeVar("_T")

NOTICE_AFTER, NOTICE_EVERY = 2.0, 60.0
"""The seconds that a run waits before its log first reports the wait, and between two such reports."""

_LOCKS = 61
"""The number of locks that the partitions of a resource share. The number is prime, so that adjacent partitions of any
length have different locks."""


def lock_names(pipeline: str, windows: Iterable[Window]) -> list[str]:
    """Returns the names of the locks of a run's windows, sorted, because all runs must take locks in the same order.

    Args:
        pipeline: the name of the dlt pipeline.
        windows: the windows of the run's partitions; without windows, all runs of the resource share one lock.
    """
    hours = {int(window.start.timestamp()) // 3600 for window in windows}
    return sorted({f"{pipeline}.{hour % _LOCKS:02}" for hour in hours}) or [pipeline]


@contextmanager
def hold(database: Path, names: Iterable[str], by: str) -> Iterator[None]:
    """Takes the locks of a DuckDB file one after the other, and holds the locks within the `with` block.

    Args:
        database: the path of the DuckDB file; the lock files are in `<file>.locks/`.
        names: the names of the locks, in the order to take them.
        by: the text that names the caller; the log of a run that waits for the caller shows this text.
    """
    folder = Path(f"{database}.locks")
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        for name in names:
            held.enter_context(_hold(folder / name, by))
        yield


@contextmanager
def _hold(path: Path, by: str) -> Iterator[None]:
    lock, holder = FileLock(path, is_singleton=True), path.with_name(f"{path.name}.holder")
    what = "the warehouse" if path.name == WAREHOUSE else "its turn at the same rows"
    _wait(lock, what, holder, by)
    try:
        if lock.lock_counter == 1:
            holder.write_text(f"{by}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
        yield
    finally:
        if lock.lock_counter == 1:
            holder.unlink(missing_ok=True)  # the next holder may be a program that does not write its name
        lock.release()


def _wait(lock: FileLock, what: str, holder: Path, by: str) -> None:
    began, patience = time.monotonic(), NOTICE_AFTER
    while True:
        try:
            lock.acquire(timeout=patience)
            break
        except Timeout:
            other = holder.read_text() if holder.exists() else "another run or program"
            log.warning("%s: waiting for %s, after %s", by, what, other)
            patience = NOTICE_EVERY
    if patience == NOTICE_EVERY:
        log.warning("%s: waited for %s for %.0f s", by, what, time.monotonic() - began)


def until_free(
    open_file: Callable[[], _T],
    holder_of: Callable[[Exception], str | None],
    by: str,
    limit: float,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> _T:
    """Opens a file again and again, as long as another program has it open.

    Args:
        open_file: the function that opens the file.
        holder_of: a function that names the other program by the error of `open_file`; None for another error.
        by: the text that names the caller, for the log.
        limit: the most seconds to wait.
        sleep: a function that waits the given number of seconds.
        clock: a function that returns the time in seconds.

    Returns:
        The result of `open_file`.

    Raises:
        Exception: the last error of `open_file`.
    """
    began, notice_at, named = clock(), NOTICE_AFTER, ""
    while True:
        try:
            opened = open_file()
        except Exception as error:
            holder, waited = holder_of(error), clock() - began
            if holder is None or waited >= limit:
                raise
            if waited >= notice_at:
                log.warning(
                    "%s: waiting for %s, which has the warehouse open, for at most %.0f s", by, holder, limit
                )
                notice_at, named = waited + NOTICE_EVERY, holder
            sleep(min(0.5, limit - waited))
            continue
        if named:
            log.warning("%s: waited for %s for %.0f s", by, named, clock() - began)
        return opened

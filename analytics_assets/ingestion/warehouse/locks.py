"""File locks beside the embedded warehouse, each with the name of its holder. A lock of a dead process is free.

What belongs here: names of locks, and waiting. `pipeline.py` decides when a lock is taken.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from analytics_assets.ingestion.time_window import Window

log = logging.getLogger("analytics_assets")

WAREHOUSE = "warehouse"
"""The lock for opening the DuckDB file."""

_NOTICE_AFTER = 2.0  # seconds of waiting before the run log says so
_NOTICE_EVERY = 60.0
_LOCKS = 61
"""Locks that the partitions of a resource share. A prime, so that neighbours of any length never share one."""


def lock_names(pipeline: str, windows: Iterable[Window]) -> list[str]:
    """The locks that give a run its windows alone, in the order in which all runs take them.

    Args:
        pipeline: name of the dlt pipeline.
        windows: of the run's partitions. Without any, all runs of the resource share one lock.
    """
    hours = {int(window.start.timestamp()) // 3600 for window in windows}
    return sorted({f"{pipeline}.{hour % _LOCKS:02}" for hour in hours}) or [pipeline]


@contextmanager
def hold(database: Path, names: Iterable[str], by: str) -> Iterator[None]:
    """Holds locks of a DuckDB file for the block, taken one after the other.

    Args:
        database: the file; the locks are in `<file>.locks/`.
        names: of the locks.
        by: who holds them, for those who wait.
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
        lock.release()


def _wait(lock: FileLock, what: str, holder: Path, by: str) -> None:
    began, patience = time.monotonic(), _NOTICE_AFTER
    while True:
        try:
            lock.acquire(timeout=patience)
            break
        except Timeout:
            other = holder.read_text() if holder.exists() else "another run"
            log.warning("%s: waiting for %s, after %s", by, what, other)
            patience = _NOTICE_EVERY
    if patience == _NOTICE_EVERY:
        log.warning("%s: waited for %s for %.0f s", by, what, time.monotonic() - began)

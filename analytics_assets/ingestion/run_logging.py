"""Logging while a sync runs: the log of the Dagster run shows progress, and leaves out a useless warning of dlt."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_log = logging.getLogger("analytics_assets")
_dlt_log = logging.getLogger("dlt")


class _RunsInProcess:
    """The number of active runs in this process, and the log level to restore after the last of these runs."""

    def __init__(self) -> None:
        self.count = 0
        self.level_before = logging.NOTSET
        self.lock = Lock()


_runs = _RunsInProcess()


def _is_useful(record: logging.LogRecord) -> bool:
    """Returns False for a warning of dlt about JSON columns, because Arrow holds JSON as text on purpose."""
    return "when merging arrow schema with dlt schema" not in str(record.msg)


@contextmanager
def run_logging() -> Iterator[None]:
    """Logs progress to the Dagster run within the `with` block, and suppresses a useless warning of dlt.

    Python's default log level hides progress. Runs may overlap in one process, so the last run restores the log level.
    """
    with _runs.lock:
        if not _runs.count:
            _runs.level_before = _log.level
            _log.setLevel(logging.INFO)
            _dlt_log.addFilter(_is_useful)
        _runs.count += 1
    try:
        yield
    finally:
        with _runs.lock:
            _runs.count -= 1
            if not _runs.count:
                _log.setLevel(_runs.level_before)
                _dlt_log.removeFilter(_is_useful)

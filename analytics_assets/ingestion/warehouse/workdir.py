"""The working directory of a run. It holds rows, so it is removed with the run, or after a kill by the next run."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX = ".analytics_assets-run-"
_LOCK = ".lock"
_YOUNG = 60.0  # seconds; a directory of this age has taken its lock, if its process lives


@contextmanager
def working_directory() -> Iterator[Path]:
    """A new private directory for the block. Directories of dead processes are removed first."""
    _remove_abandoned()
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name)
        with FileLock(folder / _LOCK):
            yield folder


def _remove_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if (folder / _LOCK).exists() and time.time() - folder.stat().st_mtime > _YOUNG:
                with FileLock(folder / _LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
        except (OSError, Timeout):
            continue  # another user's, in use, or gone by now

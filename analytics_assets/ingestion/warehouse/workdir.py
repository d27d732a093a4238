"""The working directory of a run: it holds rows on their way, so it goes with the run, killed or not."""

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
_YOUNG = 60.0  # seconds in which one that is just being made has surely taken its lock


@contextmanager
def working_directory() -> Iterator[Path]:
    """A fresh directory, which nobody else can read, for the block; those that dead processes have left are removed."""
    _sweep()
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name)
        with FileLock(folder / _LOCK):
            yield folder


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if (folder / _LOCK).exists() and time.time() - folder.stat().st_mtime > _YOUNG:
                with FileLock(folder / _LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
        except (OSError, Timeout):
            continue  # another user's, in use, or gone by now

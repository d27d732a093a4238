"""The working directory of a run. A run deletes its own directory, and the directories of killed runs."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from analytics_assets.ingestion.errors import NoWorkingDirectoryError

_PREFIX = ".analytics_assets-run-"
_LOCK = ".lock"
_YOUNG = 60.0  # the seconds within which a living process locks its new directory


@contextmanager
def working_directory() -> Iterator[Path]:
    """Creates a private directory for the `with` block, and first removes the directories of dead processes.

    Raises:
        NoWorkingDirectoryError: the folder for temporary files cannot be written.
    """
    try:
        _remove_abandoned()
        # Python makes the directory with mode 700, so no other user reads what is in it.
        directory = tempfile.TemporaryDirectory(prefix=_PREFIX)
    except OSError as error:
        raise NoWorkingDirectoryError("", error.strerror or str(error)) from error
    with directory as name:
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
            continue  # another user owns the directory, a process uses it, or it is already deleted

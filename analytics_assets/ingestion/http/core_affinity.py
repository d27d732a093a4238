"""Keeps the threads that fetch pages on one CPU core."""

from __future__ import annotations

import os
from contextlib import suppress


def share_a_core() -> None:
    """Pins the calling thread to one CPU core, the same for all fetch threads. The GIL runs only one thread at a time.

    Without pinning, the GIL moves between cores, which takes a third of the time of a whole sync.
    """
    with suppress(AttributeError, OSError):  # some systems and sandboxes have no CPU affinity
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})

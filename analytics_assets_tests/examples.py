"""The number of examples of a property test: a quarter in `make test`, all in `make stress` (`EXAMPLES=all`)."""

from __future__ import annotations

import os


def examples(full: int) -> int:
    """The number of examples in this run, at most `full`."""
    return full if os.environ.get("EXAMPLES") == "all" else max(10, full // 4)

"""How many examples a property test tries: a quarter in `make test`, all of them in `make stress` (`EXAMPLES=all`)."""

from __future__ import annotations

import os


def examples(full: int) -> int:
    """The number of examples for this run, of `full` in all."""
    return full if os.environ.get("EXAMPLES") == "all" else max(10, full // 4)

"""How much the slow tests try: a part in `make test`, everything with `EXAMPLES=all`.

`make stress` runs all examples of the property tests, and `make e2e` runs all cases of the tests marked `matrix`.
"""

from __future__ import annotations

import os

EVERYTHING = os.environ.get("EXAMPLES") == "all"
"""Whether all examples and cases run."""


def examples(full: int, few: int | None = None) -> int:
    """Returns the number of examples for this run, from the full number; of a part, `few` or an eighth."""
    return full if EVERYTHING else few or max(5, full // 8)

"""About how large a batch is. A failure repeats at most the work of one batch."""

from __future__ import annotations

TARGET_SECONDS = 20.0
"""About how long a batch may take."""

TARGET_ROWS = 250_000
"""About how many rows a batch may fetch."""

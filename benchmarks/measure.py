"""Measures one way in a separate process, from the first line of work to the last row in the table.

`sync.py` starts this script as `measure.py <way> <url> <database> <in flight>`. The script writes `measured.json` to
its working directory, because other code may write to standard output, such as DuckDB's progress bar. The imports run
before the clock starts, because each process needs them only once.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path

WAYS = {
    "ours": ("ways.ours", "sync"),
    "as_shipped": ("ways.stock_dlt", "as_shipped"),
    "tuned": ("ways.stock_dlt", "tuned"),
    "by_hand": ("ways.by_hand", "sync"),
}


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(way: str, url: str, database: str, in_flight: str) -> None:
    module, function = WAYS[way]
    sync = getattr(importlib.import_module(module), function)
    start, cpu_start = time.perf_counter(), _cpu_seconds()
    sync(url, Path(database), int(in_flight))
    seconds, cpu_seconds = time.perf_counter() - start, _cpu_seconds() - cpu_start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    measured = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": peak / (1024 * 1024 if sys.platform == "darwin" else 1024),
    }
    Path("measured.json").write_text(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])

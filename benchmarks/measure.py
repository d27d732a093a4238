"""One way, measured: in a process of its own, from the first line of work to the last row in the table.

`sync.py` starts it as `measure.py <way> <url> <database> <in flight>`, and reads `measured.json`, which it leaves in
its working directory: standard output may be anyone's, such as DuckDB's progress bar's. The imports are made before
the clock starts: they are a cost per process, whichever way it goes.
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

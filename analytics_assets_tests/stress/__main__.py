"""`make stress`: prints what came of each round; ends with 1 where anything was wrong."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from analytics_assets_tests.postgres import WAREHOUSE, PostgresWarehouse
from analytics_assets_tests.stress import stress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=200, help="of all processes, in a round")
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 10_000, help="of the first round")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through the end of what is under way
    failed = False
    for seed in range(asked.seed, asked.seed + asked.rounds):
        with tempfile.TemporaryDirectory() as folder:
            database = PostgresWarehouse() if WAREHOUSE else None
            report = stress(
                Path(folder), seed, asked.workers, asked.tasks, database.settings if database else None
            )
            if database:
                database.drop()
            os.chdir("/")
        print(f"seed {seed}: {report.kills} killed, {report.done.total()} tasks {dict(report.done)}")
        for line in report.unexpected[:10] + report.wrong[:10]:
            print(f"  {line[:1000]}")
        failed = failed or bool(report.unexpected or report.wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()

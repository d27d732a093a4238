"""Backfills through the real daemon, under each policy: wall time, runs, requests, rows and materializations.

    python benchmarks/backfill.py --partitions 1 30 365 --per-run 1 30 0

Each line of the result has its own `dagster dev`, with the shipped dagster.yaml, the demo API on loopback, and hourly
partitions. `--per-run 0` means one run for the whole range. The script compares the rows with the API before it prints
a line. "step" is the time of the step of the last run. The memory is that of the process of the step, at a quarter and
at half of its time, and at most.

    python benchmarks/backfill.py --part hours     5,000 hourly partitions in one run
    python benchmarks/backfill.py --part days      365 daily partitions in one run
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from analytics_assets.demo_api.server import serve
from analytics_assets_tests.conftest import SHIPPED_DEFS, DemoApi
from analytics_assets_tests.processes import Home, dagster_dev, launch_backfill

START = datetime(2026, 1, 1, tzinfo=UTC)
ASSET = ["analytics_api", "transactions"]
PARTS = {"hours": ("hourly", 5000), "days": ("daily", 365)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 30, 365])
    parser.add_argument("--per-run", type=int, nargs="+", default=[1, 30, 0], help="0: one run for all")
    parser.add_argument("--part", choices=PARTS, help="one run of many partitions, instead of the policies")
    asked = parser.parse_args()
    sys.stdout.write(
        "| partitions | per run | seconds | step | runs | requests | rows | materializations "
        "| MB at 1/4 | at 1/2 | most |\n"
    )
    sys.stdout.write(f"{'|---' * 11}|\n")
    if asked.part:
        kind, partitions = PARTS[asked.part]
        sys.stdout.write(_line(partitions, 0, kind))
        return
    for partitions in asked.partitions:
        for per_run in asked.per_run:
            sys.stdout.write(_line(partitions, per_run))
            sys.stdout.flush()


def _line(partitions: int, per_run: int, kind: str = "hourly") -> str:
    step, written = (
        (timedelta(hours=1), "%Y-%m-%d-%H:%M") if kind == "hourly" else (timedelta(days=1), "%Y-%m-%d")
    )
    # Dagster has no partitions of the future, and the API has no rows before START.
    start = (
        START
        if kind == "hourly"
        else datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - step * partitions
    )
    starts = [start + step * number for number in range(partitions + 1)]
    today = max(date(2026, 3, 1), starts[-1].date() + timedelta(days=1))
    with serve(today=today) as url, tempfile.TemporaryDirectory() as folder:
        api = DemoApi(url, today)
        home = Home(Path(folder), api, _defs_yaml(per_run, kind, start))
        api.set_faults()
        with dagster_dev(home) as ui, _memory(home.environment["DAGSTER_HOME"]) as memory:
            began = time.monotonic()
            done = launch_backfill(ui, ASSET, [f"{one:{written}}" for one in starts[:-1]], seconds=3600)
            seconds = time.monotonic() - began
        if done["status"] != "COMPLETED_SUCCESS":
            raise SystemExit(f"the backfill ended {done['status']}")
        rows = api.rows("transactions", starts[0].isoformat(), starts[-1].isoformat())
        if home.ids("transactions") != sorted(row["id"] for row in rows):
            raise SystemExit("the rows are not those of the API")
        with dg.DagsterInstance.from_config(home.environment["DAGSTER_HOME"]) as instance:
            counts: dict[str | None, int] = {}
            cursor, has_more = None, True
            while has_more:
                found = instance.fetch_materializations(dg.AssetKey(ASSET), limit=1000, cursor=cursor)
                cursor, has_more = found.cursor, found.has_more
                for record in found.records:
                    event = record.asset_materialization
                    if event is not None:
                        counts[record.partition_key] = int(
                            str(event.metadata["dagster/partition_row_count"].value)
                        )
            [stats] = instance.get_run_step_stats(done["runs"][-1])
            of_step = (stats.end_time or 0) - (stats.start_time or 0)
        if len(counts) != partitions or sum(counts.values()) != len(rows):
            raise SystemExit("the partitions' own counts are not those of the API")
        requests = sum(api.request_counts().values())
    cells = (
        partitions,
        per_run or "all",
        f"{seconds:.1f}",
        f"{of_step:.1f}",
        len(done["runs"]),
        requests,
        len(rows),
        len(counts),
        *(round(one / 1000) for one in (memory[len(memory) // 4], memory[len(memory) // 2], max(memory))),
    )
    return f"| {' | '.join(map(str, cells))} |\n"


@contextmanager
def _memory(home: str) -> Iterator[list[int]]:
    """Samples the memory of the processes that run steps of an instance, in kB, twice a second."""
    samples: list[int] = []
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(0.5):
            found = [_rss_of_step(one, home) for one in Path("/proc").glob("[0-9]*")]
            samples.extend([max(found)] if any(found) else [])

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join(10)


def _rss_of_step(process: Path, home: str) -> int:
    """The resident memory of a process in kB; 0 if it runs no step of the instance."""
    try:
        environment = (process / "environ").read_bytes()
        # Dagster spawns the process of the run, and this one the process of the step, which is larger.
        is_step = b"spawn_main" in (process / "cmdline").read_bytes()
        if not is_step or f"DAGSTER_HOME={home}".encode() not in environment:
            return 0
        status = (process / "status").read_text()
    except OSError:
        return 0  # it is of another user, or has ended
    return int(status.partition("VmRSS:")[2].split()[0]) if "VmRSS:" in status else 0


def _defs_yaml(per_run: int, kind: str, start: datetime) -> str:
    document = yaml.safe_load(SHIPPED_DEFS.read_text())
    asset = document["attributes"]["assets"]["transactions"]
    asset["partitions"] = {
        "type": kind,
        "start_date": start.isoformat() if kind == "hourly" else f"{start:%Y-%m-%d}",
    }
    if per_run:
        asset["backfill_policy"] = {"max_partitions_per_run": per_run}
    return yaml.safe_dump(document)


if __name__ == "__main__":
    main()

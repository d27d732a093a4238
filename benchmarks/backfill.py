"""Backfills through the real daemon, under each policy: wall time, runs, requests, rows and materializations.

    python benchmarks/backfill.py --partitions 1 30 365 --per-run 1 30 0

Each line of the result has its own `dagster dev`, with the shipped dagster.yaml, the demo API on loopback, and hourly
partitions. `--per-run 0` means one run for the whole range. The script compares the rows with the API before it prints
a line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 30, 365])
    parser.add_argument("--per-run", type=int, nargs="+", default=[1, 30, 0], help="0: one run for all")
    asked = parser.parse_args()
    sys.stdout.write("| partitions | per run | seconds | runs | requests | rows | materializations |\n")
    sys.stdout.write("|---|---|---|---|---|---|---|\n")
    for partitions in asked.partitions:
        for per_run in asked.per_run:
            sys.stdout.write(_line(partitions, per_run))
            sys.stdout.flush()


def _line(partitions: int, per_run: int) -> str:
    today = date(2026, 3, 1)
    hours = [START + timedelta(hours=hour) for hour in range(partitions + 1)]
    with serve(today=today) as url, tempfile.TemporaryDirectory() as folder:
        api = DemoApi(url, today)
        home = Home(Path(folder), api, _defs_yaml(per_run))
        api.set_faults()
        with dagster_dev(home) as ui:
            began = time.monotonic()
            done = launch_backfill(ui, ASSET, [f"{hour:%Y-%m-%d-%H:%M}" for hour in hours[:-1]], seconds=3600)
            seconds = time.monotonic() - began
        if done["status"] != "COMPLETED_SUCCESS":
            raise SystemExit(f"the backfill ended {done['status']}")
        rows = api.rows("transactions", hours[0].isoformat(), hours[-1].isoformat())
        if home.ids("transactions") != sorted(row["id"] for row in rows):
            raise SystemExit("the rows are not those of the API")
        with dg.DagsterInstance.from_config(home.environment["DAGSTER_HOME"]) as instance:
            counts: dict[str | None, int] = {}
            for record in instance.fetch_materializations(dg.AssetKey(ASSET), limit=1000).records:
                told = record.asset_materialization
                if told is not None:
                    counts[record.partition_key] = int(
                        str(told.metadata["dagster/partition_row_count"].value)
                    )
        if len(counts) != partitions or sum(counts.values()) != len(rows):
            raise SystemExit("the partitions' own counts are not those of the API")
        requests = sum(api.request_counts().values())
    cells = (
        partitions,
        per_run or "all",
        f"{seconds:.1f}",
        len(done["runs"]),
        requests,
        len(rows),
        len(counts),
    )
    return f"| {' | '.join(map(str, cells))} |\n"


def _defs_yaml(per_run: int) -> str:
    document = yaml.safe_load(SHIPPED_DEFS.read_text())
    asset = document["attributes"]["assets"]["transactions"]
    asset["partitions"] = {"type": "hourly", "start_date": START.isoformat()}
    if per_run:
        asset["backfill_policy"] = {"max_partitions_per_run": per_run}
    return yaml.safe_dump(document)


if __name__ == "__main__":
    main()

"""Compares the speed of a sync: this project, dlt alone, and a hand-written script.

`make bench` runs this script. Every way syncs the same rows from one server process on this machine into a new DuckDB
file, in a new process. The script verifies the table before it counts a time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from platform import python_version
from tempfile import TemporaryDirectory

from api import PAGE, Api, Rows, serving
from truth import complaint, fill

WAYS = {"ours": "ours", "as_shipped": "dlt as shipped", "tuned": "dlt tuned", "by_hand": "by hand"}
IN_FLIGHT = 16
SLOW = 20.0
"""The limit in seconds for repeated rounds. A way that takes longer runs only once."""

BEGUN = Rows(1_000)
"""The first rows of a table that `fill` then completes."""


@dataclass(frozen=True)
class Measured:
    """One run of one way."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    requests: int


@dataclass(frozen=True)
class Case:
    """One benchmark case.

    Attributes:
        rows: the rows of the table after the sync.
        latency: the latency of the API in milliseconds.
        ways: the names of the measured ways.
        before: a DuckDB file with all rows, some of them outdated; None to start without a table.
    """

    rows: Rows
    latency: int
    ways: list[str]
    before: Path | None = None

    @property
    def changed(self) -> Rows | None:
        """The changed rows that the API serves; None if the API serves all rows."""
        return self.rows.changed() if self.before else None

    def __str__(self) -> str:
        what = f"{self.rows.count:,} rows"
        return (
            f"{self.changed.count:,} changes into " if self.changed else ""
        ) + f"{what}, {self.latency} ms"


class Bench:
    """The directory and the verification process, which all cases share."""

    def __init__(self, directory: Path, truth: ProcessPoolExecutor) -> None:
        self._directory = directory
        self._truth = truth

    def filled(self, rows: Rows) -> Path:
        """Creates a DuckDB file with a table of `rows`, which looks like the result of a sync."""
        directory = self._directory / "before"
        directory.mkdir()
        with serving(BEGUN) as api:
            _measure("ours", api, directory)
        self._truth.submit(fill, _database(directory), rows).result()
        return _database(directory)

    def compare(self, case: Case, rounds: int) -> dict[str, list[Measured]]:
        """Measures each way of a case once per round."""
        measured: dict[str, list[Measured]] = {way: [] for way in case.ways}
        with serving(case.changed or case.rows, case.latency / 1000) as api:
            for number in range(1, rounds + 1):
                for way, runs in measured.items():
                    if not any(run.seconds > SLOW for run in runs):
                        runs.append(self._run(case, way, api))
                        _say(f"{case}, round {number}, {WAYS[way]}: {runs[-1].seconds:.2f} s")
        return measured

    def _run(self, case: Case, way: str, api: Api) -> Measured:
        with TemporaryDirectory(dir=self._directory) as name:
            directory = Path(name)
            if case.before:
                shutil.copyfile(case.before, _database(directory))
            measured = _measure(way, api, directory)
            wrong = self._truth.submit(
                complaint, _database(directory), case.rows, case.changed, typed=way != "as_shipped"
            ).result()
        if wrong:
            sys.exit(f"{case}, {WAYS[way]}: {wrong}; a time without all rows counts for nothing")
        return measured


def _database(directory: Path) -> Path:
    return directory / "warehouse.duckdb"


def _measure(way: str, api: Api, directory: Path) -> Measured:
    """Runs one way in a separate process, without any dlt configuration."""
    script = Path(__file__).with_name("measure.py")
    command = [sys.executable, str(script), way, api.url, str(_database(directory)), str(IN_FLIGHT)]
    environment = {**os.environ, "RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_DATA_DIR": str(directory)}
    before = api.requests()
    ran = subprocess.run(command, cwd=directory, env=environment, stdout=sys.stderr, check=False)  # noqa: S603
    if ran.returncode:
        sys.exit(f"{WAYS[way]} failed: its own words are above")
    measured = json.loads((directory / "measured.json").read_text())
    return Measured(**measured, requests=api.requests() - before)


def _table(case: Case, measured: dict[str, list[Measured]], rounds: int) -> list[str]:
    """Returns the table lines of a case, with medians and with ratios to this project."""
    seconds = {way: statistics.median(run.seconds for run in runs) for way, runs in measured.items()}
    lines = []
    for way, runs in measured.items():
        cpu_seconds = statistics.median(run.cpu_seconds for run in runs)
        peak_mb = statistics.median(run.peak_mb for run in runs)
        times = f"{seconds[way] / seconds['ours']:.2f}" if "ours" in seconds else ""
        name = WAYS[way] + (", once" if len(runs) < rounds else "")
        lines.append(
            f"| {case} | {name} | {seconds[way]:.2f} | {times} | {cpu_seconds:.2f} | {peak_mb:.0f} "
            f"| {runs[-1].requests:,} |"
        )
    return lines


def _cases(options: argparse.Namespace, bench: Bench) -> list[Case]:
    """Returns the cases that the command line selects, or the default cases."""
    if options.changes:
        rows = Rows(options.rows or 10_000_000)
        return [Case(rows, options.latency or 0, options.ways or list(WAYS), bench.filled(rows))]
    if options.full:
        return [Case(Rows(10_000_000), options.latency or 0, options.ways or ["ours", "by_hand"])]
    if options.rows or options.latency is not None:
        return [Case(Rows(options.rows or 100_000), options.latency or 0, options.ways or list(WAYS))]
    cases = [(10_000, 0), (100_000, 0), (1_000_000, 0), (100_000, 20), (100_000, 50)]
    return [
        Case(Rows(rows), latency, [way for way in options.ways or WAYS if _bearable(way, rows, latency)])
        for rows, latency in cases
    ]


def _bearable(way: str, rows: int, latency: int) -> bool:
    """Whether a way is fast enough: dlt as shipped needs 40 KB of memory per row, and waits for each page."""
    return way != "as_shipped" or (rows <= 100_000 and latency == 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, help="one case, of so many rows (100,000)")
    parser.add_argument(
        "--latency", type=int, help="one case, of so many milliseconds before each answer (0)"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="runs of each way of which the median counts (3)"
    )
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), help="only these")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="10,000,000 rows, ours and by hand")
    size.add_argument(
        "--changes",
        action="store_true",
        help="a table that is there already, of which the API has one row in a hundred newer (--rows 10,000,000)",
    )
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    options = _options()
    versions = ", ".join(f"{name} {version(name)}" for name in ("dlt", "duckdb", "pyarrow", "urllib3"))
    _write(f"{datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} cores, Python {python_version()}, {versions}.")
    _write(
        f"Pages of {PAGE}, {IN_FLIGHT} in flight, medians of {options.rounds} rounds, the ways by turns.\n"
    )
    _write("| case | way | seconds | times ours | CPU seconds | peak MB | requests |")
    _write("|---|---|---|---|---|---|---|")
    with (
        TemporaryDirectory(prefix="bench-") as directory,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as truth,
    ):
        bench = Bench(Path(directory), truth)
        for case in _cases(options, bench):
            for line in _table(case, bench.compare(case, options.rounds), options.rounds):
                _write(line)


if __name__ == "__main__":
    main()

"""How fast an API becomes a table: this project beside dlt alone, and beside a script written by hand.

`make bench` runs it. Every way syncs the same rows from the same server, another process on this machine, into a
fresh DuckDB file, in a fresh process. A time counts when the table holds what it must, and not before.
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
"""Seconds. A way that takes longer is run once: its time tells enough, and the others' rounds go on."""

BEGUN = Rows(1_000)
"""What a table that is to be filled up is begun with."""


@dataclass(frozen=True)
class Measured:
    """One run of one way."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    requests: int


@dataclass(frozen=True)
class Case:
    """What is synced.

    Attributes:
        rows: of the table, in the end.
        latency: of the API, in milliseconds.
        ways: that are measured.
        before: a DuckDB file that has all rows already, some of them outdated; none to begin with nothing.
    """

    rows: Rows
    latency: int
    ways: list[str]
    before: Path | None = None

    @property
    def changed(self) -> Rows | None:
        """The rows that are synced, where these are not all."""
        return self.rows.changed() if self.before else None

    def __str__(self) -> str:
        what = f"{self.rows.count:,} rows"
        return (
            f"{self.changed.count:,} changes into " if self.changed else ""
        ) + f"{what}, {self.latency} ms"


class Bench:
    """What all cases share: a directory, and a process that knows the truth."""

    def __init__(self, directory: Path, truth: ProcessPoolExecutor) -> None:
        self._directory = directory
        self._truth = truth

    def filled(self, rows: Rows) -> Path:
        """A DuckDB file with a table of `rows`, made as a sync makes it."""
        directory = self._directory / "before"
        directory.mkdir()
        with serving(BEGUN) as api:
            _measure("ours", api, directory)
        self._truth.submit(fill, _database(directory), rows).result()
        return _database(directory)

    def compare(self, case: Case, rounds: int) -> dict[str, list[Measured]]:
        """The ways of a case, each once a round, by turns."""
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
    """Runs one way in a process of its own, away from any configuration of dlt."""
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
    """The lines of a case: medians, and times ours."""
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
    """What the options ask for; by default, what can be waited for."""
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
    """As it is shipped, dlt takes 40 KB of memory a row, and waits for each page."""
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

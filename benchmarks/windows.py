"""One run of many partitions over an API that pages by a cursor: this project, a script by hand, and the latency alone.

    python benchmarks/windows.py --partitions 30 --rows 1000 --latency 20 --rounds 3

Paging by a cursor asks for one page after the other, so the time of a run depends on how many partitions are read side
by side. The way `ours` is `run_batches`, without Dagster. The way `step` is a run of the asset in Dagster, with its
checks and events. The way `by hand` is a thread pool with one thread per partition, and one insert. The floor is the
time of all pages if only the latency counted. `--tree` measures the code in another directory, such as an older
version, in the same rounds. The script counts the rows in the table before it counts a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import duckdb
import urllib3
import uvloop

START = date(2026, 1, 1)
PAGE = 100
IN_FLIGHT = 8


def _page(query: str, rows: int) -> bytes:
    """Returns a page of the rows of some days. The cursor is the number of rows before the page."""
    params = dict(parse_qsl(query))
    since, until = (date.fromisoformat(params[name][:10]) for name in ("since", "until"))
    first, count = (since - START).days * rows, (until - since).days * rows
    begin = int(params.get("after") or 0)
    end = min(begin + PAGE, count)
    found = [
        {
            "id": first + place,
            "name": f"customer {place % 997}",
            "amount": f"{place % 2000}.50",
            "at": f"{since + timedelta(days=place // rows)}T{place % 24:02}:00:00Z",
        }
        for place in range(begin, end)
    ]
    return json.dumps({"data": found, "next": str(end) if end < count else None}).encode()


class _Connection(asyncio.Protocol):
    """One connection, whose requests come one after the other."""

    requests = 0  # of all connections

    def __init__(self, rows: int, latency: float) -> None:
        self._rows, self._latency = rows, latency

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        parts = urlsplit(data.split(b" ", 2)[1].decode())
        if parts.path == "/_requests":
            self._write(b"%d" % _Connection.requests)
            _Connection.requests = 0
            return
        _Connection.requests += 1
        asyncio.get_running_loop().call_later(self._latency, self._write, _page(parts.query, self._rows))

    def _write(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)


def _serve(listener: socket.socket, rows: int, latency: float) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(rows, latency), sock=listener)
        await server.serve_forever()

    uvloop.run(run())


@contextmanager
def _serving(rows: int, latency: float) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        process = get_context("spawn").Process(target=_serve, args=(listener, rows, latency), daemon=True)
        process.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.terminate()
            process.join()


def _defs(url: str) -> dict[str, Any]:
    resource = {
        "name": "things",
        "primary_key": "id",
        "write_disposition": "merge",
        "columns": {
            "id": {"data_type": "bigint", "nullable": False},
            "name": {"data_type": "text"},
            "amount": {"data_type": "decimal"},
            "at": {"data_type": "timestamp", "nullable": False},
        },
        "endpoint": {
            "path": "/things",
            "data_selector": "data",
            "paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "after"},
            "incremental": {"cursor_path": "at", "start_param": "since", "end_param": "until"},
        },
    }
    return {
        "name": "api",
        "rest_api": {"client": {"base_url": url}, "resources": [resource]},
        "requests": {"max_in_flight": IN_FLIGHT},
        "assets": {"things": {"partitions": {"type": "daily", "start_date": str(START)}}},
    }


def _days(partitions: int) -> list[str]:
    return [str(START + timedelta(days=day)) for day in range(partitions)]


def ours(url: str, partitions: int, database: Path) -> None:
    """Runs all batches of a run, without Dagster."""
    from datetime import UTC, datetime  # noqa: PLC0415  only the measured process imports the project

    from circuit import MemoryCircuit  # noqa: PLC0415

    from analytics_assets.config.models import SyncConfig  # noqa: PLC0415
    from analytics_assets.ingestion.batches import run_batches  # noqa: PLC0415
    from analytics_assets.ingestion.plan.load_plan import plan_load  # noqa: PLC0415
    from analytics_assets.ingestion.plan.resource_info import describe  # noqa: PLC0415
    from analytics_assets.ingestion.time_window import Window  # noqa: PLC0415

    _begin()
    os.environ["DESTINATION__DUCKDB__CREDENTIALS"] = str(database)
    config = SyncConfig(**_defs(url))
    days = [datetime.fromisoformat(one).replace(tzinfo=UTC) for one in _days(partitions)]
    windows = {f"{one:%Y-%m-%d}": Window(one, one + timedelta(days=1)) for one in days}
    for _ in run_batches(plan_load(config, describe(config)["things"], windows), MemoryCircuit()):
        pass


def step(url: str, partitions: int, database: Path) -> None:
    """Runs the asset in Dagster, with a SQLite instance on disk as the project ships it."""
    import dagster as dg  # noqa: PLC0415

    from analytics_assets import RestApiSync  # noqa: PLC0415

    home = database.parent / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    os.environ["DESTINATION__DUCKDB__CREDENTIALS"] = str(database)
    from dagster.components.testing import create_defs_folder_sandbox  # noqa: PLC0415

    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(
            component_cls=RestApiSync,
            defs_yaml_contents={"type": "analytics_assets.RestApiSync", "attributes": _defs(url)},
        )
        with sandbox.load_component_and_build_defs(defs_path=path) as (_, defs):
            job = defs.resolve_implicit_global_asset_job_def()
            with dg.DagsterInstance.from_config(str(home)) as instance:
                _begin()
                days = _days(partitions)
                result = job.execute_in_process(
                    instance=instance,
                    asset_selection=[dg.AssetKey(["api", "things"])],
                    tags={
                        "dagster/asset_partition_range_start": days[0],
                        "dagster/asset_partition_range_end": days[-1],
                    },
                )
                assert result.success


def by_hand(url: str, partitions: int, database: Path) -> None:
    """Reads each partition in a thread, and inserts all rows at once."""
    import pyarrow as pa  # noqa: PLC0415

    _begin()
    pool = urllib3.PoolManager(maxsize=IN_FLIGHT)

    def rows_of(day: str) -> list[dict[str, Any]]:
        until, after, found = date.fromisoformat(day) + timedelta(days=1), "", []
        while True:
            fields = {"since": day, "until": str(until), "after": after}
            answer = json.loads(pool.request("GET", f"{url}/things", fields=fields).data)
            found += answer["data"]
            after = answer["next"] or ""
            if not after:
                return found

    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        rows = [row for found in threads.map(rows_of, _days(partitions)) for row in found]
    found = pa.Table.from_pylist(rows)  # noqa: F841  DuckDB reads it by its name
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA api")
        connection.execute(
            'CREATE TABLE api.things AS SELECT id, name, amount::DECIMAL(18, 2) AS amount, "at"::TIMESTAMPTZ '
            'AS "at" FROM found'
        )


WAYS = {"ours": ours, "step": step, "by hand": by_hand}
_clock = [0.0]


def _begin() -> None:
    """Starts the clock. The imports and the definitions come before."""
    _clock[0] = time.perf_counter()


def _measured(way: str, url: str, partitions: int, rows: int, tree: Path) -> tuple[float, int]:
    """Runs one way in a process of its own. Returns its seconds and the number of its requests."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "warehouse.duckdb"
        subprocess.run(  # noqa: S603
            [sys.executable, __file__, "--one", way, url, str(partitions), str(database)],
            check=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if way == "step" else None,
        )
        with duckdb.connect(str(database), read_only=True) as connection:
            found = connection.execute("SELECT count(*), count(DISTINCT id) FROM api.things").fetchone()
        if found != (partitions * rows, partitions * rows):
            raise SystemExit(f"{way} loaded {found} instead of {partitions * rows:,} rows")
        seconds = float((Path(folder) / "seconds").read_text())
    requests = int(urllib3.request("GET", f"{url}/_requests").data)
    return seconds, requests


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--partitions", type=int, default=30)
    parser.add_argument("--rows", type=int, default=1000, help="rows of a partition")
    parser.add_argument("--latency", type=float, default=20, help="milliseconds before each answer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS])
    parser.add_argument("--tree", type=Path, nargs="+", default=[Path(__file__).parents[1]])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        way, url, partitions, database = asked.one
        WAYS[way](url, int(partitions), Path(database))
        Path("seconds").write_text(str(time.perf_counter() - _clock[0]))
        return
    pages = asked.partitions * -(-asked.rows // PAGE)
    floor = pages * asked.latency / 1000 / IN_FLIGHT
    sys.stdout.write(f"The floor of {pages:,} pages with {IN_FLIGHT} in flight is {floor:.2f} s.\n\n")
    sys.stdout.write("| way | code | seconds | times the floor | requests |\n|---|---|---|---|---|\n")
    cases = [
        (way, tree) for way in asked.ways for tree in (asked.tree if way != "by hand" else asked.tree[:1])
    ]
    times: dict[tuple[str, Path], list[float]] = {one: [] for one in cases}
    requests = {}
    with _serving(asked.rows, asked.latency / 1000) as url:
        for _ in range(asked.rounds):
            for way, tree in cases:
                seconds, requests[way, tree] = _measured(
                    way, url, asked.partitions, asked.rows, tree.resolve()
                )
                times[way, tree].append(seconds)
    for (way, tree), found in times.items():
        median = statistics.median(found)
        ratio = f"{median / floor:.2f}" if floor else ""
        sys.stdout.write(f"| {way} | {tree.name} | {median:.2f} | {ratio} | {requests[way, tree]:,} |\n")


if __name__ == "__main__":
    main()

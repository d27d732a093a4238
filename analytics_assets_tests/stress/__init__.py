"""Everything at once: processes that sync, check and read one warehouse, an API that changes, and kill -9 in between.

`make stress` runs it for longer than the tests do. After it one clean pass must leave exactly what the API has.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import psycopg2
import pytest
import yaml

from analytics_assets import read_warehouse
from analytics_assets.ingestion.errors import NoSqlError
from analytics_assets_tests.answering import Asked, answering

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 10
ROWS = 400
"""Of each list at the beginning; of the one that is refreshed as a whole, always."""
PARTITIONS = [f"{FIRST + timedelta(days=day):%Y-%m-%d}" for day in range(DAYS)]
_TASKS = ["things"] * 4 + ["range", "batches", "all", "log", "feed", "read"] * 2 + ["check"]
_EXPECTED = ("moved while they were read", "another run was faster")
"""How a sync may fail here: the API changes all the time, so four attempts may not be enough."""


class ChangingApi:
    """Five lists that change as real ones do: rows are updated, moved to a later day, deleted and added.

    Args:
        seed: of what changes.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._id = 0
        self.lists: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in RESOURCES}
        for _ in range(ROWS):
            self._add("things", self._some_time())
            self._add("events", self._some_time())
            self._add("all", FIRST)
            self._add("log", self._now())
            self._add("feed", self._now())

    def reply(self, asked: Asked) -> Any:
        with self._lock:
            rows = list(self.lists[asked.path.strip("/")].values())
        since, until = asked.params.get("since", ""), asked.params.get("until", "3000")
        rows = [row for row in rows if since <= row["at"] < until]
        if asked.path == "/events":
            return _page_after(rows, int(asked.params.get("after", 0)))
        offset, limit = int(asked.params["offset"]), int(asked.params["limit"])
        return {"data": rows[offset : offset + limit], "total": len(rows)}

    def change(self) -> None:
        """One change of each list."""
        with self._lock:
            self._change_one("things")
            self._change_one("events")
            everyone = self.lists["all"]
            everyone.pop(self._random.choice(list(everyone)))
            self._add("all", FIRST)
            self._add("log", self._now())
            feed = self.lists["feed"]
            row = feed.pop(self._random.choice(list(feed)))
            feed[row["id"]] = {**row, "at": _iso(self._now()), "name": "changed"}

    def _change_one(self, name: str) -> None:
        """Changes a list whose rows are in partitions."""
        rows = self.lists[name]
        picked = rows[self._random.choice(list(rows))]
        what = self._random.choice(["update", "move", "delete", "add", "parts"])
        if what == "delete":
            rows.pop(picked["id"])
        elif what == "add":
            self._add(name, self._some_time())
        else:
            later = datetime.fromisoformat(picked["at"]) + timedelta(seconds=1)
            if what == "move":
                later = FIRST + timedelta(days=DAYS) - (FIRST + timedelta(days=DAYS) - later) / 2
            parts = picked["parts"][1:] if what == "parts" else picked["parts"]
            rows[picked["id"]] = {**picked, "at": _iso(later), "parts": parts, "name": str(later)}

    def _add(self, name: str, at: datetime) -> None:
        self._id += 1
        parts = [{"n": number} for number in range(self._id % 3)]
        self.lists[name][self._id] = {"id": self._id, "name": "new", "at": _iso(at), "parts": parts}

    def _some_time(self) -> datetime:
        return FIRST + timedelta(seconds=self._random.randrange(DAYS * 86_400 - 3600))

    def _now(self) -> datetime:
        return datetime.now(UTC)


def _page_after(rows: list[dict[str, Any]], after: int) -> dict[str, Any]:
    """A page of an API that pages by the id of the last row. A read of a range of days takes several pages."""
    left = sorted((row for row in rows if row["id"] > after), key=lambda row: int(row["id"]))
    page = left[:10]
    return {"data": page, "next": str(page[-1]["id"]) if len(left) > 10 else None}


_WINDOW = {"cursor_path": "at", "start_param": "since", "end_param": "until"}
RESOURCES: dict[str, dict[str, Any]] = {
    "things": {"incremental": _WINDOW},
    "events": {
        "incremental": _WINDOW,
        "paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "after"},
    },
    "all": {"write_disposition": "replace"},
    "log": {"write_disposition": "append", "incremental": {"cursor_path": "at", "start_param": "since"}},
    "feed": {"incremental": {"cursor_path": "at", "start_param": "since"}},
}


def defs_yaml(url: str) -> str:
    resources = []
    for name, settings in RESOURCES.items():
        how = dict(settings)
        endpoint = {
            "path": f"/{name}",
            "data_selector": "data",
            "paginator": how.pop("paginator", {"type": "offset", "limit": 100}),
        }
        incremental = how.pop("incremental", None)
        if incremental:
            endpoint["incremental"] = incremental
        columns = {
            "id": {"data_type": "bigint", "nullable": False},
            "name": {"data_type": "text", "nullable": False},
            "at": {"data_type": "timestamp", "nullable": False},
        }
        resources.append(
            {
                "name": name,
                "primary_key": "id",
                "write_disposition": "merge",
                "endpoint": endpoint,
                "columns": columns,
                **how,
            }
        )
    partitions = {"type": "daily", "start_date": f"{FIRST:%Y-%m-%d}"}
    attributes = {
        "name": "api",
        "rest_api": {"client": {"base_url": url}, "resources": resources},
        "assets": {name: {"partitions": partitions} for name in ("things", "events")},
    }
    return yaml.safe_dump({"type": "analytics_assets.RestApiSync", "attributes": attributes})


class Site:
    """A folder with one defs.yaml, one warehouse and one DAGSTER_HOME, as each process opens it."""

    def __init__(self, folder: Path) -> None:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os.chdir(folder)
        os.environ |= {"DAGSTER_HOME": str(folder / "home"), "RUNTIME__DLTHUB_TELEMETRY": "false"}
        os.environ |= json.loads((folder / "warehouse.json").read_text())
        sys.path.insert(0, str(folder))
        self.instance = dg.DagsterInstance.get()
        self.definitions = dg.load_from_defs_folder(path_within_project=folder)

    def run(self, resource: str, *partitions: str, checks_only: bool = False) -> dg.ExecuteInProcessResult:
        ends = dict(zip(("start", "end"), (partitions[0], partitions[-1]), strict=True)) if partitions else {}
        key = dg.AssetKey(["api", resource])
        if checks_only:
            assets = [one for one in self.definitions.assets or () if isinstance(one, dg.AssetsDefinition)]
            return dg.materialize(
                assets,
                selection=dg.AssetSelection.checks_for_assets(key),
                instance=self.instance,
                resources=self.definitions.resources,
                raise_on_error=False,
            )
        return self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[key],
            instance=self.instance,
            tags={f"dagster/asset_partition_range_{end}": day for end, day in ends.items()},
            raise_on_error=False,
        )


def make_site(folder: Path, url: str, warehouse: dict[str, str]) -> None:
    """The folder, with the databases of its instance: many processes at once would race to make them."""
    (folder / "warehouse.json").write_text(json.dumps(warehouse))
    (folder / "home").mkdir()
    (folder / "home/dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (folder / "pyproject.toml").write_text(
        """[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "a_project"\n"""
    )
    (folder / "a_project/defs/an_api").mkdir(parents=True)
    (folder / "a_project/__init__.py").touch()
    (folder / "a_project/defs/an_api/defs.yaml").write_text(defs_yaml(url))
    with dg.DagsterInstance.from_config(str(folder / "home")) as instance:
        instance.get_runs(limit=1)


def work(folder: Path, seed: int) -> None:
    """What one process does until it is killed: syncs, checks and reads, and a line in its log for each."""
    chosen = random.Random(seed)
    site = Site(folder)
    with (folder / f"log-{seed}").open("a") as log:
        while True:
            what = chosen.choice(_TASKS)
            print(json.dumps([what, *_task(site, what, chosen)]), file=log, flush=True)


def _task(site: Site, what: str, chosen: random.Random) -> tuple[bool, str]:
    if what == "read":
        return _read()
    if what == "check":
        result = site.run(chosen.choice(list(RESOURCES)), checks_only=True)
    elif what == "batches":  # in ranges
        result = site.run("events", *PARTITIONS[chosen.randrange(3) :])
    elif what == "range":
        first = chosen.randrange(DAYS - 1)
        result = site.run("things", *PARTITIONS[first : first + chosen.randrange(2, 5)])
    else:
        result = site.run(what, *([chosen.choice(PARTITIONS)] if what == "things" else []))
    failures = [one.step_failure_data for one in result.all_events if one.is_step_failure]
    collected = [
        str((one.user_failure_data and one.user_failure_data.description) or one.error) for one in failures
    ]
    return result.success, "; ".join(collected)


@dataclass
class Report:
    """What came of it.

    Attributes:
        done: tasks that ended, by what they were and whether they succeeded.
        unexpected: failures other than those that a changing API makes.
        kills: processes killed.
        wrong: what differs from the API after a clean pass; empty where all is well.
    """

    done: Counter[tuple[str, bool]] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    kills: int = 0
    wrong: list[str] = field(default_factory=list)


def _rows(connection: Any, sql: str) -> list[Any]:
    """The rows of a query, of DuckDB or of psycopg2."""
    if isinstance(connection, duckdb.DuckDBPyConnection):
        return connection.execute(sql).fetchall()
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _read() -> tuple[bool, str]:
    """What must hold at any moment: a full refresh is there as a whole, and no primary key twice."""
    loaded = "SELECT DISTINCT schema_name FROM api._dlt_loads"
    try:
        with read_warehouse() as connection:
            found = {name for (name,) in _rows(connection, loaded)}
            collected = []
            for name in RESOURCES:
                if f"api__{name}" in found:
                    counts = f'SELECT COUNT(*), COUNT(DISTINCT id) FROM api."{name}"'
                    collected.append((name, *_rows(connection, counts)[0]))
    except (NoSqlError, duckdb.CatalogException, psycopg2.errors.UndefinedTable):
        return True, ""  # nothing was loaded yet
    wrong = [one for one in collected if one[1] != one[2] or (one[0] == "all" and one[1] != ROWS)]
    return not wrong, f"{wrong}"


_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["analytics_assets_tests.stress", "analytics_assets.component"])


class Crew:
    """The processes. After each task one in three is killed at some moment of the next.

    Args:
        folder: where they work.
        seed: of what they do and when they are killed.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._random = random.Random(seed)
        self._made = 0
        self._kills = 0
        self._members: dict[Any, _Member] = {}

    def fill(self, workers: int) -> None:
        """Starts as many as are missing."""
        while len(self._members) < workers:
            number, self._made = self._seed * 1000 + self._made, self._made + 1
            process = _PROCESSES.Process(target=work, args=(self._folder, number), daemon=True)
            process.start()
            self._members[process] = _Member(self._folder / f"log-{number}", time.monotonic())

    def kill_some(self) -> None:
        """Kills those whose time has come."""
        now = time.monotonic()
        for process, member in list(self._members.items()):
            done = member.log.read_bytes().count(b"\n") if member.log.exists() else 0
            if done > member.done:
                spared = self._random.random() > 1 / 3
                member.dies = math.inf if spared else now + self._random.random() * (now - member.since)
                member.done, member.since = done, now
            if now > member.dies or not process.is_alive():
                self._kill(process)

    def kill_all(self) -> int:
        """Kills all; how many were killed in all."""
        for process in list(self._members):
            self._kill(process)
        return self._kills

    def _kill(self, process: Any) -> None:
        self._kills += process.is_alive()
        _end(process)
        del self._members[process]


@dataclass
class _Member:
    log: Path
    since: float
    done: int = 0
    dies: float = math.inf


def stress(
    folder: Path, seed: int, workers: int, tasks: int, warehouse: dict[str, str] | None = None
) -> Report:
    """Lets `workers` processes loose until they have done so many tasks, or for ten minutes, then compares.

    Args:
        folder: where they work.
        seed: of what they do and when they are killed.
        workers: how many there are.
        tasks: how many tasks they do in all.
        warehouse: dlt's settings of the destination; None for DuckDB.
    """
    report, api = Report(), ChangingApi(seed)
    with answering(api.reply) as url:
        make_site(folder, url, warehouse or {})
        crew = Crew(folder, seed)
        try:
            with _changing(api):
                end = time.monotonic() + 600
                while time.monotonic() < end and len(_finished_tasks(folder)) < tasks:
                    crew.fill(workers)
                    time.sleep(0.02)
                    crew.kill_some()
        finally:  # they work until somebody ends them
            report.kills = crew.kill_all()
        for what, success, why in _finished_tasks(folder):
            report.done[what, success] += 1
            if not success and not any(one in why for one in _EXPECTED):
                report.unexpected.append(f"{what}: {why}")
        clean = _PROCESSES.Process(target=clean_pass, args=(folder,), daemon=True)
        clean.start()
        clean.join(120)
        _end(clean)
        report.wrong = (
            (folder / "clean").read_text().splitlines() if (folder / "clean").exists() else ["no clean pass"]
        )
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (warehouse or {}).items():
                patch.setenv(name, value)
            report.wrong += differences(folder, api)
    return report


def _finished_tasks(folder: Path) -> list[tuple[str, bool, str]]:
    lines = [line for log in folder.glob("log-*") for line in log.read_text().splitlines(keepends=True)]
    return [tuple(json.loads(line)) for line in lines if line.endswith("\n")]


def clean_pass(folder: Path) -> None:
    """Every asset once, by one process."""
    site = Site(folder)
    failed = [name for name in ("all", "log", "feed") if not site.run(name).success]
    failed += [name for name in ("things", "events") if not site.run(name, *PARTITIONS).success]
    (folder / "clean").write_text("".join(f"{name}: the clean pass failed\n" for name in failed))


def differences(folder: Path, api: ChangingApi) -> list[str]:
    """What is in the warehouse and not in the API, or the reverse, row by row."""
    os.chdir(folder)
    found = []
    with read_warehouse() as connection:
        for name, rows in api.lists.items():
            there = _rows(connection, f'SELECT id, name, "at" FROM api."{name}"')
            counts = Counter((one[0], one[1], _iso(one[2].astimezone(UTC))) for one in there)
            truth = Counter((row["id"], row["name"], row["at"]) for row in rows.values())
            found += [f"{name}: too many {one}" for one in (counts - truth).elements()]
            found += [f"{name}: missing {one}" for one in (truth - counts).elements()]
            parts = _rows(
                connection,
                f'SELECT t.id, c.n FROM api."{name}__parts" AS c '
                f'LEFT JOIN api."{name}" AS t ON t._dlt_id = c._dlt_parent_id',
            )
            true_parts = Counter((row["id"], part["n"]) for row in rows.values() for part in row["parts"])
            if Counter(parts) != true_parts:
                found.append(f"{name}__parts: {len(parts)} rows, {true_parts.total()} in the API")
    return found


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _end(process: Any) -> None:
    if process.is_alive():
        process.kill()
    process.join(30)


@contextmanager
def _changing(api: ChangingApi) -> Iterator[None]:
    stopped = threading.Event()

    def change() -> None:
        while not stopped.wait(0.1):
            api.change()

    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(10)

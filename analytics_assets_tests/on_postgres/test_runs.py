"""Runs side by side on one PostgreSQL: each has a process and a folder of its own, as on several machines."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.on_postgres.workers import Worker, start
from analytics_assets_tests.postgres import PostgresWarehouse
from analytics_assets_tests.real_api import defs

DAYS = [f"2026-01-{day:02}" for day in range(1, 17)]
COLUMNS = {
    "id": {"data_type": "bigint"},
    "at": {"data_type": "timestamp"},
    "name": {"data_type": "text"},
}


def rows_of(day: str, version: int = 0) -> list[dict[str, Any]]:
    """The rows of a day, with child rows. They change with each version."""
    first = int(day[-2:]) * 1000
    return [
        {
            "id": first + n,
            "at": f"{day}T{n:02}:00:00Z",
            "name": f"v{version}",
            "parts": [{"n": n}, {"n": n + 1}],
        }
        for n in range(12 - version)
    ]


def daily(url: str, **asset: Any) -> str:
    """A resource with daily partitions."""
    return defs(
        url,
        resource={"write_disposition": "merge", "columns": COLUMNS},
        asset={"partitions": {"type": "daily", "start_date": DAYS[0]}, **asset},
        incremental={"cursor_path": "at", "start_param": "since", "end_param": "until"},
        paginator="single_page",
    )


class Days:
    """An API with one list, filtered by time. `hold` is called for each request before it is answered."""

    def __init__(self) -> None:
        self.version = 0
        self.hold: Callable[[Asked], object] = lambda _: None

    def reply(self, asked: Asked) -> Any:
        version = self.version
        self.hold(asked)
        since, until = asked.params["since"], asked.params["until"]
        rows = [row for day in DAYS for row in rows_of(day, version)]
        return {"data": [row for row in rows if since <= row["at"] < until]}

    def hold_requests(self) -> tuple[threading.Semaphore, threading.Event]:
        """Holds each request until the event. The semaphore counts the requests."""
        asked, go = threading.Semaphore(0), threading.Event()

        def hold(_: Asked) -> None:
            asked.release()
            go.wait(30)

        self.hold = hold
        return asked, go

    def rows(self) -> set[tuple[Any, ...]]:
        return {(row["id"], row["name"]) for day in DAYS for row in rows_of(day, self.version)}

    def parts(self) -> list[tuple[int, int]]:
        return sorted(
            (row["id"], part["n"])
            for day in DAYS
            for row in rows_of(day, self.version)
            for part in row["parts"]
        )


@pytest.fixture
def running(warehouse: PostgresWarehouse, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers, and ends those that are still there."""
    workers: list[Worker] = []

    def run(text: str, *partitions: str, **options: Any) -> Worker:
        folder = tmp_path / f"worker-{len(workers)}"
        workers.append(start(folder, warehouse.settings, text, *partitions, **options))
        return workers[-1]

    yield run
    for one in workers:
        one.kill()


def assert_equal(warehouse: PostgresWarehouse, api: Days) -> None:
    there = [(row["id"], row["name"]) for row in warehouse.query("SELECT id, name FROM api.things")]
    assert sorted(there) == sorted(api.rows())
    parts = warehouse.query(
        "SELECT t.id, p.n FROM api.things__parts AS p LEFT JOIN api.things AS t ON t._dlt_id = p._dlt_parent_id"
    )
    assert sorted((row["id"], row["n"]) for row in parts) == api.parts()
    assert warehouse.query("SELECT tablename FROM pg_tables WHERE schemaname = '_api_staging'") == []


def test_partitions_side_by_side_on_a_table_that_has_rows(
    warehouse: PostgresWarehouse, running: Callable[..., Worker]
) -> None:
    """Eight at once: all are green, and each row is there once, with the version of the API."""
    api = Days()
    with answering(api.reply) as url:
        text = daily(url)
        assert running(text, DAYS[0], DAYS[-1]).result() == 12 * len(DAYS)
        for version in (1, 2):
            api.version = version
            for days in (DAYS[:8], DAYS[8:]):
                started = [running(text, day, day) for day in days]
                assert [one.result() for one in started] == [12 - version] * len(days)
            assert_equal(warehouse, api)


def test_first_loads_side_by_side(warehouse: PostgresWarehouse, running: Callable[..., Worker]) -> None:
    """All make the dataset, dlt's tables and the table itself at once."""
    api = Days()
    with answering(api.reply) as url:
        started = [running(daily(url), day, day) for day in DAYS[:8]]
        assert [one.result() for one in started] == [12] * 8
        for day in DAYS[8:]:
            assert running(daily(url), day, day).result() == 12
    assert_equal(warehouse, api)


def test_runs_of_one_partition_wait_for_each_other(
    warehouse: PostgresWarehouse, running: Callable[..., Worker]
) -> None:
    """The second sends no request before the first has loaded, so it has the newer rows."""
    api = Days()
    asked, go = api.hold_requests()
    with answering(api.reply) as url:
        text = daily(url)
        first = running(text, DAYS[0], DAYS[0])
        assert asked.acquire(timeout=30)
        api.version = 1
        second = running(text, DAYS[0], DAYS[0])
        assert not asked.acquire(timeout=2), "the second run waits"
        go.set()
        assert (first.result(), second.result()) == (12, 11)
    assert {row["name"] for row in warehouse.query("SELECT name FROM api.things")} == {"v1"}


@contextmanager
def paused(worker: Worker) -> Iterator[None]:
    """Stops a process within the `with` block, as a machine does that sleeps."""
    assert worker.process.pid
    os.kill(worker.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker.process.pid, signal.SIGCONT)


def end_connections(warehouse: PostgresWarehouse, program: str) -> None:
    """Ends connections of a program, as the server does with those of a machine that is gone."""
    warehouse.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        f"AND application_name LIKE '{program}'"
    )


def test_a_run_that_was_paused_while_it_fetched_starts_over(
    warehouse: PostgresWarehouse, running: Callable[..., Worker]
) -> None:
    """The server ends its connection meanwhile, and another run loads newer rows. The old rows replace nothing."""
    api = Days()
    asked, go = api.hold_requests()
    with answering(api.reply) as url:
        text = daily(url)
        old = running(text, DAYS[0], DAYS[0])
        assert asked.acquire(timeout=30)
        api.version = 1
        with paused(old):
            end_connections(warehouse, "analytics_assets: %")
            go.set()
            assert running(text, DAYS[0], DAYS[0]).result() == 11
        assert old.result() == 11, "it has started over"
    assert [row["name"] for row in warehouse.query("SELECT name FROM api.things")] == ["v1"] * 11


def test_a_run_that_was_paused_in_its_merge_commits_nothing(
    warehouse: PostgresWarehouse, running: Callable[..., Worker]
) -> None:
    """The lock of the table is lost while the merge waits for another transaction; another run loads meanwhile."""
    api = Days()
    with answering(api.reply) as url:
        text = daily(url)
        assert running(text, DAYS[0], DAYS[-1]).result() == 12 * len(DAYS)
        api.version = 1
        blocker = warehouse.transaction("LOCK TABLE api.things IN ACCESS EXCLUSIVE MODE")
        with blocker:
            old = running(text, DAYS[0], DAYS[0])
            wait_until(lambda: waiting_for_table(warehouse))
            api.version = 2
            with paused(old):
                end_connections(warehouse, "analytics_assets: %")
                blocker.end()
                new = running(text, DAYS[0], DAYS[0])
                assert new.result() == 10
        assert old.result() == 10, "it has started over"
        assert running(text, DAYS[1], DAYS[-1]).result() == 10 * 15
    assert_equal(warehouse, api)


def test_a_run_that_was_paused_while_it_copied_touches_no_rows_of_another(
    warehouse: PostgresWarehouse, running: Callable[..., Worker]
) -> None:
    """Its staging table is its own, and is still in use when the other run tidies up."""
    api = Days()
    with answering(api.reply) as url:
        text = daily(url)
        assert running(text, DAYS[0], DAYS[-1]).result() == 12 * len(DAYS)
        api.version = 1
        old = running(text, DAYS[0], DAYS[0], stops_before_commit=True)
        wait_until(lambda: is_stopped(old))
        api.version = 2
        end_connections(warehouse, "analytics_assets: %")
        assert running(text, DAYS[0], DAYS[0]).result() == 10
        assert old.process.pid
        os.kill(old.process.pid, signal.SIGCONT)
        assert old.result() == 10, "it has started over"
        assert running(text, DAYS[0], DAYS[-1]).result() == 10 * len(DAYS)
    assert_equal(warehouse, api)


def is_stopped(worker: Worker) -> bool:
    return Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def waiting_for_table(warehouse: PostgresWarehouse) -> bool:
    return bool(
        warehouse.query(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'relation'"
        )
    )


def wait_until(is_true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.05)


@pytest.mark.parametrize("table", ["things", "things__parts", "_dlt_loads"])
def test_a_killed_run_leaves_what_was_there_or_all_it_brings(
    warehouse: PostgresWarehouse, running: Callable[..., Worker], table: str
) -> None:
    """The run is killed where it waits for one of the tables. The next run has the rows of the API."""
    api = Days()
    with answering(api.reply) as url:
        text = daily(url)
        assert running(text, DAYS[0], DAYS[-1]).result() == 12 * len(DAYS)
        api.version = 1
        mode = "SHARE ROW EXCLUSIVE"  # readers pass, writers wait
        blocker = warehouse.transaction(f"LOCK TABLE api.{table} IN {mode} MODE")
        with blocker:
            killed = running(text, DAYS[0], DAYS[0])
            wait_until(lambda: waiting_for_table(warehouse))
            killed.kill()
        wait_until(lambda: not waiting_for_table(warehouse))
        names = {
            row["name"] for row in warehouse.query(f"SELECT name FROM api.things WHERE at < '{DAYS[1]}'")
        }
        assert names in ({"v0"}, {"v1"})
        assert running(text, DAYS[0], DAYS[-1]).result() == 11 * len(DAYS)
    assert_equal(warehouse, api)

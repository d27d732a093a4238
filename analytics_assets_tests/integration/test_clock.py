"""A clock that is wrong loses no row and doubles no row, in any write disposition."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from dlt.destinations.impl.duckdb.duck import DuckDbClient

from analytics_assets.ingestion.warehouse import destination
from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Clock, Project

COLUMNS: dict[str, Any] = {
    "id": {"data_type": "bigint", "nullable": False},
    "at": {"data_type": "timestamp", "nullable": False},
}

DISPOSITIONS: dict[str, Any] = {
    "append": "append",
    "merge": "merge",
    "replace": "replace",
    "scd2": {"disposition": "merge", "strategy": "scd2"},
    "upsert": {"disposition": "merge", "strategy": "upsert"},
    "insert_only": {"disposition": "merge", "strategy": "insert-only"},
}

KILLED = "killed"

# Each step is the number of minutes by which the clock is wrong. Each step is a process on a machine of its own.
HISTORIES: dict[str, list[Any]] = {
    "ahead_once": [0, 43_200, 0, 0, 0],
    "ahead_at_first": [43_200, 0, 0, 0],
    "back": [0, -60, -59, 0, 0],
    "back_for_good": [0, -43_200, -43_199, -43_198],
    "two_machines": [5, 0, 5, 0, 0, 5],
    "killed": [0, (0, KILLED), 0, 0],
    "ahead_and_killed": [0, (43_200, KILLED), 0, (0, KILLED), 0],
    "ahead_then_killed": [0, 43_200, (0, KILLED), 0, 0],
    "back_and_killed": [0, (-60, KILLED), -59, 0],
    "back_and_killed_twice": [0, (-60, KILLED), (-60, KILLED), (-90, KILLED), 0],
    "two_machines_and_killed": [5, (0, KILLED), 0, (5, KILLED), 0, 5],
    "killed_at_first_ahead": [(43_200, KILLED), 0, 0],
}

FOR_EACH_KIND = ("ahead_once", "back", "two_machines", "killed", "ahead_and_killed")


class Killed(BaseException):
    """The end of a process. No code of the product catches it."""


@pytest.fixture
def growing() -> Iterator[tuple[list[dict[str, Any]], str]]:
    """An API with rows to which the test adds, and its URL."""
    rows: list[dict[str, Any]] = []

    def reply(asked: Asked) -> Any:
        since = asked.params.get("since", "")
        until = asked.params.get("until", "9")
        return {"data": [one for one in rows if since <= one["at"] < until]}

    with answering(reply) as url:
        yield rows, url


@dataclass(frozen=True)
class Kind:
    """A kind of resource."""

    disposition: str
    is_incremental: bool = False
    is_partitioned: bool = False

    def __str__(self) -> str:
        reads = "partitions" if self.is_partitioned else "cursor" if self.is_incremental else "whole"
        return f"{self.disposition}-{reads}"


KINDS = [
    *(Kind(one, is_incremental=True) for one in ("append", "merge", "replace", "upsert", "insert_only")),
    Kind("merge", is_incremental=True, is_partitioned=True),
    *(Kind(one) for one in ("merge", "replace", "scd2", "upsert", "insert_only")),
]


CASES = [
    *((KINDS[0], history) for history in HISTORIES),
    *((kind, history) for kind in KINDS[1:] for history in FOR_EACH_KIND),
]


def defs(url: str, kind: Kind) -> str:
    resource = {
        "name": "things",
        "primary_key": "id",
        "write_disposition": DISPOSITIONS[kind.disposition],
        "endpoint": {"path": "/things", "data_selector": "data", "paginator": "single_page"},
        "columns": COLUMNS,
    }
    if kind.is_incremental:
        cursor = {"cursor_path": "at", "start_param": "since", "initial_value": "2026-01-01T00:00:00Z"}
        resource["endpoint"]["incremental"] = cursor
    if kind.is_partitioned:
        resource["endpoint"]["incremental"] |= {"end_param": "until"}
        del resource["endpoint"]["incremental"]["initial_value"]
    partitions = {"partitions": {"type": "daily", "start_date": "2026-01-01"}}
    attributes = {
        "name": "api",
        "rest_api": {"client": {"base_url": url}, "resources": [resource]},
        "assets": {"things": partitions} if kind.is_partitioned else {},
    }
    return yaml.safe_dump({"type": "analytics_assets.RestApiSync", "attributes": attributes})


def row(number: int, moment: datetime) -> dict[str, Any]:
    return {"id": number, "at": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(("kind", "history"), CASES, ids=str)
def test_each_row_exactly_once(
    project: Project,
    growing: tuple[list[dict[str, Any]], str],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    kind: Kind,
    history: str,
) -> None:
    rows, url = growing
    text, day, ahead = defs(url, kind), datetime(2026, 1, 5, tzinfo=UTC), 0
    for number, step in enumerate(HISTORIES[history]):
        minutes, is_killed = step if isinstance(step, tuple) else (step, False)
        rows += [row(10 * number + one, day + timedelta(hours=number, minutes=one)) for one in range(3)]
        clock.jump(1 + minutes - ahead)
        ahead = minutes
        with monkeypatch.context() as patch:
            if is_killed:
                patch.setattr(DuckDbClient, "complete_load", _die)
            try:
                project.load(text, "things", *(["2026-01-05"] if kind.is_partitioned else []))
            except Killed:
                assert is_killed
            else:
                assert not is_killed
        if not is_killed:
            active = " WHERE _dlt_valid_to IS NULL" if kind.disposition == "scd2" else ""
            found = project.query(f"SELECT id FROM api.things{active} ORDER BY id")
            assert [one["id"] for one in found] == [one["id"] for one in rows], f"after step {number}"


def _die(*_: Any) -> None:
    raise Killed


def test_a_load_id_ahead_of_the_clock_is_reported(
    project: Project,
    growing: tuple[list[dict[str, Any]], str],
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows, url = growing
    text = defs(url, Kind("append", is_incremental=True))
    rows.append(row(1, datetime(2026, 1, 5, tzinfo=UTC)))
    clock.jump(43_200)
    assert "load_id_ahead_of_clock" not in project.load(text, "things").to_metadata()
    assert "the clock here says" not in caplog.text
    clock.jump(-43_200)
    ahead = str(project.load(text, "things").to_metadata()["load_id_ahead_of_clock"])
    assert ahead.startswith(("29 days, 23:59", "30 days, 0:00")), "less the time of the loads"
    assert "things: the warehouse has a load of " in caplog.text


def test_an_old_warehouse_goes_on_from_the_state_that_was_written_last(
    project: Project, growing: tuple[list[dict[str, Any]], str], clock: Clock
) -> None:
    """In 0.1.0, a load after one with a clock that was ahead has a lower load id."""
    rows, url = growing
    text = defs(url, Kind("append", is_incremental=True))
    day = datetime(2026, 1, 5, tzinfo=UTC)
    for number in range(3):
        rows.append(row(number, day + timedelta(hours=number)))
        project.load(text, "things")
        clock.jump(1)
    [first, second] = [
        str(one["load_id"])
        for one in project.query("SELECT load_id FROM api._dlt_loads ORDER BY load_id LIMIT 2")
    ]
    for table, column in (
        ("_dlt_loads", "load_id"),
        ("_dlt_pipeline_state", "_dlt_load_id"),
        ("things", "_dlt_load_id"),
    ):
        project.execute(
            f"UPDATE api.{table} SET {column} = '{float(first) + 1e6}' WHERE {column} = '{second}'"
        )
    rows.append(row(3, day + timedelta(hours=3)))
    project.load(text, "things")
    assert [one["id"] for one in project.query("SELECT id FROM api.things ORDER BY id")] == [0, 1, 2, 3]


def test_another_destination_goes_on_from_the_state_that_was_written_last(
    project: Project,
    growing: tuple[list[dict[str, Any]], str],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, url = growing
    monkeypatch.setattr(destination, "INEXACT", {})  # SQLite is the only other one that needs no server
    monkeypatch.setenv("DESTINATION_TYPE", "sqlalchemy")
    monkeypatch.setenv("DESTINATION__SQLALCHEMY__CREDENTIALS", f"sqlite:///{project.folder / 'warehouse.db'}")
    document = yaml.safe_load(defs(url, Kind("append", is_incremental=True)))
    document["attributes"]["destination"] = {"accept_missing_guarantees": True}
    text = yaml.safe_dump(document)
    for number, minutes in enumerate([43_200, -43_200, 1, 1]):
        clock.jump(minutes)
        rows.append(row(number, datetime(2026, 1, 5, number, tzinfo=UTC)))
        project.load(text, "things")
        with closing(sqlite3.connect(project.folder / "warehouse__api.db")) as connection:
            found = connection.execute("SELECT id FROM things ORDER BY id").fetchall()
        assert [one for (one,) in found] == [one["id"] for one in rows]

"""Locks between processes: waits, the names of holders, and the remains of dead processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from analytics_assets.ingestion.time_window import Window
from analytics_assets.ingestion.warehouse.locks import WAREHOUSE, hold, lock_names
from analytics_assets.ingestion.warehouse.workdir import working_directory

PROCESSES = multiprocessing.get_context("spawn")


def hold_for_ever(database: Path, name: str, ready: Any) -> None:
    with hold(database, [name], "things, run 1234"):
        ready.set()
        time.sleep(60)


def work_for_ever(paths: Any) -> None:
    with working_directory() as folder:
        (folder / "rows").write_text("a customer's")
        paths.put(str(folder))
        time.sleep(60)


def test_a_lock_says_who_has_it_and_the_dead_have_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics_assets.ingestion.warehouse.locks.NOTICE_AFTER", 0.05)
    database, ready = tmp_path / "data/a.duckdb", PROCESSES.Event()
    other = PROCESSES.Process(target=hold_for_ever, args=(database, WAREHOUSE, ready), daemon=True)
    other.start()
    assert ready.wait(30)
    with hold(database, ["another"], "customers, run 5678"):
        pass  # no process holds this lock
    assert not caplog.messages

    def kill(*_: object) -> None:
        other.kill()
        other.join(10)

    monkeypatch.setattr("analytics_assets.ingestion.warehouse.locks.log.warning", _after(caplog, kill))
    with hold(database, [WAREHOUSE], "customers, run 5678"):
        pass
    waits = [record for record in caplog.messages if "waiting" in record]
    assert len(waits) == 1
    assert waits[0].startswith(
        "customers, run 5678: waiting for the warehouse, after things, run 1234, since 20"
    )
    assert caplog.messages[-1].startswith("customers, run 5678: waited for the warehouse for ")


def _after(caplog: pytest.LogCaptureFixture, then: Any) -> Any:
    """Returns a log function that logs a message and then calls `then`."""
    logger = logging.getLogger("a test")

    def warning(message: str, *args: object) -> None:
        with caplog.at_level(logging.WARNING):
            logger.warning(message, *args)
        then()

    return warning


def test_neighbours_never_share_a_lock_and_a_range_meets_all_of_its_partitions() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for length in (timedelta(hours=1), timedelta(days=1), timedelta(days=7)):
        windows = [Window(start + length * n, start + length * (n + 1)) for n in range(200)]
        each = [lock_names("p", [window]) for window in windows]
        assert all(len(one) == 1 for one in each)
        for n in range(len(windows) - 60):
            assert len({one for names in each[n : n + 61] for one in names}) == 61
        assert {one for names in each[3:9] for one in names} == set(lock_names("p", windows[3:9]))
    many = lock_names("p", windows)
    assert many == sorted(many), "all runs take them in one order, so that no two wait for each other"
    assert lock_names("p", []) == ["p"]


def test_a_working_directory_goes_with_its_run_and_that_of_a_dead_one_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    paths = PROCESSES.Queue()
    other = PROCESSES.Process(target=work_for_ever, args=(paths,), daemon=True)
    other.start()
    left = Path(paths.get(timeout=30))
    assert left.parent == tmp_path
    assert left.stat().st_mode & 0o777 == 0o700
    long_ago = time.time() - 3600
    os.utime(left, (long_ago, long_ago))
    with working_directory() as mine:
        assert (left / "rows").exists(), "its run is alive"
        other.kill()
        other.join(10)
        with working_directory():
            assert not left.exists()
        assert mine.exists()
    assert list(tmp_path.glob(".analytics_assets-*")) == []


def test_a_directory_that_is_just_being_made_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    young = tmp_path / ".analytics_assets-run-young"
    young.mkdir()
    somebodys = tmp_path / ".analytics_assets-run-somebodys"
    somebodys.mkdir()
    os.utime(somebodys, (0, 0))
    with working_directory():
        assert young.exists()
        assert somebodys.exists(), "nobody of ours has ever locked it"

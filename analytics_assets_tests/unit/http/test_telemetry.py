"""The counts of a sync, and the log of its progress."""

from __future__ import annotations

import logging

import pytest

from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets.ingestion.run_logging import run_logging


def test_progress_is_logged_every_ten_seconds_with_the_time_left(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    telemetry = Telemetry("events", clock=lambda: now[0])
    telemetry.request()
    with run_logging():
        for _ in range(100):  # 400 pages, at four pages per second
            now[0] += 0.25
            telemetry.page(250, 100_000)
    assert [record.getMessage() for record in caplog.records] == [
        "events: 10,000 of 100,000 rows, 1,000 rows/s, about 2 min left",
        "events: 20,000 of 100,000 rows, 1,000 rows/s, about 80 s left",
    ]
    assert (telemetry.rows_fetched, telemetry.pages, telemetry.rows_per_second) == (25_000, 100, 1000)


def test_rows_of_a_sync_that_started_over_do_not_count() -> None:
    telemetry = Telemetry("events")
    telemetry.request()
    telemetry.page(10)
    telemetry.restart()
    telemetry.page(3)
    assert (telemetry.rows_fetched, telemetry.restarts, telemetry.requests) == (3, 1, 1)


def test_the_level_of_the_logger_is_that_of_before_once_the_last_run_ends() -> None:
    logger = logging.getLogger("analytics_assets")
    logger.setLevel(logging.ERROR)
    try:
        one, two = run_logging(), run_logging()
        one.__enter__()
        two.__enter__()
        one.__exit__(None, None, None)
        assert logger.level == logging.INFO, "the other run still logs"
        two.__exit__(None, None, None)
        assert logger.level == logging.ERROR
    finally:
        logger.setLevel(logging.NOTSET)

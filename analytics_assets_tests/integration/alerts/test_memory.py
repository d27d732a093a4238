"""What the sensor remembers is in Dagster's key-value store: the cursor is small, and nothing is lost or repeated."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from analytics_assets.orchestration.alerts import sensor as alert_sensor
from analytics_assets_tests.alerting import CIRCUIT, Sensor, Webhook
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.scripted import DAILY, reported, run

ENDED = "analytics_api: transactions is synced again"


def remembering(partitions: int) -> str:
    """A cursor of version 0.1.0, which remembers failed partitions."""
    days = [*DAILY.get_partition_keys_in_range(dg.PartitionKeyRange("2026-01-01", "2026-11-01"))]
    hours = [f"{day}-{number:03}" for number in range(partitions // len(days) + 1) for day in days]
    failures = {f"{hour} to {hour}": time.time() for hour in hours[:partitions]}
    told = [{"resource": "transactions", "reason": "not JSON", "failures": failures}]
    return json.dumps({"memory": {"circuit_event": 0, "run_failure": 0, "told": told}, "outbox": []})


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    """The statements that SQLAlchemy executes in the block."""
    statements: list[str] = []

    def count(*event: Any) -> None:
        statements.append(event[2])

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    yield statements
    sa.event.remove(sa.Engine, "before_cursor_execute", count)


def test_the_number_of_queries_and_the_cursor_do_not_grow(sensor: Sensor) -> None:
    queries = {}
    for partitions in (1, 5000):
        sensor.cursor = remembering(partitions)
        sensor.look()
        assert len(sensor.memory.state.incidents[0].parts) == partitions
        seconds = []
        for _ in range(3):  # the first tick of a process may import and compile
            start = time.process_time()
            with counted_queries() as statements:
                sensor.look()
            seconds.append(time.process_time() - start)
        assert min(seconds) < 0.5
        assert len(str(sensor.cursor)) < 200
        queries[partitions] = len(statements)
    assert queries[1] == queries[5000] < 30


def test_messages_that_no_channel_accepts_do_not_grow_the_cursor(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    webhook.down = True
    for number in range(60):
        event = dg.AssetMaterialization(CIRCUIT, description=f"note {number}")
        project.instance.report_runless_asset_event(event)
    sensor.look()
    assert len(sensor.memory.outbox) == 60
    assert len(str(sensor.cursor)) < 200
    webhook.down = False
    sensor.look()
    assert len(webhook.got) == 60


def test_a_tick_that_dies_while_it_sends_loses_and_repeats_nothing(
    project: Project, sensor: Sensor, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project, loads=False, error=ValueError())
    with monkeypatch.context() as dying:
        dying.setattr(alert_sensor, "open_channels", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sensor.look()
    reported(project, "analytics_api", "products")
    sensor.look()
    sensor.look()
    failed, again = "analytics_api: the sync of products failed", "analytics_api: products is synced again"
    assert webhook.titles == [failed, again]


def test_without_a_key_value_store_the_cursor_is_the_memory(
    project: Project, sensor: Sensor, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Dagster+, code locations have none: the methods return an exception."""
    unsupported = NotImplementedError("KVS is not supported from the user cloud")
    storage = project.instance.daemon_cursor_storage
    monkeypatch.setattr(storage, "get_cursor_values", lambda _: unsupported)
    monkeypatch.setattr(storage, "set_cursor_values", lambda _: unsupported)
    sensor.cursor = None
    sensor.look()
    run(project, loads=False, error=ValueError())
    sensor.look()
    sensor.look()
    assert len(webhook.got) == 1
    reported(project, "analytics_api", "products")
    sensor.look()
    assert webhook.titles[1:] == ["analytics_api: products is synced again"]


def test_two_code_locations_with_the_same_source_remember_for_themselves(
    project: Project, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    other = Sensor(project, text)
    other.look()
    run(project, loads=False, error=ValueError())
    sensor.look()
    other.look()
    assert webhook.titles == 2 * ["analytics_api: the sync of products failed"]


def test_if_the_entry_is_lost_the_sensor_goes_on_from_its_cursor(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    run(project, loads=False, error=ValueError())
    sensor.look()
    assert len(webhook.got) == 1
    cursor = json.loads(str(sensor.cursor))
    sensor.cursor = json.dumps(cursor | {"store": "lost"})
    sensor.look()
    assert len(webhook.got) == 1, "the failure was read before"

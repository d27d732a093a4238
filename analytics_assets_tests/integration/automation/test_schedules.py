"""Ticks of schedules: the partition of a tick, time zones, and partitions that have not ended."""

from __future__ import annotations

import dagster as dg
import pytest
import yaml

from analytics_assets_tests.conftest import Clock, Project
from analytics_assets_tests.ticking import MORNING, SCHEDULE, materialize, ranges, tick


@pytest.mark.parametrize(
    ("moment", "partition"),
    [
        ("2026-03-04T02:00", "2026-03-03"),
        ("2026-03-04T00:00", "2026-03-03"),
        ("2026-03-03T23:59", "2026-03-02"),
        ("2026-01-02T00:00", "2026-01-01"),
    ],
)
def test_a_tick_requests_the_last_complete_partition(
    project: Project, shipped_yaml: str, moment: str, partition: str
) -> None:
    shipped_yaml = shipped_yaml.replace('schedule: "0 2 * * *"', 'schedule: "0 2 * * *"\n      catch_up: 0')
    data = tick(project, project.definitions(shipped_yaml), "analytics_api__transactions__schedule", moment)
    [request] = data.run_requests
    assert request.partition_key == partition


def test_a_tick_before_the_first_partition_is_complete_skips_and_says_so(
    project: Project, shipped_yaml: str
) -> None:
    data = tick(
        project,
        project.definitions(shipped_yaml),
        "analytics_api__transactions__schedule",
        "2026-01-01T12:00",
    )
    assert data.run_requests == []
    assert data.skip_message == "No partition is complete yet at 2026-01-01 12:00 UTC."


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize(
    ("moment", "asked"),
    [
        ("2026-03-04T07:00", ["2026-03-03"]),
        ("2026-03-04T05:00", ["2026-03-03"]),
        ("2026-03-04T04:59", ["2026-03-02"]),
        ("2025-03-10T03:59", ["2025-03-08"]),
        ("2025-03-10T04:00", ["2025-03-09"]),  # a day of 23 hours
        ("2025-11-03T04:59", ["2025-11-01"]),
        ("2025-11-03T05:00", ["2025-11-02"]),  # a day of 25 hours
    ],
)
def test_a_schedule_ticks_in_the_time_zone_of_its_partitions(
    project: Project, shipped_yaml: str, moment: str, asked: list[str]
) -> None:
    document = yaml.safe_load(shipped_yaml)
    asset = document["attributes"]["assets"]["transactions"]
    asset["catch_up"] = 0
    asset["partitions"] = {"type": "daily", "start_date": "2025-01-01", "timezone": "America/New_York"}
    definitions = project.definitions(yaml.safe_dump(document))
    zones = {
        one.name: one.execution_timezone
        for one in definitions.schedules or ()
        if isinstance(one, dg.ScheduleDefinition)
    }
    assert zones.pop(SCHEDULE) == "America/New_York"
    assert set(zones.values()) == {"UTC"}
    assert ranges(tick(project, definitions, SCHEDULE, moment)) == asked
    data = tick(project, definitions, SCHEDULE, "2025-01-02T03:00")
    assert data.skip_message == "No partition is complete yet at 2025-01-01 22:00 America/New_York."


def test_each_tick_of_an_unpartitioned_asset_is_one_run(project: Project, shipped_yaml: str) -> None:
    definitions = project.definitions(shipped_yaml)
    keys = set()
    for moment in ("2026-03-04T02:00", "2026-03-04T03:00"):
        [request] = tick(project, definitions, "analytics_api__customers__schedule", moment).run_requests
        assert request.partition_key is None
        keys.add(request.run_key)
    assert len(keys) == 2


@pytest.fixture
def with_today(ten_days: str) -> str:
    """The current day is a partition too. A tick checks two days before the last complete day."""
    document = yaml.safe_load(ten_days)
    asset = document["attributes"]["assets"]["transactions"]
    asset["catch_up"] = 2
    asset["partitions"]["end_offset"] = 1
    return yaml.safe_dump(document)


def test_a_tick_requests_the_current_partition_and_again_after_its_end(
    project: Project, clock: Clock, with_today: str
) -> None:
    definitions = project.definitions(with_today)
    clock.move_to("2026-01-09T18:00")
    assert ranges(tick(project, definitions, SCHEDULE, "2026-01-09T18:00")) == ["2026-01-06...2026-01-09"]
    materialize(project, *(f"2026-01-{day:02d}" for day in range(1, 10)))
    assert ranges(tick(project, definitions, SCHEDULE, "2026-01-09T19:00")) == ["2026-01-08...2026-01-09"]
    clock.move_to("2026-01-10T02:00")
    assert ranges(tick(project, definitions, SCHEDULE, "2026-01-10T02:00")) == ["2026-01-09...2026-01-10"]
    clock.move_to("2026-01-12T02:00")  # two ticks were missed
    assert ranges(tick(project, definitions, SCHEDULE, "2026-01-12T02:00")) == ["2026-01-09...2026-01-12"]
    materialize(project, "2026-01-09", "2026-01-11", "2026-01-12")
    assert ranges(tick(project, definitions, SCHEDULE, "2026-01-12T03:00")) == ["2026-01-10...2026-01-12"]
    materialize(project, "2026-01-10")
    assert ranges(tick(project, definitions, SCHEDULE, "2026-01-12T04:00")) == ["2026-01-11...2026-01-12"]


def test_the_first_day_is_requested_on_the_first_day(project: Project, clock: Clock, with_today: str) -> None:
    clock.move_to("2026-01-01T18:00")
    definitions = project.definitions(with_today)
    assert ranges(tick(project, definitions, SCHEDULE, "2026-01-01T18:00")) == ["2026-01-01"]


def test_a_partition_loaded_before_its_end_is_requested_without_end_offset_too(
    project: Project, clock: Clock, ten_days: str
) -> None:
    """The situation after `end_offset` was removed, or after `timezone` moved the windows."""
    clock.move_to("2026-01-08T18:00")
    materialize(project, *(f"2026-01-{day:02d}" for day in range(1, 9)))
    clock.move_to(MORNING)
    assert ranges(tick(project, project.definitions(ten_days), SCHEDULE, MORNING)) == [
        "2026-01-08...2026-01-10"
    ]

"""Missing partitions: a tick requests each of them once, in few runs."""

from __future__ import annotations

import time
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.execution.backfill import PartitionBackfill

from analytics_assets_tests.conftest import Project
from analytics_assets_tests.ticking import MORNING, SCHEDULE, TRANSACTIONS, plan, ranges, tick


def with_asset(text: str, **attributes: Any) -> str:
    document = yaml.safe_load(text)
    document["attributes"]["assets"]["transactions"] |= attributes
    return yaml.safe_dump(document)


def test_missing_partitions_are_requested_oldest_first_with_one_run_per_gap(
    project: Project, ten_days: str
) -> None:
    definitions = project.definitions(ten_days)
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == ["2026-01-01...2026-01-10"]
    for day in ("2026-01-03", "2026-01-04", "2026-01-08", "2026-01-10"):
        assert project.run(definitions, "transactions", day).success
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == [
        "2026-01-01...2026-01-02",
        "2026-01-05...2026-01-07",
        "2026-01-09...2026-01-10",  # the tick's own partition is loaded, and requested again
    ]


def test_queued_and_running_partitions_are_not_requested(project: Project, ten_days: str) -> None:
    definitions = project.definitions(ten_days)
    plan(project, definitions, "2026-01-04")
    plan(project, definitions, "2026-01-08", "2026-01-10")
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == [
        "2026-01-01...2026-01-03",
        "2026-01-05...2026-01-07",
    ]


@pytest.mark.parametrize(
    ("asset", "asked"),
    [
        ("transactions", ["2026-01-01", "2026-01-04...2026-01-09"]),
        ("refunds", ["2026-01-01...2026-01-10"]),
    ],
)
def test_partitions_of_an_active_backfill_are_not_requested(
    project: Project, ten_days: str, asset: str, asked: list[str]
) -> None:
    document = yaml.safe_load(ten_days)
    resources = document["attributes"]["rest_api"]["resources"]
    resources.append({**resources[2], "name": "refunds"})
    document["attributes"]["assets"]["refunds"] = document["attributes"]["assets"]["transactions"]
    definitions = project.definitions(yaml.safe_dump(document))
    graph = definitions.get_repository_def().asset_graph
    project.instance.add_backfill(
        PartitionBackfill.from_asset_partitions(
            "a-backfill",
            asset_graph=graph,
            partition_names=["2026-01-02", "2026-01-03", "2026-01-10"],
            asset_selection=[dg.AssetKey(["analytics_api", asset])],
            backfill_timestamp=time.time(),
            tags={},
            dynamic_partitions_store=project.instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
    )
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == asked


def test_all_there_and_the_own_one_running_is_a_reason_to_skip(project: Project, ten_days: str) -> None:
    definitions = project.definitions(ten_days)
    assert project.run(definitions, "transactions", "2026-01-01", "2026-01-09").success
    plan(project, definitions, "2026-01-10")
    data = tick(project, definitions, SCHEDULE, MORNING)
    assert data.run_requests == []
    assert data.skip_message == "2026-01-10 is queued or running, and nothing before it is missing."


def test_cancelled_partitions_are_requested_again(project: Project, ten_days: str) -> None:
    definitions = project.definitions(ten_days)
    project.instance.report_run_canceled(plan(project, definitions, "2026-01-01", "2026-01-10"))
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == ["2026-01-01...2026-01-10"]


def test_lookback_requests_the_last_partitions_again_for_late_rows(project: Project, ten_days: str) -> None:
    definitions = project.definitions(with_asset(ten_days, lookback=2))
    assert project.run(definitions, "transactions", "2026-01-01", "2026-01-03").success
    assert project.run(definitions, "transactions", "2026-01-05", "2026-01-10").success
    found = ranges(tick(project, definitions, SCHEDULE, MORNING))
    assert found == ["2026-01-04", "2026-01-08...2026-01-10"]
    plan(project, definitions, "2026-01-09")
    found = ranges(tick(project, definitions, SCHEDULE, MORNING))
    assert found == ["2026-01-04", "2026-01-08", "2026-01-10"], "what is on its way is not asked for twice"


def test_of_a_long_lookback_no_partition_is_left_out(project: Project, impatient_yaml: str) -> None:
    """The limit of ten runs applies only to missing partitions, and not to the partitions that each tick requests."""
    text = with_asset(impatient_yaml, lookback=12, catch_up=29, backfill_policy={"max_partitions_per_run": 1})
    found = ranges(tick(project, project.definitions(text), SCHEDULE, "2026-01-31T02:00"))
    assert found == [f"2026-01-{day:02}" for day in [*range(1, 11), *range(18, 31)]]


def test_lookback_reaches_further_than_catch_up(project: Project, ten_days: str) -> None:
    definitions = project.definitions(with_asset(ten_days, lookback=3, catch_up=0))
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == ["2026-01-07...2026-01-10"]


def test_missing_partitions_are_requested_in_runs_of_the_backfill_policys_size(
    project: Project, ten_days: str
) -> None:
    text = with_asset(ten_days, backfill_policy={"max_partitions_per_run": 4})
    definitions = project.definitions(text)
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == [
        "2026-01-01...2026-01-04",
        "2026-01-05...2026-01-08",
        "2026-01-09...2026-01-10",
    ]
    one_each = project.definitions(with_asset(ten_days, backfill_policy={"max_partitions_per_run": 1}))
    assert ranges(tick(project, one_each, SCHEDULE, MORNING)) == [f"2026-01-{day:02}" for day in range(1, 11)]


def test_a_tick_requests_ten_gaps_at_most_and_the_newest_partitions(project: Project, ten_days: str) -> None:
    text = ten_days.replace("catch_up: 9", "catch_up: 29")
    definitions = project.definitions(text)
    for day in range(2, 30, 2):
        event = dg.AssetMaterialization(TRANSACTIONS, partition=f"2026-01-{day:02d}")
        project.instance.report_runless_asset_event(event)
    asked = ranges(tick(project, definitions, SCHEDULE, "2026-01-31T02:00"))
    assert asked == [f"2026-01-{day:02d}" for day in range(1, 20, 2)] + ["2026-01-29...2026-01-30"]

"""What is asked for without a person: by the ticks of schedules, and by the sensor that makes an outage good."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.execution.backfill import PartitionBackfill

from analytics_assets.orchestration.automation.schedules import ScheduledSync
from analytics_assets_tests.conftest import Clock, DemoApi, Project
from analytics_assets_tests.ticking import spans, tick


@pytest.fixture
def project(project: Project) -> Project:
    project.keep_on_disk()
    return project


@pytest.mark.parametrize(
    ("moment", "partition"),
    [
        ("2026-03-04T02:00", "2026-03-03"),
        ("2026-03-04T00:00", "2026-03-03"),
        ("2026-03-03T23:59", "2026-03-02"),
        ("2026-01-02T00:00", "2026-01-01"),
    ],
)
def test_a_tick_asks_for_the_last_complete_partition(
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


@pytest.mark.parametrize(
    ("moment", "asked"),
    [
        ("2026-03-04T07:00", ["2026-03-03"]),
        ("2026-03-04T05:00", ["2026-03-03"]),
        ("2026-03-04T04:59", ["2026-03-02"]),
        ("2025-03-10T03:59", ["2025-03-08"]),
        ("2025-03-10T04:00", ["2025-03-09"]),  # a day of 23 hours
        ("2025-11-03T04:59", ["2025-11-01"]),
        ("2025-11-03T05:00", ["2025-11-02"]),  # and one of 25
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
    assert spans(tick(project, definitions, SCHEDULE, moment)) == asked
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


TRANSACTIONS = dg.AssetKey(["analytics_api", "transactions"])
SCHEDULE = "analytics_api__transactions__schedule"
MORNING = "2026-01-11T02:00"  # its own partition is 2026-01-10


@pytest.fixture
def ten_days(impatient_yaml: str) -> str:
    """A tick looks at its own partition and the nine before."""
    document = yaml.safe_load(impatient_yaml)
    document["attributes"]["assets"]["transactions"]["catch_up"] = 9
    return yaml.safe_dump(document)


def plan(project: Project, definitions: dg.Definitions, *partitions: str) -> dg.DagsterRun:
    """A run of these partitions that is queued and has not begun."""
    tags = {"dagster/partition": partitions[0]}
    if len(partitions) > 1:
        tags = {
            "dagster/asset_partition_range_start": partitions[0],
            "dagster/asset_partition_range_end": partitions[-1],
        }
    job = definitions.resolve_job_def("analytics_api__transactions__sync")
    return project.instance.create_run_for_job(job, tags=tags)


def test_what_is_missing_is_asked_for_oldest_first_in_as_few_runs_as_there_are_gaps(
    project: Project, ten_days: str
) -> None:
    definitions = project.definitions(ten_days)
    assert spans(tick(project, definitions, SCHEDULE, MORNING)) == ["2026-01-01...2026-01-10"]
    for day in ("2026-01-03", "2026-01-04", "2026-01-08", "2026-01-10"):
        assert project.run(definitions, "transactions", day).success
    assert spans(tick(project, definitions, SCHEDULE, MORNING)) == [
        "2026-01-01...2026-01-02",
        "2026-01-05...2026-01-07",
        "2026-01-09...2026-01-10",  # the tick's own is there, and asked for anew
    ]


def test_what_is_queued_or_running_is_not_asked_for(project: Project, ten_days: str) -> None:
    definitions = project.definitions(ten_days)
    plan(project, definitions, "2026-01-04")
    plan(project, definitions, "2026-01-08", "2026-01-10")
    assert spans(tick(project, definitions, SCHEDULE, MORNING)) == [
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
def test_what_a_backfill_is_about_to_launch_is_not_asked_for(
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
    assert spans(tick(project, definitions, SCHEDULE, MORNING)) == asked


def test_all_there_and_the_own_one_running_is_a_reason_to_skip(project: Project, ten_days: str) -> None:
    definitions = project.definitions(ten_days)
    assert project.run(definitions, "transactions", "2026-01-01", "2026-01-09").success
    plan(project, definitions, "2026-01-10")
    data = tick(project, definitions, SCHEDULE, MORNING)
    assert data.run_requests == []
    assert data.skip_message == "2026-01-10 is queued or running, and nothing before it is missing."


def test_what_was_cancelled_is_asked_for_again(project: Project, ten_days: str) -> None:
    definitions = project.definitions(ten_days)
    project.instance.report_run_canceled(plan(project, definitions, "2026-01-01", "2026-01-10"))
    assert spans(tick(project, definitions, SCHEDULE, MORNING)) == ["2026-01-01...2026-01-10"]


def test_a_partition_that_cannot_be_loaded_keeps_no_other_back(
    project: Project, api: DemoApi, ten_days: str
) -> None:
    """The range it was in has failed as a whole; the next tick asks for each alone."""
    definitions = project.definitions(ten_days)
    api.set_faults({"path": "/v1/transactions", "body": "<html>"})
    assert not project.run(definitions, "transactions", "2026-01-01", "2026-01-03").success
    assert spans(tick(project, definitions, SCHEDULE, MORNING)) == [
        "2026-01-01",
        "2026-01-02",
        "2026-01-03",
        "2026-01-04...2026-01-10",
    ]


def with_asset(text: str, **attributes: Any) -> str:
    document = yaml.safe_load(text)
    document["attributes"]["assets"]["transactions"] |= attributes
    return yaml.safe_dump(document)


def test_rows_that_come_late_are_looked_for_by_asking_for_the_last_partitions_again(
    project: Project, ten_days: str
) -> None:
    definitions = project.definitions(with_asset(ten_days, lookback=2))
    assert project.run(definitions, "transactions", "2026-01-01", "2026-01-03").success
    assert project.run(definitions, "transactions", "2026-01-05", "2026-01-10").success
    found = spans(tick(project, definitions, SCHEDULE, MORNING))
    assert found == ["2026-01-04", "2026-01-08...2026-01-10"]
    plan(project, definitions, "2026-01-09")
    found = spans(tick(project, definitions, SCHEDULE, MORNING))
    assert found == ["2026-01-04", "2026-01-08", "2026-01-10"], "what is on its way is not asked for twice"


def test_of_a_long_lookback_no_partition_is_left_out(project: Project, impatient_yaml: str) -> None:
    """The limit of runs at once is for what is behind: what is asked for at each tick would never come to its end."""
    text = with_asset(impatient_yaml, lookback=12, catch_up=29, backfill_policy={"max_partitions_per_run": 1})
    found = spans(tick(project, project.definitions(text), SCHEDULE, "2026-01-31T02:00"))
    assert found == [f"2026-01-{day:02}" for day in [*range(1, 11), *range(18, 31)]]


def test_lookback_reaches_further_than_catch_up(project: Project, ten_days: str) -> None:
    definitions = project.definitions(with_asset(ten_days, lookback=3, catch_up=0))
    assert spans(tick(project, definitions, SCHEDULE, MORNING)) == ["2026-01-07...2026-01-10"]


def test_what_is_missing_is_asked_for_in_runs_of_the_backfill_policys_size(
    project: Project, ten_days: str
) -> None:
    text = with_asset(ten_days, backfill_policy={"max_partitions_per_run": 4})
    definitions = project.definitions(text)
    assert spans(tick(project, definitions, SCHEDULE, MORNING)) == [
        "2026-01-01...2026-01-04",
        "2026-01-05...2026-01-08",
        "2026-01-09...2026-01-10",
    ]
    one_each = project.definitions(with_asset(ten_days, backfill_policy={"max_partitions_per_run": 1}))
    assert spans(tick(project, one_each, SCHEDULE, MORNING)) == [f"2026-01-{day:02}" for day in range(1, 11)]


def test_what_an_outage_has_ended_is_asked_for_together_once_it_is_over(
    project: Project, api: DemoApi, clock: Clock, ten_days: str
) -> None:
    definitions = project.definitions(ten_days)
    assert project.run(definitions, "transactions", "2026-01-07").success
    api.set_faults({"path": "/v1/transactions", "status": 503})
    assert not project.run(definitions, "transactions", "2026-01-01", "2026-01-03").success
    assert not project.run(definitions, "transactions", "2026-01-05").success
    data = tick(project, definitions, SCHEDULE, MORNING)
    assert data.run_requests == []
    assert data.skip_message.startswith("Not asked for, as the circuit of analytics_api is open since ")
    for name in ("customers", "products", "events"):
        data = tick(project, definitions, f"analytics_api__{name}__schedule", MORNING)
        assert data.run_requests == [], "the circuit is of the whole source"
    clock.pass_minutes(5.1)
    # Due: one run finds out, and no more are sent after it.
    assert spans(tick(project, definitions, SCHEDULE, MORNING)) == ["2026-01-01...2026-01-06"]
    api.set_faults()
    assert project.run(definitions, "transactions", "2026-01-04").success
    assert spans(tick(project, definitions, SCHEDULE, MORNING)) == [
        "2026-01-01...2026-01-03",
        "2026-01-05...2026-01-06",
        "2026-01-08...2026-01-10",
    ]


def test_ten_that_cannot_be_loaded_do_not_keep_what_is_missing_back(
    project: Project, api: DemoApi, ten_days: str
) -> None:
    definitions = project.definitions(ten_days.replace("catch_up: 9", "catch_up: 29"))
    api.set_faults({"path": "/v1/transactions", "body": "<html>"})
    assert not project.run(definitions, "transactions", "2026-01-01", "2026-01-12").success
    project.instance.report_runless_asset_event(dg.AssetMaterialization(TRANSACTIONS, partition="2026-01-20"))
    assert spans(tick(project, definitions, SCHEDULE, "2026-01-31T02:00")) == [
        *(f"2026-01-{day:02d}" for day in range(1, 10)),
        "2026-01-13...2026-01-19",
        "2026-01-21...2026-01-30",
    ]


def test_the_outage_of_another_asset_says_nothing_of_a_partition(
    project: Project, api: DemoApi, ten_days: str
) -> None:
    """It has a run of that day too, newer, and ended by an outage."""
    definitions = project.definitions(ten_days)
    api.set_faults({"path": "/v1/transactions", "body": "<html>"})
    assert not project.run(definitions, "transactions", "2026-01-01", "2026-01-02").success

    @dg.asset(partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
    def somebody_elses() -> None:
        raise dg.Failure

    job = dg.Definitions([somebody_elses], jobs=[dg.define_asset_job("theirs", [somebody_elses])])
    theirs = job.resolve_job_def("theirs").execute_in_process(
        partition_key="2026-01-02", instance=project.instance, raise_on_error=False
    )
    project.instance.add_run_tags(theirs.run_id, {"analytics_assets/circuit": theirs.run_id})
    assert spans(tick(project, definitions, SCHEDULE, MORNING))[:2] == ["2026-01-01", "2026-01-02"]


def test_a_tick_asks_for_ten_gaps_at_most_and_the_newest(project: Project, ten_days: str) -> None:
    text = ten_days.replace("catch_up: 9", "catch_up: 29")
    definitions = project.definitions(text)
    for day in range(2, 30, 2):
        event = dg.AssetMaterialization(TRANSACTIONS, partition=f"2026-01-{day:02d}")
        project.instance.report_runless_asset_event(event)
    asked = spans(tick(project, definitions, SCHEDULE, "2026-01-31T02:00"))
    assert asked == [f"2026-01-{day:02d}" for day in range(1, 20, 2)] + ["2026-01-29...2026-01-30"]


# Partitions that are not over yet.


def materialize(project: Project, *days: str) -> None:
    for day in days:
        project.instance.report_runless_asset_event(dg.AssetMaterialization(TRANSACTIONS, partition=day))


@pytest.fixture
def with_today(ten_days: str) -> str:
    """The day that is not over yet is a partition too; a tick looks at two days before the last complete one."""
    document = yaml.safe_load(ten_days)
    asset = document["attributes"]["assets"]["transactions"]
    asset["catch_up"] = 2
    asset["partitions"]["end_offset"] = 1
    return yaml.safe_dump(document)


def test_a_tick_asks_for_what_is_not_over_and_again_once_it_is(
    project: Project, clock: Clock, with_today: str
) -> None:
    definitions = project.definitions(with_today)
    clock.move_to("2026-01-09T18:00")
    assert spans(tick(project, definitions, SCHEDULE, "2026-01-09T18:00")) == ["2026-01-06...2026-01-09"]
    materialize(project, *(f"2026-01-{day:02d}" for day in range(1, 10)))
    assert spans(tick(project, definitions, SCHEDULE, "2026-01-09T19:00")) == ["2026-01-08...2026-01-09"]
    clock.move_to("2026-01-10T02:00")
    assert spans(tick(project, definitions, SCHEDULE, "2026-01-10T02:00")) == ["2026-01-09...2026-01-10"]
    clock.move_to("2026-01-12T02:00")  # two ticks were missed
    assert spans(tick(project, definitions, SCHEDULE, "2026-01-12T02:00")) == ["2026-01-09...2026-01-12"]
    materialize(project, "2026-01-09", "2026-01-11", "2026-01-12")
    assert spans(tick(project, definitions, SCHEDULE, "2026-01-12T03:00")) == ["2026-01-10...2026-01-12"]
    materialize(project, "2026-01-10")
    assert spans(tick(project, definitions, SCHEDULE, "2026-01-12T04:00")) == ["2026-01-11...2026-01-12"]


def test_the_first_day_is_asked_for_on_the_first_day(project: Project, clock: Clock, with_today: str) -> None:
    clock.move_to("2026-01-01T18:00")
    definitions = project.definitions(with_today)
    assert spans(tick(project, definitions, SCHEDULE, "2026-01-01T18:00")) == ["2026-01-01"]


def test_what_was_loaded_before_it_was_over_is_asked_for_without_end_offset_too(
    project: Project, clock: Clock, ten_days: str
) -> None:
    """As after `end_offset` is taken back, or `timezone` moves the windows."""
    clock.move_to("2026-01-08T18:00")
    materialize(project, *(f"2026-01-{day:02d}" for day in range(1, 9)))
    clock.move_to(MORNING)
    assert spans(tick(project, project.definitions(ten_days), SCHEDULE, MORNING)) == [
        "2026-01-08...2026-01-10"
    ]


# The sensor that makes an outage good.


class Recovery:
    """The sensor with its cursor; the run keys it has asked with, as Dagster keeps them."""

    def __init__(self, project: Project, definitions: dg.Definitions) -> None:
        self._project = project
        self._definitions = definitions
        self._cursor: str | None = None
        self._run_keys: set[str] = set()
        self.said = ""

    def look(self) -> list[tuple[str, str]]:
        """One tick; what is launched because of it: resource and partitions."""
        sensor = next(
            one
            for one in self._definitions.sensors or ()
            if isinstance(one, dg.SensorDefinition) and one.name == "analytics_api__recovery"
        )
        context = dg.build_sensor_context(
            instance=self._project.instance,
            cursor=self._cursor,
            repository_def=self._definitions.get_repository_def(),
        )
        data = sensor.evaluate_tick(context)
        self._cursor, self.said = data.cursor, data.skip_message or ""
        requests = data.run_requests or []
        names = [str(one.job_name).removeprefix("analytics_api__").removesuffix("__sync") for one in requests]
        keys = [str(one.run_key) for one in requests]
        asked = [
            (name, span)
            for name, span, key in zip(names, spans(data), keys, strict=True)
            if key not in self._run_keys
        ]
        self._run_keys |= set(keys)
        return asked


@pytest.fixture
def turned_on(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The resources whose schedule is on; none at first."""
    on: set[str] = set()
    monkeypatch.setattr(ScheduledSync, "is_on", lambda self, _: self.resource in on)
    return on


def days_ago(*ends: int) -> str:
    today = datetime.now(UTC).date()
    return "...".join(f"{today - timedelta(days=days)}" for days in ends)


def trip(
    project: Project, api: DemoApi, definitions: dg.Definitions, resource: str, *partitions: str
) -> None:
    api.set_faults(*({"path": f"/v1/{name}", "status": 503} for name in ("customers", "transactions")))
    assert not project.run(definitions, resource, *partitions).success


def test_nothing_is_asked_for_while_all_is_well(project: Project, ten_days: str, turned_on: set[str]) -> None:
    turned_on |= {"transactions", "customers"}
    recovery = Recovery(project, project.definitions(ten_days))
    assert recovery.look() == []
    assert recovery.said == "The circuit of analytics_api is closed."


def test_the_halted_sync_is_the_probe_once_per_cool_down(
    project: Project, api: DemoApi, clock: Clock, ten_days: str, turned_on: set[str]
) -> None:
    turned_on |= {"transactions", "customers"}
    definitions = project.definitions(ten_days)
    recovery = Recovery(project, definitions)
    trip(project, api, definitions, "customers")
    assert recovery.look() == []
    assert "it may be asked again after" in recovery.said
    clock.pass_minutes(5.1)
    assert recovery.look() == [("customers", "all")]
    assert recovery.look() == [], "it is on its way"
    assert not project.run(definitions, "customers").success
    clock.pass_minutes(10.1)
    assert recovery.look() == [("customers", "all")], "after the next cool-down once more"


def test_what_was_missed_is_asked_for_when_the_circuit_has_closed(
    project: Project, api: DemoApi, clock: Clock, ten_days: str, turned_on: set[str]
) -> None:
    turned_on |= {"transactions", "customers", "products"}
    definitions = project.definitions(ten_days)
    recovery = Recovery(project, definitions)
    assert project.run(definitions, "products").success, "since its last tick"
    trip(project, api, definitions, "transactions", days_ago(3))
    clock.pass_minutes(5.1)
    assert recovery.look() == [("transactions", days_ago(10, 1))]
    api.set_faults()
    assert project.run(definitions, "transactions", days_ago(3)).success
    # Customers had a tick and no sync since; products had; nobody has turned on events.
    assert recovery.look() == [
        ("customers", "all"),
        ("transactions", days_ago(10, 4)),
        ("transactions", days_ago(2, 1)),
    ]
    assert recovery.look() == [], "once per incident: the rest is for the schedules"
    assert recovery.look() == []
    assert recovery.said == "The circuit of analytics_api is closed."


def test_an_outage_that_is_over_between_two_looks_is_made_good_too(
    project: Project, api: DemoApi, ten_days: str, turned_on: set[str]
) -> None:
    turned_on |= {"customers"}
    definitions = project.definitions(ten_days)
    trip(project, api, definitions, "customers")
    circuit = dg.AssetKey(["analytics_api", "circuit"])
    project.instance.report_runless_asset_event(dg.AssetMaterialization(circuit, description="reset"))
    recovery = Recovery(project, definitions)
    assert recovery.look() == [], "what was before the first look is history"
    trip(project, api, definitions, "customers")
    project.instance.report_runless_asset_event(dg.AssetMaterialization(circuit, description="reset"))
    assert recovery.look() == [("customers", "all")]


def test_any_scheduled_sync_that_was_missed_may_be_the_probe(
    project: Project, api: DemoApi, clock: Clock, ten_days: str, turned_on: set[str]
) -> None:
    """A sync by hand was halted; one that is scheduled has lost its tick, and finds out for both."""
    turned_on |= {"customers"}
    definitions = project.definitions(ten_days)
    recovery = Recovery(project, definitions)
    trip(project, api, definitions, "transactions", days_ago(3))
    clock.pass_minutes(5.1)
    assert recovery.look() == [("customers", "all")]


def test_a_probe_that_came_to_nothing_is_followed_by_another_after_a_cool_down(
    project: Project, api: DemoApi, clock: Clock, ten_days: str, turned_on: set[str]
) -> None:
    turned_on |= {"customers"}
    definitions = project.definitions(ten_days)
    recovery = Recovery(project, definitions)
    trip(project, api, definitions, "customers")
    clock.pass_minutes(5.1)
    assert recovery.look() == [("customers", "all")]
    assert recovery.look() == []
    clock.pass_minutes(5.1)
    assert recovery.look() == [("customers", "all")], "the run was killed before it asked"


def test_what_is_on_its_way_by_hand_is_not_asked_for(
    project: Project, api: DemoApi, clock: Clock, ten_days: str, turned_on: set[str]
) -> None:
    turned_on |= {"customers"}
    definitions = project.definitions(ten_days)
    recovery = Recovery(project, definitions)
    trip(project, api, definitions, "customers")
    customers = dg.AssetKey(["analytics_api", "customers"])
    job = definitions.resolve_implicit_global_asset_job_def()
    project.instance.create_run_for_job(job, asset_selection=frozenset({customers}))
    clock.pass_minutes(5.1)
    assert recovery.look() == []


def test_a_partition_that_is_not_over_is_made_good_if_it_is_missing_and_one_that_is_over_if_it_is_not_whole(
    project: Project, api: DemoApi, clock: Clock, ten_days: str, turned_on: set[str]
) -> None:
    turned_on |= {"transactions", "customers"}
    document = yaml.safe_load(ten_days)
    document["attributes"]["assets"]["transactions"]["partitions"]["end_offset"] = 1
    definitions = project.definitions(yaml.safe_dump(document))
    clock.move_to("2026-03-09T18:00")
    materialize(project, *(f"2026-03-{day:02d}" for day in range(1, 10)))
    clock.move_to("2026-03-10T18:00")
    recovery = Recovery(project, definitions)
    assert recovery.look() == []
    trip(project, api, definitions, "customers")
    api.set_faults()
    reset = dg.AssetMaterialization(dg.AssetKey(["analytics_api", "circuit"]), description="reset")
    project.instance.report_runless_asset_event(reset)
    assert recovery.look() == [
        ("customers", "all"),
        ("transactions", "2026-02-28"),
        ("transactions", "2026-03-09...2026-03-10"),
    ]
    materialize(project, "2026-02-28", "2026-03-09", "2026-03-10")
    assert recovery.look() == [], "the one that is not over is there, and the next tick asks for it again"


def test_an_asset_whose_schedule_is_off_is_left_alone(
    project: Project, api: DemoApi, clock: Clock, ten_days: str, turned_on: set[str]
) -> None:
    definitions = project.definitions(ten_days)
    recovery = Recovery(project, definitions)
    trip(project, api, definitions, "customers")
    clock.pass_minutes(5.1)
    assert recovery.look() == []
    assert "the next run finds out whether it is over" in recovery.said
    api.set_faults()
    assert project.run(definitions, "customers").success
    assert recovery.look() == []
    assert turned_on == set()

"""The recovery sensor requests one probe per cool-down, and the missed syncs after the outage."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
import yaml

from analytics_assets.orchestration.automation.schedules import AutomatedSync
from analytics_assets_tests.conftest import Clock, DemoApi, Project, failure_of
from analytics_assets_tests.ticking import materialize, ranges


class Recovery:
    """The recovery sensor, with its stored cursor and the run keys that Dagster has stored."""

    def __init__(self, project: Project, definitions: dg.Definitions) -> None:
        self._project = project
        self._definitions = definitions
        self._cursor: str | None = None
        self._run_keys: set[str] = set()
        self.said = ""

    def look(self) -> list[tuple[str, str]]:
        """Runs one tick, and returns the resource and the partitions of each launched run."""
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
            (name, partitions)
            for name, partitions, key in zip(names, ranges(data), keys, strict=True)
            if key not in self._run_keys
        ]
        self._run_keys |= set(keys)
        return asked


@pytest.fixture
def turned_on(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The resources whose schedule is on, which is empty at first."""
    on: set[str] = set()
    monkeypatch.setattr(AutomatedSync, "is_scheduled", lambda self, _: self.resource in on)
    return on


def days_ago(*ends: int) -> str:
    today = datetime.now(UTC).date()
    return "...".join(f"{today - timedelta(days=days)}" for days in ends)


@pytest.fixture
def clock(clock: Clock) -> Clock:
    """The clock at noon, far from the daily ticks of the schedules."""
    clock.move_to(f"{days_ago(-1)}T12:00")
    return clock


def trip(
    project: Project, api: DemoApi, definitions: dg.Definitions, resource: str, *partitions: str
) -> None:
    api.set_faults(*({"path": f"/v1/{name}", "status": 503} for name in ("customers", "transactions")))
    assert not project.run(definitions, resource, *partitions).success


def test_nothing_is_requested_without_an_outage(project: Project, ten_days: str, turned_on: set[str]) -> None:
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


def test_a_daily_quota_is_over_before_a_probe_is_requested(
    project: Project, api: DemoApi, ten_days: str, turned_on: set[str], clock: Clock
) -> None:
    """The API says when it accepts requests again. The run, the skip reason, the history and the sensor all say so."""
    turned_on |= {"transactions", "customers"}
    clock.move_to("2026-11-27T14:00:00")
    definitions = project.definitions(ten_days)
    recovery = Recovery(project, definitions)
    api.set_faults({"path": "/v1/customers", "status": 429, "retry_after": "86400"})
    failure = failure_of(project.run(definitions, "customers"))
    assert api.request_counts() == {"/v1/customers": 1}
    until = r"2026-11-28 14:00:0\d UTC"
    assert re.search(
        rf"No request is sent until {until}: the API says so in `Retry-After`\.", str(failure.description)
    )
    assert isinstance(failure.metadata["retry_at"], dg.TimestampMetadataValue)
    for minutes in (5.1, 360, 1070):
        clock.pass_minutes(minutes)
        assert recovery.look() == []
        assert re.search(
            rf"it may be asked again after {until} \(the API says so in `Retry-After`\)", recovery.said
        )
    failure_of(project.run(definitions, "customers"))
    assert api.request_counts() == {"/v1/customers": 1}
    clock.pass_minutes(5)
    assert recovery.look() == [("customers", "all")]


def test_missed_syncs_are_requested_when_the_circuit_has_closed(
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
    # Customers had no sync since their tick, products had one, and the schedule of events is off.
    assert recovery.look() == [
        ("customers", "all"),
        ("transactions", days_ago(10, 4)),
        ("transactions", days_ago(2, 1)),
    ]
    assert recovery.look() == [], "once per incident: the rest is for the schedules"
    assert recovery.look() == []
    assert recovery.said == "The circuit of analytics_api is closed."


def test_syncs_missed_in_an_outage_between_two_ticks_are_requested(
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
    """A manual sync was halted. A scheduled sync, which missed its tick, probes for both."""
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


def test_partitions_of_a_manual_run_are_not_requested(
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


def test_a_current_partition_is_requested_if_missing_and_an_ended_one_if_incomplete(
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
    assert "the next run probes the API" in recovery.said
    api.set_faults()
    assert project.run(definitions, "customers").success
    assert recovery.look() == []
    assert turned_on == set()

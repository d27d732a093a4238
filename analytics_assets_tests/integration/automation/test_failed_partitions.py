"""A partition at which a run failed twice gets its own run. What else a failed run did not load shares one run."""

from __future__ import annotations

from uuid import uuid4

import dagster as dg
import pytest

from analytics_assets_tests.conftest import Clock, DemoApi, Project, failure_of, metadata_of
from analytics_assets_tests.ticking import MORNING, SCHEDULE, TRANSACTIONS, plan, ranges, tick


def test_a_partition_that_cannot_be_loaded_keeps_no_other_back(
    project: Project, api: DemoApi, ten_days: str
) -> None:
    """A run that failed at its first partition may fail there again, so this partition gets its own run."""
    definitions = project.definitions(ten_days)
    api.set_faults({"path": "/v1/transactions", "body": "<html>"})
    assert not project.run(definitions, "transactions", "2026-01-01", "2026-01-03").success
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == [
        "2026-01-01",
        "2026-01-02...2026-01-10",
    ]


def test_what_a_failed_run_did_not_load_is_one_run(project: Project, api: DemoApi, ten_days: str) -> None:
    """The run fails at a later partition. One run asks for the rest, and fails at its first partition."""
    definitions = project.definitions(ten_days)
    api.set_faults({"path": "/v1/transactions", "body": "<html>", "requests": [*range(2, 100)]})
    assert not project.run(definitions, "transactions", "2026-01-03", "2026-01-10").success
    rest = ["2026-01-01...2026-01-02", "2026-01-04...2026-01-10"]
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == rest
    assert not project.run(definitions, "transactions", "2026-01-04", "2026-01-10").success
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == [
        "2026-01-01...2026-01-02",
        "2026-01-04",
        "2026-01-05...2026-01-10",
    ]
    api.set_faults()
    for days in (("2026-01-01", "2026-01-02"), ("2026-01-04",), ("2026-01-05", "2026-01-10")):
        assert project.run(definitions, "transactions", *days).success
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == ["2026-01-10"], "as at each tick"


def test_a_run_that_was_killed_holds_up_at_most_its_first_partition(project: Project, ten_days: str) -> None:
    """The run reported nothing, so the partition that it died at is unknown."""
    definitions = project.definitions(ten_days)
    died = plan(project, definitions, "2026-01-02", "2026-01-09")
    project.instance.report_run_failed(died)
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == [
        "2026-01-01",
        "2026-01-02",
        "2026-01-03...2026-01-10",
    ]


@pytest.mark.matrix(keep=0)
def test_partitions_that_an_outage_ended_are_requested_in_one_run_afterwards(
    project: Project, api: DemoApi, clock: Clock, ten_days: str
) -> None:
    definitions = project.definitions(ten_days)
    assert project.run(definitions, "transactions", "2026-01-07").success
    api.set_faults({"path": "/v1/transactions", "status": 503})
    assert not project.run(definitions, "transactions", "2026-01-01", "2026-01-03").success
    assert not project.run(definitions, "transactions", "2026-01-05").success
    data = tick(project, definitions, SCHEDULE, MORNING)
    assert data.run_requests == []
    assert data.skip_message.startswith("No run requested: the circuit of analytics_api is open since ")
    for name in ("customers", "products", "events"):
        data = tick(project, definitions, f"analytics_api__{name}__schedule", MORNING)
        assert data.run_requests == [], "the circuit is of the whole source"
    clock.pass_minutes(5.1)
    # After the cool-down one run probes, and the tick requests no other run.
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == ["2026-01-01...2026-01-06"]
    api.set_faults()
    assert project.run(definitions, "transactions", "2026-01-04").success
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == [
        "2026-01-01...2026-01-03",
        "2026-01-05...2026-01-06",
        "2026-01-08...2026-01-10",
    ]


def test_ten_that_cannot_be_loaded_do_not_keep_what_is_missing_back(
    project: Project, api: DemoApi, ten_days: str
) -> None:
    definitions = project.definitions(ten_days.replace("catch_up: 9", "catch_up: 29"))
    api.set_faults({"path": "/v1/transactions", "body": "<html>"})
    for day in range(1, 13):
        assert not project.run(definitions, "transactions", f"2026-01-{day:02d}").success
    project.instance.report_runless_asset_event(dg.AssetMaterialization(TRANSACTIONS, partition="2026-01-20"))
    assert ranges(tick(project, definitions, SCHEDULE, "2026-01-31T02:00")) == [
        *(f"2026-01-{day:02d}" for day in range(1, 10)),
        "2026-01-13...2026-01-19",
        "2026-01-21...2026-01-30",
    ]


def test_the_outage_of_another_asset_says_nothing_of_a_partition(
    project: Project, api: DemoApi, ten_days: str
) -> None:
    """The other asset has a newer run of the same day, which an outage ended."""
    definitions = project.definitions(ten_days)
    api.set_faults({"path": "/v1/transactions", "body": "<html>"})
    for day in ("2026-01-01", "2026-01-02"):
        assert not project.run(definitions, "transactions", day).success

    @dg.asset(partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
    def somebody_elses() -> None:
        raise dg.Failure

    job = dg.Definitions([somebody_elses], jobs=[dg.define_asset_job("theirs", [somebody_elses])])
    theirs = job.resolve_job_def("theirs").execute_in_process(
        partition_key="2026-01-02", instance=project.instance, raise_on_error=False
    )
    project.instance.add_run_tags(theirs.run_id, {"analytics_assets/circuit": theirs.run_id})
    assert ranges(tick(project, definitions, SCHEDULE, MORNING))[:2] == ["2026-01-01", "2026-01-02"]


def test_failures_of_others_hide_no_outage(
    project: Project, api: DemoApi, clock: Clock, ten_days: str
) -> None:
    """After 300 failed runs of another asset, the partitions that the outage ended still share one run."""
    definitions = project.definitions(ten_days)
    api.set_faults({"path": "/v1/transactions", "body": "<html>"})
    assert not project.run(definitions, "transactions", "2026-01-05").success
    api.set_faults({"path": "/v1/transactions", "status": 503})
    assert not project.run(definitions, "transactions", "2026-01-01", "2026-01-03").success
    for number in range(300):
        run = dg.DagsterRun(job_name="theirs", run_id=str(uuid4()), status=dg.DagsterRunStatus.FAILURE)
        project.instance.add_run(run.with_tags({"dagster/partition": f"2026-01-{number % 10 + 1:02}"}))
    clock.pass_minutes(5.1)
    api.set_faults()
    reset = dg.AssetMaterialization(dg.AssetKey(["analytics_api", "circuit"]), description="reset")
    project.instance.report_runless_asset_event(reset)
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == [
        "2026-01-01...2026-01-04",
        "2026-01-05",
        "2026-01-06...2026-01-10",
    ]


def test_a_run_of_a_backfill_that_died_before_its_step_began_is_no_outage(
    project: Project, ten_days: str
) -> None:
    """The run has no job and no tag of this project, so only its planned asset identifies the run."""
    definitions = project.definitions(ten_days)
    job = definitions.resolve_implicit_global_asset_job_def()
    died = project.instance.create_run_for_job(
        job, tags={"dagster/partition": "2026-01-04"}, asset_selection=frozenset({TRANSACTIONS})
    )
    project.instance.report_run_failed(died)
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == [
        "2026-01-01...2026-01-03",
        "2026-01-04",
        "2026-01-05...2026-01-10",
    ]


def test_a_refused_backfill_changes_nothing_of_what_is_requested(
    project: Project, api: DemoApi, ten_days: str
) -> None:
    definitions = project.definitions(ten_days)
    assert project.run(definitions, "transactions", "2026-01-01", "2026-01-09").success
    expected = ranges(tick(project, definitions, SCHEDULE, MORNING))
    tags = {"dagster/backfill": "abcdefgh", "analytics_assets/dry_run": "true"}
    result = project.run(definitions, "transactions", "2026-01-01", "2026-01-03", tags=tags)
    assert ("code", "option_in_backfill") in metadata_of(failure_of(result))
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == expected == ["2026-01-10"]
    # A failure of the API after it is requested again.
    api.set_faults({"path": "/v1/transactions", "body": "<html>"})
    assert not project.run(definitions, "transactions", "2026-01-02").success
    assert ranges(tick(project, definitions, SCHEDULE, MORNING)) == ["2026-01-02", "2026-01-10"]

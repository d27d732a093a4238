"""A failed sync that is no outage is reported once, and once more when its partitions are loaded."""

from __future__ import annotations

import time

import dagster as dg
import pytest

from analytics_assets.orchestration.alerts.cursor import IncidentState
from analytics_assets.orchestration.alerts.failed_syncs import FailedSyncs
from analytics_assets.orchestration.alerts.finished_runs import FinishedRun
from analytics_assets.orchestration.alerts.incidents import Incidents
from analytics_assets.orchestration.alerts.run_events import AssetEvents
from analytics_assets_tests.alerting import DAY, Sensor, Webhook, wrong_answer
from analytics_assets_tests.conftest import DemoApi, Project, failure_of


def test_a_failure_that_is_no_outage_is_reported_once_until_it_is_loaded(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    definitions = project.definitions(text)
    for _ in range(2):
        wrong_answer(api)
        runs = [project.run(definitions, "products") for _ in range(2)]
        for _ in range(2):
            sensor.look()
        [received] = webhook.got
        assert received["title"] == "analytics_api: the sync of products failed"
        assert "reason: products: the response of GET /v1/products is not JSON" in received["message"]
        assert f"run: https://dagster.example.com/runs/{runs[0].run_id}" in received["message"]
        api.set_faults()
        assert project.run(definitions, "products").success
        sensor.look()
        assert webhook.titles[1:] == ["analytics_api: products is synced again"]
        webhook.got.clear()


def test_a_failed_dry_run_sends_no_alert(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    wrong_answer(api)
    assert failure_of(project.run(project.definitions(text), "products", asked={"dry_run": True}))
    sensor.look()
    assert not webhook.got


def test_a_run_that_is_launched_wrongly_is_reported_with_its_reason(
    project: Project, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    assert failure_of(project.run(project.definitions(text), "transactions"))
    sensor.look()
    [received] = webhook.got
    assert (
        "reason: transactions: this run has no partition, and the asset is partitioned" in received["message"]
    )


def assert_over_when_all_are_loaded(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    """Loads the first and the last of three partitions, and then the partition between them."""
    definitions = project.definitions(text)
    api.set_faults()
    for day in (DAY, "2026-01-07"):
        assert project.run(definitions, "transactions", day).success
    sensor.look()
    assert len(webhook.got) == 1, "the partition in the middle is still missing"
    assert project.run(definitions, "transactions", "2026-01-06").success
    sensor.look()
    assert webhook.titles[1:] == ["analytics_api: transactions is synced again"]


@pytest.mark.matrix(keep=0)
def test_one_cause_is_reported_once_for_all_partitions_and_ends_when_all_are_loaded(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    """A range fails, and then each of its partitions fails in a run of its own."""
    definitions = project.definitions(text)
    api.set_faults({"path": "/v1/transactions", "body": "<html>"})
    project.run(definitions, "transactions", DAY, "2026-01-07")
    sensor.look()
    for day in (DAY, "2026-01-06", "2026-01-07"):
        project.run(definitions, "transactions", day)
    sensor.look()
    [received] = webhook.got
    assert "window: 2026-01-05 to 2026-01-07" in received["message"]
    assert_over_when_all_are_loaded(project, api, text, sensor, webhook)


@pytest.mark.matrix(keep=0)
def test_a_failed_range_ends_when_its_last_partition_is_loaded(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    definitions = project.definitions(text)
    api.set_faults({"path": "/v1/transactions", "body": "<html>"})
    project.run(definitions, "transactions", DAY, "2026-01-07")
    sensor.look()
    assert_over_when_all_are_loaded(project, api, text, sensor, webhook)


def test_a_run_that_failed_halfway_is_reported_until_the_rest_is_loaded(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    definitions = project.definitions(text)
    api.set_faults({"path": "/v1/transactions", "body": "<html>", "requests": [*range(2, 100)]})
    project.run(definitions, "transactions", DAY, "2026-01-07")
    sensor.look()
    [received] = webhook.got
    assert "not loaded: 2026-01-06 to 2026-01-07" in received["message"]
    api.set_faults()
    assert project.run(definitions, "transactions", "2026-01-06").success
    sensor.look()
    assert len(webhook.got) == 1, "the last partition is still missing"
    assert project.run(definitions, "transactions", "2026-01-07").success
    sensor.look()
    assert webhook.titles[1:] == ["analytics_api: transactions is synced again"]


@pytest.mark.parametrize(
    ("loaded", "missing"),
    [
        ([], "2026-01-05 to 2026-01-07"),
        ([DAY], "2026-01-06 to 2026-01-07"),
        ([DAY, "2026-01-06"], "2026-01-07"),
    ],
)
def test_a_killed_run_lacks_only_what_it_has_not_loaded(
    project: Project, sensor: Sensor, loaded: list[str], missing: str
) -> None:
    """A process that was killed reports no failure of its step."""
    asset = dg.AssetKey(["analytics_api", "transactions"])
    tags = {
        "dagster/asset_partition_range_start": DAY,
        "dagster/asset_partition_range_end": "2026-01-07",
    }
    run = dg.DagsterRun(job_name="a_job", tags=tags, status=dg.DagsterRunStatus.FAILURE)
    events = {asset: AssetEvents(step="a_step", planned=True, materialized={*loaded})}
    [outcome] = FailedSyncs(project.instance, sensor.config, sensor.assets).outcomes(
        FinishedRun(run, 7, 0.0, retried=False), events
    )
    assert outcome.wrong == {missing: 7}
    assert outcome.reason == "the run ended before the sync could report a reason"


def test_a_failure_that_ended_before_the_tick_is_reported_with_start_and_end_and_may_return(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    definitions = project.definitions(text)
    for _ in range(2):
        wrong_answer(api)
        project.run(definitions, "products")
        api.set_faults()
        assert project.run(definitions, "products").success
        sensor.look()
        sensor.look()
    failed, again = "analytics_api: the sync of products failed", "analytics_api: products is synced again"
    assert webhook.titles == [failed, again, failed, again]


def test_failures_of_long_ago_are_history_at_every_look(
    project: Project, api: DemoApi, text: str, sensor: Sensor
) -> None:
    wrong_answer(api)
    project.run(project.definitions(text), "products")
    state = IncidentState()
    tomorrow = Incidents(project.instance, sensor.config, sensor.assets, clock=lambda: time.time() + 86_400)
    alerts, state = tomorrow.poll(state)
    assert alerts == []
    alerts, state = tomorrow.poll(state)
    assert alerts == []


def test_a_bug_is_reported_without_its_text_which_may_hold_rows(
    project: Project, text: str, sensor: Sensor, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics_assets.ingestion.sync.build_source", lambda *_, **__: 1 / 0)
    project.run(project.definitions(text), "products")
    sensor.look()
    [received] = webhook.got
    assert "reason: ZeroDivisionError; the log of the run has its text" in received["message"]


def test_a_run_that_dies_before_it_starts_is_reported(
    project: Project, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    definitions = project.definitions(text)
    run = project.instance.create_run_for_job(
        definitions.resolve_job_def("analytics_api__transactions__sync"), tags={"dagster/partition": DAY}
    )
    project.instance.report_run_failed(run)
    sensor.look()
    [received] = webhook.got
    assert received["title"] == "analytics_api: the sync of transactions failed"
    assert "reason: the run ended before the sync could report a reason" in received["message"]
    assert f"window: {DAY}" in received["message"]


def test_what_is_not_ours_passes_by(project: Project, text: str, sensor: Sensor, webhook: Webhook) -> None:
    @dg.asset
    def somebody_elses() -> None:
        raise dg.Failure("their own trouble", metadata={"endpoint": "GET /elsewhere"})

    @dg.op
    def an_op() -> None:
        raise ValueError

    @dg.job
    def a_job() -> None:
        an_op()

    dg.materialize([somebody_elses], instance=project.instance, raise_on_error=False)
    a_job.execute_in_process(instance=project.instance, raise_on_error=False)
    other = Sensor(project, text.replace("name: analytics_api\n", "name: another_api\n"))
    other.look()
    project.run(project.definitions(text), "products")
    sensor.look()
    other.look()
    assert webhook.got == []


def test_a_run_that_will_be_retried_is_waited_for(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    """Dagster's tags, as its daemon sets them when run retries are on."""
    definitions = project.definitions(text)
    wrong_answer(api)
    first = project.run(definitions, "products").run_id
    project.instance.add_run_tags(first, {"dagster/will_retry": "true"})
    sensor.look()
    sensor.look()
    assert webhook.got == []
    second = project.run(definitions, "products").run_id
    project.instance.add_run_tags(first, {"dagster/auto_retry_run_id": second})
    sensor.look()
    [received] = webhook.got
    assert f"/runs/{second}" in received["message"], "the retry decides"


def test_a_retry_that_comes_to_nothing_is_waited_for_no_more(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    wrong_answer(api)
    run_id = project.run(project.definitions(text), "products").run_id
    project.instance.add_run_tags(run_id, {"dagster/will_retry": "true"})
    sensor.look()
    assert webhook.got == []
    project.instance.add_run_tags(run_id, {"dagster/will_retry": "false"})
    sensor.look()
    assert len(webhook.got) == 1


def test_a_failure_is_read_when_dagster_has_said_whether_it_will_be_retried(
    project: Project, api: DemoApi, text: str, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics_assets.orchestration.alerts.finished_runs._RETRY_DECISION_DELAY", 3.0)
    state, now = IncidentState(), [time.time()]
    incidents = Incidents(project.instance, sensor.config, sensor.assets, clock=lambda: now[0])
    wrong_answer(api)
    project.run(project.definitions(text), "products")
    alerts, state = incidents.poll(state)
    assert alerts == []
    now[0] += 30
    assert len(incidents.poll(state)[0]) == 1

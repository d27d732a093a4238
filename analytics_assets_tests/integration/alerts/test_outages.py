"""An outage is reported once, and its end once. The check of the circuit shows the outage."""

from __future__ import annotations

import re

import dagster as dg
import pytest

from analytics_assets.orchestration.circuit.jobs import circuit_check
from analytics_assets_tests.alerting import CIRCUIT, DAY, Sensor, Webhook, outage
from analytics_assets_tests.conftest import Clock, DemoApi, Project, failure_of


@pytest.mark.matrix(keep=0)
def test_an_outage_is_reported_once_for_all_its_runs_and_once_at_its_end(
    project: Project,
    api: DemoApi,
    text: str,
    sensor: Sensor,
    webhook: Webhook,
    clock: Clock,
    capfd: pytest.CaptureFixture[str],
) -> None:
    definitions = project.definitions(text)
    outage(api)
    halted = project.run(definitions, "transactions", DAY, "2026-01-07")
    for name in ("customers", "products", "events"):
        failure_of(project.run(definitions, name))
    failure_of(project.run(definitions, "transactions", DAY))
    capfd.readouterr()
    sensor.look()
    title = "analytics_api: halted, 503 Service Unavailable"
    assert webhook.titles == [title]
    lines = dict(line.split(": ", 1) for line in webhook.got[0]["message"].splitlines())
    assert lines.pop("next probe").startswith("after 20")
    assert lines == {
        "source": "analytics_api",
        "resource": "transactions",
        "endpoint": "GET /v1/transactions",
        "status": "503",
        "attempts": "4",
        "reason": "503 Service Unavailable",
        "window": "2026-01-05 to 2026-01-07",
        "run": f"https://dagster.example.com/runs/{halted.run_id}",
        "until then": "no run asks the API",
        "after that": "assets whose schedule is on probe the API, and load what they missed",
    }
    assert webhook.got[0]["type"] == "failure"
    assert (
        f"{title}: source analytics_api; resource transactions; endpoint GET /v1/transactions"
        in capfd.readouterr().err
    )

    # A failed probe is not a new incident.
    clock.pass_minutes(5.1)
    failure_of(project.run(definitions, "customers"))
    sensor.look()
    assert webhook.titles == [title]

    api.set_faults()
    clock.pass_minutes(10.1)
    assert project.run(definitions, "customers").success
    sensor.look()
    assert webhook.titles[0] == title
    assert re.fullmatch("analytics_api: the API is back, after 1[5-9] min", webhook.titles[1])
    assert webhook.got[1]["type"] == "success"
    assert "closed by: a probe that succeeded" in webhook.got[1]["message"]
    sensor.look()
    assert len(webhook.got) == 2


def test_an_outage_that_ended_before_the_tick_is_reported_with_start_and_end(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    definitions = project.definitions(text)
    outage(api)
    failure_of(project.run(definitions, "customers"))
    project.instance.report_runless_asset_event(
        dg.AssetMaterialization(CIRCUIT, description="reset: our proxy")
    )
    sensor.look()
    assert webhook.titles == [
        "analytics_api: halted, 503 Service Unavailable",
        "analytics_api: reset by hand, after 0 min",
    ]
    assert "closed by: our proxy" in webhook.got[1]["message"]


def test_an_open_circuit_is_red_in_the_lineage_until_it_is_closed(
    project: Project, api: DemoApi, text: str, sensor: Sensor
) -> None:
    """The sensor evaluates the check of the circuit asset, also after a person's report."""
    check = dg.AssetCheckKey(CIRCUIT, "closed")

    def state() -> tuple[bool, str]:
        record = project.instance.event_log_storage.get_latest_asset_check_execution_by_key([check])[check]
        assert record.event is not None
        assert record.event.dagster_event is not None
        evaluation = record.event.dagster_event.asset_check_evaluation_data
        return evaluation.passed, str(evaluation.description)

    outage(api)
    failure_of(project.run(project.definitions(text), "customers"))
    sensor.look()
    passed, said = state()
    assert not passed
    assert said.startswith("The circuit of analytics_api is open since ")
    project.instance.report_runless_asset_event(dg.AssetMaterialization(CIRCUIT, description="reset"))
    sensor.look()
    assert state() == (True, "The circuit of analytics_api is closed.")


def test_the_check_of_the_circuit_runs_alone(project: Project, sensor: Sensor) -> None:
    check = circuit_check(sensor.config)
    look = dg.define_asset_job("look", dg.AssetSelection.checks(check))
    job = dg.Definitions(asset_checks=[check], jobs=[look]).resolve_job_def("look")
    [evaluation] = job.execute_in_process(instance=project.instance).get_asset_check_evaluations()
    assert (evaluation.passed, evaluation.description) == (True, "The circuit of analytics_api is closed.")


def test_an_expired_key_is_reported_as_a_refused_key(
    project: Project, text: str, sensor: Sensor, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__ANALYTICS_API__API_KEY", "expired-long-ago")
    failure_of(project.run(project.definitions(text), "customers"))
    sensor.look()
    assert webhook.titles == [
        "analytics_api: halted, 401 Unauthorized; the API does not accept the key: check "
        "SOURCES__ANALYTICS_API__API_KEY"
    ]


def test_the_first_tick_reports_only_what_is_still_failing(
    project: Project, api: DemoApi, text: str, webhook: Webhook
) -> None:
    definitions = project.definitions(text)
    outage(api)
    failure_of(project.run(definitions, "customers"))
    project.instance.report_runless_asset_event(dg.AssetMaterialization(CIRCUIT, description="reset"))
    failure_of(project.run(definitions, "products"))
    Sensor(project, text).look()
    [received] = webhook.got
    assert "resource: products" in received["message"]


def test_a_clock_that_was_ahead_is_reported(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook, clock: Clock
) -> None:
    definitions = project.definitions(text)
    outage(api)
    clock.pass_minutes(30 * 24 * 60)
    failure_of(project.run(definitions, "customers"))
    clock.pass_minutes(-30 * 24 * 60)
    failure_of(project.run(definitions, "products"))
    sensor.look()
    assert "analytics_api: a clock was ahead" in webhook.titles


@pytest.mark.parametrize(
    ("description", "title"),
    [
        ("open: their maintenance", "analytics_api: opened by hand, no sync asks the API"),
        ("opened a ticket", "analytics_api: the report on the circuit changes nothing"),
    ],
)
def test_manual_changes_of_the_circuit_are_reported(
    project: Project, sensor: Sensor, webhook: Webhook, description: str, title: str
) -> None:
    project.instance.report_runless_asset_event(dg.AssetMaterialization(CIRCUIT, description=description))
    sensor.look()
    assert webhook.titles == [title]
    assert description.removeprefix("open: ") in webhook.got[0]["message"]

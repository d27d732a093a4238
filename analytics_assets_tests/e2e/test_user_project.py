"""A user's own assets, jobs, sensors, conditions and resources beside ours, under a real `dagster dev`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from analytics_assets_tests.conftest import SHIPPED_DEFS, DemoApi
from analytics_assets_tests.processes import LAUNCH, Home, Ui, dagster_dev
from analytics_assets_tests.truth import query

OWN = """
import dagster as dg

from analytics_assets import write_warehouse


class Unit(dg.ConfigurableResource):
    name: str


@dg.asset(
    deps=[dg.AssetKey(["analytics_api", "customers"])],
    group_name="marts",
    automation_condition=dg.AutomationCondition.eager(),
)
def customer_count(dlt: Unit) -> None:
    with write_warehouse() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS marts")
        connection.execute(
            "CREATE OR REPLACE TABLE marts.customer_count AS "
            f"SELECT count(*) AS n, '{dlt.name}' AS unit FROM analytics_api.customers"
        )


@dg.asset_check(asset=customer_count)
def has_customers() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.sensor(
    target=dg.AssetSelection.assets("analytics_api/transactions"),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=5,
)
def careless():
    yield dg.RunRequest(run_key="once")


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(
        assets=[customer_count],
        asset_checks=[has_customers],
        sensors=[careless],
        jobs=[dg.define_asset_job("nightly", dg.AssetSelection.groups("analytics_api", "marts"))],
        resources={"dlt": Unit(name="people")},
    )
"""

RUNS = """{ runsOrError(limit: 100) { ... on Runs { results { runId status jobName tags { key value }
  assetSelection { path } } } } }"""
FAILURES = """query ($id: ID!) { runOrError(runId: $id) { ... on Run { eventConnection { events {
  ... on ExecutionStepFailureEvent { stepKey failureMetadata { metadataEntries { label ... on TextMetadataEntry
  { text } } } } ... on ExecutionStepSuccessEvent { stepKey } } } } } }"""
START_SENSOR = """mutation ($it: SensorSelector!) { startSensor(sensorSelector: $it) { __typename } }"""


def defs_yaml() -> str:
    document = yaml.safe_load(SHIPPED_DEFS.read_text())
    customers = document["attributes"]["assets"].setdefault("customers", {})
    customers["automation_condition"] = "{{ dg.AutomationCondition.on_cron('* * * * *') }}"
    return yaml.safe_dump(document)


def runs(ui: Ui) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ui.ask(RUNS)["runsOrError"]["results"]
    return found


def of_conditions(ui: Ui, *path: str) -> list[dict[str, Any]]:
    """The runs of an asset that automation conditions requested."""
    return [
        one
        for one in runs(ui)
        if any(tag["key"] == "dagster/from_automation_condition" for tag in one["tags"])
        and {"path": [*path]} in (one["assetSelection"] or [])
    ]


def codes(ui: Ui, run_id: str) -> tuple[dict[str, str], set[str]]:
    """The code of each failed step, and the steps that succeeded."""
    failed, succeeded = {}, set()
    for event in ui.ask(FAILURES, id=run_id)["runOrError"]["eventConnection"]["events"]:
        entries = (event.get("failureMetadata") or {}).get("metadataEntries")
        if entries is not None:
            failed[event["stepKey"]] = next(
                (one["text"] for one in entries if one["label"] == "code"), "none"
            )
        elif event.get("stepKey"):
            succeeded.add(event["stepKey"])
    return failed, succeeded


def test_the_project_of_a_user(tmp_path: Path, api: DemoApi) -> None:
    home = Home(tmp_path, api, defs_yaml())
    (tmp_path / "a_project/defs/own.py").write_text(OWN)
    with dagster_dev(home) as ui:
        careless = ui.wait_for(
            "run of the sensor",
            lambda: next((one for one in runs(ui) if one["status"] == "FAILURE"), None),
        )
        assert codes(ui, careless["runId"])[0] == {"analytics_api__transactions": "no_partition"}

        selector = {**ui.repository, "pipelineName": "nightly"}
        params = {"selector": selector, "runConfigData": {}}
        nightly = ui.ask(LAUNCH, params=params)["launchRun"]["run"]["runId"]
        assert ui.wait_for("end of the job", lambda: ui.run_status(nightly)) == "FAILURE"
        failed, succeeded = codes(ui, nightly)
        assert failed == {"analytics_api__transactions": "no_partition"}
        assert {"analytics_api__customers", "analytics_api__products", "customer_count"} <= succeeded
        assert query(home.database, "SELECT n > 0 AS some, unit FROM marts.customer_count") == [
            {"some": True, "unit": "people"}
        ]

        sensor = {**ui.repository, "sensorName": "default_automation_condition_sensor"}
        ui.ask(START_SENSOR, it=sensor)
        ui.wait_for("run of on_cron", lambda: of_conditions(ui, "analytics_api", "customers"), seconds=180)
        ui.wait_for("run of eager", lambda: of_conditions(ui, "customer_count"), seconds=120)
        ours = of_conditions(ui, "analytics_api", "customers")
        assert len(ours) <= 6, "once per minute"
        ended = ui.wait_for("end of the run", lambda: ui.run_status(ours[-1]["runId"]))
        assert ended == "SUCCESS"

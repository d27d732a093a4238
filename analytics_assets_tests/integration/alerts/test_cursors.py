"""Cursors that version 0.1.0 stored are read, and stored again with the same names."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg

from analytics_assets.orchestration.alerts.cursor import AlertMemory
from analytics_assets.orchestration.automation.recovery import RecoveryCursor
from analytics_assets_tests.alerting import Sensor, Webhook
from analytics_assets_tests.conftest import Project

ALERTS: dict[str, Any] = {
    "memory": {
        "circuit_event": 7,
        "run_failure": 0,
        "waiting": ["8a1e4a9e-0000-4000-8000-000000000000"],
        "told": [
            {"resource": "products", "reason": "products: not JSON", "failures": {"": 1767600000.0}},
            {
                "resource": "transactions",
                "reason": "transactions: not JSON",
                "failures": {
                    "2026-01-05 to 2026-01-07": 1767600000.0,
                    "2026-01-09 to 2026-01-09": 1767600000.5,
                },
            },
        ],
    },
    "outbox": [
        {
            "title": "analytics_api: halted",
            "body": "status: 503",
            "good": False,
            "taken": ["0123456789abcdef"],
        }
    ],
}
RECOVERY: dict[str, Any] = {"opened": 7, "requested": ["customers after 7"], "made_good": False}


def test_the_cursor_of_the_recovery_keeps_its_names() -> None:
    stored = RecoveryCursor.model_validate_json(json.dumps(RECOVERY)).model_dump_json()
    assert json.loads(stored) == RECOVERY


def test_the_memory_of_the_alerts_keeps_its_names() -> None:
    memory = AlertMemory.model_validate_json(json.dumps(ALERTS))
    assert json.loads(memory.model_dump_json(exclude_defaults=True)) == ALERTS


def test_the_sensor_goes_on_from_a_cursor_of_0_1_0(
    project: Project, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    """The sensor sends the message in the outbox. It reports that the failed syncs are loaded, except one partition."""
    del text
    key = ["analytics_api"]
    project.instance.report_runless_asset_event(dg.AssetMaterialization(dg.AssetKey([*key, "products"])))
    for day in ("2026-01-05", "2026-01-06", "2026-01-07"):
        loaded = dg.AssetMaterialization(dg.AssetKey([*key, "transactions"]), partition=day)
        project.instance.report_runless_asset_event(loaded)
    sensor.cursor = json.dumps(ALERTS)
    sensor.look()
    assert webhook.titles == ["analytics_api: halted", "analytics_api: products is synced again"]
    [left] = sensor.memory.state.incidents
    assert left.parts == {"2026-01-09": 0}
    project.instance.report_runless_asset_event(
        dg.AssetMaterialization(dg.AssetKey([*key, "transactions"]), partition="2026-01-09")
    )
    sensor.look()
    assert webhook.titles[2:] == ["analytics_api: transactions is synced again"]
    assert not sensor.memory.state.incidents

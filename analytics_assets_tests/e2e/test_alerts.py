"""The alert sensor under a real `dagster dev`: a quarantine, a failed sync beside it, and the end of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import SHIPPED_DEFS, DemoApi
from analytics_assets_tests.processes import Home, Ui, dagster_dev

CURSOR = """query ($it: SensorSelector!) { sensorOrError(sensorSelector: $it) { ... on Sensor {
  sensorState { typeSpecificData { ... on SensorData { lastCursor } } } } } }"""
PRODUCTS = [{"path": ["analytics_api", "products"]}]
NO_SKU = {"path": "/v1/products", "drop_fields": ["sku"]}


def wait_for_messages(ui: Ui, messages: list[dict[str, Any]], expected: int) -> None:
    ui.wait_for(f"{expected} messages", lambda: len(messages) == expected, 150)


def test_a_quarantine_and_a_failed_sync_are_reported_once_each(tmp_path: Path, api: DemoApi) -> None:
    messages: list[dict[str, Any]] = []

    def take(asked: Asked) -> Reply:
        messages.append(json.loads(asked.body))
        return Reply({})

    with answering(take) as webhook:
        home = Home(tmp_path, api, SHIPPED_DEFS.read_text())
        home.environment["SOURCES__ALERTS"] = webhook.replace("http://", "json://")
        with dagster_dev(home) as ui:
            steps: list[tuple[list[dict[str, Any]], int]] = [
                ([NO_SKU], 1),
                ([{"path": "/v1/products", "body": "<html>"}], 2),
                ([], 4),
            ]
            for faults, expected in steps:
                api.set_faults(*faults)
                ui.launch(PRODUCTS, [])
                wait_for_messages(ui, messages, expected)
            it = {**ui.repository, "sensorName": "analytics_api__sync_failure"}
            state = ui.ask(CURSOR, it=it)["sensorOrError"]["sensorState"]
            assert len(state["typeSpecificData"]["lastCursor"]) < 200
    assert [one["title"].removeprefix("analytics_api: ") for one in messages[:2]] == [
        "rows of products are in quarantine",
        "the sync of products failed",
    ]
    assert {one["title"].removeprefix("analytics_api: ") for one in messages[2:]} == {
        "no row of products is in quarantine",
        "products is synced again",
    }

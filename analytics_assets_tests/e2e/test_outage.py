"""An outage under a real `dagster dev`: halt, probes, a killed daemon that starts again, and recovery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics_assets.demo_api.server import serve
from analytics_assets.orchestration.runs import run_partitions
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import SHIPPED_DEFS, DemoApi
from analytics_assets_tests.processes import Home, Ui, dagster_dev

TURN_ON = "mutation ($it: ScheduleSelector!) { startSchedule(scheduleSelector: $it) { __typename } }"
RUNS = "{ runsOrError(limit: 100) { ... on Runs { results { status jobName tags { key value } } } } }"
HISTORY = """{ assetOrError(assetKey: {path: ["analytics_api", "circuit"]}) { ... on Asset {
  assetMaterializations(limit: 100) { metadataEntries { label ... on TextMetadataEntry { text } } } } } }"""
DOWN = [{"path": f"/v1/{name}", "status": 503} for name in ("customers", "transactions")]


@pytest.fixture
def living_api() -> Iterator[DemoApi]:
    """The demo API with today's data, because partitions until yesterday are missing."""
    with serve() as url:
        yield DemoApi(url, datetime.now(UTC).date())


def defs_yaml() -> str:
    document = yaml.safe_load(SHIPPED_DEFS.read_text())
    attributes = document["attributes"]
    attributes["requests"]["backoff_factor"] = 0.01
    attributes["circuit_breaker"] = {"cooldown_minutes": 12 / 60, "max_cooldown_minutes": 60}
    attributes["assets"]["transactions"]["catch_up"] = 4
    return yaml.safe_dump(document)


def kinds(ui: Ui) -> list[str]:
    """The events of the circuit from the UI's API, oldest first."""
    asset = ui.ask(HISTORY)["assetOrError"]
    entries = [one["metadataEntries"] for one in asset.get("assetMaterializations", [])]
    events = [
        [entry["text"] for entry in one if entry["label"] == "analytics_assets/event"] for one in entries
    ]
    return [event for one in reversed(events) for event in one]


def loaded(ui: Ui) -> set[str]:
    """The days that finished runs have loaded; empty while a run is active."""
    days: set[str] = set()
    for run in ui.ask(RUNS)["runsOrError"]["results"]:
        if run["status"] not in ("SUCCESS", "FAILURE", "CANCELED"):
            return set()
        partitions = run_partitions({tag["key"]: tag["value"] for tag in run["tags"]})
        if partitions and run["status"] == "SUCCESS":
            day, last = date.fromisoformat(partitions.first), date.fromisoformat(partitions.last)
            days |= {f"{day + timedelta(days=more)}" for more in range((last - day).days + 1)}
    return days


def test_an_outage_that_outlives_the_daemon(tmp_path: Path, living_api: DemoApi) -> None:
    messages: list[dict[str, Any]] = []

    def take(asked: Asked) -> Reply:
        messages.append(json.loads(asked.body))
        return Reply({})

    days = [f"{living_api.today - timedelta(days=days)}" for days in range(5, 0, -1)]
    with answering(take) as webhook:
        home = Home(tmp_path, living_api, defs_yaml())
        home.environment["SOURCES__ALERTS"] = webhook.replace("http://", "json://")
        living_api.set_faults(*DOWN)
        with dagster_dev(home) as ui:
            ui.ask(TURN_ON, it={**ui.repository, "scheduleName": "analytics_api__transactions__schedule"})
            ui.launch([{"path": ["analytics_api", "transactions"]}], [], partition=days[-1])
            # The sync halts, and the recovery sensor requests a probe, which fails too.
            ui.wait_for("failed probe", lambda: kinds(ui) == ["opened", "probe", "opened"], 150)
            assert living_api.request_counts() == {"/v1/transactions": 5}
            ui.wait_for("alert", lambda: messages, 60)
        living_api.set_faults()
        with dagster_dev(home) as ui:
            ui.wait_for("recovery", lambda: kinds(ui)[-1] == "closed", 120)
            ui.wait_for("second message", lambda: len(messages) == 2, 60)
            ui.wait_for("catch-up", lambda: loaded(ui) >= {*days}, 120)
    truth = sorted(row["id"] for row in living_api.rows("transactions", days[0], f"{living_api.today}"))
    assert home.ids("transactions") == truth
    assert [one["title"].partition(",")[0] for one in messages] == [
        "analytics_api: halted",
        "analytics_api: the API is back",
    ]
    assert datetime.now(UTC).date() == living_api.today, "the day ended while this ran: once more, please"

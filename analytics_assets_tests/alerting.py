"""Runs the alert sensor as Dagster's daemon does, with a webhook for its messages and faults that it reports."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import yaml

from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.alerts.cursor import AlertMemory
from analytics_assets.orchestration.alerts.memory import MemoryStore
from analytics_assets.orchestration.alerts.sensor import failure_sensor
from analytics_assets_tests.answering import Asked, Reply
from analytics_assets_tests.conftest import DemoApi, Project

CIRCUIT = dg.AssetKey(["analytics_api", "circuit"])
DAY = "2026-01-05"


class Webhook:
    """A webhook receiver on loopback, which can be down.

    Attributes:
        got: the accepted messages.
        tries: the number of requests, accepted or not.
        down: whether the receiver answers 500.
    """

    def __init__(self) -> None:
        self.url = ""
        self.got: list[dict[str, Any]] = []
        self.tries = 0
        self.down = False

    def reply(self, asked: Asked) -> Reply:
        self.tries += 1
        if self.down:
            return Reply({}, 500)
        self.got.append(json.loads(asked.body))
        return Reply({})

    @property
    def titles(self) -> list[str]:
        return [one["title"] for one in self.got]


class Sensor:
    """The alert sensor, with its stored cursor."""

    def __init__(self, project: Project, text: str) -> None:
        self._project = project
        self.config = SyncConfig(**yaml.safe_load(text)["attributes"])
        self.assets = assets_of(self.config)
        self.cursor: str | None = None
        self.said = ""

    def look(self) -> None:
        """Runs one tick. As after a restart of the daemon, only the cursor of the previous tick remains."""
        context = dg.build_sensor_context(instance=self._project.instance, cursor=self.cursor)
        data = failure_sensor(self.config, self.assets).evaluate_tick(context)
        assert not data.run_requests
        self.cursor, self.said = data.cursor, str(data.skip_message)

    @property
    def memory(self) -> AlertMemory:
        """What the sensor remembers after the last tick."""
        return MemoryStore(self._project.instance, self.config.name, self.cursor).read()


def assets_of(config: SyncConfig) -> dict[dg.AssetKey, str]:
    """The dlt resource names by asset key, as the component gives them to the sensor."""
    return {dg.AssetKey([config.name, name]): name for name in config.resource_names}


def outage(api: DemoApi) -> None:
    paths = ("customers", "products", "transactions", "events")
    api.set_faults(*({"path": f"/v1/{name}", "status": 503} for name in paths))


def wrong_answer(api: DemoApi) -> None:
    api.set_faults({"path": "/v1/products", "body": "<html>"})

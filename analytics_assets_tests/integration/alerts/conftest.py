"""A webhook for alerts, and the alert sensor after its first poll."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from analytics_assets_tests.alerting import Sensor, Webhook
from analytics_assets_tests.answering import answering
from analytics_assets_tests.conftest import Project


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    with answering(made.reply) as url:
        made.url = url.replace("http://", "json://on-call:s3cr3t-of-the-channel@") + "/alerts"
        yield made


@pytest.fixture
def text(impatient_yaml: str) -> str:
    document = yaml.safe_load(impatient_yaml)
    document["attributes"]["alerts"] = {"dagster_url": "https://dagster.example.com/"}
    return yaml.safe_dump(document)


@pytest.fixture
def project(project: Project, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Project:
    project.keep_on_disk()
    monkeypatch.setenv("SOURCES__ALERTS", webhook.url)
    monkeypatch.setattr("analytics_assets.orchestration.alerts.finished_runs._RETRY_DECISION_DELAY", 0.0)
    return project


@pytest.fixture
def sensor(project: Project, text: str) -> Sensor:
    made = Sensor(project, text)
    made.look()
    assert made.said == "Nothing new about analytics_api."
    return made

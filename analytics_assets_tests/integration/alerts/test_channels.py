"""Channels accept each alert once, even after a downtime, and their secrets are stored nowhere."""

from __future__ import annotations

import sys

import dagster as dg
import pytest

from analytics_assets_tests.alerting import CIRCUIT, Sensor, Webhook, outage
from analytics_assets_tests.answering import answering
from analytics_assets_tests.conftest import DemoApi, Project, failure_of


def test_a_channel_that_is_down_gets_it_later_and_the_others_only_once(
    project: Project,
    api: DemoApi,
    text: str,
    sensor: Sensor,
    webhook: Webhook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = Webhook()
    with answering(other.reply) as url:
        monkeypatch.setenv("SOURCES__ALERTS", f"{webhook.url} {url.replace('http://', 'json://')}/other")
        webhook.down = True
        outage(api)
        failure_of(project.run(project.definitions(text), "customers"))
        for _ in range(3):
            sensor.look()
            assert "The JSON channel accepted no alert; the next tick tries again." in sensor.said
        project.instance.report_runless_asset_event(dg.AssetMaterialization(CIRCUIT, description="reset"))
        sensor.look()
        assert webhook.tries == 4, "one try a tick"
        webhook.down = False
        sensor.look()
        sensor.look()
    assert webhook.titles == other.titles
    assert [title.partition(",")[0] for title in webhook.titles] == [
        "analytics_api: halted",
        "analytics_api: reset by hand",
    ]


def test_a_channel_whose_host_is_gone_is_one_that_is_down(
    project: Project,
    api: DemoApi,
    text: str,
    sensor: Sensor,
    webhook: Webhook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCES__ALERTS", "json://127.0.0.1:9/alerts")
    outage(api)
    failure_of(project.run(project.definitions(text), "customers"))
    sensor.look()
    assert "The JSON channel accepted no alert" in sensor.said
    monkeypatch.setenv("SOURCES__ALERTS", webhook.url)
    sensor.look()
    assert len(webhook.got) == 1


def test_the_secret_of_a_channel_is_in_no_cursor(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    webhook.down = True
    outage(api)
    failure_of(project.run(project.definitions(text), "customers"))
    sensor.look()
    stored = sensor.memory.model_dump_json()
    assert "halted" in stored
    assert "s3cr3t" not in stored + str(sensor.cursor) + sensor.said


def test_without_a_channel_the_log_has_it(
    project: Project, api: DemoApi, text: str, sensor: Sensor, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.delenv("SOURCES__ALERTS")
    outage(api)
    failure_of(project.run(project.definitions(text), "customers"))
    capfd.readouterr()
    sensor.look()
    assert "analytics_api: halted, 503 Service Unavailable: source analytics_api" in capfd.readouterr().err
    assert sensor.memory.outbox == ()


def test_a_source_may_have_channels_of_its_own(
    project: Project,
    api: DemoApi,
    text: str,
    sensor: Sensor,
    webhook: Webhook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = Webhook()
    with answering(own.reply) as url:
        monkeypatch.setenv("SOURCES__ANALYTICS_API__ALERTS", url.replace("http://", "json://"))
        outage(api)
        failure_of(project.run(project.definitions(text), "customers"))
        sensor.look()
    assert (len(own.got), len(webhook.got)) == (1, 0)


def test_a_wrong_setting_is_reported_and_loses_nothing(
    project: Project,
    api: DemoApi,
    text: str,
    sensor: Sensor,
    webhook: Webhook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outage(api)
    failure_of(project.run(project.definitions(text), "customers"))
    with monkeypatch.context() as wrong:
        wrong.setenv("SOURCES__ALERTS", f"{webhook.url} nonsense://s3cr3t")
        sensor.look()
        assert "SOURCES__ALERTS: channel 2 is no URL that Apprise knows" in sensor.said
        assert "s3cr3t" not in sensor.said
        assert len(webhook.got) == 1, "the good one has it"
        wrong.setitem(sys.modules, "apprise", None)
        sensor.look()
        assert (
            "Apprise, which sends to it, is not installed: pip install 'analytics_assets[alerts]'"
            in sensor.said
        )
    sensor.look()
    assert webhook.titles == ["analytics_api: halted, 503 Service Unavailable"]


def test_a_slow_channel_does_not_keep_the_tick_from_being_written_down(
    project: Project, sensor: Sensor, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time limit the sensor starts no further message, and the next tick continues."""
    for name in ("one", "two", "three"):
        event = dg.AssetMaterialization(CIRCUIT, description=f"note {name}")
        project.instance.report_runless_asset_event(event)
    monkeypatch.setattr("analytics_assets.orchestration.alerts.sensor._SEND_SECONDS", 0.0)
    moments = iter(range(1000))
    with monkeypatch.context() as slow:
        slow.setattr(
            "analytics_assets.orchestration.alerts.sensor.time.monotonic", lambda: next(moments) // 2
        )
        sensor.look()
    assert len(webhook.got) == 1
    monkeypatch.setattr("analytics_assets.orchestration.alerts.sensor._SEND_SECONDS", 20.0)
    sensor.look()
    assert [one["message"].splitlines()[0] for one in webhook.got] == [
        f"reported: note {name}" for name in ("one", "two", "three")
    ]

"""What people are told: each incident once, to the log and to a real webhook, whatever becomes of runs and channels."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
import yaml

from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.alerts.incidents import Incidents, Memory
from analytics_assets.orchestration.alerts.sensor import failure_sensor
from analytics_assets.orchestration.circuit.jobs import circuit_check
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Clock, DemoApi, Project, failure_of

CIRCUIT = dg.AssetKey(["analytics_api", "circuit"])
DAY = "2026-01-05"


class Webhook:
    """A receiver on loopback, that can be down.

    Attributes:
        got: the messages it took.
        tries: requests it saw.
        down: whether it answers 500.
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


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    with answering(made.reply) as url:
        made.url = url.replace("http://", "json://on-call:s3cr3t-of-the-channel@") + "/alerts"
        yield made


class Sensor:
    """The sensor, with the cursor that Dagster keeps for it."""

    def __init__(self, project: Project, text: str) -> None:
        self._project = project
        self.config = SyncConfig(**yaml.safe_load(text)["attributes"])
        self.cursor: str | None = None
        self.said = ""

    def look(self) -> None:
        """One tick, as after a restart of the daemon: nothing but the cursor is left of the one before."""
        context = dg.build_sensor_context(instance=self._project.instance, cursor=self.cursor)
        data = failure_sensor(self.config).evaluate_tick(context)
        assert not data.run_requests
        self.cursor, self.said = data.cursor, str(data.skip_message)


@pytest.fixture
def text(impatient_yaml: str) -> str:
    document = yaml.safe_load(impatient_yaml)
    document["attributes"]["alerts"] = {"dagster_url": "https://dagster.example.com/"}
    return yaml.safe_dump(document)


@pytest.fixture
def project(project: Project, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Project:
    project.keep_on_disk()
    monkeypatch.setenv("SOURCES__ALERTS", webhook.url)
    monkeypatch.setattr("analytics_assets.orchestration.alerts.incidents._SETTLED_AFTER", 0.0)
    return project


@pytest.fixture
def sensor(project: Project, text: str) -> Sensor:
    made = Sensor(project, text)
    made.look()
    assert made.said == "Nothing new about analytics_api."
    return made


def outage(api: DemoApi) -> None:
    paths = ("customers", "products", "transactions", "events")
    api.set_faults(*({"path": f"/v1/{name}", "status": 503} for name in paths))


def test_an_outage_is_told_once_however_many_runs_it_ends_and_once_when_it_is_over(
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
        "after that": "assets whose schedule is on find out by themselves, and make up for what they missed",
    }
    assert webhook.got[0]["type"] == "failure"
    assert (
        f"{title}: source analytics_api; resource transactions; endpoint GET /v1/transactions"
        in capfd.readouterr().err
    )

    # A probe that fails is no other incident.
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
    assert "closed by: a probe that was answered" in webhook.got[1]["message"]
    sensor.look()
    assert len(webhook.got) == 2


def test_an_outage_that_is_over_before_the_sensor_looks_is_told_from_both_ends(
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
    """By the check of the circuit's asset, which the sensor keeps up to date, also after a report by hand."""
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


def test_an_expired_key_is_told_as_that(
    project: Project, text: str, sensor: Sensor, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__ANALYTICS_API__API_KEY", "expired-long-ago")
    failure_of(project.run(project.definitions(text), "customers"))
    sensor.look()
    assert webhook.titles == [
        "analytics_api: halted, 401 Unauthorized; the API does not accept the key: check the secret"
    ]


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
            assert "The JSON channel took no alert; the next tick tries again." in sensor.said
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
    assert "The JSON channel took no alert" in sensor.said
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
    assert "halted" in str(sensor.cursor)
    assert "s3cr3t" not in str(sensor.cursor) + sensor.said


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
    assert '"outbox":[]' in str(sensor.cursor)


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


def test_a_wrong_setting_is_told_and_loses_nothing(
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


# Failed syncs that are no outage.


def wrong_answer(api: DemoApi) -> None:
    api.set_faults({"path": "/v1/products", "body": "<html>"})


def test_a_failure_that_is_no_outage_is_told_once_until_it_is_made_good(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    definitions = project.definitions(text)
    for _ in range(2):
        wrong_answer(api)
        runs = [project.run(definitions, "products") for _ in range(5)]
        for _ in range(2):
            sensor.look()
        [told] = webhook.got
        assert told["title"] == "analytics_api: the sync of products failed"
        assert "reason: products: the response of GET /v1/products is not JSON" in told["message"]
        assert f"run: https://dagster.example.com/runs/{runs[0].run_id}" in told["message"]
        api.set_faults()
        assert project.run(definitions, "products").success
        sensor.look()
        assert webhook.titles[1:] == ["analytics_api: products is synced again"]
        webhook.got.clear()


def test_a_dry_run_that_fails_is_told_to_nobody_but_who_asked(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    wrong_answer(api)
    assert failure_of(project.run(project.definitions(text), "products", asked={"dry_run": True}))
    sensor.look()
    assert not webhook.got


def test_one_cause_is_told_once_for_all_partitions_and_over_when_all_are_made_good(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    """A range fails, then each of its partitions, which the catch-up asks for alone."""
    definitions = project.definitions(text)
    api.set_faults({"path": "/v1/transactions", "body": "<html>"})
    project.run(definitions, "transactions", DAY, "2026-01-06", "2026-01-07")
    sensor.look()
    for day in (DAY, "2026-01-06", "2026-01-07"):
        project.run(definitions, "transactions", day)
    sensor.look()
    [told] = webhook.got
    assert "window: 2026-01-05 to 2026-01-07" in told["message"]
    api.set_faults()
    for day in (DAY, "2026-01-07"):
        assert project.run(definitions, "transactions", day).success
    sensor.look()
    assert len(webhook.got) == 1, "the one in the middle is still missing"
    assert project.run(definitions, "transactions", "2026-01-06").success
    sensor.look()
    assert webhook.titles[1:] == ["analytics_api: transactions is synced again"]


def test_what_was_made_good_before_the_sensor_looked_is_told_from_both_ends_and_may_come_again(
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
    memory = Memory()
    tomorrow = Incidents(project.instance, sensor.config, clock=lambda: time.time() + 86_400)
    assert [*tomorrow.news(memory)] == []
    assert [*tomorrow.news(memory)] == []


def test_a_slow_channel_does_not_keep_the_tick_from_being_written_down(
    project: Project, sensor: Sensor, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No further message is begun once the time is up; the next tick goes on."""
    for name in ("one", "two", "three"):
        event = dg.AssetMaterialization(CIRCUIT, description=f"note {name}")
        project.instance.report_runless_asset_event(event)
    monkeypatch.setattr("analytics_assets.orchestration.alerts.sensor._SECONDS", 0.0)
    moments = iter(range(1000))
    with monkeypatch.context() as slow:
        slow.setattr(
            "analytics_assets.orchestration.alerts.sensor.time.monotonic", lambda: next(moments) // 2
        )
        sensor.look()
    assert len(webhook.got) == 1
    monkeypatch.setattr("analytics_assets.orchestration.alerts.sensor._SECONDS", 20.0)
    sensor.look()
    assert [one["message"].splitlines()[0] for one in webhook.got] == [
        f"reported: note {name}" for name in ("one", "two", "three")
    ]


def test_a_bug_is_told_without_its_text_which_may_hold_rows(
    project: Project, text: str, sensor: Sensor, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics_assets.ingestion.sync.build_source", lambda *_, **__: 1 / 0)
    project.run(project.definitions(text), "products")
    sensor.look()
    [told] = webhook.got
    assert "reason: ZeroDivisionError; its text is in the run's log" in told["message"]


def test_a_run_that_dies_before_it_starts_is_told_as_that(
    project: Project, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    definitions = project.definitions(text)
    run = project.instance.create_run_for_job(
        definitions.resolve_job_def("analytics_api__transactions__sync"), tags={"dagster/partition": DAY}
    )
    project.instance.report_run_failed(run)
    sensor.look()
    [told] = webhook.got
    assert told["title"] == "analytics_api: the sync of transactions failed"
    assert "reason: the run ended before the sync said why" in told["message"]
    assert f"window: {DAY}" in told["message"]


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
    [told] = webhook.got
    assert f"/runs/{second}" in told["message"], "the retry decides"


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
    monkeypatch.setattr("analytics_assets.orchestration.alerts.incidents._SETTLED_AFTER", 3.0)
    memory, now = Memory(), [time.time()]
    incidents = Incidents(project.instance, sensor.config, clock=lambda: now[0])
    wrong_answer(api)
    project.run(project.definitions(text), "products")
    assert [*incidents.news(memory)] == []
    now[0] += 30
    assert len([*incidents.news(memory)]) == 1


def test_the_first_look_tells_what_is_still_so_and_no_history(
    project: Project, api: DemoApi, text: str, webhook: Webhook
) -> None:
    definitions = project.definitions(text)
    outage(api)
    failure_of(project.run(definitions, "customers"))
    project.instance.report_runless_asset_event(dg.AssetMaterialization(CIRCUIT, description="reset"))
    failure_of(project.run(definitions, "products"))
    Sensor(project, text).look()
    [told] = webhook.got
    assert "resource: products" in told["message"]


@pytest.mark.parametrize(
    ("description", "title"),
    [
        ("open: their maintenance", "analytics_api: opened by hand, no sync asks the API"),
        ("opened a ticket", "analytics_api: what was reported on the circuit changes nothing"),
    ],
)
def test_what_a_person_did_to_the_circuit_is_told(
    project: Project, sensor: Sensor, webhook: Webhook, description: str, title: str
) -> None:
    project.instance.report_runless_asset_event(dg.AssetMaterialization(CIRCUIT, description=description))
    sensor.look()
    assert webhook.titles == [title]
    assert description.removeprefix("open: ") in webhook.got[0]["message"]

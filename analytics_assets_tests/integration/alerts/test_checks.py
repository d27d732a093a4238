"""Failed checks and rows in quarantine are incidents of their own: reported once, and once when they are over."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from analytics_assets_tests.alerting import Sensor, Webhook
from analytics_assets_tests.conftest import Clock, DemoApi, Project
from analytics_assets_tests.scripted import PRODUCTS, TRANSACTIONS, result, run

FAILED = "analytics_api: the check {} of products failed"
OVER = "analytics_api: the check {} of products does not fail any more"
QUARANTINE = "analytics_api: rows of products are in quarantine"
NO_QUARANTINE = "analytics_api: no row of products is in quarantine"


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("blocking", "loads"), [(True, True), (False, True), (False, False)], ids=["blocking", "not", "alone"]
)
def test_a_failed_check_is_reported_once_until_it_passes(
    project: Project, sensor: Sensor, webhook: Webhook, blocking: bool, loads: bool
) -> None:
    """A blocking check makes the run red, although the asset was loaded. A check that runs alone loads nothing."""
    for _ in range(2):
        run(project, results=[result("complete")], blocking=blocking, loads=loads)
        sensor.look()
    [received] = webhook.got
    assert received["title"] == FAILED.format("complete")
    assert "result: complete of all" in received["message"]
    run(project, results=[result("complete", passed=True)], loads=loads)
    for _ in range(2):
        sensor.look()
        assert webhook.titles[1:] == [OVER.format("complete")]
    run(project, results=[result("complete")], blocking=blocking, loads=loads)
    sensor.look()
    assert webhook.titles[2:] == [FAILED.format("complete")]


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([result("complete", warn=True), result("a_check_of_the_user")], []),
        ([result("complete"), result("primary_key_unique")], ["complete", "primary_key_unique"]),
        ([result("schema_nullability", nulls="x", rows_in_quarantine=0)], ["schema_nullability"]),
        ([result("schema_nullability", missing_columns="x", rows_in_quarantine=1)], ["", "schema_nullability"]),
        ([result("schema_nullability", rows_in_quarantine=1)], [""]),
        ([result("schema_nullability", warn=True, rows_in_quarantine=1)], [""]),
    ],
)  # fmt: skip
def test_which_results_are_incidents(
    project: Project,
    sensor: Sensor,
    webhook: Webhook,
    results: list[dg.AssetCheckEvaluation],
    expected: list[str],
) -> None:
    run(project, results=results)
    sensor.look()
    titles = sorted(QUARANTINE if name == "" else FAILED.format(name) for name in expected)
    assert sorted(webhook.titles) == titles


def test_a_check_that_only_warns_ends_the_incident(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    run(project, results=[result("complete")])
    run(project, results=[result("complete", warn=True)])
    sensor.look()
    assert webhook.titles == [FAILED.format("complete"), OVER.format("complete")]


def test_each_partition_that_failed_must_pass(project: Project, sensor: Sensor, webhook: Webhook) -> None:
    name, days = "primary_key_unique", ("2026-01-05", "2026-01-06")

    def load(*partitions: str, passed: bool = True) -> None:
        results = [result(name, partition=day, passed=passed) for day in partitions]
        if len(partitions) > 1:
            results.append(result(name, key=TRANSACTIONS, passed=passed))
        run(project, *partitions, key=TRANSACTIONS, results=results)
        sensor.look()

    load(*days, passed=False)
    failed = "analytics_api: the check primary_key_unique of transactions failed"
    assert webhook.titles == [failed]
    load("2026-01-05")
    load("2026-01-07")
    assert len(webhook.got) == 1, "the second partition still fails"
    load("2026-01-06")
    over = "analytics_api: the check primary_key_unique of transactions does not fail any more"
    assert webhook.titles[1:] == [over]
    load("2026-01-08", passed=False)
    run(project, key=TRANSACTIONS, loads=False, results=[result(name, key=TRANSACTIONS, passed=True)])
    sensor.look()
    assert webhook.titles[2:] == [failed, over], "a check that runs alone reads the whole table"


def test_checks_that_cannot_be_executed_are_reported(
    project: Project, sensor: Sensor, webhook: Webhook, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    definitions = project.definitions(text)
    with monkeypatch.context() as broken:
        broken.setattr("analytics_assets.orchestration.sync.run_checks.run_checks", lambda *_: 1 / 0)
        for _ in range(2):
            assert not project.run(definitions, "products", checks_only=True).success
            sensor.look()
    [received] = webhook.got
    assert received["title"] == "analytics_api: the checks of products were not executed"
    assert "reason: ZeroDivisionError; the log of the run has its text" in received["message"]
    assert project.run(definitions, "products", checks_only=True).success
    sensor.look()
    assert webhook.titles[1:] == ["analytics_api: the checks of products are executed again"]


def test_rows_in_quarantine_are_reported_until_there_are_none(
    project: Project, api: DemoApi, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    definitions = project.definitions(text)
    bad: dict[str, Any] = {"path": "/v1/products", "drop_fields": ["sku"]}
    api.set_faults(bad)
    for _ in range(2):
        assert project.run(definitions, "products").success
        sensor.look()
    [received] = webhook.got
    assert received["title"] == QUARANTINE
    assert "rows: 1" in received["message"]
    assert "result: 1 row in quarantine: sku is absent in 1 row" in received["message"]
    api.set_faults()
    assert project.run(definitions, "products").success
    sensor.look()
    sensor.look()
    assert webhook.titles[1:] == [NO_QUARANTINE]


def test_the_same_rows_in_quarantine_are_not_reported_again(
    project: Project, sensor: Sensor, webhook: Webhook, clock: Clock
) -> None:
    def quarantined(rows: int) -> list[dg.AssetCheckEvaluation]:
        return [result("schema_nullability", passed=not rows, rows_in_quarantine=rows)]

    for rows, reports in [(1, 1), (1, 1), (3, 2), (2, 2), (0, 3)]:
        run(project, results=quarantined(rows))
        sensor.look()
        assert len(webhook.got) == reports, rows
        clock.pass_minutes(24 * 60)
    assert webhook.titles == [QUARANTINE, QUARANTINE, NO_QUARANTINE]


def test_a_load_without_checks_reports_its_quarantine(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    run(project, rows_quarantined=2)
    sensor.look()
    [received] = webhook.got
    assert received["title"] == QUARANTINE
    assert "rows: 2" in received["message"]
    run(project, rows_quarantined=0, cursor_to="2026-01-05")
    sensor.look()
    assert len(webhook.got) == 1, "only new rows were read"
    run(project, rows_quarantined=0)
    sensor.look()
    assert webhook.titles[1:] == [NO_QUARANTINE]


def test_a_failed_check_of_a_canceled_run_is_reported(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    """A user's own job goes on after our step, and is canceled."""

    canceled: list[dg.DagsterRun] = []

    @dg.asset(deps=[PRODUCTS])
    def theirs(context) -> None:  # type: ignore[no-untyped-def]
        context.instance.report_run_canceling(context.run)
        canceled.append(context.run)
        raise dg.DagsterExecutionInterruptedError

    run(project, results=[result("complete")], beside=[theirs])
    ended = project.instance.get_run_by_id(canceled[0].run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.CANCELED
    sensor.look()
    assert webhook.titles == [FAILED.format("complete")]


def test_a_failed_check_of_a_run_that_is_retried_is_reported(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    """A retry from the failed step does not run our step again, which succeeded."""

    @dg.asset(deps=[PRODUCTS])
    def theirs() -> None:
        raise ValueError

    first = run(project, results=[result("complete")], beside=[theirs]).run_id
    project.instance.add_run_tags(first, {"dagster/will_retry": "true"})
    sensor.look()
    assert webhook.got == []
    project.instance.add_run_tags(first, {"dagster/auto_retry_run_id": "another"})
    sensor.look()
    assert webhook.titles == [FAILED.format("complete")]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("off", "expected"),
    [("failed_check", [QUARANTINE]), ("quarantine", [FAILED.format("complete")])],
)
def test_each_kind_can_be_switched_off(
    project: Project, text: str, webhook: Webhook, off: str, expected: list[str]
) -> None:
    silent = Sensor(project, text.replace("alerts:\n", f"alerts:\n    {off}: false\n"))
    silent.look()
    run(project, results=[result("complete"), result("schema_nullability", rows_in_quarantine=1)])
    silent.look()
    assert webhook.titles == expected

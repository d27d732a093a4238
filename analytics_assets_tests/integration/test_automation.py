"""Schedules ask for the right partition; the failure sensor knows our failed syncs and no others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from analytics_assets_tests.conftest import DemoApi, Project


def tick(project: Project, definitions: dg.Definitions, name: str, moment: str) -> Any:
    schedule = next(
        one
        for one in definitions.schedules or ()
        if isinstance(one, dg.ScheduleDefinition) and one.name == name
    )
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime.fromisoformat(moment).replace(tzinfo=UTC),
        repository_def=definitions.get_repository_def(),
        instance=project.instance,
    )
    return schedule.evaluate_tick(context)


@pytest.mark.parametrize(
    ("moment", "partition"),
    [
        ("2026-03-04T02:00", "2026-03-03"),
        ("2026-03-04T00:00", "2026-03-03"),
        ("2026-03-03T23:59", "2026-03-02"),
        ("2026-01-02T00:00", "2026-01-01"),
    ],
)
def test_a_tick_asks_for_the_last_complete_partition(
    project: Project, shipped_yaml: str, moment: str, partition: str
) -> None:
    data = tick(project, project.definitions(shipped_yaml), "analytics_api__transactions__schedule", moment)
    [request] = data.run_requests
    assert request.partition_key == partition


def test_a_tick_before_the_first_partition_is_complete_skips_and_says_so(
    project: Project, shipped_yaml: str
) -> None:
    data = tick(
        project,
        project.definitions(shipped_yaml),
        "analytics_api__transactions__schedule",
        "2026-01-01T12:00",
    )
    assert data.run_requests == []
    assert data.skip_message == "No partition is complete yet at 2026-01-01 12:00 UTC."


def test_each_tick_of_an_unpartitioned_asset_is_one_run(project: Project, shipped_yaml: str) -> None:
    definitions = project.definitions(shipped_yaml)
    keys = set()
    for moment in ("2026-03-04T02:00", "2026-03-04T03:00"):
        [request] = tick(project, definitions, "analytics_api__customers__schedule", moment).run_requests
        assert request.partition_key is None
        keys.add(request.run_key)
    assert len(keys) == 2


def sensed(
    definitions: dg.Definitions, instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult,
    capsys: pytest.CaptureFixture[str],
) -> str:  # fmt: skip
    [sensor] = [one for one in definitions.sensors or () if isinstance(one, dg.SensorDefinition)]
    context = dg.build_run_status_sensor_context(
        sensor_name=sensor.name,
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=result.get_run_failure_event(),
    ).for_run_failure()
    capsys.readouterr()
    sensor(context)
    return capsys.readouterr().err


def test_the_sensor_tells_what_halted(
    project: Project, api: DemoApi, impatient_yaml: str, capsys: pytest.CaptureFixture[str]
) -> None:
    definitions = project.definitions(impatient_yaml)
    api.set_faults({"path": "/v1/products", "status": 502})
    result = project.run(definitions, "products")
    said = sensed(definitions, project.instance, result, capsys)
    assert (
        f"Sync of analytics_api failed in run {result.run_id}: resource products, endpoint GET /v1/products, "
        "status 502, attempts 4, reason 502 Bad Gateway"
    ) in said


def test_the_sensor_tells_a_missing_secret(
    project: Project, shipped_yaml: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCES__ANALYTICS_API__API_KEY")
    definitions = project.definitions(shipped_yaml)
    said = sensed(definitions, project.instance, project.run(definitions, "products"), capsys)
    assert "resource products, reason analytics_api: the secret api_key is not set" in said


def test_the_sensor_passes_by_what_is_not_ours(
    project: Project, shipped_yaml: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @dg.asset
    def somebody_elses() -> None:
        raise dg.Failure("their own trouble", metadata={"endpoint": "GET /elsewhere"})

    result = dg.materialize([somebody_elses], instance=project.instance, raise_on_error=False)
    said = sensed(project.definitions(shipped_yaml), project.instance, result, capsys)
    assert "Sync of" not in said

"""Automation conditions on synced assets: in the file, by `post_processing`, and by code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import yaml
from pydantic import ValidationError

from analytics_assets import RestApiSync
from analytics_assets.orchestration.conditions import beside_endpoints
from analytics_assets_tests.conftest import Clock, DemoApi, Project
from analytics_assets_tests.integration.automation.test_recovery import Recovery

CUSTOMERS = dg.AssetKey(["analytics_api", "customers"])
TRANSACTIONS = dg.AssetKey(["analytics_api", "transactions"])
ENDPOINT = dg.AssetKey(["analytics_api", "api", "customers"])
HOURLY = "{{ dg.AutomationCondition.on_cron('0 * * * *') }}"
EAGER = "{{ dg.AutomationCondition.eager() }}"
ON_MISSING = "{{ dg.AutomationCondition.on_missing() }}"

WAYS = ("asset", "asset_defaults", "post_processing")


def conditioned(text: str, condition: str, way: str) -> str:
    """The file with a condition on the assets of `customers` and `transactions`."""
    document = yaml.safe_load(text)
    attributes = document["attributes"]
    if way == "asset":
        for name in ("customers", "transactions"):
            attributes["assets"].setdefault(name, {})["automation_condition"] = condition
    elif way == "asset_defaults":
        attributes["asset_defaults"] = {"automation_condition": condition}
    else:
        chosen = "key:analytics_api/customers or key:analytics_api/transactions"
        document["post_processing"] = {
            "assets": [{"target": chosen, "attributes": {"automation_condition": condition}}]
        }
    return yaml.safe_dump(document)


class Ticks:
    """The ticks of the sensor that evaluates automation conditions."""

    def __init__(self, project: Project, definitions: dg.Definitions) -> None:
        self._project = project
        self._definitions = definitions
        self._cursor: Any = None

    def at(self, moment: datetime) -> set[tuple[str, str | None]]:
        """The requested assets, each with its partition."""
        result = dg.evaluate_automation_conditions(
            self._definitions,
            instance=self._project.instance,
            asset_selection=dg.AssetSelection.assets(CUSTOMERS, TRANSACTIONS),
            cursor=self._cursor,
            evaluation_time=moment,
        )
        self._cursor = result.cursor
        found = set()
        for one in result.results:
            keys = one.true_subset.expensively_compute_asset_partitions()
            found |= {(key.asset_key.path[-1], key.partition_key) for key in keys}
        return found


@pytest.fixture
def noon() -> datetime:
    return datetime(2026, 2, 1, 12, 30, tzinfo=UTC)


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("way", WAYS)
def test_on_cron_fires_once_per_tick(project: Project, shipped_yaml: str, noon: datetime, way: str) -> None:
    ticks = Ticks(project, project.definitions(conditioned(shipped_yaml, HOURLY, way)))
    both = {("customers", None), ("transactions", "2026-01-31")}
    assert ticks.at(noon) == set()
    assert ticks.at(noon + timedelta(hours=1)) == both
    assert ticks.at(noon + timedelta(hours=1, minutes=5)) == set()
    assert ticks.at(noon + timedelta(hours=5)) == both  # after an outage of the daemon, once


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("way", WAYS)
def test_eager_fires_for_a_new_partition_and_for_an_event_of_the_endpoint(
    project: Project, shipped_yaml: str, noon: datetime, way: str
) -> None:
    ticks = Ticks(project, project.definitions(conditioned(shipped_yaml, EAGER, way)))
    assert ticks.at(noon) == set()
    assert ticks.at(noon + timedelta(minutes=1)) == set()
    project.instance.report_runless_asset_event(dg.AssetMaterialization(ENDPOINT))
    assert ticks.at(noon + timedelta(minutes=2)) == {("customers", None)}
    assert ticks.at(noon + timedelta(minutes=3)) == set()
    assert ticks.at(noon + timedelta(days=1)) == {("transactions", "2026-02-01")}
    assert ticks.at(noon + timedelta(days=1, minutes=1)) == set()


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("way", WAYS)
def test_on_missing_fires_once_for_a_new_partition(
    project: Project, shipped_yaml: str, noon: datetime, way: str
) -> None:
    ticks = Ticks(project, project.definitions(conditioned(shipped_yaml, ON_MISSING, way)))
    assert ticks.at(noon) == set()
    assert ticks.at(noon + timedelta(days=1)) == {("transactions", "2026-02-01")}
    assert ticks.at(noon + timedelta(days=1, minutes=1)) == set()


def test_a_sync_is_no_news_for_its_own_condition(project: Project, shipped_yaml: str, noon: datetime) -> None:
    definitions = project.definitions(conditioned(shipped_yaml, EAGER, "asset"))
    ticks = Ticks(project, definitions)
    assert ticks.at(noon) == set()
    assert project.run(definitions, "customers").success
    assert ticks.at(noon + timedelta(minutes=1)) == set()


def test_a_part_of_a_condition_may_be_replaced_in_the_file(project: Project, shipped_yaml: str) -> None:
    own = "{{ dg.AutomationCondition.eager().replace('handled', dg.AutomationCondition.newly_requested()) }}"
    definitions = project.definitions(conditioned(shipped_yaml, own, "asset"))
    spec = next(one for one in definitions.resolve_all_asset_specs() if one.key == CUSTOMERS)
    assert isinstance(spec.automation_condition, dg.AutomationCondition)


def test_a_condition_keeps_what_its_user_ignores() -> None:
    own = dg.AutomationCondition.eager().ignore(dg.AssetSelection.assets(ENDPOINT))
    spec = dg.AssetSpec("a", deps=[ENDPOINT], automation_condition=own)
    assert beside_endpoints(spec, [ENDPOINT]).automation_condition == own.ignore(
        dg.AssetSelection.assets(ENDPOINT)
    )


@pytest.mark.parametrize("value", ["eager", "0 2 * * *", 3, ["eager"]])
def test_what_is_no_condition_is_refused(shipped_yaml: str, value: Any) -> None:
    document = yaml.safe_load(conditioned(shipped_yaml, value, "asset"))
    with pytest.raises(ValidationError, match="this is no automation condition") as refused:
        RestApiSync.rendered(document["attributes"])
    assert refused.value.errors()[0]["loc"] == ("assets", "customers", "automation_condition")


@pytest.mark.parametrize("is_on", [True, False])
def test_after_an_outage_what_a_condition_requested_is_requested_again(
    project: Project, api: DemoApi, impatient_yaml: str, clock: Clock, *, is_on: bool
) -> None:
    project.keep_on_disk()
    text = conditioned(impatient_yaml, HOURLY, "asset")
    definitions = project.definitions(text)
    sensor = definitions.get_repository_def().get_sensor_def("default_automation_condition_sensor")
    if is_on:
        turn_on(project, sensor.name)
    api.set_faults({"path": "/v1/customers", "status": 503})
    assert not project.run(definitions, "customers").success
    recovery = Recovery(project, definitions)
    api.set_faults()
    assert recovery.look() == []
    clock.pass_minutes(6)
    assert [name for name, _ in recovery.look()] == (["customers"] if is_on else [])
    assert project.run(definitions, "customers").success  # the probe
    assert "customers" not in [name for name, _ in recovery.look()]


def turn_on(project: Project, name: str) -> None:
    """Turns a sensor on, as the UI does."""
    from dagster._core.definitions.run_request import InstigatorType  # noqa: PLC0415
    from dagster._core.remote_origin import (  # noqa: PLC0415
        InProcessCodeLocationOrigin,
        RemoteInstigatorOrigin,
        RemoteRepositoryOrigin,
    )
    from dagster._core.scheduler.instigation import (  # noqa: PLC0415
        InstigatorState,
        InstigatorStatus,
        SensorInstigatorData,
    )
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin  # noqa: PLC0415

    place = InProcessCodeLocationOrigin(LoadableTargetOrigin(executable_path="python", module_name="x"))
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(place, "__repository__"), name)
    project.instance.add_instigator_state(
        InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData())
    )

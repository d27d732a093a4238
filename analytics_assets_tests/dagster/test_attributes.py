"""Dagster's attributes of assets, steps, jobs, schedules and sensors, set in the file or in Python."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
import yaml
from pydantic import ValidationError

from analytics_assets import RestApiSync
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.orchestration.circuit.event_log import EventLogCircuit
from analytics_assets_tests.conftest import DemoApi, Project, check_of

SHARED: dict[str, Any] = {
    "group_name": "raw",
    "key_prefix": ["lake", "bronze"],
    "owners": ["team:data"],
    "tags": {"tier": "1", "team": "data"},
    "kinds": ["rest", "duckdb"],
    "metadata": {"wiki": "x"},
    "freshness": {"fail_after_hours": 30, "warn_after_hours": 26},
    "retry_policy": {"max_retries": 2, "delay": 5, "backoff": "exponential", "jitter": "full"},
    "op_tags": {"dagster-k8s/config": {"job_spec_config": {"ttl_seconds_after_finished": 60}}},
    "run_tags": {"team": "data"},
    "max_runtime": 3600,
    "pool": "shared_pool",
    "schedule": "15 3 * * *",
    "timezone": "Europe/Berlin",
    "default_status": "running",
}


def with_attributes(text: str, shared: dict[str, Any], **own: Any) -> str:
    """The file with `asset_defaults`, and with keys of the asset `customers`."""
    document = yaml.safe_load(text)
    document["attributes"]["asset_defaults"] = shared
    document["attributes"]["assets"].setdefault("customers", {}).update(own)
    return yaml.safe_dump(document)


def spec_of(definitions: dg.Definitions, *path: str) -> dg.AssetSpec:
    return next(one for one in definitions.resolve_all_asset_specs() if one.key == dg.AssetKey(path))


def test_the_file_sets_what_dagster_knows_of_an_asset(project: Project, shipped_yaml: str) -> None:
    own = {"tags": {"tier": "2"}, "kinds": ["rest"], "code_version": "7", "metadata": {"more": 1}}
    document = yaml.safe_load(shipped_yaml)
    for asset in document["attributes"]["assets"].values():
        asset.pop("schedule", None)
        asset.pop("owners", None)
    text = with_attributes(yaml.safe_dump(document), SHARED, **own)
    definitions = project.definitions(text)
    spec = spec_of(definitions, "lake", "bronze", "analytics_api", "customers")
    assert spec.group_name == "raw"
    assert spec.tags["tier"] == "2"
    assert spec.tags["team"] == "data"
    assert spec.kinds == {"rest"}
    assert spec.code_version == "7"
    assert [*spec.owners] == ["team:data"]
    assert (spec.metadata["wiki"], spec.metadata["more"]) == ("x", 1)
    assert spec.freshness_policy == dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=30), warn_window=timedelta(hours=26)
    )
    other = spec_of(definitions, "lake", "bronze", "analytics_api", "products")
    assert other.kinds == {"rest", "duckdb"}
    assert other.tags["tier"] == "1"

    asset = definitions.resolve_assets_def(spec.key)
    op = asset.op
    assert op.pool == "shared_pool"
    assert op.tags["dagster-k8s/config"]
    assert op.retry_policy == dg.RetryPolicy(2, 5, dg.Backoff.EXPONENTIAL, dg.Jitter.FULL)
    job = definitions.resolve_job_def("analytics_api__customers__sync")
    assert (job.run_tags["team"], job.run_tags["dagster/max_runtime"]) == ("data", "3600")
    schedule = definitions.get_repository_def().get_schedule_def("analytics_api__customers__schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 3 * * *", "Europe/Berlin")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    partitioned = definitions.get_repository_def().get_schedule_def("analytics_api__transactions__schedule")
    assert partitioned.execution_timezone == "UTC"  # that of its partitions


def test_post_processing_sets_the_same(project: Project, shipped_yaml: str) -> None:
    document = yaml.safe_load(shipped_yaml)
    attributes = {
        "group_name": "raw",
        "tags": {"tier": "'2'"},
        "kinds": ["rest"],
        "owners": ["team:x"],
        "metadata": {"wiki": "x"},
        "description": "Our customers.",
        "code_version": "v7",
        "automation_condition": "{{ dg.AutomationCondition.eager() }}",
    }
    document["post_processing"] = {
        "assets": [{"target": "key:analytics_api/customers", "attributes": attributes}]
    }
    definitions = project.definitions(yaml.safe_dump(document))
    spec = spec_of(definitions, "analytics_api", "customers")
    assert (spec.group_name, spec.description, spec.code_version) == ("raw", "Our customers.", "v7")
    assert spec.tags["tier"] == "2"
    assert spec.kinds == {"rest"}
    assert (spec.metadata["wiki"], [*spec.owners]) == ("x", ["team:x"])
    assert spec.automation_condition is not None
    assert spec_of(definitions, "analytics_api", "products").group_name == "analytics_api"
    assert project.run(definitions, "customers").success


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"key_prefix": "lake"}, ("lake", "analytics_api", "customers")),
        ({"key": "warehouse/people"}, ("warehouse", "people")),
    ],
)
def test_a_key_of_the_users_works_with_checks_and_the_circuit(
    project: Project, api: DemoApi, impatient_yaml: str, settings: dict[str, Any], path: tuple[str, ...]
) -> None:
    text = with_attributes(impatient_yaml, {}, **settings)
    definitions = project.definitions(text)

    def run() -> dg.ExecuteInProcessResult:
        job = definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            asset_selection=[dg.AssetKey(path)], instance=project.instance, raise_on_error=False
        )

    first, second = run(), run()
    assert first.success
    assert second.success
    (event,) = second.get_asset_materialization_events()
    assert event.asset_key == dg.AssetKey(path)
    assert (check_of(second, "schema_drift").description or "").startswith("No change since")
    api.set_faults({"path": "/v1/customers", "status": 503})
    assert not run().success
    config = RestApiSync.rendered(yaml.safe_load(text)["attributes"])
    assert EventLogCircuit(project.instance, config).circuit().opened is not None


def test_a_key_for_all_resources_has_their_names(project: Project, shipped_yaml: str) -> None:
    text = with_attributes(shipped_yaml, {"key": "lake/{source}_{resource}"}, key="people")
    definitions = project.definitions(text)
    assert spec_of(definitions, "lake", "analytics_api_products")
    assert spec_of(definitions, "people")
    for shared, own in (("lake/one", {}), ("lake/{resource}", {"key": "lake/products"})):
        with pytest.raises(
            ValidationError,
            match=r"the asset key lake/(one|products), which `\w+` has. Write `?(another|{resource})",
        ):
            RestApiSync.rendered(
                yaml.safe_load(with_attributes(shipped_yaml, {"key": shared}, **own))["attributes"]
            )


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("{source}/api/products", "the endpoint of `products`"),
        ("{source}/circuit", "the circuit of `analytics_api`"),
        ("{source}/events__items", "the child table `items` of `events`"),
    ],
)
def test_a_key_of_another_asset_of_the_api_is_refused(shipped_yaml: str, key: str, other: str) -> None:
    with pytest.raises(ValidationError) as refused:
        RestApiSync.rendered(yaml.safe_load(with_attributes(shipped_yaml, {}, key=key))["attributes"])
    [error] = refused.value.errors()
    assert error["loc"] == ("assets", "customers", "key")
    assert f"which {other} has. Write another `key`." in error["msg"]


def test_a_prefix_also_holds_for_child_tables(project: Project, shipped_yaml: str) -> None:
    document = yaml.safe_load(with_attributes(shipped_yaml, {"key_prefix": "lake"}))
    document["attributes"]["assets"]["customers"]["child_tables"] = ["lists"]
    definitions = project.definitions(yaml.safe_dump(document))
    child = spec_of(definitions, "lake", "analytics_api", "customers__lists")
    assert [one.asset_key.path for one in child.deps] == [["lake", "analytics_api", "customers"]]


def test_the_code_version_is_that_of_the_declared_rows(project: Project, shipped_yaml: str) -> None:
    def version(change: Any) -> str | None:
        document = yaml.safe_load(shipped_yaml)
        resources = document["attributes"]["rest_api"]["resources"]
        change(next(one for one in resources if isinstance(one, dict) and one["name"] == "customers"))
        definitions = project.definitions(yaml.safe_dump(document))
        return spec_of(definitions, "analytics_api", "customers").code_version

    usual = version(lambda _: None)
    assert usual
    assert version(lambda one: one.setdefault("columns", {}).update(x={"data_type": "text"})) != usual
    assert version(lambda one: one["endpoint"].setdefault("params", {}).update(limit=10)) == usual


@pytest.mark.parametrize(
    ("schedule", "hours"), [("0 2 * * *", 48), ("*/15 * * * *", 0.5), ("0 2 * * 1-5", 144)]
)
def test_freshness_is_by_default_that_of_a_schedule_that_is_on(
    project: Project, shipped_yaml: str, schedule: str, hours: float
) -> None:
    shared = {"default_status": "running", "timezone": "Europe/Berlin"}
    on = project.definitions(with_attributes(shipped_yaml, shared, schedule=schedule))
    policy = spec_of(on, "analytics_api", "customers").freshness_policy
    assert policy == dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=hours))
    off = with_attributes(shipped_yaml, shared | {"default_status": "stopped"}, schedule=schedule)
    assert spec_of(project.definitions(off), "analytics_api", "customers").freshness_policy is None


def test_freshness_may_be_a_deadline(project: Project, shipped_yaml: str) -> None:
    freshness = {"deadline_cron": "0 9 * * 1-5", "lower_bound_hours": 8, "timezone": "Europe/Berlin"}
    definitions = project.definitions(with_attributes(shipped_yaml, {}, freshness=freshness))
    assert spec_of(definitions, "analytics_api", "customers").freshness_policy == dg.FreshnessPolicy.cron(
        deadline_cron="0 9 * * 1-5", lower_bound_delta=timedelta(hours=8), timezone="Europe/Berlin"
    )


@pytest.mark.parametrize("status", ["running", "stopped"])
def test_the_sensors_are_on_or_off_as_the_file_says(project: Project, shipped_yaml: str, status: str) -> None:
    document = yaml.safe_load(shipped_yaml)
    document["attributes"]["sensors"] = {"default_status": status}
    definitions = project.definitions(yaml.safe_dump(document))
    for name in ("sync_failure", "recovery"):
        sensor = definitions.get_repository_def().get_sensor_def(f"analytics_api__{name}")
        assert sensor.default_status.value.lower() == status


@pytest.mark.matrix(keep=12)
@pytest.mark.parametrize(
    ("own", "place", "sentence"),
    [
        ({"group_name": "a-b c"}, "group_name", "not a valid"),
        ({"key_prefix": "a/b"}, "key_prefix", "cannot be a part of an asset key"),
        ({"kinds": ["a", "b", "c", "d"]}, "kinds", "at most 3 items"),
        ({"tags": {"a b!": "x"}}, "tags", "tag"),
        ({"key_prefix": "a", "key": "b/{resource}"}, "key_prefix", "is the whole asset key"),
        ({"schedule": "0 2 * *"}, "schedule", "is not a cron expression"),
        ({"freshness": {}}, "freshness", "write either"),
        ({"freshness": {"deadline_cron": "x", "lower_bound_hours": 1}}, "deadline_cron", "is not a cron"),
        ({"freshness": {"deadline_cron": "0 9 * * *"}}, "deadline_cron", "needs `lower_bound_hours`"),
        ({"freshness": {"fail_after_hours": 1, "timezone": "UTC"}}, "timezone", "other kind"),
        ({"retry_policy": {"backoff": "linear"}}, "backoff", "needs `delay`"),
        ({"default_status": "on"}, "default_status", "'running' or 'stopped'"),
        ({"timezone": "Berlin"}, "timezone", "there is no time zone"),
        ({"max_runtime": 0}, "max_runtime", "greater than 0"),
        ({"pool": "a b"}, "pool", "not a valid pool name"),
        ({"owners": ["a@b..c"]}, "owners", "owner"),
        ({"op_tags": {"a": float("nan")}}, "op_tags", "Invalid value for tag"),
        ({"op_tags": {"dagster/concurrency_key": "x"}}, "op_tags", "Set `pool`"),
        ({"run_tags": {"dagster/partition": "x"}}, "run_tags", "for each run. Remove it."),
        ({"run_tags": {"dagster/backfill": "x"}}, "run_tags", "for each run. Remove it."),
        ({"run_tags": {"dagster/max_runtime": "9"}, "max_runtime": 9}, "run_tags", "Remove one"),
        ({"freshness": {"fail_after_hours": 0.01}}, "freshness", "cannot be less than 1 minute"),
        ({"freshness": {"deadline_cron": "0 9 * * *", "lower_bound_hours": 25}}, "freshness", "less than or"),
        ({"freshness": {"deadline_cron": "0 9 * * *", "lower_bound_hours": 0.001}}, "freshness", "1 minute"),
        ({"metadata": {"dagster/row_count": "x"}}, "metadata", "the sync sets"),
        ({"group_name": ""}, "group_name", "Write letters"),
        ({"kinds": [""]}, "kinds", "a kind is empty"),
        ({"kinds": ["sql", "a b"]}, "kinds", "`a b` cannot be a kind. Write letters"),
        ({"kinds": ["x" * 64]}, "kinds", "at most 63 of them"),
        ({"code_version": " "}, "code_version", "Write one such as `2`"),
        ({"metadata": {"": 1}}, "metadata", "the name of an entry is empty"),
        ({"pool": ""}, "pool", "Write a name, or remove the key"),
        ({"key_prefix": "."}, "key_prefix", "`.` cannot be a part of an asset key"),
        ({"key_prefix": []}, "key_prefix", "the list is empty"),
        ({"key": "a/./{resource}"}, "key", "cannot be an asset key"),
        ({"tags": {"": "x"}}, "tags", "the name of a tag is empty"),
        ({"tags": {"ti er": "x"}}, "ti er", "`ti er` cannot be the name of a tag. Write letters"),
        ({"tags": {"tier": "a b"}}, "tier", "`a b` cannot be the value of the tag `tier`. Write letters"),
        ({"tags": {"ti er": 1}}, "ti er", "Write text, in quotes."),
        ({"run_tags": {"": "x"}}, "run_tags", "the name of a tag is empty"),
        (
            {"run_tags": {"analytics_assets/no_retry": "x"}},
            "run_tags",
            "the sync sets `analytics_assets/no_retry`",
        ),
        ({"run_tags": {"analytics_assets/dry_rn": "true"}}, "run_tags", "Write `analytics_assets/dry_run`"),
        ({"run_tags": {"analytics_assets/max_pages": "x"}}, "run_tags", "Write a whole number"),
        ({"max_runtime": 10**12}, "max_runtime", "Lower it. It means: Seconds after which"),
        (
            {"max_runtime": "2h"},
            "max_runtime",
            "without a unit and without quotes. It means: Seconds after which",
        ),
        (
            {"default_status": True},
            "default_status",
            "YAML reads `on`, `off`, `yes` and `no` as true and false.",
        ),
        (
            {"automation_condition": "{{ dg.AutomationCondition.on_cron('bad') }}"},
            "automation_condition",
            "this template fails: Invalid cron schedule: bad. Write one such as",
        ),
        (
            {"automation_condition": "{{ dg.AutomationCondition.on_cron('0 2 * * *', 'Europe/Berln') }}"},
            "automation_condition",
            "there is no time zone `Europe/Berln`. Did you mean `Europe/Berlin`?",
        ),
        (
            {"automation_condition": "{{ dg.AutomationCondition.on_crn('0 2 * * *') }}"},
            "automation_condition",
            "`AutomationCondition` has no `on_crn`. Did you mean `on_cron`? Write one such as",
        ),
    ],
)
@pytest.mark.parametrize("level", ["asset_defaults", "assets"])
def test_a_wrong_attribute_is_refused_at_its_place(
    shipped_yaml: str, level: str, own: dict[str, Any], place: str, sentence: str
) -> None:
    text = with_attributes(
        shipped_yaml, own if level == "asset_defaults" else {}, **(own if level == "assets" else {})
    )
    with pytest.raises(ValidationError) as refused:
        RestApiSync.rendered(yaml.safe_load(text)["attributes"], {"dg": dg})
    error = refused.value.errors()[0]
    assert error["loc"][0] == level
    assert error["loc"][-1] == place or place in error["loc"]
    assert sentence in error["msg"]


def test_a_wrong_key_is_refused(shipped_yaml: str) -> None:
    text = with_attributes(shipped_yaml, {}, key="a//b")
    with pytest.raises(ValidationError, match="cannot be an asset key"):
        RestApiSync.rendered(yaml.safe_load(text)["attributes"])


class OurSync(RestApiSync):
    """A component of a user, with the keys and the groups of the house."""

    def get_asset_spec(self, resource: ResourceInfo) -> dg.AssetSpec:
        spec = super().get_asset_spec(resource)
        return spec.replace_attributes(
            key=spec.key.with_prefix("house"), group_name=f"raw_{resource.write_disposition}"
        ).merge_attributes(tags={"table": resource.table})


def test_a_subclass_may_change_the_spec_of_an_asset(project: Project, shipped_yaml: str) -> None:
    component = OurSync.rendered(yaml.safe_load(shipped_yaml)["attributes"])
    definitions = dg.build_defs_for_component(component)
    spec = spec_of(definitions, "house", "analytics_api", "customers")
    assert spec.group_name is not None
    assert spec.group_name.startswith("raw_")
    assert spec.tags["table"] == "customers"
    job = definitions.resolve_job_def("analytics_api__customers__sync")
    result = job.execute_in_process(instance=project.instance)
    (event,) = result.get_asset_materialization_events()
    assert event.asset_key == spec.key
    assert all(one.asset_key == spec.key for one in result.get_asset_check_evaluations())

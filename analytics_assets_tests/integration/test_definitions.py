"""The code location: its public names, its module path, and its requirements."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster.components.core.component_tree import ComponentTreeException

from analytics_assets.config.validation_errors import InvalidFileError
from analytics_assets.definitions import defs
from analytics_assets_tests.conftest import PROJECT, Project
from analytics_assets_tests.real_api import defs as defs_of

PUBLIC_SURFACE = {
    "assets": {
        "analytics_api/customers": {"deps": ["analytics_api/api/customers"], "partitions": None},
        "analytics_api/events": {"deps": ["analytics_api/api/events"], "partitions": None},
        "analytics_api/products": {"deps": ["analytics_api/api/products"], "partitions": None},
        "analytics_api/transactions": {
            "deps": ["analytics_api/api/transactions"],
            "partitions": "Daily, starting 2026-01-01 UTC.",
        },
    },
    "external assets": [
        "analytics_api/api/customers",
        "analytics_api/api/events",
        "analytics_api/api/products",
        "analytics_api/api/transactions",
        "analytics_api/circuit",
        "analytics_api/events__items",
    ],
    "checks": [
        "analytics_api/circuit:closed",
        *(
            f"analytics_api/{resource}:{check}"
            for resource in ("customers", "events", "products", "transactions")
            for check in (
                "complete",
                "no_secrets",
                "primary_key_unique",
                "schema_drift",
                "schema_nullability",
            )
        ),
    ],
    "jobs": [
        "analytics_api__circuit_open",
        "analytics_api__circuit_reset",
        "analytics_api__customers__sync",
        "analytics_api__events__sync",
        "analytics_api__products__sync",
        "analytics_api__transactions__sync",
    ],
    "schedules": {
        "analytics_api__customers__schedule": "0 * * * *",
        "analytics_api__events__schedule": "*/15 * * * *",
        "analytics_api__products__schedule": "30 1 * * *",
        "analytics_api__transactions__schedule": "0 2 * * *",
    },
    "sensors": {"analytics_api__recovery": "RUNNING", "analytics_api__sync_failure": "RUNNING"},
}


def surface(definitions: dg.Definitions) -> dict[str, Any]:
    graph = definitions.resolve_asset_graph()
    ours = {key.to_user_string(): graph.get(key) for key in graph.materializable_asset_keys}
    return {
        "assets": {
            name: {
                "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
                "partitions": str(node.partitions_def) if node.partitions_def else None,
            }
            for name, node in sorted(ours.items())
        },
        "external assets": sorted(key.to_user_string() for key in graph.external_asset_keys),
        "checks": sorted(f"{key.asset_key.to_user_string()}:{key.name}" for key in graph.asset_check_keys),
        "jobs": sorted(
            job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")
        ),
        "schedules": {
            one.name: one.cron_schedule
            for one in definitions.schedules or ()
            if isinstance(one, dg.ScheduleDefinition)
        },
        "sensors": {one.name: one.default_status.name for one in definitions.sensors or ()},
    }


@pytest.mark.repository
def test_the_public_surface() -> None:
    assert surface(defs()) == PUBLIC_SURFACE


@pytest.mark.repository
def test_the_circuit_is_downstream_of_the_endpoints_and_upstream_of_nothing() -> None:
    """With this lineage, a circuit event makes no table stale, and starts no automation."""
    node = defs().resolve_asset_graph().get(dg.AssetKey(["analytics_api", "circuit"]))
    assert sorted(key.path[1] for key in node.parent_keys) == ["api"] * 4
    assert node.child_keys == set()


@pytest.mark.repository
def test_before_any_run_an_asset_shows_its_schema_and_owners() -> None:
    graph = defs().resolve_asset_graph()
    node = graph.get(dg.AssetKey(["analytics_api", "transactions"]))
    assert node.group_name == "analytics_api"
    assert node.owners == ["team:analytics"]
    assert node.description == "One row per sale."
    assert node.kinds == {"dlt", "duckdb"}
    columns = {column.name: column for column in node.metadata["dagster/column_schema"].columns}
    assert list(columns) == [
        "id", "customer_id", "product_id", "quantity", "transaction_amount", "refunded_amount", "currency",
        "status", "note", "created_at", "updated_at",
    ]  # fmt: skip
    assert columns["id"].constraints == dg.TableColumnConstraints(
        nullable=False, unique=True, other=["primary key"]
    )
    assert columns["note"].constraints.nullable
    amount = columns["transaction_amount"]
    assert (amount.type, amount.constraints.nullable, amount.description) == (
        "decimal(18, 2)",
        False,
        "In `currency`.",
    )


@pytest.mark.repository
def test_policies_and_pools_are_dagsters_own(project: Project, shipped_yaml: str, tmp_path: Path) -> None:
    document = yaml.safe_load(shipped_yaml)
    document["attributes"]["assets"]["transactions"] |= {
        "freshness": {"fail_after_hours": 26, "warn_after_hours": 25},
        "backfill_policy": {"max_partitions_per_run": 30},
    }
    definitions = project.definitions(yaml.safe_dump(document))
    transactions, customers = (
        definitions.resolve_assets_def(dg.AssetKey(["analytics_api", name]))
        for name in ("transactions", "customers")
    )
    assert transactions.backfill_policy == dg.BackfillPolicy.multi_run(30)
    assert transactions.op.pool == customers.op.pool == "analytics_api"
    [spec] = transactions.specs
    assert spec.freshness_policy == dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=26), warn_window=timedelta(hours=25)
    )
    assert [one.freshness_policy for one in customers.specs] == [None]
    default = project.definitions(shipped_yaml).resolve_assets_def(
        dg.AssetKey(["analytics_api", "transactions"])
    )
    assert default.backfill_policy == dg.BackfillPolicy.single_run()

    home = tmp_path / "shipped"
    home.mkdir()
    (home / "dagster.yaml").write_text((PROJECT / ".dagster/dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(home)) as instance:
        pools = instance.get_concurrency_config().pool_config
        assert (pools.default_pool_limit, str(pools.pool_granularity)) == (4, "PoolGranularity.RUN")
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.run_coordinator.dequeue_interval_seconds == 1
        assert instance.freshness_enabled


@pytest.mark.repository
def test_loading_needs_no_network_no_secret_and_no_database(tmp_path: Path) -> None:
    """The process cannot open a socket and has no secret. It creates no database."""
    program = (
        "import socket; socket.socket.connect = None\n"
        "from analytics_assets.definitions import defs\n"
        "assert len(list(defs().resolve_asset_graph().materializable_asset_keys)) == 4"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-W", "error::Warning:analytics_assets", "-c", program],
                   check=True, cwd=tmp_path, env=environment)  # fmt: skip
    assert list(tmp_path.rglob("*.duckdb")) == []


@pytest.mark.repository
def test_workspace_and_pyproject_name_the_same_module() -> None:
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    [location] = yaml.safe_load((PROJECT / "workspace.yaml").read_text())["load_from"]
    module = location["python_module"]["module_name"]
    assert module == pyproject["tool"]["dagster"]["module_name"]
    assert module == pyproject["tool"]["dg"]["project"]["code_location_target_module"]
    assert importlib.import_module(module).defs is defs


@pytest.mark.repository
def test_the_readme_has_the_requirements_without_the_pin() -> None:
    """With pip, a user repeats them to install this package beside a newer Dagster."""
    dependencies = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    without_pin = {one for one in dependencies if not one.startswith("dagster-embedded-elt")}
    command = (PROJECT / "README.md").read_text().split("$ pip install ")[1].split("$ ")[0]
    assert {*re.findall('"([^"]+)"', command)} == without_pin == {*dependencies[1:]}


@pytest.mark.repository
def test_the_readmes_first_example_loads(project: Project) -> None:
    readme = (PROJECT / "README.md").read_text()
    example = readme.split("```yaml\n")[1].split("```")[0]
    graph = project.definitions(example).resolve_asset_graph()
    assert [key.to_user_string() for key in graph.materializable_asset_keys] == ["my_api/orders"]


@pytest.mark.parametrize(
    ("old", "new", "key", "sentence"),
    [
        ("max_retries: 3", "max_retris: 3", "attributes.requests.max_retris", "Did you mean `max_retries`?"),
        ("cursor_path: updated_at, start_param: updated_since, end", "cursor_pat: x, end",
         "attributes.rest_api.resources.2.endpoint.incremental.cursor_pat", "Did you mean `cursor_path`?"),
        ('start_date: "2026-01-01"', 'start_date: "2126-01-01"', "attributes.assets.transactions.partitions.start_date",
         "start_date is in the future"),
        ('start_date: "2026-01-01"', 'start_date: "2026-01-01", timezone: Berlin',
         "attributes.assets.transactions.partitions.timezone", "Did you mean `Europe/Berlin`?"),
        ('start_date: "2026-01-01"', 'start_date: "2026-01-01", cursor_unit: seconds',
         "attributes.assets.transactions.partitions", "Remove cursor_unit, or declare the cursor as bigint"),
        ("name: customers", "name: products", "attributes.rest_api.resources.1.name",
         "there are two resources named `products`"),
        ("  name: analytics_api\n", "  name: analytics_api\n  destination: {lock_timeout: -1}\n",
         "attributes.destination.lock_timeout", "Raise it. It means: Seconds: how long a run waits"),
        ('"*/15 * * * *"', '"often"', "attributes.assets.events.schedule", "`often` is not a cron expression"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_reported_with_file_and_line(
    project: Project, shipped_yaml: str, old: str, new: str, key: str, sentence: str
) -> None:
    assert old in shipped_yaml
    spoiled = shipped_yaml.replace(old, new)
    with pytest.raises(ComponentTreeException) as caught:
        project.definitions(spoiled)
    error = caught.value.__cause__
    assert isinstance(error, InvalidFileError)
    line = max(number for number, text in enumerate(spoiled.splitlines(), 1) if new.splitlines()[-1] in text)
    assert f"{key} at {project.defs_yaml}:{line}`" in str(error)
    assert sentence in str(error)
    assert not any(noise in str(error) for noise in ("pydantic", "[type=", "\n"))


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("attributes:\n", "attributes: {}\nattributes:\n", "attributes"),
        ("  name: analytics_api\n", "  name: analytics_api\n  name: another\n", "attributes.name"),
        ("cursor_path: updated_at,", "cursor_path: x, cursor_path: updated_at,",
         "attributes.rest_api.resources.2.endpoint.incremental.cursor_path"),
    ],
)  # fmt: skip
def test_a_key_that_comes_twice_is_reported_with_file_and_lines(
    project: Project, shipped_yaml: str, old: str, new: str, key: str
) -> None:
    assert old in shipped_yaml
    for before in (
        "",
        f"{defs_of('http://127.0.0.1:1')}---\n",
    ):  # the second document of a file is judged, too
        with pytest.raises(ComponentTreeException) as caught:
            project.definitions(before + shipped_yaml.replace(old, new, 1))
        error = caught.value.__cause__
        assert isinstance(error, InvalidFileError)
        assert f"{key} at {project.defs_yaml}:" in str(error)
        assert f"`{key.rpartition('.')[2]}` is here twice, in line" in str(error)


def test_anchors_and_merge_keys_are_valid(project: Project, shipped_yaml: str) -> None:
    text = shipped_yaml.replace(
        "  name: analytics_api\n", "  <<: &shared {name: other}\n  name: analytics_api\n", 1
    )
    assert project.definitions(text).assets


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        ({"name": "shop"}, {"name": "shop"}, "have the name `shop`. Give each API its own name."),
        (
            {"name": "shop", "asset_defaults": {"key": "lake/{resource}"}},
            {"name": "bank", "assets": {"orders": {"key": "lake/orders"}}},
            "`orders` in {second} would have the asset key lake/orders, which `orders` in {first} has. Write another",
        ),
    ],
)
def test_two_files_with_one_asset_key_are_both_named(
    project: Project, first: dict[str, Any], second: dict[str, Any], sentence: str
) -> None:
    rest_api = {"client": {"base_url": "http://localhost"}, "resources": ["orders"]}
    files = [project.defs_yaml, project.defs_yaml.parents[1] / "b_api/defs.yaml"]
    files[1].parent.mkdir()
    for file, own in zip(files, (first, second), strict=True):
        attributes = {"rest_api": rest_api, **own}
        file.write_text(yaml.safe_dump({"type": "analytics_assets.RestApiSync", "attributes": attributes}))
    with pytest.raises(ComponentTreeException) as refused:
        dg.load_from_defs_folder(path_within_project=project.folder)
    told = str(refused.value.__cause__)
    assert isinstance(refused.value.__cause__, InvalidFileError)
    assert sentence.format(first=files[0], second=files[1]) in told
    assert {*files} == {file for file in files if str(file) in told}

"""Resources of the user, beside the definitions of this project, which bring and need none."""

from typing import Any

import dagster as dg
import dlt
import pytest
from dagster_dlt import DagsterDltResource, dlt_assets

from analytics_assets_tests.conftest import DemoApi, Project


def test_the_definitions_bring_and_need_no_resource(project: Project, shipped_yaml: str) -> None:
    definitions = project.definitions(shipped_yaml)
    assert not definitions.resources
    for asset in definitions.resolve_asset_graph().assets_defs:
        assert asset.required_resource_keys <= {"io_manager"}


def test_a_users_own_dlt_resource_works_beside_ours(
    project: Project, shipped_yaml: str, api: DemoApi
) -> None:
    """The user's assets get the user's resources, under any key, and the syncs run in the same run."""

    class Greeter(dg.ConfigurableResource[Any]):
        word: str

    @dlt.source
    def mine() -> Any:
        return dlt.resource([{"id": 1}], name="rows")

    warehouse = dlt.destinations.duckdb(str(project.folder / "own.duckdb"))
    pipeline = dlt.pipeline(
        "mine", destination=warehouse, dataset_name="mine", pipelines_dir=str(project.folder / "pipelines")
    )

    @dlt_assets(dlt_source=mine(), dlt_pipeline=pipeline)
    def my_rows(context: dg.AssetExecutionContext, dlt: DagsterDltResource) -> Any:
        yield from dlt.run(context=context)

    @dg.asset(deps=[dg.AssetKey(["analytics_api", "customers"])])
    def greeting(analytics_api: Greeter, io: dg.ResourceParam[str]) -> str:
        return analytics_api.word + io

    own = dg.Definitions(
        assets=[my_rows, greeting],
        resources={"dlt": DagsterDltResource(), "analytics_api": Greeter(word="hello"), "io": "!"},
    )
    definitions = dg.Definitions.merge(project.definitions(shipped_yaml), own)
    job = definitions.resolve_implicit_global_asset_job_def()
    customers = dg.AssetKey(["analytics_api", "customers"])
    result = job.execute_in_process(
        asset_selection=[customers, greeting.key, *my_rows.keys], instance=project.instance
    )
    assert result.success
    assert result.output_for_node("greeting") == "hello!"
    assert len(project.query("SELECT * FROM analytics_api.customers")) == len(api.rows("customers"))


class Strict(dg.ConfigurableIOManager):
    """An IO manager of the user, which knows only the user's own asset."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        assert (context.asset_key, obj) == (dg.AssetKey("report"), 5)

    def load_input(self, context: dg.InputContext) -> Any:
        raise AssertionError(context.asset_key)


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("passes", [False, True])
def test_a_users_job_with_an_io_manager_a_blocking_check_and_hooks(
    project: Project, shipped_yaml: str, *, passes: bool
) -> None:
    products, ended = dg.AssetKey(["analytics_api", "products"]), []

    @dg.asset(deps=[products])
    def report() -> int:
        return 5

    @dg.asset_check(asset=products, blocking=True)
    def few() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=passes)

    @dg.success_hook
    def note(context: dg.HookContext) -> None:
        ended.append(context.op.name)

    job = dg.define_asset_job("nightly", dg.AssetSelection.assets(products, "report"), hooks={note})
    own = dg.Definitions([report], jobs=[job], asset_checks=[few], resources={"io_manager": Strict()})
    merged = dg.Definitions.merge(project.definitions(shipped_yaml), own)
    result = merged.resolve_job_def("nightly").execute_in_process(
        instance=project.instance, raise_on_error=False
    )
    assert result.success == passes
    assert project.query("SELECT count(*) AS n FROM analytics_api.products") == [{"n": 40}]
    assert ended == [
        "analytics_api__products",
        *(["analytics_api__products_few", "report"] if passes else []),
    ]

"""What this project uses of Dagster without a promise of Dagster. Each failure says what to do."""

from __future__ import annotations

import ast
import base64
import inspect
import multiprocessing
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.executor.child_process_executor import _execute_command_in_child_process
from dagster._core.executor.multiprocess import MultiprocessExecutorChildProcessCommand
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._grpc import server
from dagster._grpc.impl import start_run_in_subprocess
from dagster._grpc.types import ExecuteExternalJobArgs, ExecuteRunArgs, ExecuteStepArgs
from dagster._serdes import serialize_value
from dagster_shared.yaml_utils import parse_yaml_with_source_position
from pydantic import BaseModel, ValidationError

import analytics_assets
from analytics_assets.orchestration import dagster_internals
from analytics_assets.orchestration.dagster_internals import (
    ASSET_JOB,
    UNDOCUMENTED,
    AssetCheckEvaluationTargetMaterializationData,
    BulkActionStatus,
    LoadContextScope,
    OneAssetJob,
    StepsOfRun,
    enrich_validation_errors_with_source_position,
    materialization_tags,
    op_names,
    output_of_logged,
    partitions_in_backfill,
    run_of_this_process,
    without_folders,
)

PACKAGE = Path(str(analytics_assets.__file__)).parent
HOME = Path(str(dagster_internals.__file__)).relative_to(PACKAGE)


def private_imports(source: str) -> Iterator[str]:
    """The private modules and names of Dagster that a module imports."""
    for node in ast.walk(ast.parse(source)):
        names = [one.name for one in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        for name in names:
            parts = f"{module}.{name}".strip(".").split(".")
            if parts[0].startswith("dagster") and any(one.startswith("_") for one in parts):
                yield ".".join(parts)


def test_no_other_module_imports_a_private_module() -> None:
    """Move the import to `dagster_internals.py`, and give it a test here."""
    found = {
        file.relative_to(PACKAGE): {*private_imports(file.read_text())} for file in PACKAGE.rglob("*.py")
    }
    assert {file for file, names in found.items() if names} == {HOME}


@pytest.mark.parametrize(
    ("owner", "name", "passed"),
    UNDOCUMENTED,
    ids=[f"{owner.__name__}.{name}" for owner, name, _ in UNDOCUMENTED],
)
def test_an_undocumented_part_is_there(owner: type, name: str, passed: tuple[str, ...]) -> None:
    """Look in Dagster's changelog for the part that took its place, or compute the value from documented parts."""
    in_fields = name in getattr(owner, "_fields", ()) or name in getattr(owner, "__annotations__", {})
    assert in_fields or hasattr(owner, name), f"Dagster {dg.__version__} has no {owner.__name__}.{name}"
    if passed:
        assert {*passed} <= inspect.signature(getattr(owner, name)).parameters.keys()


def test_a_job_names_the_ops_that_its_run_does_not_select() -> None:
    """If this fails, find how a job of a selection leads to the whole job: without it, an op may be misspelled."""

    @dg.asset
    def one() -> None: ...

    @dg.asset
    def two() -> None: ...

    job = dg.Definitions([one, two]).resolve_implicit_global_asset_job_def()
    assert op_names(job.get_subset(asset_selection={dg.AssetKey("one")})) == {"one", "two"}


def test_a_job_of_one_asset_is_what_dagster_makes_of_it_without_the_other_assets() -> None:
    """If this fails, see how `define_asset_job` resolves: each job may again hold the graph of all APIs."""
    days = dg.DailyPartitionsDefinition("2026-01-01")

    @dg.asset(partitions_def=days, deps=["endpoint"])
    def one() -> None: ...

    @dg.asset_check(asset=one, name="apart")
    def apart() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    @dg.asset(deps=[one])
    def below() -> None: ...

    others = [dg.AssetSpec("endpoint"), *(dg.AssetSpec(f"other_{number}") for number in range(3))]
    tags = {"team": "data"}
    definitions = dg.Definitions(
        assets=[one, below, *others],
        asset_checks=[apart],
        jobs=[
            OneAssetJob.of("ours", one.key, tags),
            dg.define_asset_job("dagsters", dg.AssetSelection.assets(one.key), run_tags=tags),
        ],
    )
    ours, dagsters = definitions.resolve_job_def("ours"), definitions.resolve_job_def("dagsters")
    assert op_names(ours) == op_names(dagsters) == {"one", "one_apart"}
    assert ours.run_tags == dagsters.run_tags == tags
    assert ours.partitions_def == dagsters.partitions_def == days
    assert ours.executor_def is dagsters.executor_def
    graphs = [job.asset_layer.asset_graph for job in (ours, dagsters)]
    assert graphs[0].asset_check_keys == graphs[1].asset_check_keys
    assert {*graphs[0].get_all_asset_keys()} == {dg.AssetKey("one"), dg.AssetKey("endpoint")}
    assert ours.get_subset(asset_selection={one.key}).name == "ours"


def test_a_backfill_names_its_partitions() -> None:
    """If this fails, see how Dagster's daemon reads a backfill: without it, its partitions are requested twice."""
    daily = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-10")

    @dg.asset(partitions_def=daily)
    def days() -> None: ...

    @dg.asset(partitions_def=daily)
    def other() -> None: ...

    repository = dg.Definitions([days, other]).get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_backfill(
            PartitionBackfill.from_asset_partitions(
                "a-backfill",
                asset_graph=repository.asset_graph,
                partition_names=["2026-01-02", "2026-01-03"],
                asset_selection=[days.key],
                backfill_timestamp=time.time(),
                tags={},
                dynamic_partitions_store=instance,
                all_partitions=False,
                title=None,
                description=None,
                run_config=None,
            )
        )
        context = dg.build_schedule_context(instance, repository_def=repository)
        [backfill] = instance.get_backfills(status=BulkActionStatus.REQUESTED)
        assert partitions_in_backfill(backfill, context, days.key) == {"2026-01-02", "2026-01-03"}
        assert partitions_in_backfill(backfill, context, other.key) == set()


def test_an_evaluation_names_its_materialization() -> None:
    """If this fails, read the type of the parameter of `dg.AssetCheckEvaluation` that it is for."""
    target = AssetCheckEvaluationTargetMaterializationData(storage_id=1, run_id="a", timestamp=2.0)
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("a"),
        check_name="c",
        passed=True,
        metadata={},
        target_materialization_data=target,
    )
    assert evaluation.target_materialization_data == target


def test_a_mistake_in_a_file_gets_its_line() -> None:
    """If this fails, see how `dg.Component.load` reports the line of a mistake."""

    class Model(BaseModel):
        number: int

    tree = parse_yaml_with_source_position("a: 1\nnumber: seven\n", "defs.yaml").source_position_tree
    with (
        pytest.raises(ValidationError, match=r"attributes.number at defs.yaml:2"),
        enrich_validation_errors_with_source_position(tree, ["attributes"]),
    ):
        Model.model_validate({"number": "seven"})


def test_a_template_has_the_context_of_the_load() -> None:
    """If this fails, see what `context` is in a template of Dagster's own components."""
    assert hasattr(LoadContextScope, "project_root")


def test_a_step_may_log_its_materializations_itself() -> None:
    """If an asset is materialized twice, or its dependent is skipped: look for another way to yield an output alone.

    If the tags differ: see what Dagster adds to the materialization of a `MaterializeResult`.
    """
    key = dg.AssetKey("logged")

    @dg.multi_asset(specs=[dg.AssetSpec(key, code_version="7")], can_subset=True)
    def logs() -> Iterator[dg.AssetMaterialization | dg.Output[None]]:
        context = dg.AssetExecutionContext.get()
        yield dg.AssetMaterialization(key, tags=dict(materialization_tags(context, key)))
        yield output_of_logged(context, key)

    @dg.multi_asset(specs=[dg.AssetSpec("returned", code_version="7")], can_subset=True)
    def returns() -> Iterator[dg.MaterializeResult[None]]:
        yield dg.MaterializeResult(asset_key="returned")

    @dg.asset(deps=[key])
    def dependent() -> None: ...

    result = dg.materialize([logs, returns, dependent])
    made = {
        one.asset_key: one.step_materialization_data.materialization
        for one in result.get_asset_materialization_events()
    }
    assert len(result.get_asset_materialization_events()) == len(made) == 3
    logged, returned = made[key].tags or {}, made[dg.AssetKey("returned")].tags or {}
    assert logged.keys() == returned.keys()
    assert logged["dagster/code_version"] == returned["dagster/code_version"] == "7"


@pytest.fixture
def executed(tmp_path: Path) -> Iterator[tuple[dg.DagsterInstance, dg.DagsterRun]]:
    """A run of one step, with its instance."""

    @dg.asset
    def one() -> None: ...

    job = dg.Definitions([one]).resolve_implicit_global_asset_job_def()
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield instance, job.execute_in_process(instance=instance).dagster_run


OF_EXECUTED = StepsOfRun(ASSET_JOB, frozenset({"one"}))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("in_environment", [False, True])
@pytest.mark.parametrize("command", ["execute_run", "execute_step"])
def test_the_run_of_a_process_of_the_command_line(
    monkeypatch: pytest.MonkeyPatch,
    executed: tuple[dg.DagsterInstance, dg.DagsterRun],
    command: str,
    *,
    compressed: bool,
    in_environment: bool,
) -> None:
    """If this fails, see how the commands in `dagster/_cli/api.py` get their argument. A run would load all files."""
    instance, run = executed
    origin = JobPythonOrigin(ASSET_JOB, RepositoryPythonOrigin(sys.executable, ModuleCodePointer("m", "f")))
    args: Any = ExecuteRunArgs(origin, run.run_id, instance.get_ref())
    if command == "execute_step":
        args = ExecuteStepArgs(origin, run.run_id, ["one"], instance.get_ref())
    text = serialize_value(args)
    if compressed:
        text = base64.b64encode(zlib.compress(text.encode())).decode()
    written = [] if in_environment else [*(["--compressed-input-json"] if compressed else []), text]
    monkeypatch.setattr(sys, "argv", ["dagster", "api", command, *written])
    if in_environment:
        monkeypatch.setenv(f"DAGSTER_{'COMPRESSED_' if compressed else ''}{command.upper()}_ARGS", text)
    assert run_of_this_process() == OF_EXECUTED


@pytest.mark.parametrize("starter", ["code server", "executor"])
def test_the_run_of_a_process_of_a_code_server_or_an_executor(
    monkeypatch: pytest.MonkeyPatch, executed: tuple[dg.DagsterInstance, dg.DagsterRun], starter: str
) -> None:
    """If this fails, see which process `dagster/_grpc/server.py` and `dagster/_core/executor/multiprocess.py` start."""
    instance, run = executed
    started = SimpleNamespace(_target=None, _args=())
    if starter == "code server":
        assert "target=start_run_in_subprocess" in inspect.getsource(server)
        location = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("a location"), "a repository")
        args = ExecuteExternalJobArgs(
            job_origin=RemoteJobOrigin(location, ASSET_JOB),
            run_id=run.run_id,
            instance_ref=instance.get_ref(),
        )
        started._target, started._args = start_run_in_subprocess, (serialize_value(args), None, None, None)
    else:
        passed = inspect.signature(MultiprocessExecutorChildProcessCommand).parameters
        known: dict[str, Any] = {"dagster_run": run, "instance_ref": instance.get_ref()}
        given: dict[str, Any] = {name: known.get(name) for name in passed}
        command = MultiprocessExecutorChildProcessCommand(**given)
        started._target, started._args = _execute_command_in_child_process, (None, command)
    monkeypatch.setattr(multiprocessing, "current_process", lambda: started)
    assert run_of_this_process() == OF_EXECUTED


def test_other_processes_have_no_run() -> None:
    assert run_of_this_process() is None


LEFT_OUT = """type: analytics_assets.RestApiSync
attributes:
  name: NAME
  rest_api:
    client: {base_url: "http://127.0.0.1:9"}
    resources: [orders]
"""
CODE = """
import dagster as dg

OTHER = dg.AssetKey(["crm", "orders"])


@dg.asset(deps=[OTHER])
def model() -> None: ...


@dg.asset_check(asset=OTHER)
def is_there() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


job = dg.define_asset_job("nightly", dg.AssetSelection.assets(OTHER))


@dg.asset_sensor(asset_key=OTHER, job=job)
def follows():
    yield dg.RunRequest()


@dg.sensor(target=dg.AssetSelection.assets(OTHER))
def launches():
    yield dg.RunRequest()


schedule = dg.ScheduleDefinition(job=job, cron_schedule="0 0 * * *")
conditions = dg.AutomationConditionSensorDefinition("conditions", target=dg.AssetSelection.assets(OTHER))
"""


def test_code_of_the_project_may_name_assets_of_folders_that_are_left_out(tmp_path: Path) -> None:
    """If this fails, find the function in `dagster/components/core/decl.py` that reads a folder of a project."""
    for name in ("shop", "crm"):
        (tmp_path / f"left_out_project/defs/{name}").mkdir(parents=True)
        (tmp_path / f"left_out_project/defs/{name}/defs.yaml").write_text(LEFT_OUT.replace("NAME", name))
    (tmp_path / "left_out_project/__init__.py").touch()
    (tmp_path / "left_out_project/defs/own.py").write_text(CODE)
    (tmp_path / "dg.toml").write_text(
        'directory_type = "project"\n[project]\nroot_module = "left_out_project"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        with without_folders({(tmp_path / "left_out_project/defs/crm").resolve()}):
            loaded = dg.load_from_defs_folder(path_within_project=tmp_path)
        repository = loaded.get_repository_def()
        whole = dg.load_from_defs_folder(path_within_project=tmp_path)
    keys = {key.to_user_string() for key in repository.asset_graph.materializable_asset_keys}
    assert keys == {"shop/orders", "model"}
    subset = repository.get_job(ASSET_JOB).get_subset(asset_selection={dg.AssetKey(["shop", "orders"])})
    assert [node.name for node in subset.graph.nodes] == ["shop__orders"]
    assert dg.AssetKey(["crm", "orders"]) in whole.resolve_asset_graph().materializable_asset_keys

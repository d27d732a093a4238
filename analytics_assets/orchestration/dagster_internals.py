"""The parts of Dagster that are private, or public without being documented, and that this project uses.

What belongs here: each such import, with the reason, and each access to an attribute that Dagster does not document. No
other module imports from a private module of Dagster. `integration/test_dagster_internals.py` has a test of each part,
which says what to do when Dagster moves the part.
"""

import base64
import multiprocessing
import os
import sys
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

try:
    # What a freshness policy raises for a time that Dagster does not accept.
    from dagster._check import CheckError

    # The type of the public parameter `target_materialization_data`, which links an evaluation of a partition to its
    # materialization.
    from dagster._core.definitions.asset_checks.asset_check_evaluation import (
        AssetCheckEvaluationTargetMaterializationData,
    )

    # A job of assets resolves itself against an asset graph. Against the graph of all APIs, each job costs time and
    # memory for each asset of each API.
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

    # The name of the job that launches assets which no job was named for.
    from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME as ASSET_JOB

    # Marks an output whose materializations the step has logged itself, so that Dagster logs none for the output.
    from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    # The type of the public method `get_backfills`, to find the active backfills. Without them, the partitions of a
    # waiting backfill would be requested a second time.
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

    # Makes the tags of a materialization: code version, data version and provenance.
    from dagster._core.execution.plan.execute_step import _get_output_asset_events

    # What Dagster passes to the process of a run or of a step.
    from dagster._core.executor.multiprocess import MultiprocessExecutorChildProcessCommand
    from dagster._grpc.impl import start_run_in_subprocess
    from dagster._grpc.types import ExecuteExternalJobArgs, ExecuteRunArgs, ExecuteStepArgs
    from dagster._serdes import deserialize_value

    # Names the file, the line and the key of a mistake in a `defs.yaml`.
    from dagster._utils.pydantic_yaml import enrich_validation_errors_with_source_position

    # Reads the files of a project, each before a component sees it.
    from dagster.components.core import decl

    # What `context` is in a template of a `defs.yaml`.
    from dagster.components.resolved.scopes import LoadContextScope
except ImportError as error:
    raise ImportError(
        f"This version of analytics_assets does not fit Dagster {dg.__version__}: {error}. Install a newer version of "
        "analytics_assets, or an older version of Dagster."
    ) from error

__all__ = [
    "ASSET_JOB",
    "UNDOCUMENTED",
    "AssetCheckEvaluationTargetMaterializationData",
    "BulkActionStatus",
    "CheckError",
    "LoadContextScope",
    "OneAssetJob",
    "StepsOfRun",
    "enrich_validation_errors_with_source_position",
    "load_of",
    "materialization_tags",
    "op_names",
    "output_of_logged",
    "partitions_in_backfill",
    "run_of_this_process",
    "without_folders",
]

UNDOCUMENTED: tuple[tuple[type, str, tuple[str, ...]], ...] = (
    (dg.DagsterInstance, "all_instigator_state", ()),
    (dg.DagsterInstance, "from_ref", ("instance_ref",)),
    (dg.DagsterInstance, "get_execution_plan_snapshot", ("snapshot_id",)),
    (dg.DagsterInstance, "get_latest_planned_materialization_info", ("asset_key", "partition")),
    (dg.DagsterInstance, "get_latest_storage_id_by_partition", ("asset_key", "event_type", "partitions")),
    (dg.DagsterInstance, "get_records_for_run", ("run_id", "of_type")),
    (dg.DagsterInstance, "get_status_by_partition", ("asset_key", "partition_keys", "partitions_def")),
    (dg.DagsterRun, "execution_plan_snapshot_id", ()),
    (dg.ComponentTree, "state_tracker", ()),
    (dg.Definitions, "permissive_map_resolved_asset_specs", ("func", "selection")),
    (dg.EventLogRecord, "asset_materialization", ()),
    (dg.EventLogRecord, "partition_key", ()),
    (dg.ResolutionContext, "source_position_tree", ()),
    (dg.TimeWindowPartitionsDefinition, "time_window_for_partition_key", ("partition_key",)),
)
"""Methods and properties that Dagster does not document, each with its parameters that this project passes."""


def load_of(context: dg.ComponentLoadContext) -> object:
    """Returns an object that all components of one load of a code location share, and no other load."""
    # Two trees of one project are equal, and their trackers are not.
    return context.component_tree.state_tracker


def materialization_tags(context: dg.AssetExecutionContext, key: dg.AssetKey) -> Mapping[str, str]:
    """Returns the tags that Dagster gives the materializations of an asset in a step, such as its code version.

    Args:
        context: the context of the step. A second call for one asset would mark its data version as set by the user.
        key: the key of the asset, which the step materializes.
    """
    step = context.get_step_execution_context()
    output = dg.Output(None, output_name=_output_name(context, key))
    definition = step.op_def.output_def_named(output.output_name)
    kind = context.assets_def.execution_type
    [event] = _get_output_asset_events(key, (), output, definition, {}, step, kind)
    return event.tags or {}


def output_of_logged(context: dg.AssetExecutionContext, key: dg.AssetKey) -> dg.Output[None]:
    """Returns the output of an asset whose materializations the step has yielded itself.

    Without an output, Dagster skips the steps that depend on the asset. With an ordinary output, Dagster logs each
    materialization a second time.
    """
    name = _output_name(context, key)
    return dg.Output(None, output_name=name, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def _output_name(context: dg.AssetExecutionContext, key: dg.AssetKey) -> str:
    return str(context.assets_def.get_output_name_for_asset_key(key))


class OneAssetJob(UnresolvedAssetJobDefinition):
    """A job of one asset with its checks: what `dg.define_asset_job` makes, at a cost that other assets do not raise.

    Dagster resolves a job against the graph of all assets. This job resolves against the asset, its checks and its
    direct upstream assets, and so becomes the same job.
    """

    @classmethod
    def of(cls, name: str, asset: dg.AssetKey, run_tags: Mapping[str, str]) -> "OneAssetJob":
        """Makes the job.

        Args:
            name: the name of the job.
            asset: the key of its asset.
            run_tags: the tags of its runs.
        """
        return cls(name=name, selection=dg.AssetSelection.assets(asset), run_tags=run_tags)

    def resolve(self, asset_graph: AssetGraph, *args: Any, **kwargs: Any) -> dg.JobDefinition:
        """Resolves the job, as Dagster does when it first needs the job."""
        [key] = self.selection.resolve(asset_graph)
        node = asset_graph.get(key)
        own = asset_graph.assets_defs_for_keys([key, *node.check_keys])
        # One definition of Dagster's may have the specs of all upstream assets, so each one gets its own.
        upstream = [asset_graph.get(one).assets_def.specs_by_key[one] for one in node.parent_keys]
        alone = [dg.AssetsDefinition(specs=[one.replace_attributes(deps=[])]) for one in upstream]
        return super().resolve(AssetGraph.from_assets([*own, *alone]), *args, **kwargs)


def op_names(job: dg.JobDefinition) -> set[str]:
    """Returns the names of all ops of a job, also of those that its run does not select."""
    while job.asset_selection_data:
        job = job.asset_selection_data.parent_job_def
    return {node.name for node in job.graph.nodes}


def partitions_in_backfill(
    backfill: PartitionBackfill,
    context: dg.ScheduleEvaluationContext | dg.SensorEvaluationContext,
    asset: dg.AssetKey,
) -> set[str]:
    """Returns the partitions of `asset` that a backfill loads.

    Args:
        backfill: a backfill that is active.
        context: the context of the evaluation, with the code location.
        asset: the key of the partitioned asset.
    """
    if asset not in (backfill.asset_selection or ()):
        return set()
    # Dagster uses only the asset graph of this argument, and a repository definition has an asset graph.
    graph: Any = context.repository_def
    subset = backfill.get_target_partitions_subset(graph, asset)
    return set(subset.get_partition_keys()) if subset else set()


_READS_A_FOLDER = ("build_component_decl_from_context", "build_filesystem_component_decl_from_context")
"""The names of the function in `decl` that reads a folder or a file of a project, in Dagster 1.13.1 and in 1.13.29."""


@dataclass(frozen=True)
class StepsOfRun:
    """What a run executes.

    Attributes:
        job: the name of its job.
        steps: the keys of its steps.
    """

    job: str
    steps: frozenset[str]


def run_of_this_process() -> StepsOfRun | None:
    """Returns what the run of this process executes, or None if this is no process that Dagster started for a run.

    A code server, a daemon and a command such as `dagster definitions validate` are no such processes.
    """
    found = _passed_to_this_process()
    if found is None:
        return None
    run_id, instance_ref = found
    with dg.DagsterInstance.from_ref(instance_ref) if instance_ref else dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        if run is None or run.execution_plan_snapshot_id is None:
            return None
        plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
        return StepsOfRun(run.job_name, frozenset(plan.step_keys_to_execute))


def _passed_to_this_process() -> tuple[str, Any] | None:
    """Returns the id of the run and the reference to its instance, which the launcher or the executor passed."""
    process = multiprocessing.current_process()
    passed: Any = getattr(process, "_args", ())
    for one in passed:  # the multiprocess executor, for each step
        if isinstance(one, MultiprocessExecutorChildProcessCommand):
            return one.dagster_run.run_id, one.instance_ref
    args: Any = None
    if (
        getattr(process, "_target", None) is start_run_in_subprocess
    ):  # the default launcher, in the code server
        args = deserialize_value(passed[0], ExecuteExternalJobArgs)
    elif sys.argv[1:3] == ["api", "execute_run"]:  # other launchers
        args = deserialize_value(_argument(*sys.argv[2:]), ExecuteRunArgs)
    elif sys.argv[1:3] == ["api", "execute_step"]:  # executors of other launchers
        args = deserialize_value(_argument(*sys.argv[2:]), ExecuteStepArgs)
    return (args.run_id, args.instance_ref) if args else None


def _argument(command: str, *written: str) -> str:
    """Returns the argument of a command of `dagster api`, which may be compressed, and may be in the environment."""
    if len(written) == 1:
        return written[0]
    name = command.upper()
    packed = written[1] if written else os.environ.get(f"DAGSTER_COMPRESSED_{name}_ARGS")
    return (
        zlib.decompress(base64.b64decode(packed)).decode() if packed else os.environ[f"DAGSTER_{name}_ARGS"]
    )


@contextmanager
def without_folders(folders: Collection[Path]) -> Iterator[None]:
    """Lets Dagster load a project as if some of its folders were not there.

    If Dagster has renamed the function that reads a folder, all folders are loaded.

    Args:
        folders: the paths of the folders, resolved.
    """
    name = next((one for one in _READS_A_FOLDER if hasattr(decl, one)), None)
    if not folders or name is None:
        yield
        return
    original = getattr(decl, name)

    def but_not(context: Any) -> Any:
        return None if context.path.resolve() in folders else original(context)

    setattr(decl, name, but_not)
    try:
        yield
    finally:
        setattr(decl, name, original)

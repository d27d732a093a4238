"""The asset checks of a resource: which there are, and what Dagster records of them.

A check runs in the sync's own step when its asset is materialized, and alone when asked for in the UI. What it finds
is `results.py`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

import dagster as dg

# Not in Dagster's public names, but the type of a public parameter: without it an evaluation of a partition
# does not count as one of the latest materialization.
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

from analytics_assets.config.assets import AssetConfig
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.time_window import Window, whole_window
from analytics_assets.ingestion.warehouse.reader import Table
from analytics_assets.orchestration.checks.results import (
    Facts,
    Verdict,
    complete,
    drift,
    nullability,
    unique_key,
)

NULLABILITY, DRIFT, UNIQUE, COMPLETE = "schema_nullability", "schema_drift", "primary_key_unique", "complete"

_DESCRIPTIONS = {
    NULLABILITY: "No NULL in a column that the schema declares `nullable: false`, and no row in quarantine.",
    UNIQUE: "No primary key is in the table twice.",
    COMPLETE: "All rows that the API says there are were fetched, and are in the table or in quarantine.",
    DRIFT: "The columns are as they were at the sync before, and nothing comes that is not declared.",
}
_DEFAULTS = {
    NULLABILITY: ("error", False),
    UNIQUE: ("error", True),
    COMPLETE: ("error", True),
    DRIFT: ("warn", False),
}
"""Severity, and whether it blocks. What doubles or lacks rows is wrong downstream as well; a row in quarantine is told
of and leaves the others right; a change of the API is news."""

CheckEvent = dg.AssetCheckEvaluation | dg.AssetCheckResult | dg.Output[None]
Results = dict[str | None, Verdict]
"""By partition key; under None that of the table, or of all partitions of a run over several."""


def check_specs(key: dg.AssetKey, info: ResourceInfo, asset: AssetConfig) -> list[dg.AssetCheckSpec]:
    """The specs of the checks of one asset.

    They have no partitions of their own: Dagster's UI would then refuse to run them alone (docs/adr/0004). In a
    sync they look at the partitions of the run, alone at the whole table.
    """
    names = [name for name in _DESCRIPTIONS if name != UNIQUE or info.has_unique_key]
    return [
        dg.AssetCheckSpec(name, asset=key, description=_DESCRIPTIONS[name], blocking=_blocks(asset, name))
        for name in names
    ]


def check(
    names: Collection[str],
    table: Table,
    info: ResourceInfo,
    windows: Mapping[str, Window],
    before: Facts | None,
    now: Facts | None,
) -> dict[str, Results]:
    """Checks the partitions of this run, or the whole table.

    Args:
        names: of the checks.
        table: the resource's table.
        info: the resource.
        windows: by partition key; empty for the whole table.
        before: of the latest materialization before this run.
        now: of the one that this run has made; None where it only checks.

    Returns:
        The results by name of the check.
    """
    everywhere: dict[str, Callable[[], Verdict]] = {
        COMPLETE: partial(complete, info, now or before, table),
        DRIFT: partial(drift, info, before, now),
    }
    per_window = {NULLABILITY: nullability, UNIQUE: unique_key}
    results: dict[str, Results] = {}
    for name in names:
        if name in per_window:
            found: Results = {key: per_window[name](table, window) for key, window in windows.items()}
            if len(windows) != 1:
                found[None] = per_window[name](table, whole_window(windows))
        else:
            verdict = everywhere[name]()  # of the sync as a whole: each of its partitions has the same
            found = dict.fromkeys([*windows, *([None] if len(windows) != 1 else [])], verdict)
        results[name] = found
    return results


def evaluations(
    context: dg.AssetExecutionContext, key: dg.AssetKey, asset: AssetConfig, results: Mapping[str, Results]
) -> Iterator[CheckEvent]:
    """What Dagster is to record of the checks.

    For a run over partitions Dagster plans one evaluation per partition, and shows each as skipped until
    it gets one of that partition: so each partition has its own. That of all of them comes last, for the UI
    shows the last one: a partition that fails is not hidden by a later one that passes.

    Args:
        context: of a step in which the asset, where it is selected, has been materialized.
        key: the asset.
        asset: what the file says of it.
        results: as `check` returns them.
    """
    partitions = {partition for one in results.values() for partition in one if partition}
    materializations = _materializations(context, key, partitions)
    for name, found in results.items():
        severity = _severity(asset, name)
        for partition, verdict in found.items():
            result = dg.AssetCheckResult(
                passed=verdict.passed,
                asset_key=key,
                check_name=name,
                severity=severity,
                metadata=verdict.metadata,
                description=verdict.sentence,
            )
            yield (
                result
                if partition is None
                else dg.AssetCheckEvaluation(
                    asset_key=key,
                    check_name=name,
                    passed=result.passed,
                    metadata=result.metadata,
                    severity=severity,
                    blocking=None not in found and _blocks(asset, name),  # else that of all of them does
                    description=result.description,
                    partition=partition,
                    target_materialization_data=materializations.get(partition),
                )
            )
        if None not in found:
            yield dg.Output(None, output_name=dg.AssetCheckSpec(name, asset=key).get_python_identifier())


def _blocks(asset: AssetConfig, name: str) -> bool:
    written = getattr(asset.checks, name).blocking
    return bool(_DEFAULTS[name][1] if written is None else written)


def _severity(asset: AssetConfig, name: str) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity((getattr(asset.checks, name).severity or _DEFAULTS[name][0]).upper())


def _materializations(
    context: dg.AssetExecutionContext, key: dg.AssetKey, partitions: Collection[str]
) -> dict[str, AssetCheckEvaluationTargetMaterializationData]:
    """The materialization of each partition, which its evaluation is about."""
    if not partitions:
        return {}
    wanted = dg.AssetRecordsFilter(key, asset_partitions=list(partitions))
    records = context.instance.fetch_materializations(wanted, limit=len(partitions)).records
    return {
        record.partition_key: AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
        for record in records
        if record.partition_key
    }

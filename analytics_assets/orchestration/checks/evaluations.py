"""The specs and the evaluations of the checks in Dagster.

When an asset is materialized, its checks run in the step of the sync. When a person executes a check in the UI, the
check runs without a sync.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import dagster as dg

from analytics_assets.config.assets import AssetConfig, CheckConfig
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.orchestration.checks.registry import CHECKS, Check, Outcomes
from analytics_assets.orchestration.dagster_internals import AssetCheckEvaluationTargetMaterializationData
from analytics_assets.orchestration.metadata import without_secrets
from analytics_assets.orchestration.partitions import latest_materializations

CheckEvent = dg.AssetCheckEvaluation | dg.AssetCheckResult | dg.Output[None]


def check_specs(key: dg.AssetKey, resource: ResourceInfo, asset: AssetConfig) -> list[dg.AssetCheckSpec]:
    """Returns the specs of the checks of one asset.

    The specs have no partitions, because Dagster's UI cannot execute a partitioned check alone (docs/adr/0004). In a
    sync, a check reads the partitions of the run. A check that runs alone reads the whole table.
    """
    return [
        dg.AssetCheckSpec(
            check.name, asset=key, description=check.description, blocking=_blocks(check, asset)
        )
        for check in CHECKS.values()
        if check.applies(resource)
    ]


def evaluations(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    asset: AssetConfig,
    outcomes: Mapping[str, Outcomes],
    redact: Callable[[str], str],
    *,
    summary_follows: bool = False,
) -> Iterator[CheckEvent]:
    """Yields the events that record the outcomes of the checks.

    In a run of partitions, Dagster expects one evaluation per partition, and shows a missing evaluation as skipped. So
    each partition of the run gets an evaluation. The summary of all partitions is the last event, because the UI shows
    only the last evaluation. If a partition were the last event, a passing partition could hide a failed partition.

    Args:
        context: the context of the step, which has materialized the asset if the asset is selected.
        key: the asset key.
        asset: the config of the asset.
        outcomes: the outcomes by name of the check, from `run_checks` or `run_summary`.
        redact: a function that replaces the secrets in a text.
        summary_follows: whether a summary of all partitions follows. Then only the summary blocks downstream assets.
    """
    partitions = {partition for found in outcomes.values() for partition in found if partition}
    materializations = _materializations(context, key, partitions)
    for name, found in outcomes.items():
        check = CHECKS[name]
        for partition, outcome in found.items():
            severity = dg.AssetCheckSeverity.WARN if outcome.is_warning else _severity(check, asset)
            result = dg.AssetCheckResult(
                passed=outcome.passed,
                asset_key=key,
                check_name=name,
                severity=severity,
                metadata=without_secrets(outcome.metadata, redact),
                description=redact(outcome.sentence),
            )
            if partition is None:
                yield result
                continue
            yield dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=name,
                passed=result.passed,
                metadata=result.metadata,
                severity=severity,
                blocking=not summary_follows and _blocks(check, asset),
                description=result.description,
                partition=partition,
                target_materialization_data=materializations.get(partition),
            )


def outputs(context: dg.AssetExecutionContext, names: Iterable[str]) -> Iterator[dg.Output[None]]:
    """Yields the outputs of checks whose evaluations are all of partitions.

    Dagster makes the output of a check only for an evaluation without a partition. Downstream steps wait for the
    outputs of blocking checks.

    Args:
        context: the context of the step.
        names: the names of the checks.
    """
    keys = {one.name: one for one in context.selected_asset_check_keys}
    for name in names:
        spec = dg.AssetCheckSpec(name, asset=keys[name].asset_key)
        yield dg.Output(None, output_name=spec.get_python_identifier())


def _blocks(check: Check, asset: AssetConfig) -> bool:
    configured = asset.checks.get(check.name, CheckConfig()).blocking
    return check.blocking if configured is None else configured


def _severity(check: Check, asset: AssetConfig) -> dg.AssetCheckSeverity:
    configured = asset.checks.get(check.name, CheckConfig()).severity
    return dg.AssetCheckSeverity(configured.upper()) if configured else check.severity


def _materializations(
    context: dg.AssetExecutionContext, key: dg.AssetKey, partitions: Collection[str]
) -> dict[str, AssetCheckEvaluationTargetMaterializationData]:
    """Returns the latest materialization of each partition, to which its evaluation is linked."""
    return {
        partition: AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
        for partition, record in latest_materializations(context.instance, key, partitions)
    }

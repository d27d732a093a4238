"""Runs of assets that do as they are told, instead of a sync: to load, to fail, and to report results of checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from analytics_assets_tests.conftest import Project

PRODUCTS = dg.AssetKey(["analytics_api", "products"])
TRANSACTIONS = dg.AssetKey(["analytics_api", "transactions"])
DAILY = dg.DailyPartitionsDefinition("2026-01-01")


def result(
    name: str,
    *,
    key: dg.AssetKey = PRODUCTS,
    passed: bool = False,
    warn: bool = False,
    partition: str | None = None,
    **metadata: Any,
) -> dg.AssetCheckEvaluation:
    """The result of a check of an asset, or of a partition of `transactions`."""
    return dg.AssetCheckEvaluation(
        asset_key=TRANSACTIONS if partition else key,
        check_name=name,
        passed=passed,
        metadata=metadata,
        severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
        description=f"{name} of {partition or 'all'}",
        partition=partition,
    )


def run(
    project: Project,
    *partitions: str,
    key: dg.AssetKey = PRODUCTS,
    loads: bool = True,
    error: Exception | None = None,
    results: Sequence[dg.AssetCheckEvaluation] = (),
    blocking: bool = False,
    beside: Sequence[dg.AssetsDefinition] = (),
    tags: dict[str, str] | None = None,
    **metadata: Any,
) -> dg.ExecuteInProcessResult:
    """Materializes one asset as the step of a sync does. `transactions` has daily partitions.

    Args:
        project: the project, whose instance has the run.
        partitions: the partition of the run, or its first and last.
        key: the asset key.
        loads: whether the step materializes the asset. Without a load and an error, the run only checks.
        error: what the step raises at its end.
        results: what the step reports of its checks.
        blocking: whether the checks are blocking.
        beside: assets of the user in the same run.
        tags: more tags of the run.
        metadata: the metadata of the materialization.
    """
    checks = {
        one.check_name: dg.AssetCheckSpec(one.check_name, asset=key, blocking=blocking) for one in results
    }
    only_checks = not loads and error is None

    @dg.multi_asset(
        name="__".join(key.path),
        specs=[dg.AssetSpec(key)],
        check_specs=[*checks.values()],
        partitions_def=DAILY if key == TRANSACTIONS else None,
        backfill_policy=dg.BackfillPolicy.single_run() if key == TRANSACTIONS else None,
        can_subset=True,
    )
    def script() -> Iterator[Any]:
        if loads:
            yield dg.MaterializeResult(asset_key=key, metadata=metadata)
        for one in results:
            if one.partition is None:
                yield dg.AssetCheckResult(
                    passed=one.passed,
                    asset_key=key,
                    check_name=one.check_name,
                    severity=one.severity,
                    metadata=one.metadata,
                    description=one.description,
                )
            else:
                yield one
        for name, spec in checks.items():
            if all(one.partition for one in results if one.check_name == name):
                yield dg.Output(None, output_name=spec.get_python_identifier())
        if error is not None:
            raise error

    tags = dict(tags or {})
    if len(partitions) > 1:
        tags["dagster/asset_partition_range_start"] = partitions[0]
        tags["dagster/asset_partition_range_end"] = partitions[-1]
    selection = dg.AssetSelection.checks_for_assets(key) if only_checks else None
    return dg.materialize(
        [script, *beside],
        instance=project.instance,
        partition_key=partitions[0] if len(partitions) == 1 else None,
        selection=selection,
        tags=tags,
        raise_on_error=False,
    )


def reported(project: Project, *path: str, partition: str | None = None) -> None:
    """Reports a materialization by hand."""
    event = dg.AssetMaterialization(dg.AssetKey(path), partition=partition)
    project.instance.report_runless_asset_event(event)

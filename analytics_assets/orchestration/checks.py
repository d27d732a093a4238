"""The asset checks of a resource: what is checked, and what a person is told.

A check runs in the sync's own step when its asset is materialized, and alone when asked for in the UI.
"""

from collections.abc import Collection, Iterator, Mapping

import dagster as dg

# Not in Dagster's public names, but the type of a public parameter: without it an evaluation of a partition
# does not count as one of the latest materialization.
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

from analytics_assets.ingestion.source import Window
from analytics_assets.ingestion.warehouse import NullReport, Table
from analytics_assets.orchestration.partitions import whole_window

NULLABILITY = "schema_nullability"

CheckEvent = dg.AssetCheckEvaluation | dg.AssetCheckResult | dg.Output[None]


def nullability_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """The spec of the nullability check of one asset.

    It has no partitions of its own: Dagster's UI would then refuse to run it alone (docs/adr/0004). In a
    sync it looks at the partitions of the run, alone at the whole table.
    """
    return dg.AssetCheckSpec(
        NULLABILITY,
        asset=key,
        description="No NULL in a column that the schema declares `nullable: false`.",
    )


def nullability(
    table: Table, key: dg.AssetKey, windows: Mapping[str, Window]
) -> dict[str | None, dg.AssetCheckResult]:
    """Checks the partitions of this run, or the whole table.

    Args:
        table: the resource's table.
        key: its asset.
        windows: by partition key; empty for the whole table.

    Returns:
        The result by partition key; under None that of the table, or of all partitions of a run over several.
    """
    results: dict[str | None, dg.AssetCheckResult] = {
        partition: _nullability(table, key, window) for partition, window in windows.items()
    }
    if len(windows) != 1:
        results[None] = _nullability(table, key, whole_window(windows))
    return results


def evaluations(
    context: dg.AssetExecutionContext, key: dg.AssetKey, results: Mapping[str | None, dg.AssetCheckResult]
) -> Iterator[CheckEvent]:
    """What Dagster is to record of a check.

    For a run over partitions Dagster plans one evaluation per partition, and shows each as skipped until
    it gets one of that partition: so each partition has its own. That of all of them comes last, for the UI
    shows the last one: a partition that fails is not hidden by a later one that passes.

    Args:
        context: of a step in which the asset, where it is selected, has been materialized.
        key: the asset.
        results: as `nullability` returns them.
    """
    materializations = _materializations(context, key, [one for one in results if one])
    for partition, result in results.items():
        if partition is None:
            yield result
        else:
            yield dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=NULLABILITY,
                passed=result.passed,
                metadata=result.metadata,
                severity=result.severity,
                description=result.description,
                partition=partition,
                target_materialization_data=materializations.get(partition),
            )
    if results and None not in results:
        yield dg.Output(None, output_name=nullability_spec(key).get_python_identifier())


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


def _nullability(table: Table, key: dg.AssetKey, window: Window | None) -> dg.AssetCheckResult:
    report = table.null_report(window)
    metadata: dict[str, dg.MetadataValue] = {"rows_checked": dg.MetadataValue.int(report.rows)}
    if window:
        metadata["window"] = dg.MetadataValue.text(
            f"{window.start:%Y-%m-%dT%H:%MZ} to {window.end:%Y-%m-%dT%H:%MZ}"
        )
    if report.nulls:
        metadata["nulls"] = dg.MetadataValue.table(
            records=[
                dg.TableRecord(
                    {
                        "column": name,
                        "nulls": count,
                        "primary keys, at most 5": "; ".join(report.example_keys[name]),
                    }
                )
                for name, count in report.nulls.items()
            ]
        )
    if report.query:
        metadata["query"] = dg.MetadataValue.md(f"```sql\n{report.query}\n```")
    return dg.AssetCheckResult(
        passed=report.passed,
        asset_key=key,
        check_name=NULLABILITY,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata=metadata,
        description=_sentence(table.name, report),
    )


def _sentence(table: str, report: NullReport) -> str:
    if not report.table_exists:
        return f"{table} does not exist yet: no load has brought a row."
    if report.passed:
        return f"No NULL where none is allowed, in {report.rows:,} rows."
    parts = []
    for name, count in report.nulls.items():
        keys, misfits = "; ".join(report.example_keys[name]), ", ".join(report.misfits[name])
        parts.append(
            f"{name} is NULL in {count:,} of {report.rows:,} rows"
            + (f" (primary key {keys})" if keys else "")
            + (f", values that do not fit its type are in {misfits}" if misfits else "")
        )
    if report.missing_columns:
        parts.append(
            f"{', '.join(report.missing_columns)} declared but not in the table: materialize the asset"
        )
    return "; ".join(parts) + "."

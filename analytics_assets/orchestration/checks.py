"""The asset checks of a resource: what is checked, and what a person is told.

A check runs in the sync's own step when its asset is materialized, and alone when asked for in the UI.
"""

import dagster as dg

from analytics_assets.ingestion.source import Window
from analytics_assets.ingestion.warehouse import NullReport, Table

NULLABILITY = "schema_nullability"


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


def check_nullability(table: Table, key: dg.AssetKey, window: Window | None) -> dg.AssetCheckResult:
    """Reads the warehouse and says whether the declared nullability holds.

    Args:
        table: the resource's table.
        key: its asset.
        window: the partitions of the run; None for the whole table.

    """
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
    parts = [
        f"{name} is NULL in {count:,} of {report.rows:,} rows"
        + (f" (primary key {'; '.join(report.example_keys[name])})" if report.example_keys[name] else "")
        for name, count in report.nulls.items()
    ]
    if report.missing_columns:
        parts.append(
            f"{', '.join(report.missing_columns)} declared but not in the table: materialize the asset"
        )
    return "; ".join(parts) + "."

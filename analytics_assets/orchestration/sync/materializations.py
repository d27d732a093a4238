"""What Dagster records of a sync: its materializations, and their metadata.

What belongs here: the cures for what dagster-dlt gets wrong or lacks there: per-partition metadata, an empty load, the
table's name.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dlt.common.pipeline import NormalizeInfo
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.contract.columns import Contract
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.time_window import Window
from analytics_assets.ingestion.warehouse.pipeline import duckdb_file
from analytics_assets.ingestion.warehouse.reader import Table
from analytics_assets.orchestration.metadata import COLUMN_SCHEMA, RESPONSES_429, for_page
from analytics_assets.orchestration.translator import loaded_schema

_KEPT_DLT_METADATA = ("destination_name", "first_run", "started_at", "finished_at")


def table_metadata(pipeline: Pipeline, info: ResourceInfo, from_dlt: dict[str, Any]) -> dict[str, Any]:
    """What was loaded into which table, with the columns it has; of what dagster-dlt says, what is right."""
    table = pipeline.default_schema.tables.get(info.table, {})
    database = duckdb_file(pipeline)
    # dagster-dlt leaves the rows out where there were none, and takes the schema's name for the dataset's.
    trace = pipeline.last_trace
    normalized: NormalizeInfo | None = trace.last_normalize_info if trace else None
    return {
        **{name: from_dlt[name] for name in _KEPT_DLT_METADATA if name in from_dlt},
        "dataset_name": pipeline.dataset_name,
        "rows_loaded": normalized.row_counts.get(info.table, 0) if normalized else 0,
        "dagster/table_name": ".".join(
            ([database.stem] if database else []) + [str(pipeline.dataset_name), info.table]
        ),
        COLUMN_SCHEMA: loaded_schema(info.contract, table.get("columns", {})),
    }


def request_metadata(telemetry: Telemetry) -> dict[str, Any]:
    """What was asked of the API, and what it gave: numbers, so that Dagster plots them."""
    return {
        "requests": telemetry.requests,
        "pages": telemetry.pages,
        "retries": telemetry.retries,
        RESPONSES_429: telemetry.too_many_requests,
        "restarts": telemetry.restarts,
        "seconds_waited": round(telemetry.seconds_waited, 3),
        "bytes_received": telemetry.bytes_received,
        "rows_fetched": telemetry.rows_fetched,
        "rows_per_second": round(telemetry.rows_per_second, 1),
    }


def partition_metadata(
    table: Table, info: ResourceInfo, windows: Mapping[str, Window]
) -> dict[str, dict[str, Any]]:
    """What each partition of a run has of its own, by key; the run's metadata are of all of them."""
    counts = table.rows_by_window(info.cursor, list(windows.values())) if windows and info.cursor else None
    return {
        key: {"dagster/partition_row_count": count}
        for key, count in zip(windows, counts or (), strict=bool(counts))
    }


def materializations(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    metadata: Mapping[str, Any],
    counts: Mapping[str, Mapping[str, Any]],
    windows: Mapping[str, Window],
) -> Iterator[dg.MaterializeResult[None]]:
    """Of each partition, with the run's metadata and its own, oldest first: the UI shows the latest.

    Those of a lookback are none that Dagster asked for.
    """
    asked = set(context.partition_keys) if windows else set()
    for partition in windows:
        page = for_page({**metadata, **counts.get(partition, {})})
        if partition in asked:
            context.add_asset_metadata(page, asset_key=key, partition_key=partition)
        else:
            context.log_event(dg.AssetMaterialization(key, partition=partition, metadata=page))
    # Dagster puts a partition's metadata after the result's, which would undo the order of the page.
    yield dg.MaterializeResult(asset_key=key, metadata={} if windows else for_page(metadata))


def child_materializations(
    key: dg.AssetKey, rows: int, columns: Mapping[str, Mapping[str, Any]], windows: Mapping[str, Window]
) -> Iterator[dg.AssetMaterialization]:
    """Of a child table, which is loaded with its parent: one, or one of each partition of the run."""
    metadata: dict[str, Any] = {
        "dagster/row_count": rows,
        COLUMN_SCHEMA: loaded_schema(Contract(()), columns),
    }
    for partition in windows or (None,):
        yield dg.AssetMaterialization(key, metadata=metadata, partition=partition)

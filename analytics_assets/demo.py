"""`make demo`: syncs the demo API through Dagster into DuckDB, and prints a table of the loaded assets.

Dagster stores the runs in DAGSTER_HOME, and `make dev` shows the runs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.table import Table

from analytics_assets.demo_api.server import DEFAULT_KEY, serve
from analytics_assets.ingestion.warehouse.pipeline import open_pipeline

_SOURCE = "analytics_api"
_LAST_PARTITIONS = 7
_EXAMPLE = "SELECT status, sum(transaction_amount) FROM analytics_api.transactions GROUP BY status;"
_DIM = "bright_black"


@dataclass(frozen=True)
class _Synced:
    key: dg.AssetKey
    partitions: Sequence[str]
    result: dg.ExecuteInProcessResult
    seconds: float


def main() -> int:
    """Syncs every asset of the demo source. Returns 0 if all runs and checks are green."""
    console = Console(highlight=False)
    with ExitStack() as stack:
        os.environ["ANALYTICS_API_BASE_URL"] = stack.enter_context(serve())
        os.environ[f"SOURCES__{_SOURCE.upper()}__API_KEY"] = DEFAULT_KEY
        from analytics_assets.definitions import defs  # noqa: PLC0415  the import reads the two settings above

        definitions = defs()
        instance = stack.enter_context(dg.DagsterInstance.get())
        started = time.monotonic()
        with console.status("Syncing the demo API through Dagster …"):
            synced = [_sync(definitions, asset, instance) for asset in _assets(definitions)]
        total = time.monotonic() - started
    console.print(_table(synced))
    for one in synced:
        if not one.result.success:
            console.print(f"\n{_failure(one.result)}", style="red", markup=False, soft_wrap=True)
    if not any(one.result.success for one in synced):
        return 1  # perhaps there is no warehouse
    console.print(f"\n[bold]{_warehouse()}[/]  [{_DIM}]({total:.1f} s in all)[/]")
    console.print(f"[{_DIM}]{_EXAMPLE}[/]", soft_wrap=True)
    console.print(f"[{_DIM}]`make dev` opens the Dagster UI on the same data.[/]")
    return 0 if all(_green(one.result) for one in synced) else 1


def _assets(definitions: dg.Definitions) -> Iterable[dg.AssetsDefinition]:
    for asset in definitions.assets or ():
        if isinstance(asset, dg.AssetsDefinition) and asset.is_executable:
            yield asset


def _sync(definitions: dg.Definitions, asset: dg.AssetsDefinition, instance: dg.DagsterInstance) -> _Synced:
    partitions = asset.partitions_def.get_partition_keys()[-_LAST_PARTITIONS:] if asset.partitions_def else []
    tags = {}
    if partitions:
        tags["dagster/asset_partition_range_start"] = partitions[0]
        tags["dagster/asset_partition_range_end"] = partitions[-1]
    started = time.monotonic()
    result = dg.materialize(
        [asset],
        instance=instance,
        tags=tags,
        resources=definitions.resources,
        run_config={
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}
        },  # failures are printed below the table, so the console needs no log
        raise_on_error=False,
    )
    return _Synced(asset.key, partitions, result, time.monotonic() - started)


def _table(synced: list[_Synced]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("asset")
    for column in ("rows", "partitions", "checks", "seconds"):
        table.add_column(column, justify="right")
    for one in synced:
        mark = "[green]✓[/]" if _green(one.result) else "[red]✗[/]"
        table.add_row(
            f"{mark} {one.key.to_user_string()}",
            f"{_rows(one):,}",
            f"{len(one.partitions)}" if one.partitions else f"[{_DIM}]-[/]",
            _checks(one.result),
            f"{one.seconds:.1f}",
        )
    return table


def _rows(one: _Synced) -> int:
    rows = 0
    for event in one.result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        if materialization.asset_key != one.key:
            continue  # this materialization belongs to a child table
        metadata = materialization.metadata
        count = metadata.get("dagster/partition_row_count") or metadata.get("dagster/row_count")
        rows += int(str(count.value)) if count else 0
    return rows


def _checks(result: dg.ExecuteInProcessResult) -> str:
    passed: dict[dg.AssetCheckKey, bool] = {}
    for (
        one
    ) in result.get_asset_check_evaluations():  # a check has one result per partition, and one for the run
        passed[one.asset_check_key] = passed.get(one.asset_check_key, True) and one.passed
    style = "green" if passed and all(passed.values()) else "red"
    return f"[{style}]{sum(passed.values())} of {len(passed)}[/]"


def _green(result: dg.ExecuteInProcessResult) -> bool:
    return result.success and all(one.passed for one in result.get_asset_check_evaluations())


def _failure(result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            return (failure.description if failure else None) or str(event.message)
    return "the run failed before a step started"


def _warehouse() -> str:
    with open_pipeline(_SOURCE, "customers") as pipeline:
        file = pipeline.database
        name = pipeline.backend.name
    if file is None:
        return f"the configured {name}"
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


if __name__ == "__main__":
    sys.exit(main())

"""One dlt resource as one Dagster asset: the step that syncs it, checks it, and says what it did.

What belongs here: the order of things, and what dagster-dlt's asset decorator lacks: check specs, run config, policy.
What is recorded of it is `materializations.py`, what is said when it fails `failures.py`.
"""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import dagster as dg
from dagster_dlt import DagsterDltResource
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.pipeline.exceptions import PipelineStepFailed
from requests import Session

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.dry_run import dry_run
from analytics_assets.ingestion.errors import (
    RestartError,
)
from analytics_assets.ingestion.http.breaker_client import Breaker
from analytics_assets.ingestion.http.dlt_errors import find_sync_error
from analytics_assets.ingestion.http.rate_limit import rate_limiter_of
from analytics_assets.ingestion.http.session import ApiSession
from analytics_assets.ingestion.http.telemetry import Telemetry, run_logging
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.source.build import Sync, build_source, cursor_range, read_secrets
from analytics_assets.ingestion.warehouse.pipeline import loader_file_format, open_pipeline
from analytics_assets.ingestion.warehouse.reader import open_table, require_sql
from analytics_assets.orchestration.checks.registry import CheckEvent, check, check_specs, evaluations
from analytics_assets.orchestration.checks.results import UNDECLARED, UNSENT, plain
from analytics_assets.orchestration.circuit.event_log import CircuitLog
from analytics_assets.orchestration.partitions import backfill_policy, run_windows
from analytics_assets.orchestration.sync.dry_run import observation
from analytics_assets.orchestration.sync.failures import forget_halt_of_parent, told_in_a_sentence
from analytics_assets.orchestration.sync.materializations import (
    child_materializations,
    materializations,
    partition_metadata,
    request_metadata,
    table_metadata,
)
from analytics_assets.orchestration.sync.run_config import (
    CursorRunConfig,
    RunConfig,
    WindowRunConfig,
    read_run_config,
    run_config_class,
)
from analytics_assets.orchestration.translator import (
    SyncTranslator,
)

log = logging.getLogger("analytics_assets")

MAX_RESTARTS = 3
"""Times a sync begins anew because rows moved while they were read, before it fails."""

_T = TypeVar("_T")


def sync_asset(
    config: SyncConfig,
    info: ResourceInfo,
    translator: SyncTranslator,
    partitions: dg.TimeWindowPartitionsDefinition | None,
) -> dg.AssetsDefinition:
    """The asset of one resource, with its checks.

    Each resource is a step of its own: an endpoint that fails leaves the others' rows alone, and a check
    can run without its asset.

    Args:
        config: the API.
        info: the resource.
        translator: gives the spec.
        partitions: its partitions, if any.
    """
    spec = translator.spec(info)
    asset = config.asset(info.name)

    @dg.multi_asset(
        name=f"{config.name}__{info.name}",
        specs=[spec],
        check_specs=check_specs(spec.key, info, asset),
        partitions_def=partitions,
        pool=config.name,
        backfill_policy=backfill_policy(asset.backfill_policy) if partitions else None,
        can_subset=True,
        config_schema=run_config_class(info, partitioned=partitions is not None).to_fields_dict(),
    )
    def sync(
        context: dg.AssetExecutionContext, dlt: DagsterDltResource
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetObservation | CheckEvent]:
        run = read_run_config(context, info)
        windows = run_windows(context, run.lookback if isinstance(run, WindowRunConfig) else 0)
        full_refresh = isinstance(run, CursorRunConfig) and run.full_refresh
        build = partial(build_source, config, info, windows=windows, full_refresh=full_refresh)
        if run.dry_run:
            if spec.key in context.selected_asset_keys:
                with run_logging(), told_in_a_sentence(context, config, info):
                    telemetry = Telemetry(info.name)
                    door = _door(context, config, info, run, telemetry)
                    found = _until_rows_stay(
                        info, telemetry, partial(dry_run, config.name, info.name, door, build)
                    )
                seen = observation(spec.key, found, windows, request_metadata(telemetry))
                context.log.info(f"{info.name}: {seen.description}")
                yield seen
            return
        latest = context.instance.get_latest_materialization_event(spec.key)
        before = (
            plain(latest.asset_materialization.metadata) if latest and latest.asset_materialization else None
        )
        metadata: dict[str, Any] | None = None
        counts: dict[str, dict[str, Any]] = {}
        children: dict[str, tuple[int, dict[str, Any]]] = {}
        with run_logging(), told_in_a_sentence(context, config, info):
            if spec.key in context.selected_asset_keys:
                telemetry = Telemetry(info.name)
                door = _door(context, config, info, run, telemetry)
                load = partial(_load, context, dlt, config, info, translator, build, door)
                metadata = _until_rows_stay(info, telemetry, load) | request_metadata(telemetry)
                if telemetry.total is not None and info.parent is None:
                    metadata["rows_promised"] = telemetry.total
            # All that is to be read is read before anything is yielded: no event is written under the lock.
            with (
                open_pipeline(config.name, info.name, _run_name(context, info)) as pipeline,
                open_table(pipeline, info) as table,
            ):
                if metadata is not None:
                    counts = partition_metadata(table, info, windows)
                    whole = (
                        {"partitions_in_run": len(windows)}
                        if windows
                        else {"dagster/row_count": table.row_count()}
                    )
                    metadata |= whole
                    children = {name: table.child(f"{info.table}__{name}") for name in asset.child_tables}
                names = [one.name for one in context.selected_asset_check_keys]
                results = check(names, table, info, windows, before, metadata and plain(metadata))
        if metadata is not None:
            yield from materializations(context, spec.key, metadata, counts, windows)
            for name, (rows, columns) in children.items():
                for materialization in child_materializations(
                    translator.child_key(info, name), rows, columns, windows
                ):
                    context.log_event(materialization)
        yield from evaluations(context, spec.key, asset, results)

    return sync


def _door(
    context: dg.AssetExecutionContext,
    config: SyncConfig,
    info: ResourceInfo,
    run: RunConfig,
    telemetry: Telemetry,
) -> Callable[[], ApiSession]:
    """Opens the network to one attempt of a sync.

    Raises:
        CircuitOpenError: nobody asks the API.
        MissingSecretError: a secret is not set.
    """
    forget_halt_of_parent(context)
    breaker = Breaker(CircuitLog(context.instance, config), info.name, context.run.run_id)
    breaker.look()  # an open circuit ends the run before it waits for anything
    limiter, secrets = rate_limiter_of(config.name, config.requests), read_secrets(config)

    def door() -> ApiSession:
        # Through its parent's rows a resource asks other endpoints, and a page for two equal parents twice.
        may_repeat, page_limit = info.parent is not None, run.page_limit()
        return ApiSession(
            info.name, limiter, breaker, secrets, telemetry, page_limit=page_limit, may_repeat=may_repeat
        )

    return door


def _until_rows_stay(info: ResourceInfo, telemetry: Telemetry, load: Callable[[], _T]) -> _T:
    """What `load` returns. Where what was read does not hold nothing is loaded, and all is read anew.

    Raises:
        RestartError: they moved each time.
    """
    while True:
        try:
            return load()
        except (PipelineStepFailed, RestartError) as error:
            moved = find_sync_error(error, info.name)
            if not isinstance(moved, RestartError):
                raise
            if telemetry.restarts == MAX_RESTARTS:
                raise moved.after(MAX_RESTARTS + 1) from None
            telemetry.restart()
            log.warning("%s: %s; the sync starts over", info.name, moved.cause)


def _load(
    context: dg.AssetExecutionContext,
    dlt: DagsterDltResource,
    config: SyncConfig,
    info: ResourceInfo,
    translator: SyncTranslator,
    build: Callable[[Session, DestinationCapabilitiesContext], Sync],
    door: Callable[[], ApiSession],
) -> dict[str, Any]:
    """Runs the dlt pipeline; the metadata of what it did."""
    with open_pipeline(config.name, info.name, _run_name(context, info)) as pipeline, door() as session:
        require_sql(pipeline)
        sync = build(session, pipeline.destination.capabilities())
        pipeline.settlement = sync.settlement
        events = list(
            dlt.run(
                context=context,
                dlt_source=sync.source,
                dlt_pipeline=pipeline,
                dagster_dlt_translator=translator,
                loader_file_format=loader_file_format(pipeline),
            )
        )
        bounds = dict(zip(("cursor_from", "cursor_to"), cursor_range(sync.source, info), strict=True))
        return {
            **table_metadata(pipeline, info, dict(events[0].metadata or {})),
            **{name: str(value) for name, value in bounds.items() if value is not None},
            "rows_quarantined": sync.settlement.quarantine.count,
            "rows_removed": sync.settlement.removed,
            **({"full_refresh": True} if sync.settlement.quarantine.full_refresh else {}),
            UNDECLARED: dict(sync.validator.undeclared),
            UNSENT: sorted(sync.validator.unsent) if info.cursor is None else [],  # of all rows there are
        }


def _run_name(context: dg.AssetExecutionContext, info: ResourceInfo) -> str:
    return f"{info.name}, run {context.run.run_id.split('-')[0]}"

"""The Dagster asset of one dlt resource: makes the plan, runs the sync, and records the result."""

from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from analytics_assets.config.asset_defaults import RetryPolicyConfig
from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.dry_run import run_dry
from analytics_assets.ingestion.errors import NoPartitionError
from analytics_assets.ingestion.plan.load_plan import LoadPlan, plan_load
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.source.settings import known_secrets
from analytics_assets.ingestion.sync import run_sync
from analytics_assets.ingestion.warehouse.load_order import first_load
from analytics_assets.ingestion.warehouse.pipeline import open_pipeline
from analytics_assets.ingestion.warehouse.reader import Table
from analytics_assets.orchestration.checks.context import CheckContext
from analytics_assets.orchestration.checks.evaluations import CheckEvent, check_specs, evaluations
from analytics_assets.orchestration.checks.registry import Outcomes, run_checks
from analytics_assets.orchestration.circuit.event_log import EventLogCircuit
from analytics_assets.orchestration.metadata import Metadata, without_secrets
from analytics_assets.orchestration.partitions import backfill_policy, partitions_def, run_windows
from analytics_assets.orchestration.sync.dry_run import observation
from analytics_assets.orchestration.sync.failures import forget_halt_of_parent, recorded_as_failure
from analytics_assets.orchestration.sync.materializations import (
    latest_sync,
    lost_partitions,
    record,
    sync_metadata,
)
from analytics_assets.orchestration.sync.run_config import read_run_config, run_config_class
from analytics_assets.orchestration.translator import SyncTranslator

SyncEvent = dg.MaterializeResult[None] | dg.AssetObservation | CheckEvent


def sync_asset(
    config: SyncConfig,
    info: ResourceInfo,
    translator: SyncTranslator,
    partitions: dg.TimeWindowPartitionsDefinition | None,
) -> dg.AssetsDefinition:
    """Builds the asset of one resource, with its checks.

    Each resource has its own step, so a failed endpoint does not stop the other resources. The step can also run the
    checks of the asset without a sync.

    Args:
        config: the config of the API.
        info: the facts about the resource.
        translator: the translator, which builds the asset spec.
        partitions: the partitions definition of the asset; None for an unpartitioned asset.
    """
    spec = translator.spec(info)
    asset = config.asset(info.name)

    @dg.multi_asset(
        name=f"{config.name}__{info.name}",
        specs=[spec],
        check_specs=check_specs(spec.key, info, asset),
        partitions_def=partitions,
        pool=asset.pool or config.name,
        op_tags=asset.op_tags,
        retry_policy=_retry_policy(asset.retry_policy),
        backfill_policy=backfill_policy(asset.backfill_policy) if partitions else None,
        can_subset=True,
        config_schema=run_config_class(info, partitioned=partitions is not None).to_fields_dict(),
    )
    def sync(context: dg.AssetExecutionContext) -> Iterator[SyncEvent]:
        with recorded_as_failure(context, config, info.name):
            asked = read_run_config(context, info)
            windows = run_windows(context, asked.lookback_partitions)
            if partitions and not windows and spec.key in context.selected_asset_keys:
                raise NoPartitionError(info.name)
        plan = plan_load(config, info, windows, asked.options())
        if plan.dry_run:
            yield from _dry_run(context, translator, plan)
            return
        redact = known_secrets(config).redact
        previous, by_hand = latest_sync(context.instance, spec.key)
        result, metadata = None, None
        # The step yields its first event after it has released all locks.
        with recorded_as_failure(context, config, info.name):
            if spec.key in context.selected_asset_keys:
                forget_halt_of_parent(context)
                result = run_sync(plan, EventLogCircuit(context.instance, config), context.run.run_id)
                metadata = without_secrets(sync_metadata(plan, result), redact)
            outcomes = _check(context, spec.key, plan, previous, metadata, by_hand=by_hand)
        if result is not None and metadata is not None:
            yield from record(context, translator, plan, result, metadata)
        yield from evaluations(context, spec.key, asset, outcomes, redact)

    return sync


def _retry_policy(config: RetryPolicyConfig | None) -> dg.RetryPolicy | None:
    if config is None:
        return None
    return dg.RetryPolicy(
        max_retries=config.max_retries,
        delay=config.delay,
        backoff=dg.Backoff[config.backoff.upper()] if config.backoff else None,
        jitter=dg.Jitter[config.jitter.upper()] if config.jitter else None,
    )


def _dry_run(
    context: dg.AssetExecutionContext, translator: SyncTranslator, plan: LoadPlan
) -> Iterator[SyncEvent]:
    key = translator.key(plan.resource)
    if key not in context.selected_asset_keys:
        return
    with recorded_as_failure(context, plan.config, plan.resource.name):
        forget_halt_of_parent(context)
        found = run_dry(plan, EventLogCircuit(context.instance, plan.config), context.run.run_id)
    seen = observation(key, found, plan.windows, known_secrets(plan.config).redact)
    context.log.info(f"{plan.resource.name}: {seen.description}")
    yield seen


def _lost(
    context: dg.AssetExecutionContext, key: dg.AssetKey, plan: LoadPlan, since: datetime | None
) -> tuple[str, ...]:
    partitions = partitions_def(plan.asset.partitions)
    if partitions is None:
        return ()
    return tuple(
        one for one in lost_partitions(context.instance, key, partitions, since) if one not in plan.windows
    )


def _check(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    plan: LoadPlan,
    previous: Metadata | None,
    current: Metadata | None,
    *,
    by_hand: bool,
) -> dict[str, Outcomes]:
    """Runs the selected checks on the warehouse. `key` is the asset key."""
    names = [one.name for one in context.selected_asset_check_keys]
    if not names:
        return {}
    with (
        open_pipeline(
            plan.config.name,
            plan.resource.name,
            f"checks of {plan.resource.name}",
            plan.config.dataset,
            plan.config.destination.lock_timeout,
        ) as pipeline,
        pipeline.exclusive() as client,
    ):
        since = first_load(client, pipeline.dlt.pipeline_name)
        checked = CheckContext(
            table=Table(client, plan.resource),
            resource=plan.resource,
            window=None,
            previous=previous,
            current=current,
            lost_partitions=_lost(context, key, plan, since),
            reported_by_hand=by_hand,
        )
        return run_checks(names, checked, plan.windows)

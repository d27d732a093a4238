"""The Dagster asset of one dlt resource: makes the plan, runs the sync, and records the result."""

from collections.abc import Iterator

import dagster as dg

from analytics_assets.config.asset_defaults import RetryPolicyConfig
from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.batches import run_batches
from analytics_assets.ingestion.dry_run import run_dry
from analytics_assets.ingestion.errors import NoPartitionError
from analytics_assets.ingestion.plan.load_plan import LoadPlan, plan_load
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.source.settings import known_secrets
from analytics_assets.orchestration.checks.evaluations import check_specs, evaluations, outputs
from analytics_assets.orchestration.circuit.event_log import EventLogCircuit
from analytics_assets.orchestration.partitions import backfill_policy, run_windows
from analytics_assets.orchestration.sync.dry_run import observation
from analytics_assets.orchestration.sync.failures import forget_halt_of_parent, recorded_as_failure
from analytics_assets.orchestration.sync.materializations import not_loaded
from analytics_assets.orchestration.sync.run_checks import RunChecks
from analytics_assets.orchestration.sync.run_config import read_run_config, run_config_class
from analytics_assets.orchestration.sync.run_record import RunRecord, SyncEvent
from analytics_assets.orchestration.translator import SyncTranslator


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
        elif spec.key in context.selected_asset_keys:
            yield from _run(context, translator, plan)
        else:
            yield from _check_alone(context, translator, plan)

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


def _run(
    context: dg.AssetExecutionContext, translator: SyncTranslator, plan: LoadPlan
) -> Iterator[SyncEvent]:
    """Loads the plan batch by batch, and records each batch before the next begins.

    The step yields events only while it holds no lock.
    """
    key, config, name = translator.key(plan.resource), plan.config, plan.resource.name
    left = plan.batch(list(not_loaded(context, key, plan.windows)))
    record = RunRecord(context, translator, left, len(plan.windows))
    checks = RunChecks(context, key, plan)
    with recorded_as_failure(context, config, name):
        forget_halt_of_parent(context)
    batches = run_batches(left, EventLogCircuit(context.instance, config), context.run.run_id)
    if plan.windows and not left.windows:
        context.log.info(f"{name}: the run before this one has loaded all partitions.")
        yield from record.ended({})
        return
    while True:
        try:
            with recorded_as_failure(context, config, name, record.kept):
                batch = next(batches, None)
                if batch is None:
                    summary = checks.summary(left.windows, record.total())
                    break
                metadata = record.add(batch)
                if batch.result.continues:
                    continue
                outcomes = checks.of_batch(batch.plan.windows, metadata)
        except dg.Failure:
            yield from record.failed()
            raise
        yield from record.batch(batch, metadata, outcomes)
    yield from record.ended(summary)


def _check_alone(
    context: dg.AssetExecutionContext, translator: SyncTranslator, plan: LoadPlan
) -> Iterator[SyncEvent]:
    """Runs the checks without a sync."""
    key = translator.key(plan.resource)
    with recorded_as_failure(context, plan.config, plan.resource.name):
        outcomes = RunChecks(context, key, plan).alone()
    one_partition = len(plan.windows) == 1
    redact = known_secrets(plan.config).redact
    yield from evaluations(context, key, plan.asset, outcomes, redact, summary_follows=not one_partition)
    if one_partition:
        yield from outputs(context, outcomes)

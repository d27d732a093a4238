"""A sync that failed, as Dagster is to know of it: one sentence, with its facts as metadata, and never retried.

What belongs here: from a `SyncError`, or what dlt has wrapped around one, to `dg.Failure` and the run's tags.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dlt.pipeline.exceptions import PipelineStepFailed

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.errors import CircuitOpenError, SyncError, SyncHalted, TooManyPagesError
from analytics_assets.ingestion.http.dlt_errors import find_sync_error
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.orchestration.translator import CIRCUIT_KEY, RESOURCE_KEY, SOURCE_KEY

_RUN_RETRY = "dagster/retry_on_asset_or_op_failure"


@contextmanager
def told_in_a_sentence(
    context: dg.AssetExecutionContext, config: SyncConfig, info: ResourceInfo
) -> Iterator[None]:
    """Turns what a user can act on into a failure that Dagster does not retry, with its facts as metadata.

    Raises:
        dg.Failure: in place of a `SyncError`, or of what dlt wrapped around one.
    """
    try:
        yield
    except (SyncError, PipelineStepFailed) as error:
        cause = find_sync_error(error, info.name)
        if cause is None:
            raise
        if isinstance(cause, (SyncHalted, CircuitOpenError, TooManyPagesError)):
            # A failure that is not to be retried stops the step's own retries, and not those of the run.
            run_id = context.run.run_id
            tags = {_RUN_RETRY: "false"} | ({CIRCUIT_KEY: run_id} if _is_outage(cause) else {})
            context.instance.add_run_tags(run_id, tags)
        # `from None`: what dlt says around it repeats it at length.
        raise _failure(config, info, cause) from None


def forget_halt_of_parent(context: dg.AssetExecutionContext) -> None:
    """Lets this run be retried: a run that a person asks for again has the tags of the one that was halted."""
    if context.run.tags.get(CIRCUIT_KEY) not in (None, context.run.run_id):
        default = context.instance.run_retries_retry_on_asset_or_op_failure
        context.instance.add_run_tags(context.run.run_id, {_RUN_RETRY: str(default).lower()})


def _is_outage(error: SyncError) -> bool:
    return isinstance(error, CircuitOpenError) or (isinstance(error, SyncHalted) and error.outage)


def _failure(config: SyncConfig, info: ResourceInfo, error: SyncError) -> dg.Failure:
    metadata: dict[str, Any] = {
        **{name: _shown(value) for name, value in error.facts().items() if value is not None},
        SOURCE_KEY: config.name,
        RESOURCE_KEY: info.name,
        "code": error.code,
        "fault": error.fault.value,
        "reason": error.reason if isinstance(error, SyncHalted) else str(error),
    }
    if isinstance(error, SyncHalted):
        metadata["status"] = error.answer
    if _is_outage(error):
        metadata[CIRCUIT_KEY] = "open"
    return dg.Failure(description=str(error), metadata=metadata, allow_retries=False)


def _shown(value: Any) -> Any:
    """A field of an error as metadata: a person reads a list as one text."""
    return "; ".join(map(str, value)) if isinstance(value, tuple) else value

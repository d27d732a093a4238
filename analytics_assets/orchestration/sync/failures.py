"""The Dagster record of a failed sync: a `dg.Failure` with the error's text and fields, which Dagster does not retry.

What belongs here: the conversion of a `SyncError` to `dg.Failure` and to run tags.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.errors import (
    CircuitOpenError,
    OptionInBackfillError,
    SyncError,
    SyncHalted,
    TooManyPagesError,
)
from analytics_assets.ingestion.sync import user_errors
from analytics_assets.orchestration.runs import (
    CIRCUIT_KEY,
    NO_RETRY_KEY,
    REFUSED_KEY,
    RESOURCE_KEY,
    SOURCE_KEY,
)

_RUN_RETRY = "dagster/retry_on_asset_or_op_failure"


@contextmanager
def recorded_as_failure(
    context: dg.AssetExecutionContext, config: SyncConfig, resource: str, kept: str = ""
) -> Iterator[None]:
    """Converts a `SyncError` within the `with` block into a failure that Dagster does not retry.

    Args:
        context: the context of the step.
        config: the config of the API.
        resource: the dlt resource name.
        kept: says what of the run is loaded; empty if nothing is.

    Raises:
        dg.Failure: the block raised a `SyncError`, or a dlt error that wraps a `SyncError`.
    """
    try:
        with user_errors(resource, config.requests):
            yield
    except SyncError as error:
        if isinstance(error, (SyncHalted, CircuitOpenError, TooManyPagesError)):
            # `allow_retries=False` stops only the retries of the step. `_RUN_RETRY` stops the retries of the run.
            run_id, before = context.run.run_id, context.run.tags.get(_RUN_RETRY, "")
            tags = {_RUN_RETRY: "false", NO_RETRY_KEY: f"{run_id} {before}".rstrip()}
            context.instance.add_run_tags(run_id, tags | ({CIRCUIT_KEY: run_id} if _is_outage(error) else {}))
        if isinstance(error, OptionInBackfillError):
            context.instance.add_run_tags(context.run.run_id, {REFUSED_KEY: context.run.run_id})
        raise _failure(config.name, resource, error, kept) from None
    except BaseException as error:
        if isinstance(error, Exception) or config.asset(resource).retry_policy is None:
            raise
        # Dagster would retry an interrupted step by its policy, although a person terminated the run.
        raise dg.Failure(description=f"{resource}: the run was terminated", allow_retries=False) from error


def forget_halt_of_parent(context: dg.AssetExecutionContext) -> None:
    """Resets the tag `_RUN_RETRY` of this run, if this run re-executes a run whose retries this module stopped.

    Dagster copies the tags of a run to its re-execution, including `_RUN_RETRY` with the value `false`. So this
    function sets the tag to the value from before, or to the Dagster instance's default,
    `run_retries_retry_on_asset_or_op_failure`.
    """
    run, tags = context.run.run_id, context.run.tags
    stopped_by, _, before = tags.get(NO_RETRY_KEY, tags.get(CIRCUIT_KEY, "")).partition(" ")
    if stopped_by not in ("", run):
        default = context.instance.run_retries_retry_on_asset_or_op_failure
        context.instance.add_run_tags(run, {_RUN_RETRY: before or str(default).lower()})


def _is_outage(error: SyncError) -> bool:
    return isinstance(error, CircuitOpenError) or (isinstance(error, SyncHalted) and error.outage)


def _failure(source: str, resource: str, error: SyncError, kept: str) -> dg.Failure:
    metadata: dict[str, Any] = {
        **{
            name: _shown(value)
            for name, value in error.facts().items()
            if name != "resource" and value is not None
        },
        SOURCE_KEY: source,
        RESOURCE_KEY: resource,
        "code": error.code,
        "fault": error.fault.value,
        "reason": error.reason if isinstance(error, SyncHalted) else str(error),
    }
    if isinstance(error, SyncHalted):
        metadata["status"] = error.answer
        if error.retry_at is not None:
            metadata["retry_at"] = dg.MetadataValue.timestamp(error.retry_at)
    if _is_outage(error):
        metadata[CIRCUIT_KEY] = "open"
    description = f"{str(error).rstrip('.')}. {kept}." if kept else str(error)
    return dg.Failure(description=description, metadata=metadata, allow_retries=False)


def _shown(value: Any) -> Any:
    """Converts a field of an error to metadata. The items of a tuple are joined with `; `."""
    return "; ".join(map(str, value)) if isinstance(value, tuple) else value

"""Runs one sync of one resource. `run_sync` shows all steps of a sync in order.

Dagster's asset, the benchmark and the tests call `run_sync`. This module imports none of its callers.
"""

from __future__ import annotations

import logging
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from dlt.common.pipeline import LoadInfo, NormalizeInfo
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.exceptions import PipelineStepFailed

from analytics_assets.config.models import RequestsConfig
from analytics_assets.ingestion.errors import (
    RestartError,
    RowsMovedError,
    SyncError,
    UnexpectedError,
    causes,
    counted,
    redacted,
)
from analytics_assets.ingestion.http.breaker_client import Breaker, CircuitStore
from analytics_assets.ingestion.http.dlt_errors import find_sync_error
from analytics_assets.ingestion.http.origins import Origins
from analytics_assets.ingestion.http.page_limit import PageLimit
from analytics_assets.ingestion.http.rate_limit import rate_limiter_of
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.retry_policy import Tries
from analytics_assets.ingestion.http.session import ApiSession
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.run_logging import run_logging
from analytics_assets.ingestion.source.build import BuiltSource, build_source
from analytics_assets.ingestion.source.settings import check_variables, read_secrets
from analytics_assets.ingestion.sync_result import ChildTable, RequestCounts, SyncResult
from analytics_assets.ingestion.warehouse.load_order import Restored
from analytics_assets.ingestion.warehouse.package_keys import refuse_moved_rows
from analytics_assets.ingestion.warehouse.pipeline import Fetched, LoadPipeline, open_load_pipeline
from analytics_assets.ingestion.warehouse.reader import Table
from analytics_assets.ingestion.warehouse.schema_drift import variant_columns
from analytics_assets.ingestion.warehouse.storage_errors import disk_full

log = logging.getLogger("analytics_assets")

MAX_RESTARTS = 3
"""How many times a sync starts over, because rows moved or another run loaded newer rows, before the sync fails."""

_T = TypeVar("_T")


def run_sync(plan: LoadPlan, circuit: CircuitStore, run_id: str = "") -> SyncResult:
    """Runs one sync: fetches every page, checks each row against the contract, and loads one load package.

    Args:
        plan: the plan of the sync.
        circuit: the store of the API's circuit, which all syncs of the API share.
        run_id: the id of the Dagster run, for log and error messages.

    Returns:
        The result of the sync.

    Raises:
        SyncError: the sync failed in a way that a user can act on. After `TooManyRemovedError`, all rows of the sync
            are loaded, but the rows that are gone from the API are not deleted. After any other error, the sync has
            loaded nothing.
    """
    api = open_api(plan, circuit, run_id)
    telemetry = api.telemetry

    def attempt() -> SyncResult:
        quarantine = plan.new_quarantine(api.secrets.redact)
        with open_load_pipeline(plan, quarantine, api.caller) as pipeline, api.session() as session:
            # A sync that starts over reads its window at once, because the ranges may be the reason.
            read = replace(plan, most_ranges=1) if telemetry.restarts else plan
            built = build_source(read, quarantine, session, api.secrets, pipeline.capabilities)
            with pipeline.locked():
                restored = pipeline.restore()
                pipeline.extract(built.source, restored)
                _refuse_strays(built, plan)
                refuse_moved_rows(
                    built.dropped_twice, telemetry.rows_fetched, plan, telemetry.pages_of_attempt
                )
                normalized = pipeline.normalize()
                with pipeline.exclusive() as client:
                    rows = normalized.row_counts.get(plan.resource.table, 0)
                    info = pipeline.load(client, restored, Fetched(rows, telemetry.pages_of_attempt))
                    loaded = _Loaded(normalized, info, client, restored)
                    return _result(plan, pipeline, built, api, loaded)

    return start_over_where_rows_moved(plan, api, attempt)


def _refuse_strays(built: BuiltSource, plan: LoadPlan) -> None:
    """Fails if a request for a range of time brought rows of another range, which perhaps came twice.

    Raises:
        RowsMovedError: a row was in another range.
    """
    strays = built.cursor_watch.strays if built.cursor_watch else 0
    if strays:
        observation = f"{counted(strays, 'row')} came with a range of time that they are not in"
        endpoint = f"{plan.resource.method} {plan.resource.path}"
        raise RowsMovedError(plan.resource.name, observation, endpoint)


@dataclass(frozen=True)
class Api:
    """The access of one sync to the API.

    Attributes:
        caller: the text that names resource and run; the log of a run that waits for this sync shows the text.
        telemetry: the counts over all attempts of the sync.
        secrets: the secrets of the API.
        session: a function that opens the HTTP session for one attempt.
    """

    caller: str
    telemetry: Telemetry
    secrets: Secrets
    session: Callable[[], ApiSession]


def open_api(plan: LoadPlan, circuit: CircuitStore, run_id: str) -> Api:
    """Checks that the circuit permits requests, and reads the secrets.

    Args:
        plan: the plan of the sync.
        circuit: the store of the API's circuit.
        run_id: the id of the Dagster run.

    Raises:
        CircuitOpenError: the circuit is open.
        UnsetVariableError: an environment variable of a template is not set.
        MissingSecretError: a secret is not set.
        UnsendableSecretError: a secret has characters that no HTTP header can carry.
    """
    config, name = plan.config, plan.resource.name
    breaker, telemetry = Breaker(circuit, name, run_id), Telemetry(name)
    breaker.refresh()  # an open circuit ends the sync here, before the sync waits for a lock
    check_variables(config, plan.resource)
    limiter, secrets = rate_limiter_of(config.name, config.requests), read_secrets(config, plan.resource)
    base_url, requests = str(config.rest_api["client"].get("base_url") or ""), config.requests
    origins = Origins(base_url, requests.trusted_origins, requests.download_origins)

    def session() -> ApiSession:
        page_limit = PageLimit(plan.pages_of_dry_run if plan.dry_run else plan.max_pages, cuts=plan.dry_run)
        tries = Tries(plan.limits.slow_tries, plan.can_shrink)
        return ApiSession(
            name, origins, limiter, breaker, secrets, telemetry, page_limit=page_limit, tries=tries
        )

    caller = f"{name}, run {run_id.split('-', maxsplit=1)[0]}" if run_id else name
    return Api(caller, telemetry, secrets, session)


def start_over_where_rows_moved(plan: LoadPlan, api: Api, attempt: Callable[[], _T]) -> _T:
    """Runs `attempt` and returns its result. Each `RestartError` starts `attempt` over, up to `MAX_RESTARTS` times.

    Args:
        plan: the plan of the sync.
        api: the access to the API, which counts the restarts.
        attempt: one attempt of the sync.

    Raises:
        SyncError: the sync failed in a way that a user can act on.
        RestartError: in each attempt rows moved, or another run loaded newer rows.
    """
    telemetry = api.telemetry
    before: RestartError | None = None
    while True:
        try:
            with (
                run_logging(),
                _errors_without_secrets(plan, api.secrets),
                user_errors(plan.resource.name, plan.config.requests),
            ):
                return attempt()
        except RestartError as moved:
            recurs = moved.recurs(before)
            if telemetry.restarts == MAX_RESTARTS or recurs:
                raise moved.after(telemetry.restarts + 1, recurs=recurs) from None
            before = moved
            telemetry.restart()
            log.warning(
                "%s: %s. Nothing was loaded, and the sync starts over.", plan.resource.name, moved.cause
            )


@contextmanager
def _errors_without_secrets(plan: LoadPlan, secrets: Secrets) -> Iterator[None]:
    """Raises each error without secrets. An unexpected error with a secret becomes an `UnexpectedError`."""
    try:
        yield
    except SyncError as error:
        raise error.redacted(secrets.redact) from None
    except Exception as error:
        if not secrets.is_in("".join(traceback.format_exception(error))):
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise UnexpectedError(
            plan.resource.name,
            type(error).__name__,
            secrets.redact(str(error)),
            f"{where.filename}, line {where.lineno}",
        ) from None


@contextmanager
def user_errors(resource: str, requests: RequestsConfig) -> Iterator[None]:
    """Raises a `SyncError` in place of the dlt error that wraps the `SyncError`, or that a full disk caused.

    Args:
        resource: the dlt resource name.
        requests: the request settings.

    Raises:
        SyncError: the cause of dlt's error, if a user can act on the cause.
    """
    try:
        yield
    except SyncError:
        raise
    except (PipelineStepFailed, OSError) as error:
        _raise_interrupt(error)
        # The errors of the destination are already explained. dlt writes all other files to the working directory.
        full = disk_full(error, resource, tempfile.gettempdir())
        cause = full or find_sync_error(error, resource, requests)
        if cause is None:
            raise
        raise cause from None  # dlt's error only repeats the text of the cause


def _raise_interrupt(error: BaseException) -> None:
    """Raises the interrupt that ended the run, which dlt wraps as if it were a failure of its step."""
    for cause in causes(error):
        if not isinstance(cause, Exception):
            raise cause from None


@dataclass(frozen=True)
class _Loaded:
    normalized: NormalizeInfo
    loaded: LoadInfo
    client: SqlJobClientBase
    restored: Restored


def _result(
    plan: LoadPlan, pipeline: LoadPipeline, built: BuiltSource, api: Api, loaded: _Loaded
) -> SyncResult:
    resource, info = plan.resource, loaded.loaded
    table = Table(loaded.client, resource)
    start, end = built.cursor_range(resource)
    keys = pipeline.reconcile.keys
    in_windows = (
        table.rows_by_window(resource.cursor, list(plan.windows.values()), pipeline.reconcile.load_ids)
        if plan.windows and resource.cursor
        else None
    )
    by_partition = dict(zip(plan.windows, in_windows or (), strict=bool(in_windows)))
    # For a resource with a parent, the API's total counts the parent's rows, or the child rows of only one parent row.
    counts = RequestCounts.of(api.telemetry, promised=resource.parent is None)
    if built.continues and counts.rows_reported_by_api is not None:
        counts = replace(counts, rows_reported_by_api=counts.rows_fetched)  # the rest is of the next sync
    return SyncResult(
        destination_name=str(info.destination_name),
        dataset_name=str(info.dataset_name),
        table_name=pipeline.backend.table_name(str(info.dataset_name), resource.table),
        first_run=bool(info.first_run),
        started_at=info.started_at,
        finished_at=info.finished_at,
        columns=loaded.client.schema.tables.get(resource.table, {}).get("columns", {}),
        requests=counts,
        rows_loaded=loaded.normalized.row_counts.get(resource.table, 0),
        rows_repeated=keys.repeated if keys else 0,
        rows_superseded=keys.older if keys else 0,
        rows_kept=table.rows_of_loads(pipeline.reconcile.load_ids) if plan.keeps_each_key else None,
        rows_outside_window=built.cursor_watch.outside if built.cursor_watch else 0,
        rows_in_future=built.cursor_watch.future if built.cursor_watch else 0,
        rows_quarantined=pipeline.quarantine.count,
        rows_removed=pipeline.reconcile.removed,
        row_count=None if plan.windows else table.row_count(),
        rows_by_partition={partition: found.rows for partition, found in by_partition.items()},
        rows_of_earlier_loads={
            partition: found.rows - found.of_loads
            for partition, found in by_partition.items()
            if plan.replaces_windows and found.rows > found.of_loads
        },
        partitions=tuple(plan.windows),
        cursor_from=redacted(start, api.secrets.redact),
        cursor_to=redacted(end, api.secrets.redact),
        full_refresh=plan.full_refresh,
        undeclared=dict(built.validator.undeclared),
        variants=variant_columns(loaded.client.schema, resource.table),
        cut=built.validator.cut,
        rows_with_secret=dict(built.secret_watch.rows),
        # A sync with a cursor fetches only some rows, so it cannot know whether the API never sends a field.
        unsent=tuple(sorted(built.validator.unsent)) if resource.cursor is None else (),
        children={
            name: ChildTable(*table.child(f"{resource.table}__{name}")) for name in plan.asset.child_tables
        },
        missing_guarantees=tuple(pipeline.backend.missing_guarantees),
        load_id_ahead=loaded.restored.ahead_of(time.time()),
        continues=built.continues,
    )

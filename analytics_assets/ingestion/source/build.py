"""From config to dlt source, built with window and secret when a run starts.

What belongs here: everything that is done to the user's REST API config before dlt gets it. The config is
copied, never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.schema.utils import dlt_id_column, dlt_load_id_column
from dlt.extract.incremental import IncrementalResourceWrapper
from dlt.extract.source import DltSource
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator, RangePaginator
from dlt.sources.rest_api.config_setup import create_paginator
from requests import Session

from analytics_assets.config.models import SyncConfig
from analytics_assets.config.rest_api import disposition_of, expand, with_secrets
from analytics_assets.ingestion.contract.arrow_json import reads_json
from analytics_assets.ingestion.contract.columns import column_name
from analytics_assets.ingestion.contract.pipe_steps import Admission, Stamp
from analytics_assets.ingestion.contract.quarantine import Limit, Quarantine
from analytics_assets.ingestion.contract.validator import Validator
from analytics_assets.ingestion.errors import MissingBaseUrlError, MissingSecretError, UnsendableSecretError
from analytics_assets.ingestion.http.dlt_paginators import CheckedPaginator, PagingBySession, is_range
from analytics_assets.ingestion.http.page_reader import Paging
from analytics_assets.ingestion.http.redaction import Secrets, secret_reference
from analytics_assets.ingestion.http.response import ResponseReader
from analytics_assets.ingestion.plan.resource_info import ResourceInfo, dlt_source
from analytics_assets.ingestion.source.full_refresh import replace_all
from analytics_assets.ingestion.source.settings import provided
from analytics_assets.ingestion.time_window import Window, as_filter, whole_window
from analytics_assets.ingestion.warehouse.reconcile import Settlement

_SENT_AS_IT_IS = frozenset({"api_key", "bearer", "http_basic", "oauth2_client_credentials"})
"""Auth types that put a secret into the request and do nothing else with it: a stand-in does."""


def read_secrets(config: SyncConfig) -> Secrets:
    """The secrets of a source, through dlt's own providers.

    Raises:
        MissingSecretError: one is not set, or cannot be sent.
    """
    values: dict[str, str] = {}

    def read(field: str, _: str) -> str:
        values[secret_reference(field)] = _secret(config.name, field)
        return ""

    with_secrets(config.rest_api, read)
    return Secrets(values)


@dataclass(frozen=True)
class Sync:
    """What one run of one resource is made of.

    Attributes:
        source: the dlt source: this resource alone, for this window, with a stand-in for every secret.
        validator: holds its rows against the contract.
        settlement: what it does to the rows of earlier runs; its quarantine takes those that break the contract.
    """

    source: DltSource
    validator: Validator
    settlement: Settlement


def build_source(
    config: SyncConfig,
    resource: ResourceInfo,
    session: Session,
    capabilities: DestinationCapabilitiesContext,
    windows: Mapping[str, Window] | None = None,
    *,
    full_refresh: bool = False,
) -> Sync:
    """Builds the dlt source of one run.

    Its schema is named after source and resource: dlt keeps one document per schema name in the destination,
    and resources that shared it would overwrite each other's tables and columns there.

    Args:
        config: the API.
        resource: the resource to load, as `describe` gave it.
        session: the door to the network, which knows the secrets.
        capabilities: of the destination.
        windows: the cursor values to ask the API for, by partition key in order of time and contiguous; without any it
            is asked for all, or for what is new to dlt's state.
        full_refresh: whether all there is replaces what is in the table; the resource `can_start_over`.

    Raises:
        MissingBaseUrlError: the base URL is not set.
        MissingSecretError: a secret that dlt itself must have is not set.
    """
    if not config.rest_api["client"].get("base_url"):
        raise MissingBaseUrlError(resource.name, config.name)

    def secret(field: str, auth_type: str) -> str:
        # What computes with the value, such as a signature, needs it.
        return secret_reference(field) if auth_type in _SENT_AS_IT_IS else _secret(config.name, field)

    rest_api = with_secrets(config.rest_api, secret, token_session=session)
    resources = expand(rest_api)
    for one in resources.values():
        if isinstance(one, dict):
            unread = one["name"] == resource.name and _may_be_unread(one, resource)
            _page_through_session(config, one, rest_api["client"], unread=unread)
    own = resources[resource.name]
    disposition = "history" if resource.keeps_history else resource.write_disposition
    if isinstance(own, dict):
        _name_strategy(own, capabilities)
        if full_refresh:
            disposition = replace_all(own)
    windows = windows or {}
    window = whole_window(windows)
    validator = _validator(resource, capabilities, windowed=window is not None)
    quarantine = Quarantine(
        resource.name,
        resource.table,
        resource.contract,
        resource.cursor,
        disposition,
        windows,
        _limit(config.asset(resource.name).max_quarantined),
    )
    quarantine.full_refresh = full_refresh
    if isinstance(own, dict):
        _declare(own, resource)
        if resource.cursor:
            _follow_cursor(own, resource, window)
    rest_api = {"client": {**rest_api["client"], "session": session}, "resources": list(resources.values())}
    name = f"{config.name}__{resource.name}"
    source = dlt_source(name, config.name, rest_api).with_resources(resource.name)
    if isinstance(own, dict):  # what a Python object yields need not be rows
        source.resources[resource.name].add_step(Admission(validator, quarantine)).add_step(Stamp())
    removable = config.asset(resource.name).max_removed
    settlement = Settlement(quarantine, None if removable is None else _limit(removable))
    return Sync(source, validator, settlement)


def cursor_range(source: DltSource, resource: ResourceInfo) -> tuple[Any, Any]:
    """From where the cursor of a source that has run started, and the end of its window, or how far it came.

    Both None for a resource without a cursor; the first one None for its first run.
    """
    wrapper = source.resources[resource.name].incremental
    incremental = wrapper.incremental if isinstance(wrapper, IncrementalResourceWrapper) else wrapper
    if incremental is None:
        return None, None
    return incremental.start_value, incremental.end_value or incremental.last_value


def _may_be_unread(resource: Mapping[str, Any], info: ResourceInfo) -> bool:
    """Whether nobody looks into a row before it is held against the contract."""
    return not (resource.get("processing_steps") or info.parent or info.needs_rows) and reads_json(
        info.contract
    )


def _page_through_session(
    config: SyncConfig, resource: dict[str, Any], client: Mapping[str, Any], *, unread: bool
) -> None:
    """Has every answer read by us, and offset and page-number paging done by the session."""
    endpoint = resource["endpoint"]
    paginator = create_paginator(endpoint.get("paginator") or client.get("paginator"))
    selector = endpoint.get("data_selector")
    if not is_range(paginator):
        endpoint["paginator"] = CheckedPaginator(paginator, ResponseReader(resource["name"], selector))
        return
    assert isinstance(paginator, RangePaginator)
    unread = unread and isinstance(paginator, OffsetPaginator)  # by page number every row is looked into
    total, more = paginator.total_path, paginator.has_more_path
    reader = ResponseReader(resource["name"], selector, total, more, paged=True, raw_rows=unread)
    key = resource.get("primary_key") or ()
    paging = Paging(
        paginator,
        reader,
        (key,) if isinstance(key, str) else tuple(key),
        overlap=config.requests.page_overlap,
        reads_all=not (endpoint.get("incremental") or {}).get("row_order"),
    )
    endpoint["paginator"] = PagingBySession(paging)
    endpoint["data_selector"] = "$"  # of what the session answers with: the rows


def _secret(source: str, field: str) -> str:
    value = provided(field, "sources", source) or ""
    if not value:
        raise MissingSecretError("", source, field)
    if not (value.isascii() and value.isprintable()):
        raise UnsendableSecretError("", source, field)
    return value


def _limit(written: int | str) -> Limit:
    """As `max_quarantined` and `max_removed` have it: a number of rows, or a share such as `5%`."""
    return (
        Limit(count=written) if isinstance(written, int) else Limit(share=float(written.rstrip(" %")) / 100)
    )


def _validator(
    resource: ResourceInfo, capabilities: DestinationCapabilitiesContext, *, windowed: bool
) -> Validator:
    cursor, column = resource.cursor, resource.cursor_column
    required = {}
    if cursor and column and resource.cursor_required:
        required[cursor.column] = ", so its window is unknown" if windowed else ", and it is the cursor"
    return Validator(
        resource.name,
        resource.contract,
        capabilities,
        cursor=column,
        required=required,
        kept=(cursor.column,) if cursor and not column else (),
        as_rows=resource.needs_rows,
    )


def _name_strategy(resource: dict[str, Any], capabilities: DestinationCapabilitiesContext) -> None:
    """Names dlt's default strategy of a merge: where none is, dlt goes on with that of an earlier run."""
    written = resource.get("write_disposition")
    has_key = resource.get("primary_key") or resource.get("merge_key")
    can_name = "delete-insert" in (capabilities.supported_merge_strategies or ())
    if has_key and can_name and disposition_of(written) == "merge":
        options = written if isinstance(written, Mapping) else {"disposition": written}
        resource["write_disposition"] = {"strategy": "delete-insert", **options}


def _declare(resource: dict[str, Any], info: ResourceInfo) -> None:
    """Gives dlt the contract as columns of the warehouse, in which the rows will be.

    NOT NULL is left to the primary key: anywhere else dlt answers a NULL with a dead load. What becomes of fields that
    are not declared is decided before dlt sees them.
    """
    columns = {
        one.name: one
        for one in info.contract.columns
        if one.name not in info.contract.primary_key or one.data_type
    }
    if info.cursor_column:
        columns.setdefault(info.cursor_column.name, info.cursor_column)
    resource["columns"] = {name: dict(one.hints) for name, one in columns.items()}
    if info.contract.typed and not info.needs_rows:
        resource["columns"] |= {str(one["name"]): one for one in (dlt_load_id_column(), dlt_id_column())}
    for key in ("primary_key", "merge_key"):
        if key in resource:
            written = resource[key]
            names = [written] if isinstance(written, str) else list(written)
            resource[key] = [column_name(name) if column_name(name) in columns else name for name in names]
    if info.contract.typed and isinstance(resource.get("schema_contract"), Mapping):
        resource["schema_contract"] = {**resource["schema_contract"], "columns": "evolve"}
    elif info.contract.typed:
        resource.pop("schema_contract", None)


def _follow_cursor(resource: dict[str, Any], info: ResourceInfo, window: Window | None) -> None:
    """Sets the window, compares cursors as time, and lets the newest version of a row win."""
    cursor, column = info.cursor, info.cursor_column
    assert cursor is not None
    columns = resource["columns"]
    if info.write_disposition == "merge" and not any("dedup_sort" in hints for hints in columns.values()):
        # Of two versions of a row in one load dlt keeps the first it saw, unless it is told what is newer.
        columns[cursor.column] = {
            "name": cursor.column,
            **columns.get(cursor.column, {}),
            "dedup_sort": "desc",
        }
    incremental = resource["endpoint"]["incremental"]
    if info.write_disposition == "merge":
        # dlt leaves out what it had at the last cursor value, for appends; a merge takes what has changed since.
        incremental.setdefault("primary_key", [])
    if column:
        incremental["cursor_path"] = column.name  # as the row is once it has been admitted
    if cursor.data_type is None:
        return
    incremental.setdefault("convert", as_filter)
    for bound in ("initial_value", "end_value"):
        if bound in incremental:
            incremental[bound] = cursor.as_time(incremental[bound])
    if window:
        incremental["initial_value"] = cursor.bound(window.start)
        incremental["end_value"] = cursor.bound(window.end)

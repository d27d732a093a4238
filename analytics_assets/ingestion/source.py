"""From config to dlt source: described at definition time, built with window and secret when a run starts.

What belongs here: everything that is done to the user's REST API config before dlt gets it. The config is
copied, never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.schema.typing import TColumnSchema
from dlt.common.schema.utils import dlt_id_column, dlt_load_id_column
from dlt.extract.incremental import IncrementalResourceWrapper
from dlt.extract.source import DltSource
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator, RangePaginator
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.config_setup import build_resource_dependency_graph, create_paginator
from dlt.sources.rest_api.typing import RESTAPIConfig
from requests import Session

from analytics_assets.config import PartitionsConfig, SyncConfig
from analytics_assets.ingestion.answers import Reader
from analytics_assets.ingestion.arrow_json import reads_json
from analytics_assets.ingestion.contract import Column, Contract, column_name, contract_of
from analytics_assets.ingestion.errors import MissingSettingError, UnfitCursorError
from analytics_assets.ingestion.full_refresh import can_replace_all, replace_all
from analytics_assets.ingestion.lanes import Admission, Stamp
from analytics_assets.ingestion.paginators import CheckedPaginator, SweepPaginator, is_range
from analytics_assets.ingestion.quarantine import Limit, Quarantine
from analytics_assets.ingestion.redaction import Secrets, stand_in
from analytics_assets.ingestion.settings import provided
from analytics_assets.ingestion.settlement import Settlement
from analytics_assets.ingestion.validation import Validator
from analytics_assets.ingestion.window import Cursor, Window, as_filter, whole_window
from analytics_assets.rest_api import PLACEHOLDER, disposition_of, expand, with_secrets

_SENT_AS_IT_IS = frozenset({"api_key", "bearer", "http_basic", "oauth2_client_credentials"})
"""Auth types that put a secret into the request and do nothing else with it: a stand-in does."""


@dataclass(frozen=True)
class ResourceInfo:
    """What is known of a resource before any run.

    Attributes:
        name: dlt resource name.
        table: its table in the warehouse.
        method: HTTP method of its endpoint.
        path: path template of its endpoint.
        parent: the resource it takes values from, if any.
        selected: False for a resource that only serves others (dlt's `selected: false`).
        write_disposition: `replace`, `merge`, `append` or `skip`.
        contract: its declared columns.
        cursor: its incremental cursor, if any.
        cursor_required: whether a row without it cannot be loaded, as dlt's `on_cursor_value_missing` has it.
        needs_rows: whether dlt can do what is asked with rows only, and not with Arrow.
        keeps_history: whether earlier versions of a row stay in the table (dlt's strategies `scd2` and `insert-only`).
        can_start_over: whether a sync goes on where the one before ended, and can be told to begin anew.
    """

    name: str
    table: str
    method: str
    path: str
    parent: str | None
    selected: bool
    write_disposition: str
    contract: Contract
    cursor: Cursor | None
    cursor_required: bool
    needs_rows: bool
    keeps_history: bool
    can_start_over: bool

    @property
    def cursor_column(self) -> Column | None:
        """The cursor as a column, where its type is known."""
        if self.cursor is None:
            return None
        declared = self.contract.column(self.cursor.column)
        if declared and declared.data_type:
            return declared
        if self.cursor.data_type is None:
            return None
        hints: TColumnSchema = {
            "name": self.cursor.column,
            "data_type": self.cursor.data_type,
            "nullable": True,
        }
        return Column(self.cursor.column, self.cursor.data_type, True, False, False, None, hints)


def describe(config: SyncConfig) -> dict[str, ResourceInfo]:
    """Every resource of `config`, by name. Needs no network, no secret and no database.

    Raises:
        UnfitCursorError: a partitioned resource's cursor cannot tell its partitions apart.
        ValueError: dlt cannot build the source from this config.
    """
    rest_api = with_secrets(config.rest_api, lambda *_: PLACEHOLDER)
    if not rest_api["client"].get("base_url"):
        rest_api["client"]["base_url"] = "http://unset.invalid"  # a template whose variable is not set yet
    resources = expand(rest_api)
    _, _, parents = build_resource_dependency_graph({}, cast(Any, list(resources.values())))
    described = {}
    for name, built in _source(config.name, config.name, rest_api).resources.items():
        written = resources[name]
        endpoint = written["endpoint"] if isinstance(written, dict) else {}
        resolved = parents[name]
        contract = contract_of(built, written.get("schema_contract") if isinstance(written, dict) else None)
        incremental = endpoint.get("incremental") or {}
        described[name] = ResourceInfo(
            name=name,
            table=column_name(str(built.table_name)),
            method=str(endpoint.get("method") or "GET").upper(),
            path=str(endpoint.get("path") or ""),
            parent=resolved[0].resolve_config["resource"] if resolved else None,
            selected=built.selected,
            write_disposition=disposition_of(built.write_disposition),
            contract=contract,
            cursor=_cursor(name, incremental, contract, config.asset(name).partitions),
            cursor_required=incremental.get("on_cursor_value_missing", "raise") == "raise",
            needs_rows=_needs_rows(built.write_disposition, incremental, contract),
            keeps_history=_strategy(built.write_disposition) in ("scd2", "insert-only"),
            can_start_over=config.asset(name).partitions is None
            and _remembers(name, resources, parents)
            and can_replace_all(built.write_disposition),
        )
    return described


def read_secrets(config: SyncConfig) -> Secrets:
    """The secrets of a source, through dlt's own providers.

    Raises:
        MissingSettingError: one is not set, or cannot be sent.
    """
    values: dict[str, str] = {}

    def read(field: str, _: str) -> str:
        values[stand_in(field)] = _secret(config.name, field)
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
        MissingSettingError: the base URL is not set, or a secret that dlt itself must have.
    """
    if not config.rest_api["client"].get("base_url"):
        raise MissingSettingError(
            f"{config.name}: rest_api.client.base_url is empty: write it in defs.yaml, "
            "or set the environment variable that is named there"
        )

    def secret(field: str, auth_type: str) -> str:
        # What computes with the value, such as a signature, needs it.
        return stand_in(field) if auth_type in _SENT_AS_IT_IS else _secret(config.name, field)

    rest_api = with_secrets(config.rest_api, secret, token_session=session)
    resources = expand(rest_api)
    for one in resources.values():
        if isinstance(one, dict):
            unread = one["name"] == resource.name and _may_be_unread(one, resource)
            _page_through_session(config, one, rest_api["client"], unread=unread)
    own = resources[resource.name]
    disposition = "history" if resource.keeps_history else resource.write_disposition
    if full_refresh and isinstance(own, dict):
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
    source = _source(name, config.name, rest_api).with_resources(resource.name)
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


def _remembers(name: str, resources: Mapping[str, Any], parents: Mapping[str, Any]) -> bool:
    """Whether a resource has a cursor, or one that it takes values from."""
    endpoint = resources[name]["endpoint"] if isinstance(resources[name], dict) else {}
    params = (endpoint.get("params") or {}).values()
    if endpoint.get("incremental") or any(
        isinstance(p, dict) and p.get("type") == "incremental" for p in params
    ):
        return True
    return any(_remembers(one.resolve_config["resource"], resources, parents) for one in parents[name] or ())


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
        endpoint["paginator"] = CheckedPaginator(paginator, Reader(resource["name"], selector))
        return
    assert isinstance(paginator, RangePaginator)
    unread = unread and isinstance(paginator, OffsetPaginator)  # by page number every row is looked into
    total, more = paginator.total_path, paginator.has_more_path
    reader = Reader(resource["name"], selector, total, more, paged=True, unread=unread)
    key = resource.get("primary_key") or ()
    endpoint["paginator"] = SweepPaginator(
        paginator,
        reader,
        (key,) if isinstance(key, str) else tuple(key),
        overlap=config.requests.page_overlap,
        reads_to_the_end=not (endpoint.get("incremental") or {}).get("row_order"),
    )
    endpoint["data_selector"] = "$"  # of what the session answers with: the rows


def _source(name: str, section: str, rest_api: dict[str, Any]) -> DltSource:
    return rest_api_source(cast(RESTAPIConfig, rest_api), name=name, section=section)


def _secret(source: str, field: str) -> str:
    value = provided(field, "sources", source) or ""
    setting = f"SOURCES__{source.upper()}__{field.upper()}"
    if not value:
        raise MissingSettingError(
            f"{source}: the secret {field} is not set: export {setting}, "
            f"or put {field} under [sources.{source}] in .dlt/secrets.toml"
        )
    if not (value.isascii() and value.isprintable()):
        raise MissingSettingError(
            f"{source}: the secret {field} holds characters that no HTTP header can carry: copy it to {setting} again"
        )
    return value


def _needs_rows(disposition: Any, incremental: Mapping[str, Any], contract: Contract) -> bool:
    """Whether dlt cannot do with Arrow what is asked.

    Other merge strategies compute `_dlt_id` from the row; other functions of the cursor than max and min, and telling
    rows apart that were loaded before where there is no primary key, work on rows.
    """
    function = incremental.get("last_value_func")
    return (
        _strategy(disposition) not in (None, "delete-insert")
        or function not in (None, "max", "min", max, min)
        or (bool(incremental) and not contract.primary_key)
    )


def _limit(written: int | str) -> Limit:
    """As `max_quarantined` and `max_removed` have it: a number of rows, or a share such as `5%`."""
    return (
        Limit(count=written) if isinstance(written, int) else Limit(share=float(written.rstrip(" %")) / 100)
    )


def _strategy(disposition: Any) -> str | None:
    return disposition.get("strategy") if isinstance(disposition, Mapping) else None


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


def _cursor(
    name: str, incremental: Mapping[str, Any] | None, contract: Contract, partitions: PartitionsConfig | None
) -> Cursor | None:
    if not incremental:
        return None
    path = str(incremental["cursor_path"]).removeprefix("$.")
    declared = contract.column(column_name(path))
    written = declared.data_type if declared and declared.data_type else ""
    unit = partitions.cursor_unit if partitions else None
    is_whole_number = written.startswith("bigint")
    data_type: Literal["timestamp", "date", "bigint"] | None = None
    if written == "date":
        data_type = "date"
    elif unit and (is_whole_number or not written):
        data_type = "bigint"
    elif written.startswith("timestamp") or (partitions and not written):
        data_type = "timestamp"  # a window is a range of time
    cursor = Cursor(path, column_name(path), data_type, partitions.timezone if partitions else "UTC", unit)
    if unit and data_type != "bigint":
        raise UnfitCursorError(
            name,
            f"`{name}` has a cursor_unit, which is of whole numbers, and its cursor `{path}` is a {written}: "
            "remove cursor_unit, or declare the cursor as bigint",
        )
    if partitions and data_type is None:
        raise UnfitCursorError(
            name,
            f"`{name}` is partitioned by time, and its cursor `{path}` is a bigint: set cursor_unit to what it "
            "counts since 1970, seconds, milliseconds or microseconds"
            if is_whole_number
            else f"`{name}` is partitioned by time: declare its cursor column `{path}` as timestamp or date",
        )
    if partitions and data_type == "date" and partitions.type == "hourly":
        raise UnfitCursorError(
            name,
            f"`{name}` has hourly partitions and a cursor of whole days: use daily, or a timestamp cursor",
        )
    for bound in ("initial_value", "end_value"):
        try:
            cursor.as_time(incremental.get(bound))
        except ValueError:
            raise ValueError(
                f"`{name}`: {bound} `{incremental[bound]}` is no {data_type}: write it as the cursor is, in ISO 8601"
            ) from None
    return cursor


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

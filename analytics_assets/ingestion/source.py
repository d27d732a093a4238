"""From config to dlt source: described at definition time, built with window and secret when a run starts.

What belongs here: everything that is done to the user's REST API config before dlt gets it. The config is
copied, never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Literal, cast

from dlt.extract.incremental import IncrementalResourceWrapper
from dlt.extract.source import DltSource
from dlt.extract.utils import ensure_table_schema_columns
from dlt.sources.helpers.rest_client.paginators import RangePaginator
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.config_setup import build_resource_dependency_graph, create_paginator
from dlt.sources.rest_api.typing import RESTAPIConfig
from requests import Session

from analytics_assets.config import PartitionsConfig, SyncConfig
from analytics_assets.ingestion.answers import Reader
from analytics_assets.ingestion.contract import Contract, column_name, contract_of
from analytics_assets.ingestion.errors import (
    CursorValueError,
    MissingSettingError,
    UnfitCursorError,
    UnreadableAnswerError,
)
from analytics_assets.ingestion.paginators import CheckedPaginator, SweepPaginator, is_range
from analytics_assets.ingestion.redaction import Secrets, stand_in
from analytics_assets.ingestion.settings import provided
from analytics_assets.rest_api import PLACEHOLDER, disposition_of, expand, with_secrets

_SENT_AS_IT_IS = frozenset({"api_key", "bearer", "http_basic", "oauth2_client_credentials"})
"""Auth types that put a secret into the request and do nothing else with it: a stand-in does."""


@dataclass(frozen=True)
class Window:
    """A half-open range of cursor values in UTC: `start <= cursor < end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Cursor:
    """The incremental cursor of a resource.

    Attributes:
        path: where the value is in a row of the API, fields joined by dots.
        column: where it is in the warehouse.
        data_type: `timestamp` or `date` where it is known to be one, so that its values are compared as
            time and not as text; None where dlt's own comparison applies.
    """

    path: str
    column: str
    data_type: Literal["timestamp", "date"] | None

    def bound(self, moment: datetime) -> datetime | date:
        """A bound of a window, in the type of the cursor."""
        return moment.date() if self.data_type == "date" else moment


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
        contract = contract_of(built)
        described[name] = ResourceInfo(
            name=name,
            table=column_name(str(built.table_name)),
            method=str(endpoint.get("method") or "GET").upper(),
            path=str(endpoint.get("path") or ""),
            parent=resolved[0].resolve_config["resource"] if resolved else None,
            selected=built.selected,
            write_disposition=disposition_of(built.write_disposition),
            contract=contract,
            cursor=_cursor(name, endpoint.get("incremental"), contract, config.asset(name).partitions),
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


def build_source(
    config: SyncConfig, resource: ResourceInfo, session: Session, window: Window | None = None
) -> DltSource:
    """The dlt source of one run: this resource alone, for this window, with a stand-in for every secret.

    Its schema is named after source and resource: dlt keeps one document per schema name in the destination,
    and resources that shared it would overwrite each other's tables and columns there.

    Args:
        config: the API.
        resource: the resource to load, as `describe` gave it.
        session: the door to the network, which knows the secrets.
        window: the cursor values to ask the API for; None asks for all, or for what is new to dlt's state.

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
            _page_through_session(config, one, rest_api["client"])
    own = resources[resource.name]
    if isinstance(own, dict):
        _enforce_only_the_key(own, resource.contract)
        if resource.cursor:
            _follow_cursor(own, resource, window)
    rest_api = {"client": {**rest_api["client"], "session": session}, "resources": list(resources.values())}
    source = _source(f"{config.name}__{resource.name}", config.name, rest_api)
    return source.with_resources(resource.name)


def cursor_range(source: DltSource, resource: ResourceInfo) -> tuple[Any, Any]:
    """From where the cursor of a source that has run started, and the end of its window, or how far it came.

    Both None for a resource without a cursor; the first one None for its first run.
    """
    wrapper = source.resources[resource.name].incremental
    incremental = wrapper.incremental if isinstance(wrapper, IncrementalResourceWrapper) else wrapper
    if incremental is None:
        return None, None
    return incremental.start_value, incremental.end_value or incremental.last_value


def _page_through_session(config: SyncConfig, resource: dict[str, Any], client: Mapping[str, Any]) -> None:
    """Has every answer read by us, and offset and page-number paging done by the session."""
    endpoint = resource["endpoint"]
    paginator = create_paginator(endpoint.get("paginator") or client.get("paginator"))
    selector = endpoint.get("data_selector")
    if not is_range(paginator):
        endpoint["paginator"] = CheckedPaginator(paginator, Reader(resource["name"], selector))
        return
    assert isinstance(paginator, RangePaginator)
    reader = Reader(resource["name"], selector, paginator.total_path, paginator.has_more_path, paged=True)
    key = resource.get("primary_key") or ()
    endpoint["paginator"] = SweepPaginator(
        paginator,
        reader,
        (key,) if isinstance(key, str) else tuple(key),
        overlap=config.requests.page_overlap,
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


def _enforce_only_the_key(resource: dict[str, Any], contract: Contract) -> None:
    """Leaves NOT NULL to the primary key.

    Anywhere else dlt answers a NULL with a dead load, and the row that had it never arrives to be looked at.
    """
    columns = ensure_table_schema_columns(resource.get("columns") or {})
    if columns:
        resource["columns"] = {
            name: {**hints, "nullable": column_name(name) not in contract.primary_key}
            for name, hints in columns.items()
        }


def _cursor(
    name: str, incremental: Mapping[str, Any] | None, contract: Contract, partitions: PartitionsConfig | None
) -> Cursor | None:
    if not incremental:
        return None
    path = str(incremental["cursor_path"]).removeprefix("$.")
    declared = contract.column(column_name(path))
    written = declared.data_type if declared and declared.data_type else ""
    data_type: Literal["timestamp", "date"] | None = None
    if written == "date":
        data_type = "date"
    elif written.startswith("timestamp") or (partitions and not written):
        data_type = "timestamp"  # a window is a range of time
    cursor = Cursor(path, column_name(path), data_type)
    if partitions and data_type is None:
        raise UnfitCursorError(
            name, f"`{name}` is partitioned by time: declare its cursor column `{path}` as timestamp or date"
        )
    if partitions and data_type == "date" and partitions.type == "hourly":
        raise UnfitCursorError(
            name,
            f"`{name}` has hourly partitions and a cursor of whole days: use daily, or a timestamp cursor",
        )
    for bound in ("initial_value", "end_value"):
        try:
            _as_time(incremental.get(bound), cursor)
        except ValueError:
            raise ValueError(
                f"`{name}`: {bound} `{incremental[bound]}` is no {data_type}: write it as the cursor is, in ISO 8601"
            ) from None
    return cursor


def _follow_cursor(resource: dict[str, Any], info: ResourceInfo, window: Window | None) -> None:
    """Sets the window, compares cursors as time, and lets the newest version of a row win."""
    cursor = info.cursor
    assert cursor is not None
    columns = ensure_table_schema_columns(resource.get("columns") or {})
    if info.write_disposition == "merge" and not any("dedup_sort" in hints for hints in columns.values()):
        # Of two versions of a row in one load dlt keeps the first it saw, unless it is told what is newer.
        name = next((one for one in columns if column_name(one) == cursor.column), cursor.column)
        columns[name] = {"name": name, **columns.get(name, {}), "dedup_sort": "desc"}
        resource["columns"] = columns
    if cursor.data_type is None:
        return
    incremental = resource["endpoint"]["incremental"]
    incremental.setdefault("convert", _iso)
    for bound in ("initial_value", "end_value"):
        if bound in incremental:
            incremental[bound] = _as_time(incremental[bound], cursor)
    if window:
        incremental["initial_value"] = cursor.bound(window.start)
        incremental["end_value"] = cursor.bound(window.end)
    required = window is not None and incremental.get("on_cursor_value_missing", "raise") == "raise"
    # After the user's own steps, which may make the cursor or drop rows; dlt's filter comes after all.
    steps = resource.get("processing_steps") or []
    resource["processing_steps"] = [*steps, {"map": _cursor_as_time(info, required=required)}]


def _cursor_as_time(info: ResourceInfo, *, required: bool) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A map that turns the cursor's text into time, before dlt compares it with the window.

    As text, `…00.5Z` sorts before `…00Z` and zones do not compare: rows at the edge of a window would be
    dropped without a word.
    """
    cursor = info.cursor
    assert cursor is not None
    *parents, leaf = cursor.path.split(".")

    def to_time(row: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(row, dict):
            raise UnreadableAnswerError(
                f"{info.name}: a row of the API is {type(row).__name__} and no object: check data_selector"
            )
        holder: Any = row
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, Mapping) else None
        value = holder.get(leaf) if isinstance(holder, dict) else None
        if isinstance(value, str):
            with suppress(ValueError):
                holder[leaf] = _as_time(value, cursor)
        elif not required:
            return row  # no window to find: dlt's own rules apply
        if isinstance(holder, dict) and isinstance(holder.get(leaf), (datetime, date)):
            return row
        keys = (
            f"{name} {value!r}"
            for name, value in row.items()
            if column_name(name) in info.contract.primary_key
        )
        key = ", ".join(keys) or "no primary key"
        found = "absent or null" if value is None else f"no {cursor.data_type}"
        raise CursorValueError(
            f"{info.name}: the cursor `{cursor.path}` is {found} in the row with {key}, so its window is "
            "unknown: have the API mend the row, or choose another cursor_path"
        )

    return to_time


def _as_time(value: Any, cursor: Cursor) -> Any:
    """A cursor value as time: ISO 8601 text, or what YAML made of it. Anything else goes as it is.

    Raises:
        ValueError: the text is no ISO 8601.
    """
    if cursor.data_type is None:
        return value
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    if not isinstance(moment, datetime):
        return value
    if cursor.data_type == "date":
        return moment.date()
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _iso(value: Any) -> Any:
    """A cursor value as the API's filter reads it: ISO 8601, UTC as `Z`. What is no time goes as it is."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, (datetime, date)) else value

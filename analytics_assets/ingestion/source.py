"""From config to dlt source: described at definition time, built with window and secret when a run starts.

What belongs here: everything that is done to the user's REST API config before dlt gets it. The config is
copied, never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, cast

import dlt
from dlt.extract.source import DltSource
from dlt.extract.utils import ensure_table_schema_columns
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.config_setup import build_resource_dependency_graph
from dlt.sources.rest_api.typing import EndpointResource, RESTAPIConfig
from requests import Session

from analytics_assets.config import PLACEHOLDER, SyncConfig, with_secrets
from analytics_assets.ingestion.contract import Contract, column_name, contract_of
from analytics_assets.ingestion.errors import CursorValueError, MissingSettingError


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
    """What is known of a resource before any run."""

    name: str
    table: str
    method: str
    path: str
    parent: str | None
    write_disposition: str
    contract: Contract
    cursor: Cursor | None


def describe(config: SyncConfig) -> dict[str, ResourceInfo]:
    """Every resource of `config`, by name. Needs no network, no secret and no database.

    Raises:
        ValueError: dlt cannot build the source from this config.

    """
    rest_api = with_secrets(config.rest_api, lambda _: PLACEHOLDER)
    if not rest_api["client"].get("base_url"):
        rest_api["client"]["base_url"] = "http://unset.invalid"  # a template whose variable is not set yet
    source = _source(config, rest_api)
    _, endpoints, parents = build_resource_dependency_graph(
        cast(EndpointResource, rest_api.get("resource_defaults") or {}), rest_api["resources"]
    )
    described = {}
    for name, resource in source.resources.items():
        endpoint_resource = endpoints[name]
        endpoint = endpoint_resource["endpoint"] if isinstance(endpoint_resource, dict) else {}
        assert isinstance(endpoint, dict)
        resolved = parents[name]
        contract = contract_of(resource)
        described[name] = ResourceInfo(
            name=name,
            table=column_name(str(resource.table_name)),
            method=str(endpoint.get("method") or "GET").upper(),
            path=str(endpoint.get("path") or ""),
            parent=resolved[0].resolve_config["resource"] if resolved else None,
            write_disposition=str(resource.write_disposition),
            contract=contract,
            cursor=_cursor(config, name, contract),
        )
    return described


def build_source(
    config: SyncConfig, resource: ResourceInfo, session: Session, window: Window | None = None
) -> DltSource:
    """The dlt source of one run: this resource alone, for this window, with the secret in it.

    Args:
        config: the API.
        resource: the resource to load, as `describe` gave it.
        session: the door to the network.
        window: the cursor values to ask the API for; None asks for all, or for what is new to dlt's state.

    Raises:
        MissingSettingError: the secret or the base URL is not set.

    """
    if not config.rest_api["client"].get("base_url"):
        raise MissingSettingError(
            f"{config.name}: rest_api.client.base_url is empty: write it in defs.yaml, "
            "or set the environment variable that is named there"
        )
    rest_api = with_secrets(config.rest_api, lambda field: _secret(config.name, field))
    rest_api["client"]["session"] = session
    rest_api["resources"] = [
        {"name": one, "endpoint": {"path": one}} if isinstance(one, str) else one
        for one in rest_api["resources"]
    ]
    defaults = rest_api.get("resource_defaults") or {}
    for one in (defaults, *rest_api["resources"]):
        if isinstance(one, dict):
            _enforce_only_the_key(one, resource.contract)
    if resource.cursor:
        own = next(one for one in rest_api["resources"] if one["name"] == resource.name)
        _follow_cursor(own, resource, {**(config.incremental(resource.name) or {})}, window)
    return _source(config, rest_api).with_resources(resource.name)


def _source(config: SyncConfig, rest_api: dict[str, Any]) -> DltSource:
    return rest_api_source(cast(RESTAPIConfig, rest_api), name=config.name, section=config.name)


def _secret(source: str, field: str) -> str:
    value = dlt.secrets.get(f"sources.{source}.{field}", str)
    if not value:
        raise MissingSettingError(
            f"{source}: the secret {field} is not set: export SOURCES__{source.upper()}__{field.upper()}, "
            f"or put {field} under [sources.{source}] in .dlt/secrets.toml"
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


def _cursor(config: SyncConfig, name: str, contract: Contract) -> Cursor | None:
    incremental = config.incremental(name)
    if incremental is None:
        return None
    path = str(incremental["cursor_path"])
    column = contract.column(column_name(path))
    data_type = column.data_type if column else None
    if config.asset(name).partitions and data_type is None:
        data_type = "timestamp"  # a window is a range of time
    if data_type == "date":
        return Cursor(path, column_name(path), "date")
    timestamp = data_type is not None and data_type.startswith("timestamp")
    return Cursor(path, column_name(path), "timestamp" if timestamp else None)


def _follow_cursor(
    resource: dict[str, Any], info: ResourceInfo, incremental: dict[str, Any], window: Window | None
) -> None:
    """Sets the window, compares cursors as time, and lets the newest version of a row win."""
    cursor = info.cursor
    assert cursor is not None
    if info.write_disposition == "merge":
        # Of two versions of a row in one load dlt keeps the first it saw, unless it is told what is newer.
        columns = ensure_table_schema_columns(resource.get("columns") or {})
        name = next((one for one in columns if column_name(one) == cursor.column), cursor.column)
        columns[name] = {"name": name, **columns.get(name, {}), "dedup_sort": "desc"}
        resource["columns"] = columns
    if cursor.data_type is None:
        return
    incremental.setdefault("convert", _iso)
    for bound in ("initial_value", "end_value"):
        if isinstance(incremental.get(bound), str):
            incremental[bound] = _moment(incremental[bound], cursor)
    if window:
        incremental["initial_value"] = cursor.bound(window.start)
        incremental["end_value"] = cursor.bound(window.end)
    endpoint = resource.get("endpoint") or {}
    endpoint = {"path": endpoint} if isinstance(endpoint, str) else endpoint
    resource["endpoint"] = {**endpoint, "incremental": incremental}
    required = incremental.get("on_cursor_value_missing", "raise") == "raise"
    steps = resource.get("processing_steps") or []
    resource["processing_steps"] = [{"map": _cursor_as_time(info, required=required)}, *steps]


def _cursor_as_time(info: ResourceInfo, *, required: bool) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A map that turns the cursor's text into time, before dlt compares it with the window.

    As text, `…00.5Z` sorts before `…00Z` and zones do not compare: rows at the edge of a window would be
    dropped without a word.
    """
    cursor = info.cursor
    assert cursor is not None
    *parents, leaf = cursor.path.split(".")

    def to_time(row: dict[str, Any]) -> dict[str, Any]:
        holder: Any = row
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, Mapping) else None
        value = holder.get(leaf) if isinstance(holder, dict) else None
        if isinstance(value, str):
            with suppress(ValueError):
                holder[leaf] = _moment(value, cursor)
        elif value is None and not required:
            return row
        if isinstance(holder, dict) and isinstance(holder.get(leaf), (datetime, date)):
            return row
        key = ", ".join(f"{name} {row.get(name)!r}" for name in info.contract.primary_key) or "no primary key"
        found = "absent or null" if value is None else f"no {cursor.data_type}"
        raise CursorValueError(
            f"{info.name}: the cursor `{cursor.path}` is {found} in the row with {key}, so its window is "
            "unknown: have the API mend the row, or choose another cursor_path"
        )

    return to_time


def _moment(text: str, cursor: Cursor) -> datetime | date:
    if cursor.data_type == "date":
        return date.fromisoformat(text)
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _iso(value: Any) -> Any:
    """A cursor value as the API's filter reads it: ISO 8601, UTC as `Z`. What is no time goes as it is."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, (datetime, date)) else value

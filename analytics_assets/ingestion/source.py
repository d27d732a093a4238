"""From config to dlt source: described at definition time, built with window and secret when a run starts.

What belongs here: everything that is done to the user's REST API config before dlt gets it. The config is
copied, never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import dlt
from dlt.extract.source import DltSource
from dlt.extract.utils import ensure_table_schema_columns
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.config_setup import build_resource_dependency_graph
from requests import Session

from analytics_assets.config import SyncConfig, auth_places, secret_fields
from analytics_assets.ingestion.contract import Contract, column_name, contract_of
from analytics_assets.ingestion.errors import CursorValueError, MissingSettingError

_PLACEHOLDER = "resolved-when-a-run-starts"


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
    rest_api = _copy(config.rest_api)
    if not rest_api["client"].get("base_url"):
        rest_api["client"]["base_url"] = "http://unset.invalid"  # a template whose variable is not set yet
    _give_secrets(rest_api, lambda _: _PLACEHOLDER)
    source = rest_api_source(rest_api, name=config.name, section=config.name)
    _, endpoints, parents = build_resource_dependency_graph(
        _copy(rest_api.get("resource_defaults")) or {}, rest_api["resources"]
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
    rest_api = _copy(config.rest_api)
    client = rest_api["client"]
    if not client.get("base_url"):
        raise MissingSettingError(
            f"{config.name}: rest_api.client.base_url is empty: write it in defs.yaml, "
            "or set the environment variable that is named there"
        )
    _give_secrets(rest_api, lambda field: _secret(config.name, field))
    client["session"] = session
    rest_api["resources"] = [
        {"name": one, "endpoint": {"path": one}} if isinstance(one, str) else one
        for one in rest_api["resources"]
    ]
    defaults = rest_api.get("resource_defaults") or {}
    for one in (defaults, *rest_api["resources"]):
        if isinstance(one, dict):
            _enforce_only_the_key(one, resource.contract)
    if resource.cursor:
        _follow_cursor(config, resource, rest_api, window)
    source = rest_api_source(rest_api, name=config.name, section=config.name)
    return source.with_resources(resource.name)


def _copy(value: Any) -> Any:
    """Copies the mappings and lists of a config; Python objects in it (a paginator, a resource) are shared."""
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _give_secrets(rest_api: dict[str, Any], secret: Callable[[str], str]) -> None:
    for place, auth in auth_places(rest_api):
        if isinstance(auth, str):
            auth = {"type": auth}  # dlt's shorthand  # noqa: PLW2901
        if not isinstance(auth, Mapping):
            continue
        holder: Any = rest_api
        for part in place[:-1]:
            holder = holder[part]
        fields = [field for field in secret_fields(auth) if not auth.get(field)]
        holder["auth"] = {**auth, **{field: secret(field) for field in fields}}


def _secret(source: str, field: str) -> str:
    value = dlt.secrets.get(f"sources.{source}.{field}", str)
    if not value:
        raise MissingSettingError(
            f"{source}: the secret {field} is not set: export SOURCES__{source.upper()}__{field.upper()}, "
            f"or put {field} under [sources.{source}] in .dlt/secrets.toml"
        )
    return value


def _enforce_only_the_key(resource: dict[str, Any], contract: Contract) -> None:
    """Leaves NOT NULL to the primary key: anywhere else dlt answers a NULL with a dead load, and the row
    that had it, and all the others, never arrive to be looked at."""
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
    config: SyncConfig, info: ResourceInfo, rest_api: dict[str, Any], window: Window | None
) -> None:
    """Sets the window, compares cursors as time, and lets the newest version of a row win."""
    cursor = info.cursor
    assert cursor is not None
    resource = next(one for one in rest_api["resources"] if one["name"] == info.name)
    if info.write_disposition == "merge":
        # Of two versions of a row in one load dlt keeps the first it saw, unless it is told what is newer.
        columns = ensure_table_schema_columns(resource.get("columns") or {})
        columns.setdefault(cursor.path, {"name": cursor.path})["dedup_sort"] = "desc"
        if "." not in cursor.path:
            resource["columns"] = columns
    if cursor.data_type is None:
        return
    incremental = {**(config.incremental(info.name) or {})}
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
    steps = resource.get("processing_steps") or []
    required = incremental.get("on_cursor_value_missing", "raise") == "raise"
    resource["processing_steps"] = [{"map": _cursor_as_time(info, required=required)}, *steps]


def _cursor_as_time(info: ResourceInfo, *, required: bool) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A map that turns the cursor's text into time: as text, `…00.5Z` sorts before `…00Z`, zones do not
    compare, and rows at the edge of a window would be dropped without a word."""
    cursor = info.cursor
    assert cursor is not None
    *parents, leaf = cursor.path.split(".")

    def to_time(row: dict[str, Any]) -> dict[str, Any]:
        holder: Any = row
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, Mapping) else None
        value = holder.get(leaf) if isinstance(holder, dict) else None
        if isinstance(value, str):
            try:
                holder[leaf] = _moment(value, cursor)
                return row
            except ValueError:
                pass
        elif isinstance(value, (datetime, date)) or (value is None and not required):
            return row
        key = ", ".join(f"{name} {row.get(name)!r}" for name in info.contract.primary_key) or "no primary key"
        found = "absent or null" if value is None else f"no {cursor.data_type}"
        raise CursorValueError(
            f"{info.name}: the cursor `{cursor.path}` is {found} in the row with {key}, so its window is unknown: "
            "have the API mend the row, or choose another cursor_path"
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

"""Finds the facts about a resource that are known from the config alone, before any run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from dlt.common.schema.exceptions import InvalidSchemaName
from dlt.extract.resource import DltResource
from dlt.extract.source import DltSource
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.config_setup import build_resource_dependency_graph
from dlt.sources.rest_api.typing import RESTAPIConfig

from analytics_assets.config.models import SyncConfig
from analytics_assets.config.rest_api import PLACEHOLDER, disposition_of, expand, for_dlt, with_secrets
from analytics_assets.config.written_secrets import secret_templates
from analytics_assets.ingestion.contract.columns import Column, Contract, contract_of, table_name
from analytics_assets.ingestion.contract.quarantine import SUFFIX
from analytics_assets.ingestion.errors import UnfitResourceError
from analytics_assets.ingestion.plan.api_filter import (
    ApiFilter,
    FilterParams,
    api_filter_of,
    filter_params,
    is_forward,
)
from analytics_assets.ingestion.plan.cursor import cursor_column_of, cursor_of
from analytics_assets.ingestion.plan.judged_resources import judged_resources
from analytics_assets.ingestion.plan.write_mode import (
    WriteMode,
    can_replace_all,
    retires_unfetched_rows,
    strategy_of,
    write_mode_of,
)
from analytics_assets.ingestion.time_window import Cursor


@dataclass(frozen=True, kw_only=True)
class ResourceInfo:
    """The facts about a resource that are known before any run.

    Attributes:
        name: the dlt resource name.
        table: the name of the resource's table in the warehouse.
        method: the HTTP method of the endpoint.
        path: the path template of the endpoint.
        parent: the resource that supplies path or query parameters; None for a resource without a parent.
        lineage: the names of the resource, its parent, the parent's parent and so on.
        selected: whether the resource is loaded; false for a resource that only supplies parameters to other resources.
        write_disposition: one of `replace`, `merge`, `append` and `skip`.
        write_mode: the write disposition and the merge strategy, as one value.
        has_key: whether the config sets a primary key or a merge key.
        contract: the declared columns.
        cursor: the incremental cursor; None for a resource without a cursor.
        filter: how the resource asks the API for a range of its cursor; None if its cursor is no time.
        parent_filters: the filters of the resources in `lineage` after the first, where the file sets one, by name.
        filter_params: the parameters with which a request asks the API for a range of the cursor.
        cursor_required: whether each row must have a cursor value (dlt's `on_cursor_value_missing: raise`).
        needs_rows: whether dlt needs Python rows for this resource instead of Arrow tables.
        keeps_versions: whether the table keeps every version of a row (`scd2`).
        keeps_each_key: whether a load leaves one row in the table for each of its keys.
        has_ranges: whether a window may be read in ranges of time, each of which brings only its own rows.
        continues_in_order: whether the API sorts the rows by the cursor, and a sync may continue from any row.
        can_start_over: whether the resource continues from a stored cursor and supports a full refresh.
    """

    name: str
    table: str
    method: str
    path: str
    parent: str | None
    lineage: tuple[str, ...]
    selected: bool
    write_disposition: str
    write_mode: WriteMode
    has_key: bool
    contract: Contract
    cursor: Cursor | None
    filter: ApiFilter | None
    parent_filters: Mapping[str, ApiFilter]
    filter_params: FilterParams
    cursor_required: bool
    needs_rows: bool
    keeps_versions: bool
    keeps_each_key: bool
    has_ranges: bool
    continues_in_order: bool
    can_start_over: bool

    @property
    def has_unique_key(self) -> bool:
        """Whether each primary key is in the table at most once."""
        return bool(self.contract.primary_key) and not self.keeps_versions

    @property
    def cursor_column(self) -> Column | None:
        """The column of the cursor; None if the data type of the cursor is unknown."""
        return cursor_column_of(self.cursor, self.contract)


def describe(config: SyncConfig) -> dict[str, ResourceInfo]:
    """Describes every resource of `config`, by name. The function needs no network, no secret and no database.

    Raises:
        UnfitResourceError: column names clash, the cursor field is inside a declared column,
            two resources share a table, or a load would delete rows that the sync did not fetch.
        UnfitCursorError: the cursor of a partitioned resource does not fit the partitions.
        UnfitFilterError: a resource has no use for its `filter`.
        ValueError: dlt cannot build the source from this config.
    """
    rest_api = with_secrets(config.rest_api, lambda *_: PLACEHOLDER)
    if not rest_api["client"].get("base_url"):
        # The template of `base_url` may use an environment variable that is not set when Dagster loads the definitions.
        rest_api["client"]["base_url"] = "http://unset.invalid"
    written = expand(rest_api)
    expanded = {"client": rest_api["client"], "resources": for_dlt(written.values())}
    _, _, parents = build_resource_dependency_graph({}, cast(Any, list(written.values())))
    described: dict[str, ResourceInfo] = {}
    lineage = _Lineage(written, parents)
    for name, built in judged_resources(config.name, expanded).items():  # parents come first
        described[name] = _describe(config, built, written[name], lineage, described)
    _refuse_shared_tables(described)
    _refuse_long_names(config.name, [name for name, info in described.items() if info.selected])
    return described


def dlt_source(name: str, section: str, rest_api: dict[str, Any]) -> DltSource:
    """Builds dlt's own `rest_api_source`.

    Args:
        name: the name of the source and of its schema.
        section: the config section that dlt reads the settings of the source from.
        rest_api: the REST API config.
    """
    return rest_api_source(cast(RESTAPIConfig, rest_api), name=name, section=section)


@dataclass(frozen=True)
class _Lineage:
    """The parents of each resource.

    Attributes:
        written: the config of each resource by name, with the defaults that dlt has applied.
        parents: the parameters that dlt takes from the rows of another resource, by resource name.
    """

    written: Mapping[str, Any]
    parents: Mapping[str, Any]

    def parent(self, name: str) -> str | None:
        resolved = self.parents[name]
        return str(resolved[0].resolve_config["resource"]) if resolved else None

    def line(self, name: str) -> tuple[str, ...]:
        parent = self.parent(name)
        return (name, *(self.line(parent) if parent else ()))

    def remembers(self, name: str) -> bool:
        """Whether a resource or one of its parents has a cursor."""
        if _endpoint(self.written[name]).get("incremental"):
            return True
        return any(self.remembers(one.resolve_config["resource"]) for one in self.parents[name] or ())


def _describe(
    config: SyncConfig,
    built: DltResource,
    written: Any,
    lineage: _Lineage,
    parents: Mapping[str, ResourceInfo],
) -> ResourceInfo:
    name, disposition, endpoint = built.name, built.write_disposition, _endpoint(written)
    as_mapping = written if isinstance(written, dict) else {}
    asset = config.asset(name)
    contract = contract_of(built, as_mapping.get("schema_contract"))
    incremental = endpoint.get("incremental") or {}
    cursor = cursor_of(name, incremental, contract, asset)
    _refuse_renamed_cursor(name, cursor, asset.rename)
    remembers = lineage.remembers(name)
    if remembers:
        _refuse_to_retire(name, built)
    if asset.partitions:
        _refuse_to_reach_out(name, built)
    return ResourceInfo(
        name=name,
        table=table_name(str(built.table_name)),
        method=str(endpoint.get("method") or "GET").upper(),
        path=_path(config, str(endpoint.get("path") or "")),
        parent=lineage.parent(name),
        lineage=lineage.line(name),
        selected=built.selected,
        write_disposition=disposition_of(disposition),
        write_mode=write_mode_of(disposition),
        has_key=bool(as_mapping.get("primary_key") or as_mapping.get("merge_key")),
        contract=contract,
        cursor=cursor,
        filter=api_filter_of(name, cursor, asset.filter, endpoint),
        parent_filters=MappingProxyType(
            {
                one: found
                for one in lineage.line(name)[1:]
                if config.asset(one).filter and (found := parents[one].filter)
            }
        ),
        filter_params=filter_params(endpoint),
        cursor_required=incremental.get("on_cursor_value_missing", "raise") == "raise",
        needs_rows=_needs_rows(disposition, incremental, contract),
        keeps_versions=strategy_of(disposition) == "scd2",
        keeps_each_key=strategy_of(disposition) in (None, "delete-insert", "upsert")
        and not any(one.get("hard_delete") for one in built.compute_table_schema()["columns"].values()),
        has_ranges=lineage.parent(name) is None
        and _has_ranges(incremental, as_mapping.get("processing_steps") or ()),
        continues_in_order=lineage.parent(name) is None and _continues_in_order(incremental),
        can_start_over=asset.partitions is None and remembers and can_replace_all(disposition),
    )


def _continues_in_order(incremental: Mapping[str, Any]) -> bool:
    """Whether the rows come in the order of the cursor, and a later sync continues from the last one.

    dlt stores no cursor value for a range with an end. With a `lag`, a sync starts before the last row.
    """
    stays = incremental.get("end_value") is None and not incremental.get("lag")
    return incremental.get("row_order") == "asc" and is_forward(incremental) and stays


def _has_ranges(incremental: Mapping[str, Any], steps: Iterable[Mapping[str, Any]]) -> bool:
    """Whether each row of a window is in one range of time, and comes through the pipe with a page of the range."""
    # With `row_order`, dlt ends the paging after a page.
    in_any_order = not incremental.get("row_order")
    has_open_end = incremental.get("range_end") != "closed"
    # A row without a cursor value is in no range, so each request might bring it.
    has_time = incremental.get("on_cursor_value_missing") != "include"
    # dlt takes turns between the pages and the rows of such a step, so a row may come after another page.
    keeps_page = not any("yield_map" in one for one in steps)
    return is_forward(incremental) and in_any_order and has_open_end and has_time and keeps_page


def _path(config: SyncConfig, path: str) -> str:
    """Returns the path of an endpoint. If it has a template of a secret, it is as the file has it."""
    for template in secret_templates(config.rest_api):
        if template.place[-1] == "path" and any(reference in path for reference in template.parts):
            return template.written
    return path


def _endpoint(written: Any) -> Mapping[str, Any]:
    return written["endpoint"] if isinstance(written, dict) else {}


def _refuse_renamed_cursor(name: str, cursor: Cursor | None, renames: Mapping[str, str]) -> None:
    for written, column in renames.items():
        if cursor and (written == cursor.path or column == cursor.column):
            raise UnfitResourceError(
                name,
                f"`rename` changes which field is the cursor, `{cursor.path}`",
                "Rename the other field instead",
            )


def _refuse_to_retire(name: str, built: DltResource) -> None:
    """Refuses the strategies `scd2` and `cdc` for an incremental resource without a merge key.

    With `scd2`, dlt would end the validity of all rows that a sync does not fetch. With `cdc`, dlt would delete all
    rows that a sync does not fetch. With a `merge_key`, dlt changes only rows whose merge key value is in the load.
    """
    disposition = built.write_disposition
    scope = isinstance(disposition, Mapping) and disposition.get("destination_scope")
    if retires_unfetched_rows(disposition) and not (_has_merge_key(built) or scope):
        strategy = strategy_of(disposition)
        what = "end the validity of" if strategy == "scd2" else "delete"
        raise UnfitResourceError(
            name,
            f"each sync fetches some of the rows, and the strategy `{strategy}` would {what} all others",
            "Set a `merge_key`, such as the day or the parent's id: each load then has all rows of each of its values. "
            "Or use `upsert`",
        )


def _refuse_to_reach_out(name: str, built: DltResource) -> None:
    """Refuses a merge key on a partitioned resource, because a load would delete rows of other partitions."""
    if _has_merge_key(built) and not retires_unfetched_rows(built.write_disposition):
        raise UnfitResourceError(
            name,
            "the resource is partitioned, and its `merge_key` would delete rows of other partitions",
            "Remove it: each partition holds what the API has for its window without it",
        )


def _refuse_long_names(source: str, resources: Sequence[str]) -> None:
    """Refuses names with which dlt would fail in the run: source and resource together name a schema of dlt."""
    most = InvalidSchemaName.MAXIMUM_SCHEMA_NAME_LENGTH - len("__")
    for name in resources:
        length = len(source) + len(name)
        if length > most:
            raise UnfitResourceError(
                name,
                f"the source name and the resource name have {length} characters together, and dlt takes {most}",
                "Shorten one of them. `table_name` may keep the name of the table",
            )


def _refuse_shared_tables(described: Mapping[str, ResourceInfo]) -> None:
    tables: dict[str, str] = {}
    for name, info in described.items():
        if info.table.endswith(SUFFIX) or info.table.startswith("_dlt"):
            raise UnfitResourceError(
                name, f"the table name `{info.table}` is reserved", "Use another `table_name`"
            )
        other = tables.setdefault(info.table, name) if info.selected else name
        if other != name:
            raise UnfitResourceError(
                name, f"`{other}` has the same table, `{info.table}`", "Give each its own `table_name`"
            )


def _has_merge_key(built: DltResource) -> bool:
    return any(one.get("merge_key") for one in built.compute_table_schema()["columns"].values())


def _needs_rows(disposition: Any, incremental: Mapping[str, Any], contract: Contract) -> bool:
    """Whether dlt needs Python rows instead of Arrow tables for this resource.

    Merge strategies other than `delete-insert` compute `_dlt_id` from a Python row. dlt's incremental step needs Python
    rows in two cases: its cursor function is neither `max` nor `min`, or the resource has no primary key.
    """
    function = incremental.get("last_value_func")
    return (
        strategy_of(disposition) not in (None, "delete-insert")
        or function not in (None, "max", "min", max, min)
        or (bool(incremental) and not contract.primary_key)
    )

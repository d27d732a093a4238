"""What is known of a resource before any run, from the config alone.

What belongs here: what dlt and the declared columns say of it. What is done with it in a run is `build.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from dlt.common.schema.typing import TColumnSchema
from dlt.extract.resource import DltResource
from dlt.extract.source import DltSource
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.config_setup import build_resource_dependency_graph
from dlt.sources.rest_api.typing import RESTAPIConfig

from analytics_assets.config.assets import PartitionsConfig
from analytics_assets.config.models import SyncConfig
from analytics_assets.config.rest_api import PLACEHOLDER, disposition_of, expand, with_secrets
from analytics_assets.ingestion.contract.columns import Column, Contract, column_name, contract_of, table_name
from analytics_assets.ingestion.contract.quarantine import SUFFIX
from analytics_assets.ingestion.errors import UnfitCursorError, UnfitResourceError
from analytics_assets.ingestion.source.full_refresh import can_replace_all
from analytics_assets.ingestion.time_window import Cursor

_RETIRING = ("scd2", "cdc")
"""Strategies of a merge to which a row that is not in a load is gone."""


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
        keeps_history: whether a row stays in the table as it was (dlt's strategies `scd2` and `insert-only`).
        keeps_versions: whether its later versions come beside it (`scd2`).
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
    keeps_versions: bool
    can_start_over: bool

    @property
    def has_unique_key(self) -> bool:
        """Whether a primary key is in the table once."""
        return bool(self.contract.primary_key) and not self.keeps_versions

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
        UnfitResourceError: two columns are one, or one is dlt's own, or the cursor is in a column; or rows that are not
            fetched would be retired.
        UnfitCursorError: a partitioned resource's cursor cannot tell its partitions apart.
        ValueError: dlt cannot build the source from this config.
    """
    rest_api = with_secrets(config.rest_api, lambda *_: PLACEHOLDER)
    if not rest_api["client"].get("base_url"):
        rest_api["client"]["base_url"] = "http://unset.invalid"  # a template whose variable is not set yet
    resources = expand(rest_api)
    _, _, parents = build_resource_dependency_graph({}, cast(Any, list(resources.values())))
    described = {}
    for name, built in dlt_source(config.name, config.name, rest_api).resources.items():
        written = resources[name]
        endpoint = written["endpoint"] if isinstance(written, dict) else {}
        resolved = parents[name]
        contract = contract_of(built, written.get("schema_contract") if isinstance(written, dict) else None)
        incremental = endpoint.get("incremental") or {}
        remembers = _remembers(name, resources, parents)
        if remembers:
            _refuse_to_retire(name, built)
        if config.asset(name).partitions:
            _refuse_to_reach_out(name, built)
        described[name] = ResourceInfo(
            name=name,
            table=table_name(str(built.table_name)),
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
            keeps_versions=_strategy(built.write_disposition) == "scd2",
            can_start_over=config.asset(name).partitions is None
            and remembers
            and can_replace_all(built.write_disposition),
        )
    _refuse_shared_tables(described)
    return described


def dlt_source(name: str, section: str, rest_api: dict[str, Any]) -> DltSource:
    """Dlt's own source of a REST API config.

    Args:
        name: of the source and its schema.
        section: of its settings.
        rest_api: the config.
    """
    return rest_api_source(cast(RESTAPIConfig, rest_api), name=name, section=section)


def _remembers(name: str, resources: Mapping[str, Any], parents: Mapping[str, Any]) -> bool:
    """Whether a resource has a cursor, or one that it takes values from."""
    endpoint = resources[name]["endpoint"] if isinstance(resources[name], dict) else {}
    params = (endpoint.get("params") or {}).values()
    if endpoint.get("incremental") or any(
        isinstance(p, dict) and p.get("type") == "incremental" for p in params
    ):
        return True
    return any(_remembers(one.resolve_config["resource"], resources, parents) for one in parents[name] or ())


def _refuse_to_retire(name: str, built: DltResource) -> None:
    """Refuses strategies to which a row that is not fetched is gone, where only some are fetched.

    dlt would end the validity of all other rows (`scd2`) or delete them (`cdc`), unless a `merge_key` tells of which
    rows what was fetched is all there is.
    """
    disposition = built.write_disposition
    strategy = _strategy(disposition)
    scope = isinstance(disposition, Mapping) and disposition.get("destination_scope")
    if strategy in _RETIRING and not (_has_merge_key(built) or scope):
        what = "end the validity of" if strategy == "scd2" else "delete"
        raise UnfitResourceError(
            name,
            f"each sync fetches some of the rows, and the strategy `{strategy}` would {what} all others",
            "Set a `merge_key`, such as the day or the parent's id: each load then has all rows of each of its values. "
            "Or use `upsert`",
        )


def _refuse_to_reach_out(name: str, built: DltResource) -> None:
    """Refuses a merge key that deletes rows of other partitions."""
    if _has_merge_key(built) and _strategy(built.write_disposition) not in _RETIRING:
        raise UnfitResourceError(
            name,
            "the resource is partitioned, and its `merge_key` would delete rows of other partitions",
            "Remove it: each partition holds what the API has for its window without it",
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


def _cursor(
    name: str, incremental: Mapping[str, Any] | None, contract: Contract, partitions: PartitionsConfig | None
) -> Cursor | None:
    if not incremental:
        return None
    path = str(incremental["cursor_path"]).removeprefix("$.")
    *outer, _ = path.split(".")
    for depth in range(1, len(outer) + 1):
        around = ".".join(outer[:depth])
        if contract.column(column_name(around)):
            raise UnfitResourceError(
                name,
                f"the cursor `{path}` is inside `{around}`, which is declared and so becomes one column",
                f"Declare `{column_name(path)}` instead, and the other fields of `{around}` that you need",
            )
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
            f"cursor_unit is for whole numbers, and the cursor `{path}` is a {written}",
            "Remove cursor_unit, or declare the cursor as bigint",
        )
    if partitions and data_type is None:
        kind = "a bigint" if is_whole_number else written
        fix = (
            "Set cursor_unit to what it counts since 1970: seconds, milliseconds or microseconds"
            if is_whole_number
            else "Declare it as timestamp or date"
        )
        raise UnfitCursorError(name, f"partitions are ranges of time, and the cursor `{path}` is {kind}", fix)
    if partitions and data_type == "date" and partitions.type == "hourly":
        raise UnfitCursorError(
            name,
            f"the partitions are hourly, and the cursor `{path}` is a whole day",
            "Use daily partitions, or a timestamp cursor",
        )
    for bound in ("initial_value", "end_value"):
        try:
            cursor.as_time(incremental.get(bound))
        except ValueError:
            raise ValueError(
                f"`{name}`: {bound} `{incremental[bound]}` is no {data_type}: write it as the cursor is, in ISO 8601"
            ) from None
    return cursor


def _strategy(disposition: Any) -> str | None:
    return disposition.get("strategy") if isinstance(disposition, Mapping) else None

"""Builds the dlt source from a plan, when a run starts.

What belongs here: every change to the user's REST API config before dlt gets the config. The code changes only a copy
of the config.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.jsonpath import compile_path
from dlt.common.schema.utils import dlt_id_column, dlt_load_id_column
from dlt.extract.incremental import IncrementalResourceWrapper
from dlt.extract.source import DltSource
from dlt.sources.helpers.rest_client.paginators import RangePaginator
from dlt.sources.rest_api.config_setup import create_paginator

from analytics_assets.config.rest_api import SecretField, disposition_of, expand, for_dlt, with_secrets
from analytics_assets.config.secret_reference import secret_reference
from analytics_assets.ingestion.contract.arrow_json import reads_json
from analytics_assets.ingestion.contract.columns import column_name
from analytics_assets.ingestion.contract.cursor_steps import (
    AfterIncrementalStep,
    BeforeIncrementalStep,
    NullCursors,
)
from analytics_assets.ingestion.contract.cursor_watch import (
    CursorWatch,
    LimitCursorStep,
    WatchCursorStep,
    latest_plausible,
)
from analytics_assets.ingestion.contract.normalizer import new_schema
from analytics_assets.ingestion.contract.page_range import PageRange
from analytics_assets.ingestion.contract.pipe_steps import AddDltIdsStep, ParseStep, ValidateStep
from analytics_assets.ingestion.contract.quarantine import Quarantine
from analytics_assets.ingestion.contract.renames import Renames
from analytics_assets.ingestion.contract.secret_watch import SecretWatch
from analytics_assets.ingestion.contract.validator import Validator
from analytics_assets.ingestion.errors import MissingBaseUrlError
from analytics_assets.ingestion.http.dlt_paginators import (
    READ_NO_ROWS,
    CheckedPaginator,
    PagingBySession,
    is_range,
    paths_read_by,
)
from analytics_assets.ingestion.http.json_path import compiled
from analytics_assets.ingestion.http.list_memory import ListMemory
from analytics_assets.ingestion.http.page_reader import Paging
from analytics_assets.ingestion.http.read_bounds import ReadBounds
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.response import PagingFields, ResponseReader
from analytics_assets.ingestion.http.row_selection import RowRules
from analytics_assets.ingestion.http.session import ApiSession
from analytics_assets.ingestion.http.side_by_side import SideBySide
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.plan.resource_info import ResourceInfo, dlt_source
from analytics_assets.ingestion.plan.write_mode import WriteMode
from analytics_assets.ingestion.source.incremental import filter_parents, follow_cursor
from analytics_assets.ingestion.source.ordered_batches import OrderedBatch
from analytics_assets.ingestion.source.page_sizes import Pages, change_pages, divide_pages, join_pages
from analytics_assets.ingestion.source.parallel_reads import read_parents, read_ranges
from analytics_assets.ingestion.source.path_parameters import encode_path_parameters
from analytics_assets.ingestion.source.settings import ONLY_SENT, read_secret, with_variables

CAPPED_TOTAL = 10_000
"""The total that search engines report for any larger one, by default: Elasticsearch counts no further."""


@dataclass(frozen=True)
class BuiltSource:
    """The dlt source of one attempt of a sync, and its validator.

    Attributes:
        source: the dlt source, which has one selected resource and the windows of the plan.
        validator: the validator, which checks each row against the contract.
        secret_watch: the counts of rows that hold a secret.
        cursor_watch: the counts of cursor values; None for a resource whose cursor is not a time.
        batch: ends the read after the rows of a batch; None for a read to the end.
    """

    source: DltSource
    validator: Validator
    secret_watch: SecretWatch
    cursor_watch: CursorWatch | None
    batch: OrderedBatch | None = None

    @property
    def continues(self) -> bool:
        """Whether the read ended early, so that the next sync continues."""
        return self.batch is not None and self.batch.has_ended_early

    @property
    def dropped_twice(self) -> int:
        """The number of rows that came twice, and that the sync does not load because of their cursor values."""
        return self.cursor_watch.repeated if self.cursor_watch else 0

    def cursor_range(self, resource: ResourceInfo) -> tuple[Any, Any]:
        """The range of cursor values in this sync, as start and end; both are None without a cursor.

        In a first run without an `initial_value`, the start of the range is None. In a sync with a window, the range
        ends at the end of the window. In a sync without a window, the range ends at dlt's `last_value`, which is by
        default the highest cursor value so far.
        """
        wrapper = self.source.resources[resource.name].incremental
        incremental = wrapper.incremental if isinstance(wrapper, IncrementalResourceWrapper) else wrapper
        if incremental is None:
            return None, None
        return incremental.start_value, incremental.end_value or incremental.last_value


def build_source(
    plan: LoadPlan,
    quarantine: Quarantine,
    session: ApiSession,
    secrets: Secrets,
    capabilities: DestinationCapabilitiesContext,
) -> BuiltSource:
    """Builds the dlt source of one attempt.

    Each resource has a dlt schema with a name of its own. The destination stores one schema per schema name, so
    resources with a shared name would overwrite each other's tables and columns.

    Args:
        plan: the plan of the sync.
        quarantine: the quarantine, which takes the rows that break the contract.
        session: the HTTP session, which sends the requests and adds the secrets.
        secrets: the secrets, which are redacted in error texts, and reported in rows.
        capabilities: dlt's capabilities of the destination.

    Raises:
        MissingBaseUrlError: the base URL is not set.
        MissingSecretError: a secret is not set, and the auth type needs the value of the secret.
        UnsetVariableError: an environment variable of a template in `auth` or `headers` is not set.
    """
    config, resource = plan.config, plan.resource
    if not config.rest_api["client"].get("base_url"):
        raise MissingBaseUrlError(resource.name, config.name)

    def secret(field: SecretField) -> str:
        # An auth type that computes with the secret, such as a signature, needs the value instead of a reference.
        return secret_reference(field.name) if field.auth_type in ONLY_SENT else read_secret(config, field)

    rest_api = with_secrets(config.rest_api, secret, token_session=session)
    rest_api = with_variables(config, resource, rest_api)
    resources = expand(rest_api)
    for one in resources.values():
        if isinstance(one, dict):
            _page_through_session(plan, one, rest_api["client"], secrets.redact)
            encode_path_parameters(one)
    own = resources[resource.name]
    parses = isinstance(own, dict) and not _may_stay_raw(own, resource)
    if isinstance(own, dict):
        _set_write_disposition(own, plan, capabilities)
        _declare(own, resource)
        if resource.cursor:
            follow_cursor(own, resource, plan.window)
        filter_parents(resources, resource)
    client = {**rest_api["client"], "session": session}
    rest_api = {"client": client, "resources": for_dlt(resources.values())}
    name = f"{config.name}__{resource.name}"
    source = dlt_source(name, config.name, rest_api).with_resources(resource.name)
    source.schema = new_schema(name)
    renames = Renames(plan.asset.rename)
    validator = _validator(resource, capabilities, renames, windowed=plan.window is not None)
    secret_watch = SecretWatch(secrets, quarantines=plan.asset.quarantine_secrets)
    watch, batch, page_range = None, None, PageRange()
    if isinstance(own, dict):  # otherwise the resource is a Python object, whose items are perhaps not rows
        built = source.resources[resource.name]
        if parses:
            built.add_step(ParseStep(), insert_at=1)
        _size_pages(source, plan, own, session.side_by_side, page_range, whole=validator.needs_whole_pages)
        for name in resource.lineage[1:]:  # dlt reads the rows of parents
            if isinstance(resources[name], dict):
                source.resources[name].add_step(ParseStep(), insert_at=1)
                change_pages(source.resources[name], divide_pages)
        validate = ValidateStep(validator, quarantine, secret_watch, page_range)
        built.add_step(validate).add_step(AddDltIdsStep())
        if resource.cursor:
            missing = own["endpoint"]["incremental"].get("on_cursor_value_missing")
            nulls = NullCursors(resource.cursor.column, includes=missing == "include")
            built.add_step(BeforeIncrementalStep(nulls)).add_step(AfterIncrementalStep(nulls))
        if resource.cursor and resource.filter:
            watch = CursorWatch(
                resource.cursor,
                plan.window,
                latest_plausible(plan.asset.future_hours),
                asked=resource.filter.asked,
                key=resource.contract.primary_key,
                page_range=page_range,
            )
            built.add_step(WatchCursorStep(watch)).add_step(LimitCursorStep(watch))
            if plan.commits_in_order:
                batch = OrderedBatch(built, watch)
                change_pages(built, batch.pages)
    return BuiltSource(source, validator, secret_watch, watch, batch)


def _size_pages(
    source: DltSource,
    plan: LoadPlan,
    own: Mapping[str, Any],
    side_by_side: SideBySide,
    page_range: PageRange,
    *,
    whole: bool,
) -> None:
    """Lets the resource read side by side what it can, and gives the steps of its pipe pages of a good size.

    Args:
        source: the source.
        plan: the plan of the sync.
        own: the config of the resource.
        side_by_side: runs reads side by side.
        page_range: gets the range of each page.
        whole: whether the validator needs each page as it came.
    """
    built = source.resources[plan.resource.name]
    # With `row_order`, dlt ends the paging after a page.
    in_any_order = not (own["endpoint"].get("incremental") or {}).get("row_order")
    join: Pages = join_pages if in_any_order and not whole else iter
    if side_by_side.most > 1 and not plan.dry_run and plan.max_pages is None:
        for name in plan.resource.lineage[:-1]:
            read_parents(source.resources[name], side_by_side)
        if plan.ranges:
            assert plan.resource.cursor is not None
            read_ranges(built, plan.resource.cursor, plan.ranges, side_by_side, page_range, join)
            join = iter
    change_pages(built, join)
    if not whole:
        change_pages(built, divide_pages)


def _may_stay_raw(resource: Mapping[str, Any], info: ResourceInfo) -> bool:
    """Whether a row may stay JSON text until the validator, which reads it: no earlier step reads the row's fields."""
    return not (resource.get("processing_steps") or info.parent or info.needs_rows) and reads_json(
        info.contract
    )


def _page_through_session(
    plan: LoadPlan, resource: dict[str, Any], client: Mapping[str, Any], redact: Callable[[str], str]
) -> None:
    """Replaces the paginator of an endpoint, so that the session checks each response.

    The session also does the paging by offset and by page number.
    """
    endpoint, asset = resource["endpoint"], plan.config.asset(resource["name"])
    paginator = create_paginator(endpoint.get("paginator") or client.get("paginator"))
    ranged = is_range(paginator)
    selector = endpoint.get("data_selector")
    key = resource.get("primary_key") or ()
    columns = resource.get("columns")
    sent = {column: field for field, column in asset.rename.items()}
    keys = tuple(sent.get(one, one) for one in ((key,) if isinstance(key, str) else key))
    row_fields = {*keys, *sent.values(), *(columns if isinstance(columns, Mapping) else ())}
    rules = RowRules(
        selector,
        ranged,
        row_fields,
        asset.empty_answer,
        asset.one_object,
        ListMemory(resource["name"], str(resource.get("table_name") or resource["name"])),
        redact,
    )
    requests = plan.config.requests
    judges_end = not (requests.ignore_total if asset.ignore_total is None else asset.ignore_total)
    bounds = ReadBounds(requests.max_pages, requests.max_empty_pages, asset.accept_repeated_rows)
    if resource["name"] == plan.resource.name:
        # A smaller range of the resource is no smaller range of its parent.
        continues = plan.commits_in_order
        suspect = CAPPED_TOTAL if continues or plan.halves() else None
        most = plan.limits.max_offset
        bounds = replace(bounds, max_offset=most, suspect_total=suspect, keeps_rows=continues)
    if selector:
        endpoint["data_selector"] = compiled(selector)
    gets_fields = bool(resource.get("include_from_parent"))
    if not ranged:
        fields = PagingFields(judges_end=judges_end, read_by_dlt=paths_read_by(paginator))
        reader = ResponseReader(
            resource["name"],
            rules,
            fields,
            raw_rows=True,
            is_read_by_user=type(paginator) not in READ_NO_ROWS,
            gets_fields=gets_fields,
        )
        endpoint["paginator"] = CheckedPaginator(paginator, reader, keys, bounds)
        return
    assert isinstance(paginator, RangePaginator)
    fields = PagingFields(paginator.total_path, paginator.has_more_path, judges_end)
    paging = Paging(
        paginator,
        ResponseReader(resource["name"], rules, fields, raw_rows=True, gets_fields=gets_fields),
        keys,
        overlap=requests.page_overlap,
        bounds=bounds,
        reads_all=not (endpoint.get("incremental") or {}).get("row_order"),
    )
    endpoint["paginator"] = PagingBySession(paging)
    endpoint["data_selector"] = compile_path("$")  # the JSON that the session returns is the list of rows


def _validator(
    resource: ResourceInfo,
    capabilities: DestinationCapabilitiesContext,
    renames: Renames,
    *,
    windowed: bool,
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
        renames=renames,
    )


def _set_write_disposition(
    resource: dict[str, Any], plan: LoadPlan, capabilities: DestinationCapabilitiesContext
) -> None:
    """Sets the write disposition, and names dlt's default merge strategy explicitly.

    Without a named strategy, dlt uses the strategy that an earlier run stored in the schema.
    """
    if plan.full_refresh and plan.write_mode is WriteMode.REPLACE:
        resource["write_disposition"] = "replace"
    written = resource.get("write_disposition")
    can_name = "delete-insert" in (capabilities.supported_merge_strategies or ())
    if plan.resource.has_key and can_name and disposition_of(written) == "merge":
        options = written if isinstance(written, Mapping) else {"disposition": written}
        resource["write_disposition"] = {"strategy": "delete-insert", **options}


def _declare(resource: dict[str, Any], info: ResourceInfo) -> None:
    """Replaces `columns` with the contract's columns under their warehouse names.

    Only primary-key columns are NOT NULL, because a NULL in another NOT NULL column would fail the whole load. The code
    sets dlt's `schema_contract` to `evolve` for columns, because the validator handles undeclared fields before dlt.
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

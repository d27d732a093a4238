"""The dry run: a sync that fetches a few pages, checks their rows against the contract, and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analytics_assets.ingestion.contract.quarantine import Limit
from analytics_assets.ingestion.http.breaker_client import CircuitStore
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.source.build import build_source
from analytics_assets.ingestion.sync import open_api, start_over_where_rows_moved
from analytics_assets.ingestion.sync_result import RequestCounts
from analytics_assets.ingestion.warehouse.conflicts import refuse_duplicate_keys
from analytics_assets.ingestion.warehouse.package_keys import in_memory, refuse_moved_rows
from analytics_assets.ingestion.warehouse.pipeline import LoadPipeline, open_load_pipeline


@dataclass(frozen=True, kw_only=True)
class DryRunResult:
    """The result of a dry run.

    Attributes:
        pages: the most pages that the dry run may read of each resource.
        read: the number of rows that the dry run checked.
        loading: the number of rows that a sync would load.
        quarantined: the number of rows that a sync would quarantine; a row that is neither loaded nor quarantined
            belongs to another window.
        reasons: the reasons for quarantine, with primary keys of example rows and masked values.
        limit: the parsed `max_quarantined`.
        too_many: whether the number of quarantined rows exceeds `limit`, so that the sync would fail.
        undeclared: the number of rows with a value, by name of each undeclared field.
        unsent: the declared columns that no row has.
        requests: the counts of requests and responses.
    """

    pages: int
    read: int
    loading: int
    quarantined: int
    reasons: tuple[str, ...]
    limit: Limit
    too_many: bool
    undeclared: Mapping[str, int]
    unsent: tuple[str, ...]
    requests: RequestCounts


def run_dry(plan: LoadPlan, circuit: CircuitStore, run_id: str = "") -> DryRunResult:
    """Runs a dry run in a temporary working directory. A dry run reads nothing from the destination, and takes no lock.

    A dry run does not read the stored cursor, so an unpartitioned resource starts without a cursor value.

    Args:
        plan: the plan of the sync, with `dry_run=True`.
        circuit: the store of the API's circuit, which all syncs of the API share.
        run_id: the id of the Dagster run, for log and error messages.

    Raises:
        SyncError: the dry run failed in a way that a user can act on. A sync of the same rows would fail too.
    """
    api = open_api(plan, circuit, run_id)

    def attempt() -> DryRunResult:
        quarantine = plan.new_quarantine(api.secrets.redact)
        with open_load_pipeline(plan, quarantine, api.caller) as pipeline, api.session() as session:
            built = build_source(plan, quarantine, session, api.secrets, pipeline.capabilities)
            pipeline.extract(built.source)
            pages = api.telemetry.pages_of_attempt
            refuse_moved_rows(built.dropped_twice, api.telemetry.rows_fetched, plan, pages)
            normalized = pipeline.normalize()
            _judge_keys(pipeline, pages)
            return DryRunResult(
                pages=plan.pages_of_dry_run,
                read=quarantine.rows_seen,
                loading=normalized.row_counts.get(plan.resource.table, 0),
                quarantined=quarantine.count,
                reasons=tuple(quarantine.reasons()),
                limit=quarantine.limit,
                too_many=quarantine.too_many,
                undeclared=dict(built.validator.undeclared),
                unsent=tuple(sorted(built.validator.unsent)),
                requests=RequestCounts.of(api.telemetry),
            )

    return start_over_where_rows_moved(plan, api, attempt)


def _judge_keys(pipeline: LoadPipeline, pages: int) -> None:
    """Fails if a sync of the rows would fail because of their primary keys."""
    if pipeline.backend.missing_guarantees:
        return  # the files of the load package are not Parquet, and no sync counts their keys
    with in_memory() as execute:
        refuse_duplicate_keys(pipeline.dlt, execute, pipeline.plan, pages)

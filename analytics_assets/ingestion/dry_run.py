"""A sync that writes nothing: what a few pages of a resource are, held against the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analytics_assets.ingestion.contract.quarantine import Limit
from analytics_assets.ingestion.http.breaker_client import CircuitStore
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.source.build import build_source
from analytics_assets.ingestion.sync import open_api, start_over_where_rows_moved
from analytics_assets.ingestion.sync_result import RequestCounts
from analytics_assets.ingestion.warehouse.pipeline import open_load_pipeline


@dataclass(frozen=True, kw_only=True)
class DryRunResult:
    """What a sync would have done with the rows that were read.

    Attributes:
        read: rows held against the contract.
        loading: rows that would load.
        quarantined: rows that would go to quarantine. The others are of another window.
        reasons: why, with the primary keys of examples; values are masked.
        limit: `max_quarantined`.
        too_many: whether these rows alone exceed it, so that the sync would fail.
        undeclared: fields that are not declared, with the number of rows that have them.
        unsent: declared columns that no row has.
        requests: what was asked of the API.
    """

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
    """Extracts into a working directory that is thrown away; opens no destination, and takes no lock.

    The cursor of an unpartitioned resource is in the destination, so it begins where a first sync would.

    Args:
        plan: of the sync; `dry_run` is set.
        circuit: of the API, shared by all its syncs.
        run_id: of the Dagster run, for people.

    Raises:
        SyncError: a failure that a user can act on; see `errors.py`.
    """
    api, name = open_api(plan, circuit, run_id), plan.resource.name

    def attempt() -> DryRunResult:
        quarantine = plan.new_quarantine()
        with open_load_pipeline(plan, quarantine, api.caller) as pipeline, api.session() as session:
            built = build_source(plan, quarantine, session, pipeline.capabilities)
            extracted = pipeline.dlt.extract(built.source)
            return DryRunResult(
                read=quarantine.rows_seen,
                loading=sum(
                    metrics["resource_metrics"][name].items_count
                    for steps in extracted.metrics.values()
                    for metrics in steps
                    if name in metrics["resource_metrics"]
                ),
                quarantined=quarantine.count,
                reasons=tuple(quarantine.reasons()),
                limit=quarantine.limit,
                too_many=quarantine.too_many,
                undeclared=dict(built.validator.undeclared),
                unsent=tuple(sorted(built.validator.unsent)),
                requests=RequestCounts.of(api.telemetry),
            )

    return start_over_where_rows_moved(plan, api.telemetry, attempt)

"""A sync that writes nothing: what a few pages of a resource are, held against the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dlt.common.destination import DestinationCapabilitiesContext
from requests import Session

from analytics_assets.ingestion.contract.quarantine import Limit
from analytics_assets.ingestion.http.session import ApiSession
from analytics_assets.ingestion.source.build import Sync
from analytics_assets.ingestion.warehouse.pipeline import open_pipeline
from analytics_assets.ingestion.warehouse.reader import require_sql


@dataclass(frozen=True)
class DryRun:
    """What a sync would have done with the rows that were read.

    Attributes:
        read: rows held against the contract.
        loading: of them, those that would load.
        quarantined: of them, those that would go to quarantine. The others are of another window.
        reasons: why, with the primary keys of examples; values are masked.
        limit: `max_quarantined`.
        too_many: whether these rows alone exceed it, so that the sync would fail.
        undeclared: fields that are not declared, with the number of rows that have them.
        unsent: declared columns that no row has.
    """

    read: int
    loading: int
    quarantined: int
    reasons: tuple[str, ...]
    limit: Limit
    too_many: bool
    undeclared: dict[str, int]
    unsent: tuple[str, ...]


def dry_run(
    source: str,
    resource: str,
    door: Callable[[], ApiSession],
    build: Callable[[Session, DestinationCapabilitiesContext], Sync],
) -> DryRun:
    """Extracts into a working directory that is thrown away; opens no destination, and takes no lock.

    The cursor of an unpartitioned resource is in the destination, so it begins where a first sync would.

    Args:
        source: dlt source name.
        resource: dlt resource name.
        door: the network; its page limit ends the run.
        build: the source, as `build_source`.

    Raises:
        PipelineStepFailed: around a `SyncError`, as in a sync.
        NoSqlError: the destination has no SQL.
    """
    with open_pipeline(source, resource, "a dry run") as pipeline, door() as session:
        require_sql(pipeline)
        sync = build(session, pipeline.destination.capabilities())
        quarantine = sync.settlement.quarantine
        quarantine.halts = False
        extracted = pipeline.extract(sync.source)
        return DryRun(
            read=quarantine.rows_seen,
            loading=sum(
                metrics["resource_metrics"][resource].items_count
                for steps in extracted.metrics.values()
                for metrics in steps
                if resource in metrics["resource_metrics"]
            ),
            quarantined=quarantine.count,
            reasons=tuple(quarantine.reasons()),
            limit=quarantine.limit,
            too_many=quarantine.too_many,
            undeclared=dict(sync.validator.undeclared),
            unsent=tuple(sorted(sync.validator.unsent)),
        )

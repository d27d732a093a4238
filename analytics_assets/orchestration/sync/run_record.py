"""Records a run in Dagster, batch by batch: materializations and evaluations of checks, each after its load.

What belongs here: the events of a run and their order. `evaluations.py` makes the events of the checks.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from analytics_assets.ingestion.batches import Batch
from analytics_assets.ingestion.contract.columns import Contract
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.source.settings import known_secrets
from analytics_assets.ingestion.sync_result import SyncResult
from analytics_assets.orchestration.checks.context import CheckOutcome
from analytics_assets.orchestration.checks.evaluations import CheckEvent, evaluations, outputs
from analytics_assets.orchestration.checks.registry import Outcomes, worst
from analytics_assets.orchestration.dagster_internals import materialization_tags, output_of_logged
from analytics_assets.orchestration.metadata import (
    COLUMN_SCHEMA,
    PARTITION_ROW_COUNT,
    PARTITIONS_IN_RUN,
    ROW_COUNT,
    Metadata,
    for_page,
    without_secrets,
)
from analytics_assets.orchestration.translator import SyncTranslator, loaded_schema

SyncEvent = dg.MaterializeResult[None] | dg.AssetMaterialization | dg.AssetObservation | CheckEvent


class RunRecord:
    """The record of one run of one asset.

    Args:
        context: the context of the step.
        translator: the translator, which builds the asset keys.
        plan: the plan of the run.
        partitions: the number of partitions of the run, with those that an earlier run has loaded.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        translator: SyncTranslator,
        plan: LoadPlan,
        partitions: int,
    ) -> None:
        self._context = context
        self._translator = translator
        self._plan = plan
        self._key = translator.key(plan.resource)
        self._redact = known_secrets(plan.config).redact
        self._partitions = partitions
        self._kept = partitions - len(plan.windows)
        self._tags: dict[str, str] | None = None
        self._total: SyncResult | None = None
        self._worst: dict[str, CheckOutcome] = {}  # of the checks that failed

    @property
    def kept(self) -> str:
        """Says what of the run is loaded; empty if nothing is."""
        if not self._plan.windows and self._total:
            rows, cursor = self._total.rows_loaded, self._total.cursor_to
            return f"Kept {rows:,} rows up to {cursor}, which are loaded. The next run goes on from there"
        if not self._kept:
            return ""
        return (
            f"Kept {self._kept:,} of {self._partitions:,} partitions, which are loaded. "
            "Materialize the rest to go on"
        )

    def metadata(self, result: SyncResult) -> Metadata:
        """Returns the metadata of a batch, or of all batches."""
        found = {
            **result.to_metadata(),
            COLUMN_SCHEMA: loaded_schema(self._plan.resource.contract, result.columns),
        }
        if self._plan.windows:
            found[PARTITIONS_IN_RUN] = self._partitions
        return without_secrets(found, self._redact)

    def total(self) -> Metadata | None:
        """Returns the metadata of all batches together; None if there was none."""
        return self.metadata(self._total) if self._total else None

    def add(self, batch: Batch) -> Metadata:
        """Adds a batch, whose rows are in the warehouse.

        Returns:
            The metadata of the batch. Without partitions, the metadata are of all batches so far.
        """
        result = batch.result
        self._total = self._total.followed_by(result) if self._total else result
        self._kept += len(batch.plan.windows)
        return self.metadata(result if batch.plan.windows else self._total)

    def batch(self, batch: Batch, metadata: Metadata, outcomes: dict[str, Outcomes]) -> Iterator[SyncEvent]:
        """Yields the events of a batch that was added.

        The materializations of the oldest partition come first, because the UI shows the event that was logged last.

        Args:
            batch: the batch.
            metadata: the metadata of the batch.
            outcomes: the outcomes of the checks, by name of the check and partition.
        """
        for name, found in outcomes.items():
            failed = [one for one in (self._worst.get(name), *found.values()) if one and not one.passed]
            if failed:
                self._worst[name] = worst(failed)
        yield from self._materializations(batch.plan, batch.result, metadata)
        yield from self._evaluations(outcomes, summary_follows=len(self._plan.windows) > 1)

    def _materializations(
        self, plan: LoadPlan, result: SyncResult, metadata: Metadata
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetMaterialization]:
        if not plan.windows:
            yield dg.MaterializeResult(asset_key=self._key, metadata=for_page(metadata))
        elif self._tags is None:
            self._tags = dict(materialization_tags(self._context, self._key))
        for partition in plan.windows:
            page = for_page({**metadata, PARTITION_ROW_COUNT: result.rows_by_partition.get(partition)})
            yield dg.AssetMaterialization(self._key, partition=partition, metadata=page, tags=self._tags)
        for name, child in result.children.items():
            described: dict[str, Any] = {
                ROW_COUNT: child.rows,
                COLUMN_SCHEMA: loaded_schema(Contract(()), child.columns),
            }
            for child_partition in plan.windows or (None,):
                yield dg.AssetMaterialization(
                    self._translator.child_key(plan.resource, name),
                    metadata=described,
                    partition=child_partition,
                )

    def failed(self) -> Iterator[SyncEvent]:
        """Yields the last events of a run that failed after some batches: the checks that failed in these batches.

        The UI shows only the last evaluation of a check. Without this event, a good partition would hide a bad one.
        """
        if len(self._plan.windows) > 1:
            yield from self._evaluations({name: {None: one} for name, one in self._worst.items()})

    def ended(self, summary: dict[str, Outcomes]) -> Iterator[SyncEvent]:
        """Yields the last events of a run that loaded everything.

        Args:
            summary: the outcomes of the checks for all partitions together; empty for a run of one partition.
        """
        if self._partitions:
            yield output_of_logged(self._context, self._key)
            names = (one.name for one in self._context.selected_asset_check_keys)
            yield from outputs(self._context, [name for name in names if name not in summary])
        yield from self._evaluations(summary)

    def _evaluations(
        self, outcomes: dict[str, Outcomes], *, summary_follows: bool = False
    ) -> Iterator[CheckEvent]:
        return evaluations(
            self._context,
            self._key,
            self._plan.asset,
            outcomes,
            self._redact,
            summary_follows=summary_follows,
        )

"""Runs the checks of a step on the warehouse: after each batch, for all batches together, or without a sync."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg

from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.time_window import Window
from analytics_assets.ingestion.warehouse.load_order import first_load
from analytics_assets.ingestion.warehouse.pipeline import open_pipeline
from analytics_assets.ingestion.warehouse.reader import Table
from analytics_assets.orchestration.checks.context import CheckContext
from analytics_assets.orchestration.checks.registry import Outcomes, run_checks, run_summary
from analytics_assets.orchestration.metadata import Metadata
from analytics_assets.orchestration.partitions import partitions_def
from analytics_assets.orchestration.sync.materializations import latest_sync, lost_partitions


class RunChecks:
    """The selected checks of one step. It reads the metadata of the latest sync before the first batch is recorded.

    Args:
        context: the context of the step.
        key: the asset key.
        plan: the plan of the run.
    """

    def __init__(self, context: dg.AssetExecutionContext, key: dg.AssetKey, plan: LoadPlan) -> None:
        self._context = context
        self._key = key
        self._plan = plan
        self._names = [one.name for one in context.selected_asset_check_keys]
        self._previous, self._by_hand = latest_sync(context.instance, key)

    def of_batch(self, windows: Mapping[str, Window], current: Metadata) -> dict[str, Outcomes]:
        """Runs the checks on each partition of a batch, or on the table after a sync without partitions.

        Args:
            windows: the windows of the batch, by partition key.
            current: the metadata of the batch.

        Returns:
            The outcomes, by name of the check.
        """
        if not self._names:
            return {}
        with self._opened(current) as opened:
            return run_checks(self._names, opened, windows)

    def summary(self, windows: Mapping[str, Window], current: Metadata | None) -> dict[str, Outcomes]:
        """Runs the checks on all partitions that the run loaded. For one partition, there is no summary.

        Args:
            windows: the windows that the run loaded, by partition key.
            current: the metadata of all batches together.

        Returns:
            The outcomes, by name of the check.
        """
        if not self._names or len(windows) < 2:
            return {}
        with self._opened(current) as opened:
            return run_summary(self._names, opened, windows)

    def alone(self) -> dict[str, Outcomes]:
        """Runs the checks without a sync, on the partitions of the run or on the whole table.

        Returns:
            The outcomes, by name of the check. With several partitions, the outcome of the key None is the summary.
        """
        if not self._names:
            return {}
        windows = self._plan.windows
        with self._opened(None) as opened:
            found = run_checks(self._names, opened, windows)
            summary = run_summary(self._names, opened, windows)
        return {name: found[name] | summary.get(name, {}) for name in found}

    @contextmanager
    def _opened(self, current: Metadata | None) -> Iterator[CheckContext]:
        config, resource = self._plan.config, self._plan.resource
        with (
            open_pipeline(
                config.name,
                resource.name,
                f"checks of {resource.name}",
                config.dataset,
                config.destination.lock_timeout,
            ) as pipeline,
            pipeline.exclusive() as client,
        ):
            since = first_load(client, pipeline.dlt.pipeline_name)
            partitions = partitions_def(self._plan.asset.partitions)
            lost = lost_partitions(self._context.instance, self._key, partitions, since) if partitions else ()
            yield CheckContext(
                table=Table(client, resource),
                resource=resource,
                window=None,
                previous=self._previous,
                current=current,
                lost_partitions=tuple(one for one in lost if one not in self._plan.windows),
                reported_by_hand=self._by_hand,
            )

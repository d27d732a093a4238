"""What a destination must do so that the guarantees of a sync hold there: one protocol, a module per destination.

What belongs here: the questions. The answers are `duckdb.py`, and `generic.py` for every other destination.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.errors import SyncError
from analytics_assets.ingestion.plan.load_plan import LoadPlan


class Backend(Protocol):
    """The guarantees of one destination.

    Attributes:
        name: of the destination in dlt.
        missing_guarantees: what it cannot promise, a clause each; empty where it promises all.
    """

    @property
    def name(self) -> str:
        """See above."""

    @property
    def missing_guarantees(self) -> Sequence[str]:
        """See above."""

    def locked(self, names: Sequence[str], by: str) -> AbstractContextManager[None]:
        """Holds named locks for the block, taken in this order. A lock of a dead process is free.

        Args:
            names: of the locks; runs of the same rows name the same.
            by: who holds them, for those who wait.

        Raises:
            UnreachableWarehouseError: the locks cannot be made.
        """

    def exclusive(self, pipeline: Pipeline, by: str) -> AbstractContextManager[None]:
        """Has the warehouse to itself for the block. Where opening a connection is slow, one stays open meanwhile.

        Args:
            pipeline: uses the connection.
            by: the run that has the warehouse; the log of a run that waits names it.

        Raises:
            UnreachableWarehouseError: the lock cannot be made.
        """

    def explain(self, error: Exception, resource: str) -> SyncError | None:
        """What a user can do about an error of the destination; None where nothing is known."""

    def refuse_conflicts(self, pipeline: Pipeline, plan: LoadPlan, restored: str | None) -> None:
        """Fails where the load would put older rows over newer ones, or a key into the table twice.

        Args:
            pipeline: whose load packages are normalized; the warehouse is exclusive.
            plan: of the sync.
            restored: hash of the schema that the sync began with; None where there was none.

        Raises:
            StaleLoadError: another run has loaded something newer.
            DuplicateKeysError: a key comes twice, and the merge strategy would load both rows.
        """

    def table_name(self, dataset: str, table: str) -> str:
        """The name of a table as users of the destination write it."""

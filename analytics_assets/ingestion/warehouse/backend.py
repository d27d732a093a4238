"""The protocol `Backend`: what a sync needs from the code for a destination.

What belongs here: the protocol without any code. `duckdb.py` has the code for DuckDB, `postgres.py` for PostgreSQL, and
`generic.py` for every other destination.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.errors import SyncError
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.warehouse.load_order import Restored
from analytics_assets.ingestion.warehouse.package_keys import PackageKeys

_T = TypeVar("_T")


class Backend(Protocol):
    """The part of a sync that depends on the destination.

    Attributes:
        name: the name of the destination in dlt.
        missing_guarantees: the guarantees that the destination lacks, one clause each; empty if the destination gives
            all.
    """

    @property
    def name(self) -> str:
        """The name of the destination in dlt."""

    @property
    def missing_guarantees(self) -> Sequence[str]:
        """The guarantees that the destination lacks, one clause each; empty if the destination gives all."""

    def locked(self, names: Sequence[str], by: str) -> AbstractContextManager[None]:
        """Takes named locks in the given order, and holds them within the `with` block.

        If a process dies, the operating system releases its locks.

        Args:
            names: the names of the locks; runs that load the same rows share a name.
            by: the text that names the caller; the log of a run that waits for the caller shows this text.

        Raises:
            UnreachableWarehouseError: the lock files cannot be written.
        """

    def exclusive(self, by: str) -> AbstractContextManager[None]:
        """Gives the caller exclusive use of the warehouse within the `with` block.

        Args:
            by: the text that names the caller; the log of a run that waits for the caller shows this text.

        Raises:
            UnreachableWarehouseError: the lock file cannot be written.
        """

    def open(self, open_file: Callable[[], _T], by: str) -> _T:
        """Opens a connection. The caller has exclusive use of the warehouse among syncs and readers.

        Args:
            open_file: the function that opens the connection, and whose result is returned.
            by: the text that names the caller, for the log.
        """

    def explain(self, error: Exception, resource: str) -> SyncError | None:
        """Translates an error of the destination into a failure that a user can act on; None for an unknown error."""

    def refuse_conflicts(
        self, pipeline: Pipeline, client: SqlJobClientBase, plan: LoadPlan, restored: Restored, pages: int
    ) -> PackageKeys | None:
        """Fails if the load would replace newer rows with older rows, lose rows, or load a key twice.

        Args:
            pipeline: the pipeline, which has normalized load packages and exclusive use of the warehouse.
            client: an open client of the destination.
            plan: the plan of the sync.
            restored: what the destination had when the sync began.
            pages: the number of pages that the sync read.

        Returns:
            The counts of the primary keys in the load; None if they are unknown.

        Raises:
            StaleLoadError: since this sync began, another run has loaded newer rows or new columns.
            RowsMovedError: identical rows came from more than one page.
            KeyNotUniqueError: rows with the same key have other values.
            DuplicateKeysError: a key occurs twice, and the merge strategy would load both rows or fail.
        """

    def connection(self, *, read_only: bool) -> AbstractContextManager[Any] | None:
        """Opens a connection of the destination's own driver for the user's code; None if only `open` opens one.

        Args:
            read_only: whether the connection refuses to write.
        """

    def table_name(self, dataset: str, table: str) -> str:
        """Returns the qualified name of a table in the SQL of the destination."""

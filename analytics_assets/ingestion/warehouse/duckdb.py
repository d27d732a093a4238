"""The backend for a DuckDB file, with lock files beside the database and checks for conflicts before each load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dlt.common.destination.client import JobClientBase
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.config.models import DEFAULT_LOCK_TIMEOUT
from analytics_assets.ingestion.errors import (
    DiskFullError,
    SyncError,
    UnreachableWarehouseError,
    WarehouseBusyError,
)
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.warehouse.conflicts import refuse_duplicate_keys, refuse_stale_load
from analytics_assets.ingestion.warehouse.load_order import Restored
from analytics_assets.ingestion.warehouse.locks import WAREHOUSE, hold, until_free
from analytics_assets.ingestion.warehouse.package_keys import PackageKeys
from analytics_assets.ingestion.warehouse.storage_errors import disk_full, explain_duckdb, remove_stub
from analytics_assets.ingestion.warehouse.table_owner import refuse_others_tables

_T = TypeVar("_T")

_VIEWS = "SELECT view_name FROM duckdb_views() WHERE database_name = current_database() AND schema_name = %s"
"""The views of a schema."""


@dataclass(frozen=True)
class DuckDbBackend:
    """The `Backend` for DuckDB.

    DuckDB permits only one process to write a file. dlt closes the file between two load jobs, so a file lock protects
    the whole load. Without the lock, parallel runs would fail, or would truncate each other's staging tables.

    Attributes:
        database: the path of the DuckDB file; None for a database in memory, which no other process sees.
        lock_timeout: seconds: how long to wait for a program that has the file open.
    """

    database: Path | None
    lock_timeout: float = DEFAULT_LOCK_TIMEOUT
    name: str = "duckdb"
    missing_guarantees: Sequence[str] = ()

    @contextmanager
    def locked(self, names: Sequence[str], by: str) -> Iterator[None]:
        """Holds file locks beside the database, as `Backend.locked` specifies."""
        with ExitStack() as held:
            if self.database is not None:
                try:
                    held.enter_context(hold(self.database, names, by))
                except OSError as error:
                    full = disk_full(error, "", str(self.database))
                    problem = f"nothing can be written beside it ({error.strerror})"
                    raise full or UnreachableWarehouseError("", str(self.database), problem) from error
            yield

    @contextmanager
    def exclusive(self, by: str) -> Iterator[None]:
        """Holds the file lock of the warehouse, as `Backend.exclusive` specifies."""
        with self.locked([WAREHOUSE], by):
            if self.database is not None:
                remove_stub(self.database)
            yield

    def open(self, open_file: Callable[[], _T], by: str) -> _T:
        """Opens the file, as `Backend.open` specifies. Waits for programs that do not take our locks."""

        def holder_of(error: Exception) -> str | None:
            explained = explain_duckdb(error, "", self.database)
            return explained.holder or "a program" if isinstance(explained, WarehouseBusyError) else None

        return until_free(open_file, holder_of, by, self.lock_timeout)

    def explain(self, error: Exception, resource: str) -> SyncError | None:
        """Explains an error of DuckDB or of the operating system, as `Backend.explain` specifies."""
        explained = explain_duckdb(error, resource, self.database)
        if explained is None and isinstance(error, DestinationConnectionError):
            *_, reason = str(error).split("The actual reason given is: ")
            return UnreachableWarehouseError(resource, str(self.database), reason.strip())
        if isinstance(explained, DiskFullError) and self.database is not None:
            remove_stub(self.database)
        return explained

    def refuse_conflicts(
        self, pipeline: Pipeline, client: SqlJobClientBase, plan: LoadPlan, restored: Restored, pages: int
    ) -> PackageKeys | None:
        """Raises for conflicts, as `Backend.refuse_conflicts` specifies, and for tables that are not ours."""
        refuse_others_tables(client, plan.resource.name, plan.resource.table, _VIEWS)
        refuse_stale_load(pipeline, client, plan, restored)
        return refuse_duplicate_keys(pipeline, client.sql_client.execute_sql, plan, pages)

    def connection(self, *, read_only: bool) -> None:
        """Returns None, because a connection to the file needs a lock."""

    def table_name(self, dataset: str, table: str) -> str:
        """Returns the qualified name of a table. DuckDB names the database after its file."""
        return f"{self.database.stem}.{dataset}.{table}" if self.database else f"{dataset}.{table}"


def database_of(client: JobClientBase) -> Path | None:
    """Returns the path of the DuckDB file that a client opens; None for a database in memory."""
    credentials = client.config.credentials
    assert isinstance(credentials, DuckDbCredentials)
    return None if credentials.database == ":memory:" else Path(credentials.database).absolute()

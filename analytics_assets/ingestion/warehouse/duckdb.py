"""DuckDB in a file: locks beside the file, conflicts from the load package, merge and reconcile in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dlt.destinations.exceptions import DestinationConnectionError
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.errors import SyncError, UnreachableWarehouseError, WarehouseBusyError
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.warehouse.conflicts import refuse_duplicate_keys, refuse_stale_load
from analytics_assets.ingestion.warehouse.locks import WAREHOUSE, hold

_LOCKED_BY_OTHERS = "Could not set lock on file"  # DuckDB's words


@dataclass(frozen=True)
class DuckDbBackend:
    """See `Backend`.

    DuckDB lets one process write a file, and dlt lets go of it between load jobs. Without one lock around the whole
    load, concurrent runs fail, or truncate each other's staging tables and lose rows.

    Attributes:
        database: the file; None for a database in memory, which no other process sees.
    """

    database: Path | None
    name: str = "duckdb"
    missing_guarantees: Sequence[str] = ()

    @contextmanager
    def locked(self, names: Sequence[str], by: str) -> Iterator[None]:
        """See `Backend`."""
        with ExitStack() as held:
            if self.database is not None:
                try:
                    held.enter_context(hold(self.database, names, by))
                except OSError as error:
                    problem = f"nothing can be written beside it ({error.strerror})"
                    raise UnreachableWarehouseError("", str(self.database), problem) from error
            yield

    @contextmanager
    def exclusive(self, pipeline: Pipeline, by: str) -> Iterator[None]:
        """See `Backend`; dlt alone opens and closes the file, and so checkpoints it, for each job and question."""
        with self.locked([WAREHOUSE], by), pipeline.destination_client():
            yield

    def explain(self, error: Exception, resource: str) -> SyncError | None:
        """See `Backend`."""
        if _LOCKED_BY_OTHERS in str(error):
            return WarehouseBusyError(resource, str(self.database))
        if isinstance(error, DestinationConnectionError):
            *_, reason = str(error).split("The actual reason given is: ")
            return UnreachableWarehouseError(resource, str(self.database), reason.strip())
        return None

    def refuse_conflicts(self, pipeline: Pipeline, plan: LoadPlan, restored: str | None) -> None:
        """See `Backend`."""
        refuse_stale_load(pipeline, plan, restored)
        refuse_duplicate_keys(pipeline, plan)

    def table_name(self, dataset: str, table: str) -> str:
        """See `Backend`; DuckDB calls the database by the name of its file."""
        return f"{self.database.stem}.{dataset}.{table}" if self.database else f"{dataset}.{table}"


def database_of(pipeline: Pipeline) -> Path | None:
    """The DuckDB file that a pipeline loads to; None for a database in memory."""
    credentials = pipeline.destination_client().config.credentials
    assert isinstance(credentials, DuckDbCredentials)
    return None if credentials.database == ":memory:" else Path(credentials.database).absolute()

"""The backend for SQL destinations other than DuckDB and PostgreSQL.

The constant `MISSING` names each guarantee of a sync that only these two give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.errors import SyncError
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.warehouse.load_order import Restored

MISSING = (
    "runs of one asset do not wait for each other",
    "a run does not see that another run has loaded newer rows",
    "a primary key that comes twice in one load is not refused",
    "rows that are gone from the API leave in a transaction of their own, after the load",
)

_T = TypeVar("_T")


@dataclass(frozen=True)
class GenericBackend:
    """The `Backend` for SQL destinations other than DuckDB and PostgreSQL."""

    name: str
    missing_guarantees: Sequence[str] = MISSING

    @contextmanager
    def locked(self, names: Sequence[str], by: str) -> Iterator[None]:  # noqa: ARG002  no locks here
        """Takes no lock, so runs do not wait for each other."""
        yield

    @contextmanager
    def exclusive(self, by: str) -> Iterator[None]:  # noqa: ARG002  no locks here
        """Takes no lock, because the destination supports parallel writers."""
        yield

    def open(self, open_file: Callable[[], _T], by: str) -> _T:  # noqa: ARG002  no locks here
        """Opens a connection, which other programs never prevent."""
        return open_file()

    def explain(self, error: Exception, resource: str) -> SyncError | None:  # noqa: ARG002  no error is known
        """Returns None, because error texts differ between destinations."""
        return None

    def refuse_conflicts(
        self, pipeline: Pipeline, client: SqlJobClientBase, plan: LoadPlan, restored: Restored, pages: int
    ) -> None:
        """Checks nothing, because other destinations load files in other formats than Parquet."""

    def connection(self, *, read_only: bool) -> None:
        """Returns None, because the driver is not known."""

    def table_name(self, dataset: str, table: str) -> str:
        """Returns the table name, qualified with the dataset."""
        return f"{dataset}.{table}"

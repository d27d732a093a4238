"""Any SQL destination of dlt that has no module of its own: it loads, and says what it cannot promise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.errors import SyncError
from analytics_assets.ingestion.plan.load_plan import LoadPlan

MISSING = (
    "runs of one asset do not wait for each other",
    "a run does not see that another run has loaded newer rows",
    "a primary key that comes twice in one load is not refused",
    "rows that are gone from the API leave in a transaction of their own, after the load",
)


@dataclass(frozen=True)
class GenericBackend:
    """See `Backend`."""

    name: str
    missing_guarantees: Sequence[str] = MISSING

    @contextmanager
    def locked(self, names: Sequence[str], by: str) -> Iterator[None]:  # noqa: ARG002  no locks here
        """See `Backend`; nobody waits."""
        yield

    @contextmanager
    def exclusive(self, pipeline: Pipeline, by: str) -> Iterator[None]:  # noqa: ARG002  no locks here
        """See `Backend`; the destination takes concurrent writers."""
        yield

    def explain(self, error: Exception, resource: str) -> SyncError | None:  # noqa: ARG002  its words are its own
        """See `Backend`."""
        return None

    def refuse_conflicts(self, pipeline: Pipeline, plan: LoadPlan, restored: str | None) -> None:
        """See `Backend`; the files of a load package cannot be queried here."""

    def table_name(self, dataset: str, table: str) -> str:
        """See `Backend`."""
        return f"{dataset}.{table}"

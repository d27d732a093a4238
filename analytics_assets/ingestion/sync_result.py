"""What a sync did: one dataclass, and the same as metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from analytics_assets.ingestion.http.telemetry import Telemetry


@dataclass(frozen=True, kw_only=True)
class RequestCounts:
    """What a sync asked of the API, and what it got.

    Attributes:
        requests: sent, retries included.
        pages: read, in order.
        retries: requests sent again.
        responses_429: responses with status 429.
        restarts: times the sync started over.
        seconds_waited: for retries and rate limits, over all threads.
        bytes_received: of bodies, decoded.
        rows_fetched: rows read from pages, each once.
        rows_per_second: from the first request to the last page.
        rows_reported_by_api: rows that the API says there are; None where it does not.
    """

    requests: int
    pages: int
    retries: int
    responses_429: int
    restarts: int
    seconds_waited: float
    bytes_received: int
    rows_fetched: int
    rows_per_second: float
    rows_reported_by_api: int | None

    @classmethod
    def of(cls, telemetry: Telemetry, *, promised: bool = False) -> RequestCounts:
        """The counts of a telemetry, as they are now.

        Args:
            telemetry: of the sync.
            promised: whether the rows that the API says it has are those of this sync.
        """
        return cls(
            requests=telemetry.requests,
            pages=telemetry.pages,
            retries=telemetry.retries,
            responses_429=telemetry.too_many_requests,
            restarts=telemetry.restarts,
            seconds_waited=round(telemetry.seconds_waited, 3),
            bytes_received=telemetry.bytes_received,
            rows_fetched=telemetry.rows_fetched,
            rows_per_second=round(telemetry.rows_per_second, 1),
            rows_reported_by_api=telemetry.total if promised else None,
        )

    def to_metadata(self) -> dict[str, Any]:
        """By name, without what is not known: numbers, so that Dagster plots them."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class ChildTable:
    """A child table after a load.

    Attributes:
        rows: in the whole table.
        columns: dlt's column schemas, by name; empty where the table does not exist yet.
    """

    rows: int
    columns: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SyncResult:
    """What one sync of one resource did.

    Attributes:
        destination_name: of the destination in dlt.
        dataset_name: of the dataset.
        table_name: of the table, as users of the destination write it.
        first_run: whether no sync of this resource came before.
        started_at: when the load began.
        finished_at: when it ended.
        columns: dlt's column schemas of the table, by name.
        requests: what was asked of the API.
        rows_loaded: good rows in this load.
        rows_quarantined: rows that went to quarantine.
        rows_removed: rows of the table that are gone from the API, and have left it.
        row_count: rows in the whole table; None where the sync is of partitions.
        rows_by_partition: rows of each partition in the table, by key; empty where there are none or nobody can tell.
        partitions: keys of the partitions that were loaded.
        cursor_from: where the cursor started; None on a first run or without a cursor.
        cursor_to: how far it came; None without a cursor.
        full_refresh: whether all rows were replaced.
        undeclared: fields that are not declared, with the number of rows that have them.
        unsent: declared columns that no row has; empty where only new rows were read.
        children: the child tables that are assets, by field.
        missing_guarantees: what the destination cannot promise, and the file accepts.
    """

    destination_name: str
    dataset_name: str
    table_name: str
    first_run: bool
    started_at: datetime | None
    finished_at: datetime | None
    columns: Mapping[str, Any]
    requests: RequestCounts
    rows_loaded: int
    rows_quarantined: int
    rows_removed: int
    row_count: int | None
    rows_by_partition: Mapping[str, int]
    partitions: Sequence[str]
    cursor_from: Any = None
    cursor_to: Any = None
    full_refresh: bool = False
    undeclared: Mapping[str, int] = field(default_factory=dict)
    unsent: Sequence[str] = ()
    children: Mapping[str, ChildTable] = field(default_factory=dict)
    missing_guarantees: Sequence[str] = ()

    def to_metadata(self) -> dict[str, Any]:
        """The facts of the sync as a whole, in plain values; facts of one partition are `rows_by_partition`."""
        known: dict[str, Any] = {
            "dagster/table_name": self.table_name,
            "dagster/row_count": self.row_count,
            "partitions_in_run": len(self.partitions) or None,
            "rows_loaded": self.rows_loaded,
            "rows_quarantined": self.rows_quarantined,
            "rows_removed": self.rows_removed,
            **self.requests.to_metadata(),
            "cursor_from": None if self.cursor_from is None else str(self.cursor_from),
            "cursor_to": None if self.cursor_to is None else str(self.cursor_to),
            "full_refresh": self.full_refresh or None,
            "undeclared_fields": dict(self.undeclared),
            "declared_but_not_sent": list(self.unsent),
            "missing_guarantees": list(self.missing_guarantees) or None,
            "destination_name": self.destination_name,
            "dataset_name": self.dataset_name,
            "first_run": self.first_run,
            "started_at": None if self.started_at is None else str(self.started_at),
            "finished_at": None if self.finished_at is None else str(self.finished_at),
        }
        return {name: value for name, value in known.items() if value is not None}

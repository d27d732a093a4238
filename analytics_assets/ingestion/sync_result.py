"""The result of a sync as a dataclass, and its conversion to metadata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

from analytics_assets.ingestion.errors import shown
from analytics_assets.ingestion.http.telemetry import Telemetry

_MOST_FIELDS = 1000
"""The most fields in the metadata of a sync, which Dagster stores for good."""


@dataclass(frozen=True, kw_only=True)
class RequestCounts:
    """The counts of requests and responses of a sync.

    Attributes:
        requests: the number of requests sent, retries included.
        pages: the number of pages read.
        retries: the number of retries.
        responses_429: the number of responses with status 429.
        restarts: the number of times that the sync started over.
        seconds_waited: seconds of waiting for retries and rate limits, summed over all threads.
        bytes_received: the size of all response bodies after decompression.
        rows_fetched: the number of rows read from pages, without the repeated rows of overlapping pages.
        rows_per_second: rows fetched per second, from the first request to the last page.
        rows_reported_by_api: the total number of rows that the API reports; None if the API reports none.
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
        """Copies the current counts of a `Telemetry`.

        Args:
            telemetry: the telemetry of the sync.
            promised: whether the total that the API reports counts the rows of this resource.
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

    def plus(self, later: Self) -> Self:
        """The counts of two batches of one run."""
        summed = {
            name: getattr(self, name) + getattr(later, name)
            for name in vars(self)
            if name not in ("rows_per_second", "rows_reported_by_api")
        }
        seconds = sum(one.rows_fetched / one.rows_per_second for one in (self, later) if one.rows_per_second)
        return replace(
            self,
            **summed,
            rows_per_second=round(summed["rows_fetched"] / seconds, 1) if seconds else 0.0,
            rows_reported_by_api=_sum_of_known(self.rows_reported_by_api, later.rows_reported_by_api),
        )

    def to_metadata(self) -> dict[str, Any]:
        """The counts that are not None, by name. All values are numbers, so that Dagster plots them."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class ChildTable:
    """A child table after a load.

    Attributes:
        rows: the number of rows in the whole child table.
        columns: dlt's column schemas, by name; empty if the child table does not exist yet.
    """

    rows: int
    columns: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SyncResult:
    """The result of one sync of one resource.

    Attributes:
        destination_name: the name of the destination in dlt.
        dataset_name: the name of the dataset.
        table_name: the qualified name of the table in SQL.
        first_run: whether this sync was the first of its resource.
        started_at: the time when the load started.
        finished_at: the time when the load finished.
        columns: dlt's column schemas of the table, by name.
        requests: the counts of requests and responses.
        rows_loaded: the number of good rows in this load.
        rows_repeated: the number of rows in this load that are identical to another row.
        rows_superseded: the number of rows in this load that are an older version of another row.
        rows_kept: the number of rows of this load that are in the table afterwards; None if that says nothing, because
            the merge strategy leaves rows out.
        rows_outside_window: the number of fetched rows outside the window of the sync, which were not loaded.
        rows_in_future: the number of loaded rows whose cursor value is in the future.
        rows_quarantined: the number of rows that went to quarantine.
        rows_removed: the number of rows that the load removed because the API no longer returns them.
        row_count: the number of rows in the whole table; None for a sync of partitions.
        rows_by_partition: the number of rows in the table, by partition key; empty without partitions, or if the cursor
            is not a column of the table.
        rows_of_earlier_loads: the number of rows in a loaded partition that this sync should have replaced and did not,
            by partition key; only partitions with such rows.
        partitions: the keys of the loaded partitions.
        cursor_from: the cursor value at the start; None in a first run or without a cursor.
        cursor_to: the cursor value at the end; None without a cursor.
        full_refresh: whether the load replaced all rows.
        undeclared: the number of rows with a value, by name of each undeclared field.
        unsent: the declared columns that no row has; empty for a resource with a cursor.
        variants: dlt's variant columns of the table and of its child tables, as `table.column`, with the type that the
            column without `__v_` has.
        cut: the number of timestamps that lost digits below the precision of their column, by column.
        rows_with_secret: the number of loaded rows that hold a secret of the API, by name of the field.
        children: the child tables that are assets, by field name.
        missing_guarantees: the guarantees that the destination lacks.
        load_id_ahead: the seconds by which the highest load id in the destination was ahead of the clock; 0 for a small
            difference.
        continues: whether the API may have more rows, which the next sync of the same run loads.
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
    rows_repeated: int
    rows_superseded: int
    rows_kept: int | None
    rows_outside_window: int
    rows_in_future: int
    rows_quarantined: int
    rows_removed: int
    row_count: int | None
    rows_by_partition: Mapping[str, int]
    rows_of_earlier_loads: Mapping[str, int]
    partitions: Sequence[str]
    cursor_from: Any = None
    cursor_to: Any = None
    full_refresh: bool = False
    undeclared: Mapping[str, int] = field(default_factory=dict)
    unsent: Sequence[str] = ()
    variants: Mapping[str, str] = field(default_factory=dict)
    cut: Mapping[str, int] = field(default_factory=dict)
    rows_with_secret: Mapping[str, int] = field(default_factory=dict)
    children: Mapping[str, ChildTable] = field(default_factory=dict)
    missing_guarantees: Sequence[str] = ()
    load_id_ahead: float = 0.0
    continues: bool = False

    def followed_by(self, later: Self) -> Self:
        """The result of two batches of one run, as if one load had brought both.

        Args:
            later: the result of the batch that was loaded after this one, of the same resource.
        """
        both = (self, later)
        merged: dict[str, Any] = {name: sum(getattr(one, name) for one in both) for name in _COUNTS}
        for name in _COUNTS_BY_NAME:
            counts = Counter(getattr(self, name))
            counts.update(getattr(later, name))  # unlike a sum of counters, an update keeps zeros
            merged[name] = dict(counts)
        return replace(
            later,
            first_run=self.first_run,
            started_at=self.started_at,
            requests=self.requests.plus(later.requests),
            rows_kept=_sum_of_known(self.rows_kept, later.rows_kept),
            partitions=tuple(dict.fromkeys((*self.partitions, *later.partitions))),
            cursor_from=self.cursor_from,
            variants={**self.variants, **later.variants},
            **merged,
        )

    def to_metadata(self) -> dict[str, Any]:
        """The facts about the whole sync as metadata. Facts about single partitions are in `rows_by_partition`."""
        known: dict[str, Any] = {
            "dagster/table_name": self.table_name,
            "dagster/row_count": self.row_count,
            "partitions_in_batch": len(self.partitions) or None,
            "rows_loaded": self.rows_loaded,
            "rows_repeated": self.rows_repeated or None,
            "rows_superseded": self.rows_superseded or None,
            "rows_kept": self.rows_kept,
            "rows_of_earlier_loads": dict(self.rows_of_earlier_loads) or None,
            "rows_outside_window": self.rows_outside_window or None,
            "rows_in_future": self.rows_in_future or None,
            "rows_quarantined": self.rows_quarantined,
            "rows_removed": self.rows_removed,
            **self.requests.to_metadata(),
            "cursor_from": None if self.cursor_from is None else shown(self.cursor_from),
            "cursor_to": None if self.cursor_to is None else shown(self.cursor_to),
            "full_refresh": self.full_refresh or None,
            "undeclared_fields": _first(self.undeclared),
            "declared_but_not_sent": list(self.unsent),
            "variant_columns": _first(self.variants),
            "timestamps_cut": dict(self.cut),
            "rows_with_secret": _first(self.rows_with_secret),
            "missing_guarantees": list(self.missing_guarantees) or None,
            "load_id_ahead_of_clock": _duration(self.load_id_ahead) if self.load_id_ahead else None,
            "destination_name": self.destination_name,
            "dataset_name": self.dataset_name,
            "first_run": self.first_run,
            "started_at": None if self.started_at is None else str(self.started_at),
            "finished_at": None if self.finished_at is None else str(self.finished_at),
        }
        return {name: value for name, value in known.items() if value is not None}


_COUNTS = (
    "rows_loaded",
    "rows_repeated",
    "rows_superseded",
    "rows_outside_window",
    "rows_in_future",
    "rows_quarantined",
    "rows_removed",
)
_COUNTS_BY_NAME = (
    "rows_by_partition",
    "rows_of_earlier_loads",
    "undeclared",
    "cut",
    "rows_with_secret",
)


def _sum_of_known(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _duration(seconds: float) -> str:
    """Formats a duration as text, such as `30 days, 0:05:00`."""
    return str(timedelta(seconds=round(seconds)))


def _first(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is known of the first fields, with names that may be shown. The order is that of the names."""
    return {shown(name): fields[name] for name in sorted(fields)[:_MOST_FIELDS]}

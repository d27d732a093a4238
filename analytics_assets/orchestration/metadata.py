"""The metadata keys that this project writes and reads.

For each key that was renamed after version 0.1.0, this module also has the old name.

The value of `dagster/partition_row_count` describes one partition, and `partitions_in_run` the run. The values of all
other keys describe the batch that loaded the partition, or the whole sync of an asset without partitions. What does not
belong here: code that computes values.
`runs.py` has the keys that identify a source or a resource.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import dagster as dg

from analytics_assets.ingestion.errors import redacted

# Dagster's own keys, which the UI shows in special places.
ROW_COUNT: Final = "dagster/row_count"
PARTITION_ROW_COUNT: Final = "dagster/partition_row_count"
TABLE_NAME: Final = "dagster/table_name"
COLUMN_SCHEMA: Final = "dagster/column_schema"

# dagster-dlt's own keys.
ROWS_LOADED: Final = "rows_loaded"
DATASET_NAME: Final = "dataset_name"
DESTINATION_NAME: Final = "destination_name"
FIRST_RUN: Final = "first_run"
STARTED_AT: Final = "started_at"
FINISHED_AT: Final = "finished_at"

# The keys for the rows and the cursor of a run.
PARTITIONS_IN_BATCH: Final = "partitions_in_batch"
PARTITIONS_IN_RUN: Final = "partitions_in_run"
ROWS_REPORTED_BY_API: Final = "rows_reported_by_api"
ROWS_FETCHED: Final = "rows_fetched"
CURSOR_FROM: Final = "cursor_from"
CURSOR_TO: Final = "cursor_to"
FULL_REFRESH: Final = "full_refresh"

ROWS_REPEATED: Final = "rows_repeated"
ROWS_SUPERSEDED: Final = "rows_superseded"
ROWS_KEPT: Final = "rows_kept"
ROWS_OF_EARLIER_LOADS: Final = "rows_of_earlier_loads"
ROWS_OUTSIDE_WINDOW: Final = "rows_outside_window"
ROWS_IN_FUTURE: Final = "rows_in_future"

# The keys for the rows that a run rejected or removed.
ROWS_QUARANTINED: Final = "rows_quarantined"
ROWS_REMOVED: Final = "rows_removed"
UNDECLARED_FIELDS: Final = "undeclared_fields"
DECLARED_BUT_NOT_SENT: Final = "declared_but_not_sent"
VARIANT_COLUMNS: Final = "variant_columns"
TIMESTAMPS_CUT: Final = "timestamps_cut"
ROWS_WITH_SECRET: Final = "rows_with_secret"  # noqa: S105

# The keys for the requests of a run.
REQUESTS: Final = "requests"
PAGES: Final = "pages"
RETRIES: Final = "retries"
RESPONSES_429: Final = "responses_429"
RESTARTS: Final = "restarts"
SECONDS_WAITED: Final = "seconds_waited"
BYTES_RECEIVED: Final = "bytes_received"
ROWS_PER_SECOND: Final = "rows_per_second"

# The keys of the observation that records a dry run.
DRY_RUN: Final = "dry_run"
ROWS_READ: Final = "rows_read"
ROWS_TO_LOAD: Final = "rows_to_load"
ROWS_TO_QUARANTINE: Final = "rows_to_quarantine"
REASONS: Final = "reasons"
MAX_QUARANTINED: Final = "max_quarantined"
MAX_QUARANTINED_EXCEEDED: Final = "max_quarantined_exceeded"
PARTITIONS: Final = "partitions"

# The keys of the evaluation of a check.
WINDOW: Final = "window"
QUERY: Final = "query"
ROWS_CHECKED: Final = "rows_checked"
ROWS_IN_TABLE: Final = "rows_in_table"
ROWS_IN_QUARANTINE: Final = "rows_in_quarantine"
NULLS: Final = "nulls"
MISSING_COLUMNS: Final = "missing_columns"
QUARANTINE: Final = "quarantine"
DUPLICATE_KEYS: Final = "duplicate_keys"
DUPLICATES: Final = "duplicates"
COLUMNS: Final = "columns"
CHANGES: Final = "changes"

_NAMES_IN_0_1_0: Mapping[str, str] = {
    ROWS_REPORTED_BY_API: "rows_promised",
    RESPONSES_429: "too_many_requests",
}
"""The old names of renamed keys. Stored materializations keep the old names."""

_PAGE_ORDER = (
    PARTITION_ROW_COUNT,
    ROW_COUNT,
    ROWS_LOADED,
    ROWS_KEPT,
    ROWS_SUPERSEDED,
    ROWS_REPEATED,
    ROWS_OF_EARLIER_LOADS,
    ROWS_OUTSIDE_WINDOW,
    ROWS_IN_FUTURE,
    ROWS_FETCHED,
    ROWS_REPORTED_BY_API,
    PARTITIONS_IN_BATCH,
    PARTITIONS_IN_RUN,
    FULL_REFRESH,
    CURSOR_FROM,
    CURSOR_TO,
    TABLE_NAME,
    QUERY,
    COLUMN_SCHEMA,
    ROWS_QUARANTINED,
    ROWS_REMOVED,
    UNDECLARED_FIELDS,
    DECLARED_BUT_NOT_SENT,
    VARIANT_COLUMNS,
    TIMESTAMPS_CUT,
    ROWS_WITH_SECRET,
    REQUESTS,
    PAGES,
    RETRIES,
    RESPONSES_429,
    RESTARTS,
    SECONDS_WAITED,
    BYTES_RECEIVED,
    ROWS_PER_SECOND,
)
"""The order of the keys on an asset's page: rows, table, rejected rows, requests. Dagster's UI keeps this order."""

Metadata = Mapping[str, Any]
"""The metadata of a materialization, with plain values or with `MetadataValue` objects."""


def read(metadata: Metadata, key: str, default: Any = None) -> Any:
    """Returns the plain value of a key or of its old name in version 0.1.0; `default` if both are absent."""
    for name in (key, _NAMES_IN_0_1_0.get(key, key)):
        if name in metadata:
            value = metadata[name]
            return value.value if isinstance(value, dg.MetadataValue) else value
    return default


def is_of_0_1_0(metadata: Metadata) -> bool:
    """Whether version 0.1.0 recorded this metadata."""
    return any(name in metadata for name in _NAMES_IN_0_1_0.values())


def for_page(metadata: Metadata) -> dict[str, Any]:
    """Sorts metadata for the asset's page in the UI, and drops empty values.

    Keeps zeros, because the UI plots numbers over time, and a dropped zero would leave a gap.
    """
    first = [key for key in _PAGE_ORDER if key in metadata]
    others = [key for key in metadata if key not in _PAGE_ORDER]
    return {key: metadata[key] for key in (*first, *others) if metadata[key] not in (None, "", (), [], {})}


def plain(metadata: Metadata) -> dict[str, Any]:
    """Converts each metadata value to a plain Python value."""
    return {name: read(metadata, name) for name in metadata}


def without_secrets(metadata: Metadata, redact: Callable[[str], str]) -> dict[str, Any]:
    """Redacts the texts of metadata, also in lists, mappings and tables. The column schema stays as it is.

    Args:
        metadata: the metadata.
        redact: a function that replaces the secrets in a text.
    """
    return {name: _redacted(value, redact) for name, value in metadata.items()}


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    match value:
        case dg.TextMetadataValue():
            return dg.MetadataValue.text(redact(value.value or ""))
        case dg.MarkdownMetadataValue():
            return dg.MetadataValue.md(redact(value.value or ""))
        case dg.JsonMetadataValue():
            return dg.MetadataValue.json(redacted(value.value, redact))
        case dg.TableMetadataValue():
            records = [dg.TableRecord(redacted(one.data, redact)) for one in value.records]
            return dg.MetadataValue.table(records, value.schema)
    return redacted(value, redact)

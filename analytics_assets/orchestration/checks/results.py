"""The check functions for rows. Each returns whether the check passes, a sentence for the UI, and metadata.

`schema_drift.py` has the check function for columns. `registry.py` has the names, severities and scopes of the checks,
and `evaluations.py` records the outcomes in Dagster.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from analytics_assets.ingestion.errors import counted
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.plan.write_mode import WriteMode
from analytics_assets.ingestion.time_window import Window
from analytics_assets.ingestion.warehouse.reader import NullReport, QuarantineReport, Table
from analytics_assets.orchestration import metadata as keys
from analytics_assets.orchestration.checks.context import CheckContext, CheckOutcome, records
from analytics_assets.orchestration.metadata import Metadata, read


def schema_nullability(context: CheckContext) -> CheckOutcome:
    """Checks that no column declared `nullable: false` has a NULL, and that no row is in quarantine."""
    table, window = context.table, context.window
    nulls, quarantine = table.null_report(window), table.quarantine_report(window)
    metadata: dict[str, Any] = {
        keys.ROWS_CHECKED: nulls.rows,
        keys.ROWS_IN_QUARANTINE: quarantine.rows,
        **_window(window),
    }
    if nulls.nulls:
        metadata[keys.NULLS] = records(
            {"column": name, "rows": count, "primary keys, at most 5": "; ".join(nulls.example_keys[name])}
            for name, count in nulls.nulls.items()
        )
    if quarantine.rows:
        metadata[keys.QUARANTINE] = records(
            {"reason": reason, "rows": count, "primary keys, at most 5": "; ".join(examples)}
            for reason, count, examples in quarantine.reasons
        )
    queries = [query for query in (nulls.query, quarantine.query) if query]
    if queries:
        metadata[keys.QUERY] = _sql(queries)
    missing = nulls.missing_columns if nulls.rows else ()
    if missing:
        metadata[keys.MISSING_COLUMNS] = ", ".join(missing)
    problems = _nullability_problems(nulls, quarantine, missing)
    if problems:
        return CheckOutcome(False, "; ".join(problems) + ".", metadata)
    if not table.exists:
        return CheckOutcome(True, _no_table(table), metadata)
    sentence = f"No NULL where none is allowed, in {counted(nulls.rows, 'row')}; none in quarantine."
    return CheckOutcome(True, sentence, metadata)


def primary_key_unique(context: CheckContext) -> CheckOutcome:
    """Checks that each primary key is in only one row."""
    table, window = context.table, context.window
    if not table.exists:
        return CheckOutcome(True, _no_table(table), _window(window))
    report = table.duplicate_report(window)
    metadata: dict[str, Any] = {keys.DUPLICATE_KEYS: report.keys, **_window(window)}
    if not report.keys:
        return CheckOutcome(True, "Each primary key is in one row only.", metadata)
    metadata[keys.DUPLICATES] = records(
        {"primary key": key, "rows": rows} for key, rows in report.example_keys
    )
    metadata[keys.QUERY] = _sql([str(report.query)])
    examples = "; ".join(key for key, _ in report.example_keys)
    sentence = (
        f"{counted(report.keys, 'primary key')} in more than one row: {examples}.{_cure(context.resource)}"
    )
    return CheckOutcome(False, sentence, metadata)


def _cure(resource: ResourceInfo) -> str:
    if resource.write_mode is not WriteMode.APPEND:
        return ""
    return (
        " `append` keeps each version of a row: use `merge` to keep the newest, or remove the primary key to keep "
        "all."
    )


_OF_THE_SYNC = (
    keys.ROWS_REPORTED_BY_API,
    keys.ROWS_KEPT,
    keys.ROWS_OF_EARLIER_LOADS,
    keys.ROWS_OUTSIDE_WINDOW,
    keys.ROWS_IN_FUTURE,
    keys.CURSOR_FROM,
    keys.CURSOR_TO,
)
"""The facts of a sync that the evaluation of `complete` repeats."""


def complete(context: CheckContext) -> CheckOutcome:
    """Checks that the sync fetched at least as many rows as the API reported.

    Some APIs report only a lower bound of their row count. The check also counts in the warehouse: the rows of this
    load, and in each loaded partition the rows that the load should have replaced.
    """
    sync = context.current or context.previous or {}
    fetched, reported = read(sync, keys.ROWS_FETCHED), read(sync, keys.ROWS_REPORTED_BY_API)
    if fetched is None:
        return CheckOutcome(True, "No sync has run yet.")
    loaded, quarantined = read(sync, keys.ROWS_LOADED, 0), read(sync, keys.ROWS_QUARANTINED, 0)
    metadata = {
        keys.ROWS_FETCHED: fetched,
        keys.ROWS_LOADED: loaded,
        keys.ROWS_QUARANTINED: quarantined,
    }
    metadata |= {name: read(sync, name) for name in _OF_THE_SYNC if read(sync, name) is not None}
    split = f"{loaded:,} loaded, {quarantined:,} in quarantine"
    rows = context.table.row_count() if context.resource.write_disposition == "replace" else None
    if rows is not None:
        metadata[keys.ROWS_IN_TABLE] = rows
    gone = _table_is_gone(context, loaded)
    problem = gone or _what_is_missing(sync, context.resource, context.current is not None, rows, split)
    if problem:
        return CheckOutcome(False, problem, metadata)
    if context.lost_partitions:
        # What other partitions lack is no fault of this sync, so it keeps nothing from running.
        return CheckOutcome(False, _lost(context.lost_partitions), metadata, is_warning=True)
    split += _left_out(sync)
    asked = _range(sync, context.resource)
    if reported is None:
        sentence = (
            f"{counted(fetched, 'row')} fetched ({split}); the API does not report how many it has{asked}."
        )
    elif fetched > reported:
        more = f"more than the {reported:,} that the API reports{asked}"
        sentence = f"{counted(fetched, 'row')} fetched ({split}), {more}."
    else:
        sentence = f"All {counted(reported, 'row')} that the API has{asked} were fetched; {split}."
    doubts = _doubts(context, fetched) if context.current is not None else []
    if doubts:
        return CheckOutcome(False, " ".join([*doubts, sentence]), metadata, is_warning=True)
    return CheckOutcome(True, f"{sentence}{_unproven(context.resource)}", metadata)


def _range(sync: Metadata, resource: ResourceInfo) -> str:
    """Says which rows the requests of a sync asked for; empty if they asked for all."""
    params, windows = resource.filter_params, read(sync, keys.PARTITIONS_IN_BATCH)
    start, end = read(sync, keys.CURSOR_FROM), read(sync, keys.CURSOR_TO)
    asks_for_start = bool(params.start) and start is not None
    asks_for_end = bool(params.end) and (params.has_end_value or bool(windows))
    if resource.cursor is None or not (asks_for_start or asks_for_end):
        return ""
    if (asks_for_start and asks_for_end) or not params.is_forward:
        return " in the range that was asked for"
    if asks_for_end:
        return f" up to {end}"
    return f" since {start}" if params.follows_cursor or windows else " since the `initial_value`"


def _table_is_gone(context: CheckContext, loaded: int) -> str:
    """Says that somebody dropped the table after the latest sync; empty if the table is there."""
    if context.current is None and loaded and not context.table.exists:
        return "The table was dropped after the latest sync. Materialize all of the asset again."
    return ""


def _lost(partitions: Sequence[str]) -> str:
    """Says which partitions went with a dropped table."""
    return (
        f"The table was dropped and made anew, and lacks the rows of {counted(len(partitions), 'partition')} loaded "
        f"before, such as {', '.join(partitions[:3])}. Materialize them again. If they are to stay away, wipe their "
        "materializations."
    )


def no_secrets(context: CheckContext) -> CheckOutcome:
    """Checks that no row of the latest sync has a field whose whole value is a secret of the API."""
    found = read(context.current or context.previous or {}, keys.ROWS_WITH_SECRET) or {}
    if not found:
        return CheckOutcome(True, "No row of the latest sync holds a secret of the API.")
    listed = ", ".join(f"`{name}` ({counted(rows, 'row')})" for name, rows in found.items())
    return CheckOutcome(
        False,
        f"These fields hold the API's secret: {listed}. Whoever may read the rows may read it. Ask the API to leave it "
        f"out, or set `assets.{context.resource.name}.quarantine_secrets: true`.",
        {keys.ROWS_WITH_SECRET: records({"field": name, "rows": rows} for name, rows in found.items())},
    )


def _what_is_missing(
    sync: Metadata, resource: ResourceInfo, is_new: bool, rows: int | None, split: str
) -> str:
    """Describes the rows that a sync lacks; empty if there are none.

    Args:
        sync: the metadata of the sync.
        resource: the facts about the resource.
        is_new: whether the sync belongs to this run; if not, other runs may have changed the table since.
        rows: the number of rows in a table that each load replaces; None for any other table.
        split: the text that says how many rows were loaded and quarantined.
    """
    fetched, reported = read(sync, keys.ROWS_FETCHED), read(sync, keys.ROWS_REPORTED_BY_API)
    if reported is not None and fetched < reported:
        asked = _range(sync, resource)
        return f"{fetched:,} of the {reported:,} rows that the API has{asked} were fetched; {split}."
    loaded, kept = read(sync, keys.ROWS_LOADED, 0), read(sync, keys.ROWS_KEPT)
    left = loaded - read(sync, keys.ROWS_REPEATED, 0) - read(sync, keys.ROWS_SUPERSEDED, 0)
    if is_new and kept is not None and kept != left:
        return f"{counted(kept, 'row')} of the {left:,} loaded are in the table; {split}."
    leftover = read(sync, keys.ROWS_OF_EARLIER_LOADS) or {}
    if is_new and leftover:
        listed = ", ".join(f"{partition} ({count:,})" for partition, count in list(leftover.items())[:5])
        return f"The table has rows that this sync should have replaced, in {listed}; {split}."
    filtered = _of_another_field(sync, resource)
    if filtered:
        return filtered
    if rows is not None and rows != loaded:
        return f"The table has {counted(rows, 'row')}, and the latest sync loaded {loaded:,}."
    return ""


def _of_another_field(sync: Metadata, resource: ResourceInfo) -> str:
    """Says that the API filters by another field than the cursor, if most of the fetched rows are outside the window.

    Some APIs include the end of a window, so a few rows may be outside.
    """
    fetched, outside = read(sync, keys.ROWS_FETCHED, 0), read(sync, keys.ROWS_OUTSIDE_WINDOW, 0)
    if resource.cursor is None or not _has_both(resource) or not _is_most(outside, fetched):
        return ""
    return (
        f"{outside:,} of the {counted(fetched, 'row')} that the API returned for this window are outside it. "
        f"Does `{resource.filter_params.start}` filter by another field than `{resource.cursor.path}`? Then rows are "
        "missing."
    )


def _doubts(context: CheckContext, fetched: int) -> list[str]:
    """Returns sentences about what may be wrong with a sync that lacks no known row."""
    sync, resource, doubts = context.current or {}, context.resource, []
    outside, future = read(sync, keys.ROWS_OUTSIDE_WINDOW, 0), read(sync, keys.ROWS_IN_FUTURE, 0)
    if not fetched and not context.table.row_count():
        doubts.append("No row has ever come. Does the API know the filter, and may the key read the rows?")
    if _is_most(outside, fetched):
        doubts.append(
            f"{outside:,} of the {counted(fetched, 'row')} fetched are outside the window, and were not loaded. Set "
            "`end_param` and `start_param` of `incremental`, so that the API sends only the window."
        )
    elif outside and resource.cursor and _has_both(resource):
        doubts.append(
            f"{outside:,} of the {counted(fetched, 'row')} fetched are outside the range that the request asked for, "
            f"and were not loaded. Does `{resource.filter_params.start}` filter by another field than "
            f"`{resource.cursor.path}`, or are the times of the rows of another time zone? Then rows are missing. If "
            f"the API only reads the day, set `assets.{resource.name}.filter: {{format: date}}`."
        )
    if future and resource.cursor:
        doubts.append(
            f"`{resource.cursor.path}` is in the future in {counted(future, 'row')}. The stored cursor does not follow."
            + (
                " Each sync appends them again: use `merge`."
                if resource.write_mode is WriteMode.APPEND
                else ""
            )
        )
    return doubts


def _has_both(resource: ResourceInfo) -> bool:
    """Whether the requests for a window ask for its start and for its end."""
    return bool(resource.filter_params.start and resource.filter_params.end)


def _is_most(part: int, whole: int) -> bool:
    return part * 2 > whole


def _unproven(resource: ResourceInfo) -> str:
    return (
        ""
        if resource.contract.primary_key
        else " Without a primary key, only the borders of pages are compared."
    )


def _left_out(sync: Metadata) -> str:
    """Describes the loaded rows that are not in the table, because another row with the same key is."""
    older, repeated = read(sync, keys.ROWS_SUPERSEDED, 0), read(sync, keys.ROWS_REPEATED, 0)
    parts = [f", {older:,} of them replaced by a newer version"] if older else []
    return "".join([*parts, *([f", {repeated:,} of them sent twice"] if repeated else [])])


def _nullability_problems(
    nulls: NullReport, quarantine: QuarantineReport, missing: tuple[str, ...]
) -> list[str]:
    problems = [
        f"{name} is NULL in {count:,} of {nulls.rows:,} rows{_primary_keys(nulls.example_keys[name])}"
        for name, count in nulls.nulls.items()
    ]
    if missing:
        problems.append(f"{', '.join(missing)} declared but not in the table: materialize the asset")
    if quarantine.rows:
        reasons = "; ".join(
            f"{reason} in {counted(count, 'row')}{_primary_keys(examples)}"
            for reason, count, examples in quarantine.reasons[:3]
        )
        problems.append(f"{counted(quarantine.rows, 'row')} in quarantine: {reasons}")
    return problems


def _no_table(table: Table) -> str:
    return f"{table.name} does not exist yet: no load has brought a row."


def _window(window: Window | None) -> dict[str, str]:
    if window is None:
        return {}
    return {keys.WINDOW: f"{window.start:%Y-%m-%dT%H:%MZ} to {window.end:%Y-%m-%dT%H:%MZ}"}


def _primary_keys(examples: Sequence[str]) -> str:
    return f" (primary key {'; '.join(examples)})" if examples else ""


def _sql(queries: Sequence[str]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("```sql\n" + ";\n".join(queries) + "\n```")

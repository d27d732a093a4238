"""The check functions. Each check function returns whether the check passes, a sentence for the UI, and metadata.

`registry.py` has the names, severities and scopes of the checks, and `evaluations.py` records the outcomes in Dagster.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from analytics_assets.ingestion.contract.columns import Column
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.plan.write_mode import WriteMode
from analytics_assets.ingestion.time_window import Window
from analytics_assets.ingestion.warehouse.reader import NullReport, QuarantineReport, Table
from analytics_assets.orchestration import metadata as keys
from analytics_assets.orchestration.checks.context import CheckContext, CheckOutcome
from analytics_assets.orchestration.metadata import Metadata, read

_UNDECLARED_FIELDS_ARE = {"discard_value": "left out", "discard_row": "their rows are in quarantine"}
"""The treatment of undeclared fields, by dlt's mode of the schema contract. In other modes, dlt loads the fields."""


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
        metadata[keys.NULLS] = _records(
            {"column": name, "rows": count, "primary keys, at most 5": "; ".join(nulls.example_keys[name])}
            for name, count in nulls.nulls.items()
        )
    if quarantine.rows:
        metadata[keys.QUARANTINE] = _records(
            {"reason": reason, "rows": count, "primary keys, at most 5": "; ".join(examples)}
            for reason, count, examples in quarantine.reasons
        )
    queries = [query for query in (nulls.query, quarantine.query) if query]
    if queries:
        metadata[keys.QUERY] = _sql(queries)
    missing = nulls.missing_columns if nulls.rows else ()
    problems = _nullability_problems(nulls, quarantine, missing)
    if problems:
        return CheckOutcome(False, "; ".join(problems) + ".", metadata)
    if not table.exists:
        return CheckOutcome(True, _no_table(table), metadata)
    sentence = f"No NULL where none is allowed, in {_count(nulls.rows, 'row')}; none in quarantine."
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
    metadata[keys.DUPLICATES] = _records(
        {"primary key": key, "rows": rows} for key, rows in report.example_keys
    )
    metadata[keys.QUERY] = _sql([str(report.query)])
    examples = "; ".join(key for key, _ in report.example_keys)
    sentence = (
        f"{_count(report.keys, 'primary key')} in more than one row: {examples}.{_cure(context.resource)}"
    )
    return CheckOutcome(False, sentence, metadata)


def _cure(resource: ResourceInfo) -> str:
    if resource.write_mode is not WriteMode.APPEND:
        return ""
    return (
        " `append` keeps each version of a row: use `merge` to keep the newest, or remove the primary key to keep "
        "all."
    )


def complete(context: CheckContext) -> CheckOutcome:
    """Checks that the sync fetched at least as many rows as the API reported.

    Some APIs report only a lower bound of their row count. The check also compares the number of rows in the table with
    the number of loaded rows.
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
    if reported is not None:
        metadata[keys.ROWS_REPORTED_BY_API] = reported
    if read(sync, keys.ROWS_KEPT) is not None:
        metadata[keys.ROWS_KEPT] = read(sync, keys.ROWS_KEPT)
    split = f"{loaded:,} loaded, {quarantined:,} in quarantine"
    rows = context.table.row_count() if context.resource.write_disposition == "replace" else None
    if rows is not None:
        metadata[keys.ROWS_IN_TABLE] = rows
    problem = _what_is_missing(sync, context.resource, context.current is not None, rows, split)
    if problem:
        return CheckOutcome(False, problem, metadata)
    split += _left_out(sync)
    if reported is None:
        sentence = f"{_count(fetched, 'row')} fetched ({split}); the API does not report how many it has."
    elif fetched > reported:
        sentence = (
            f"{_count(fetched, 'row')} fetched ({split}), more than the {reported:,} that the API reports."
        )
    else:
        sentence = f"All {_count(reported, 'row')} that the API has were fetched; {split}."
    doubts = _doubts(context, fetched) if context.current is not None else []
    if doubts:
        return CheckOutcome(False, " ".join([*doubts, sentence]), metadata, is_warning=True)
    return CheckOutcome(True, f"{sentence}{_unproven(context.resource)}", metadata)


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
        return f"{fetched:,} of the {reported:,} rows that the API has were fetched; {split}."
    loaded, kept = read(sync, keys.ROWS_LOADED, 0), read(sync, keys.ROWS_KEPT)
    left = loaded - read(sync, keys.ROWS_REPEATED, 0) - read(sync, keys.ROWS_SUPERSEDED, 0)
    if is_new and kept is not None and kept != left:
        return f"{_count(kept, 'row')} of the {left:,} loaded are in the table; {split}."
    filtered = _of_another_field(sync, resource)
    if filtered:
        return filtered
    if rows is not None and rows != loaded:
        return f"The table has {_count(rows, 'row')}, and the latest sync loaded {loaded:,}."
    return ""


def _of_another_field(sync: Metadata, resource: ResourceInfo) -> str:
    """Says that the API filters by another field than the cursor, if most of the fetched rows are outside the window.

    Some APIs include the end of a window, so a few rows may be outside.
    """
    fetched, outside = read(sync, keys.ROWS_FETCHED, 0), read(sync, keys.ROWS_OUTSIDE_WINDOW, 0)
    if resource.cursor is None or len(resource.filter_params) < 2 or not _is_most(outside, fetched):
        return ""
    return (
        f"{outside:,} of the {_count(fetched, 'row')} that the API returned for this window are outside it. Does "
        f"`{resource.filter_params[0]}` filter by another field than `{resource.cursor.path}`? Then rows are missing."
    )


def _doubts(context: CheckContext, fetched: int) -> list[str]:
    """Returns sentences about what may be wrong with a sync that lacks no known row."""
    sync, resource, doubts = context.current or {}, context.resource, []
    outside, future = read(sync, keys.ROWS_OUTSIDE_WINDOW, 0), read(sync, keys.ROWS_IN_FUTURE, 0)
    if not fetched and not context.table.row_count():
        doubts.append("No row has ever come. Does the API know the filter, and may the key read the rows?")
    if _is_most(outside, fetched):
        doubts.append(
            f"{outside:,} of the {_count(fetched, 'row')} fetched are outside the window, and were not loaded. Set "
            "`end_param` and `start_param` of `incremental`, so that the API sends only the window."
        )
    if future and resource.cursor:
        doubts.append(
            f"`{resource.cursor.path}` is in the future in {_count(future, 'row')}. The stored cursor does not follow."
            + (
                " Each sync appends them again: use `merge`."
                if resource.write_mode is WriteMode.APPEND
                else ""
            )
        )
    return doubts


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


def schema_drift(context: CheckContext) -> CheckOutcome:
    """Checks that the columns equal those of the previous sync, and that the API sends no new undeclared field.

    In a run without a sync, the check compares the declared columns with the columns of the latest sync.
    """
    previous = context.previous
    current = context.current
    if previous is None:
        variants = [f"`{name}` {change}" for name, change in _new_variants({}, current or {})]
        first = "" if variants else "There is no previous sync to compare with."
        sentence = (first or "; ".join(variants) + ".") + _cut_notice(current or {})
        return CheckOutcome(not variants, sentence)
    if current is None:
        declared = _declared_over_loaded(_columns(previous), context.resource)
        current = {**previous, keys.COLUMN_SCHEMA: declared}
    metadata: dict[str, Any] = {keys.COLUMNS: len(_columns(current))}
    undeclared = read(current, keys.UNDECLARED_FIELDS) or {}
    if undeclared:
        metadata[keys.UNDECLARED_FIELDS] = _records(
            {"field": name, "rows": rows} for name, rows in sorted(undeclared.items())
        )
    notice = _undeclared_notice(undeclared, current, context.resource) + _cut_notice(current)
    changes = _changes(previous, current, context.resource)
    if not changes:
        sentence = f"No change since the previous sync: {_count(len(_columns(current)), 'column')}.{notice}"
        return CheckOutcome(True, sentence, metadata)
    metadata[keys.CHANGES] = _records({"column": name, "change": change} for name, change in changes)
    sentence = "; ".join(f"`{name}` {change}" for name, change in changes) + f".{notice}"
    return CheckOutcome(False, sentence, metadata)


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
            f"{reason} in {_count(count, 'row')}{_primary_keys(examples)}"
            for reason, count, examples in quarantine.reasons[:3]
        )
        problems.append(f"{_count(quarantine.rows, 'row')} in quarantine: {reasons}")
    return problems


def _undeclared_notice(undeclared: Mapping[str, int], current: Metadata, resource: ResourceInfo) -> str:
    """Returns a sentence that names the undeclared fields; empty if there is no undeclared field."""
    if not undeclared:
        return ""
    mode = resource.contract.undeclared
    treatment = _UNDECLARED_FIELDS_ARE.get(mode, "loaded as dlt finds them")
    if mode not in _UNDECLARED_FIELDS_ARE and read(current, keys.ROWS_QUARANTINED):
        treatment += "; those of a row in quarantine are kept there"
    return f" Not declared ({treatment}): {', '.join(sorted(undeclared))}."


def _cut_notice(current: Metadata) -> str:
    """Returns a sentence that names the columns whose timestamps lost digits; empty if there is no such column."""
    cut = read(current, keys.TIMESTAMPS_CUT) or {}
    listed = ", ".join(f"{name} ({_count(count, 'value')})" for name, count in sorted(cut.items()))
    return f" Timestamps cut to the precision of their column: {listed}." if cut else ""


def _changes(previous: Metadata, current: Metadata, resource: ResourceInfo) -> list[tuple[str, str]]:
    """Returns the changes between two syncs, as pairs of a column and a phrase that describes the change."""
    old, new = _columns(previous), _columns(current)
    if keys.is_of_0_1_0(previous):
        # Version 0.1.0 recorded each undeclared column as text, so the types of these columns are not compared.
        old = {
            name: one if resource.contract.column(name) else new.get(name, one) for name, one in old.items()
        }
    changes = []
    for name, column in new.items():
        if name in old:
            declared = resource.contract.column(name)
            changes += [(name, change) for change in _column_changes(old[name], column, declared)]
        else:
            changes.append((name, f"is new ({column.type})"))
    changes += [(name, "is gone") for name in old if name not in new]
    changes += _new_variants(previous, current)
    known = {*old, *new, *(read(previous, keys.UNDECLARED_FIELDS) or {})}
    sent = read(current, keys.UNDECLARED_FIELDS) or {}
    changes += [(name, "is sent and not declared") for name in sent if name not in known]
    unsent_before = read(previous, keys.DECLARED_BUT_NOT_SENT) or ()
    unsent = set(read(current, keys.DECLARED_BUT_NOT_SENT) or ()) - set(unsent_before)
    return changes + [(name, "is declared and no longer sent") for name in sorted(unsent)]


def _new_variants(previous: Metadata, current: Metadata) -> list[tuple[str, str]]:
    """Returns the variant columns that the previous sync did not have, each with a phrase."""
    before = read(previous, keys.VARIANT_COLUMNS) or {}
    changes = []
    for name, kind in (read(current, keys.VARIANT_COLUMNS) or {}).items():
        column = name.rpartition(".")[2]
        if name not in before and column not in _columns(previous):
            own = column.rpartition("__v_")[0]
            changes.append((name, f"holds values that `{own}`, a {kind}, cannot hold: declare `{own}`"))
    return changes


def _column_changes(old: dg.TableColumn, new: dg.TableColumn, declared: Column | None) -> list[str]:
    """Returns phrases that describe the changes of a column, and say whether only the declaration has changed."""
    changes = []
    if old.type != new.type:
        is_declared = declared is not None and declared.data_type is not None
        verb = "is now declared as" if is_declared else "is"
        changes.append(f"was {old.type} and {verb} {new.type}")
    if old.constraints.nullable != new.constraints.nullable:
        words = {True: "nullable", False: "not nullable"}
        was, is_now = words[old.constraints.nullable], words[new.constraints.nullable]
        changes.append(
            f"was declared {was} and is now declared {is_now}" if declared else f"was {was} and is {is_now}"
        )
    return changes


def _columns(metadata: Metadata) -> dict[str, dg.TableColumn]:
    schema = read(metadata, keys.COLUMN_SCHEMA)
    return {column.name: column for column in schema.columns} if isinstance(schema, dg.TableSchema) else {}


def _declared_over_loaded(loaded: Mapping[str, dg.TableColumn], resource: ResourceInfo) -> dg.TableSchema:
    """Returns the loaded columns with the declared types and nullability."""
    columns = dict(loaded)
    for column in resource.contract.columns:
        known = columns.get(column.name)
        columns[column.name] = dg.TableColumn(
            column.name,
            column.data_type or (known.type if known else "text"),
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
    return dg.TableSchema(list(columns.values()))


def _no_table(table: Table) -> str:
    return f"{table.name} does not exist yet: no load has brought a row."


def _window(window: Window | None) -> dict[str, str]:
    if window is None:
        return {}
    return {keys.WINDOW: f"{window.start:%Y-%m-%dT%H:%MZ} to {window.end:%Y-%m-%dT%H:%MZ}"}


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _primary_keys(examples: Sequence[str]) -> str:
    return f" (primary key {'; '.join(examples)})" if examples else ""


def _records(records: Iterable[Mapping[str, str | int]]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(records=[dg.TableRecord(dict(one)) for one in records])


def _sql(queries: Sequence[str]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("```sql\n" + ";\n".join(queries) + "\n```")

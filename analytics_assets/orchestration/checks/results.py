"""What each check of a resource finds, and the sentence a person reads.

What belongs here: whether a check passes, and what is needed to act. How Dagster records it is `registry.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.time_window import Window
from analytics_assets.ingestion.warehouse.reader import NullReport, QuarantineReport, Table

COLUMN_SCHEMA = "dagster/column_schema"
UNDECLARED = "undeclared_fields"
UNSENT = "declared_but_not_sent"

Facts = Mapping[str, Any]
"""Metadata of a materialization, in plain values."""


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        passed: whether all is well.
        sentence: what a person reads first.
        metadata: what is needed to act.
    """

    passed: bool
    sentence: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as plain values, whether it is yet to be recorded or was read back."""
    return {
        name: value.value if isinstance(value, dg.MetadataValue) else value
        for name, value in metadata.items()
    }


def nullability(table: Table, window: Window | None) -> Verdict:
    """No NULL where none is allowed, and no row in quarantine."""
    nulls, quarantine = table.null_report(window), table.quarantine_report(window)
    metadata: dict[str, Any] = {
        "rows_checked": nulls.rows,
        "rows_in_quarantine": quarantine.rows,
        **_of(window),
    }
    if nulls.nulls:
        metadata["nulls"] = _rows_table(
            {"column": name, "rows": count, "primary keys, at most 5": "; ".join(nulls.example_keys[name])}
            for name, count in nulls.nulls.items()
        )
    if quarantine.rows:
        metadata["quarantine"] = _rows_table(
            {"reason": reason, "rows": count, "primary keys, at most 5": "; ".join(keys)}
            for reason, count, keys in quarantine.reasons
        )
    queries = [one for one in (nulls.query, quarantine.query) if one]
    if queries:
        metadata["query"] = _sql(queries)
    missing = nulls.missing_columns if nulls.rows else ()
    passed = not (nulls.nulls or missing or quarantine.rows)
    return Verdict(passed, _nullability(table, nulls, quarantine, missing), metadata)


def unique_key(table: Table, window: Window | None) -> Verdict:
    """No primary key is in the table twice."""
    if not table.exists:
        return Verdict(True, _no_table(table), _of(window))
    report = table.duplicate_report(window)
    metadata: dict[str, Any] = {"duplicate_keys": report.keys, **_of(window)}
    if not report.keys:
        return Verdict(True, "Every primary key is there once.", metadata)
    metadata["duplicates"] = _rows_table(
        {"primary key": key, "rows": count} for key, count in report.example_keys
    )
    metadata["query"] = _sql([str(report.query)])
    keys = "; ".join(key for key, _ in report.example_keys)
    return Verdict(False, f"{_count(report.keys, 'primary key')} in more than one row: {keys}.", metadata)


def complete(info: ResourceInfo, facts: Facts | None, table: Table) -> Verdict:
    """All rows that the API says there are were fetched, and each is in the table or in quarantine."""
    if facts is None or "rows_fetched" not in facts:
        return Verdict(True, "Nothing was synced yet.")
    fetched, total = facts["rows_fetched"], facts.get("rows_promised")
    loaded, quarantined = facts.get("rows_loaded", 0), facts.get("rows_quarantined", 0)
    metadata = {"rows_fetched": fetched, "rows_loaded": loaded, "rows_quarantined": quarantined}
    if total is not None:
        metadata["rows_promised"] = total
    split = f"{loaded:,} loaded, {quarantined:,} in quarantine"
    if total is not None and fetched != total:
        return Verdict(
            False, f"{fetched:,} of the {total:,} rows that the API has were fetched; {split}.", metadata
        )
    if info.write_disposition == "replace":
        rows = table.row_count()
        metadata["rows_in_table"] = rows
        if rows != loaded:
            sentence = f"The table has {_count(rows, 'row')}, and the latest sync loaded {loaded:,}."
            return Verdict(False, sentence, metadata)
    if total is None:
        return Verdict(
            True,
            f"{_count(fetched, 'row')} fetched ({split}); the API does not say how many it has.",
            metadata,
        )
    return Verdict(True, f"All {_count(total, 'row')} that the API has were fetched; {split}.", metadata)


def drift(info: ResourceInfo, before: Facts | None, now: Facts | None) -> Verdict:
    """The columns are as they were at the sync before, and nothing comes that is not declared.

    Args:
        info: the resource.
        before: of the materialization before.
        now: of the one at hand; None without one, when what is declared now is held against what was loaded.
    """
    if before is None:
        return Verdict(True, "Nothing to compare with: there was no sync before.")
    if now is None:
        now = {**before, COLUMN_SCHEMA: _declared_over(before.get(COLUMN_SCHEMA), info)}
    changes = _changes(before, now)
    undeclared = now.get(UNDECLARED) or {}
    mode = {"discard_value": "left out", "discard_row": "their rows are in quarantine"}
    what = mode.get(info.contract.undeclared, "loaded as dlt finds them")
    if info.contract.undeclared not in mode and now.get("rows_quarantined"):
        what += "; of a row in quarantine, kept there"
    told = f" Not declared ({what}): {', '.join(sorted(undeclared))}." if undeclared else ""
    metadata: dict[str, Any] = {"columns": len(_columns(now))}
    if undeclared:
        metadata[UNDECLARED] = _rows_table(
            {"field": name, "rows": rows} for name, rows in sorted(undeclared.items())
        )
    if not changes:
        return Verdict(
            True, f"No change since the sync before: {_count(len(_columns(now)), 'column')}.{told}", metadata
        )
    metadata["changes"] = _rows_table({"column": name, "change": change} for name, change in changes)
    return Verdict(False, "; ".join(f"`{name}` {change}" for name, change in changes) + f".{told}", metadata)


def _changes(before: Facts, now: Facts) -> list[tuple[str, str]]:
    old, new = _columns(before), _columns(now)
    changes = []
    for name, column in new.items():
        if name not in old:
            changes.append((name, f"is new ({column.type})"))
            continue
        if old[name].type != column.type:
            changes.append((name, f"was {old[name].type} and is {column.type}"))
        if old[name].constraints.nullable != column.constraints.nullable:
            words = {True: "nullable", False: "not nullable"}
            changes.append(
                (
                    name,
                    f"was {words[old[name].constraints.nullable]} and is {words[column.constraints.nullable]}",
                )
            )
    changes += [(name, "is gone") for name in old if name not in new]
    known = {*old, *new, *(before.get(UNDECLARED) or {})}
    changes += [(name, "is sent and not declared") for name in now.get(UNDECLARED) or {} if name not in known]
    unsent = set(now.get(UNSENT) or ()) - set(before.get(UNSENT) or ())
    return changes + [(name, "is declared and no longer sent") for name in sorted(unsent)]


def _columns(facts: Facts) -> dict[str, dg.TableColumn]:
    schema = facts.get(COLUMN_SCHEMA)
    return {column.name: column for column in schema.columns} if isinstance(schema, dg.TableSchema) else {}


def _declared_over(loaded: Any, info: ResourceInfo) -> dg.TableSchema:
    """The columns as they were loaded, with what is declared of them now."""
    columns = {column.name: column for column in loaded.columns} if isinstance(loaded, dg.TableSchema) else {}
    for column in info.contract.columns:
        known = columns.get(column.name)
        columns[column.name] = dg.TableColumn(
            column.name,
            column.data_type or (known.type if known else "text"),
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
    return dg.TableSchema(list(columns.values()))


def _nullability(
    table: Table, nulls: NullReport, quarantine: QuarantineReport, missing: tuple[str, ...]
) -> str:
    parts = []
    for name, count in nulls.nulls.items():
        keys = "; ".join(nulls.example_keys[name])
        parts.append(
            f"{name} is NULL in {count:,} of {nulls.rows:,} rows" + (f" (primary key {keys})" if keys else "")
        )
    if missing:
        parts.append(f"{', '.join(missing)} declared but not in the table: materialize the asset")
    if quarantine.rows:
        reasons = "; ".join(
            f"{reason} in {_count(count, 'row')}" + (f" (primary key {'; '.join(keys)})" if keys else "")
            for reason, count, keys in quarantine.reasons[:3]
        )
        parts.append(f"{_count(quarantine.rows, 'row')} in quarantine: {reasons}")
    if parts:
        return "; ".join(parts) + "."
    if not table.exists:
        return _no_table(table)
    return f"No NULL where none is allowed, in {_count(nulls.rows, 'row')}; none in quarantine."


def _no_table(table: Table) -> str:
    return f"{table.name} does not exist yet: no load has brought a row."


def _of(window: Window | None) -> dict[str, str]:
    return {"window": f"{window.start:%Y-%m-%dT%H:%MZ} to {window.end:%Y-%m-%dT%H:%MZ}"} if window else {}


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _rows_table(records: Any) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(records=[dg.TableRecord(one) for one in records])


def _sql(queries: list[str]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("```sql\n" + ";\n".join(queries) + "\n```")

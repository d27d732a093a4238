"""The check function for columns: it compares the columns of two syncs."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from analytics_assets.ingestion.contract.columns import Column
from analytics_assets.ingestion.errors import counted, names_shown
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.orchestration import metadata as keys
from analytics_assets.orchestration.checks.context import CheckContext, CheckOutcome, records
from analytics_assets.orchestration.metadata import Metadata, read

_UNDECLARED_FIELDS_ARE = {"discard_value": "left out", "discard_row": "their rows are in quarantine"}
"""The treatment of undeclared fields, by dlt's mode of the schema contract. In other modes, dlt loads the fields."""


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
        metadata[keys.UNDECLARED_FIELDS] = records(
            {"field": name, "rows": rows} for name, rows in sorted(undeclared.items())
        )
    notice = _undeclared_notice(undeclared, current, context.resource) + _cut_notice(current)
    changes = _changes(previous, current, context.resource)
    if not changes:
        sentence = f"No change since the previous sync: {counted(len(_columns(current)), 'column')}.{notice}"
        return CheckOutcome(True, sentence, metadata)
    metadata[keys.CHANGES] = records({"column": name, "change": change} for name, change in changes)
    sentence = "; ".join(f"`{name}` {change}" for name, change in changes) + f".{notice}"
    return CheckOutcome(False, sentence, metadata)


def _undeclared_notice(undeclared: Mapping[str, int], current: Metadata, resource: ResourceInfo) -> str:
    """Returns a sentence that names the undeclared fields; empty if there is no undeclared field."""
    if not undeclared:
        return ""
    mode = resource.contract.undeclared
    treatment = _UNDECLARED_FIELDS_ARE.get(mode, "loaded as dlt finds them")
    if mode not in _UNDECLARED_FIELDS_ARE and read(current, keys.ROWS_QUARANTINED):
        treatment += "; those of a row in quarantine are kept there"
    return f" Not declared ({treatment}): {', '.join(names_shown(sorted(undeclared)))}."


def _cut_notice(current: Metadata) -> str:
    """Returns a sentence that names the columns whose timestamps lost digits; empty if there is no such column."""
    cut = read(current, keys.TIMESTAMPS_CUT) or {}
    listed = ", ".join(f"{name} ({counted(count, 'value')})" for name, count in sorted(cut.items()))
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

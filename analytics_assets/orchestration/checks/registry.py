"""The asset checks: one entry each. A new check is an entry here, and its function in `results.py`.

What does not belong here: how Dagster records an outcome, which is `evaluations.py`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

import dagster as dg

from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.time_window import Window, whole_window
from analytics_assets.orchestration.checks.context import CheckContext, CheckOutcome
from analytics_assets.orchestration.checks.results import (
    complete,
    primary_key_unique,
    schema_drift,
    schema_nullability,
)

Outcomes = dict[str | None, CheckOutcome]
"""Outcomes of one check by partition key. The key None has that of the whole table, or of all partitions of the run."""


class Scope(Enum):
    """What one evaluation of a check is about."""

    PER_WINDOW = auto()
    """Each partition of the run by itself, and all of them together."""

    PER_SYNC = auto()
    """The sync: it is evaluated once, and each partition of the run has that outcome."""


def _always(resource: ResourceInfo) -> bool:  # noqa: ARG001  every condition gets the resource
    return True


@dataclass(frozen=True)
class Check:
    """One asset check.

    Attributes:
        name: Dagster's name of it, and its key in a `defs.yaml`.
        description: what it requires, for the UI and for editors.
        severity: how the UI shows a failure, unless the file says otherwise.
        blocking: whether a failure keeps downstream assets from starting, unless the file says otherwise.
        scope: what one evaluation is about.
        function: finds the outcome.
        applies: whether a resource can have this check.
        needs: what a resource needs to have it, for the error text; empty if every resource can.
    """

    name: str
    description: str
    severity: dg.AssetCheckSeverity
    blocking: bool
    scope: Scope
    function: Callable[[CheckContext], CheckOutcome]
    applies: Callable[[ResourceInfo], bool] = _always
    needs: str = ""


# A check blocks if downstream tables would be wrong too: rows are missing, or there twice. A row in quarantine leaves
# the other rows right, and a changed column needs a look.
_ALL = (
    Check(
        name="schema_nullability",
        description="No column declared `nullable: false` has a NULL, and no row is in quarantine.",
        severity=dg.AssetCheckSeverity.ERROR,
        blocking=False,
        scope=Scope.PER_WINDOW,
        function=schema_nullability,
    ),
    Check(
        name="primary_key_unique",
        description="Each primary key is in one row only.",
        severity=dg.AssetCheckSeverity.ERROR,
        blocking=True,
        scope=Scope.PER_WINDOW,
        function=primary_key_unique,
        applies=lambda resource: resource.has_unique_key,
        needs="a `primary_key`, and a write disposition that keeps one row for each key",
    ),
    Check(
        name="complete",
        description="The sync fetched every row that the API reported. Each row is in the table or in quarantine.",
        severity=dg.AssetCheckSeverity.ERROR,
        blocking=True,
        scope=Scope.PER_SYNC,
        function=complete,
    ),
    Check(
        name="schema_drift",
        description="The columns are those of the previous sync, and the API sends no new undeclared field.",
        severity=dg.AssetCheckSeverity.WARN,
        blocking=False,
        scope=Scope.PER_SYNC,
        function=schema_drift,
    ),
)
CHECKS: Mapping[str, Check] = {check.name: check for check in _ALL}
"""All checks by name, in the order that the UI lists them."""


def run_checks(
    names: Collection[str], context: CheckContext, windows: Mapping[str, Window]
) -> dict[str, Outcomes]:
    """Runs checks on the partitions of this run, or on the whole table.

    Args:
        names: which checks to run.
        context: of the whole table.
        windows: the partitions of this run, by key; empty for the whole table.

    Returns:
        The outcomes by name of the check.
    """
    return {name: _outcomes(CHECKS[name], context, windows) for name in names}


def _outcomes(check: Check, context: CheckContext, windows: Mapping[str, Window]) -> Outcomes:
    has_summary = len(windows) != 1  # one partition is all of the run already
    if check.scope is Scope.PER_SYNC:
        return dict.fromkeys([*windows, *([None] if has_summary else [])], check.function(context))
    found: Outcomes = {
        key: check.function(replace(context, window=window)) for key, window in windows.items()
    }
    if has_summary:
        found[None] = check.function(replace(context, window=whole_window(windows)))
    return found

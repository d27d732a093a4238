"""The registry of the asset checks. A new check needs an entry in `_ALL`, and a check function.

`results.py` has the check functions for rows, and `schema_drift.py` has the check function for columns.

What does not belong here: code that records outcomes of checks in Dagster. `evaluations.py` has that code.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

import dagster as dg

from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.time_window import Window, whole_window
from analytics_assets.orchestration.checks.context import CheckContext, CheckOutcome
from analytics_assets.orchestration.checks.results import (
    complete,
    no_secrets,
    primary_key_unique,
    schema_nullability,
)
from analytics_assets.orchestration.checks.schema_drift import schema_drift

Outcomes = dict[str | None, CheckOutcome]
"""The outcomes of one check by partition key. The key None stands for the whole table or all partitions of the run."""


class Scope(Enum):
    """What one call of a check function covers."""

    PER_WINDOW = auto()
    """The check function is called for each partition of the run, and once for all partitions together."""

    PER_SYNC = auto()
    """The check function is called once per sync, and all partitions of the run share the outcome."""


def _always(resource: ResourceInfo) -> bool:  # noqa: ARG001  every condition gets the resource
    return True


@dataclass(frozen=True)
class Check:
    """One asset check.

    Attributes:
        name: the name of the check in Dagster, and its key in a `defs.yaml`.
        description: the requirement of the check, for the UI and for editors.
        severity: the default severity of a failure.
        blocking: whether a failure stops downstream assets of the same run by default.
        scope: what one call of `function` covers.
        function: the check function.
        applies: a function that returns whether a resource can have this check.
        needs: what a resource must have for this check, for the error text; empty if every resource can have the check.
    """

    name: str
    description: str
    severity: dg.AssetCheckSeverity
    blocking: bool
    scope: Scope
    function: Callable[[CheckContext], CheckOutcome]
    applies: Callable[[ResourceInfo], bool] = _always
    needs: str = ""


# A check blocks downstream assets by default if its failure means that rows are missing or doubled.
# A row in quarantine does not block downstream assets, because the rows in the table are correct.
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
        description="The sync fetched every row that the API reported. Each row is in the table or in quarantine. "
        "A warning: no row has ever come, most rows are outside the window, or a cursor is in the future.",
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
    Check(
        name="no_secrets",
        description="No row of the latest sync has a field whose whole value is a secret of the API.",
        severity=dg.AssetCheckSeverity.WARN,
        blocking=False,
        scope=Scope.PER_SYNC,
        function=no_secrets,
    ),
)
CHECKS: Mapping[str, Check] = {check.name: check for check in _ALL}
"""All checks by name, in the order of the UI."""


_NOT_JUDGED = CheckOutcome(
    False,
    "Not judged: the latest materialization was reported by hand, so no sync tells what it loaded. Materialize the "
    "asset.",
    is_warning=True,
)
"""The outcome of a check of a sync if there is no sync to check."""


def run_checks(
    names: Collection[str], context: CheckContext, windows: Mapping[str, Window]
) -> dict[str, Outcomes]:
    """Runs checks on each partition of a batch, or on the whole table.

    Args:
        names: the names of the checks to run.
        context: the check context of the whole table.
        windows: the windows of the partitions, by partition key; empty for the whole table.

    Returns:
        The outcomes, by name of the check.
    """
    found = {}
    for name in names:
        check = CHECKS[name]
        if not windows or check.scope is Scope.PER_SYNC:
            found[name] = dict.fromkeys(windows or (None,), _outcome(check, context, None))
        else:
            found[name] = {key: _outcome(check, context, window) for key, window in windows.items()}
    return found


def run_summary(
    names: Collection[str], context: CheckContext, windows: Mapping[str, Window]
) -> dict[str, Outcomes]:
    """Runs checks on all partitions of a run together. A run of one partition needs no summary.

    Args:
        names: the names of the checks to run.
        context: the check context of the whole table, with the metadata of all batches.
        windows: the windows of the partitions, by partition key.

    Returns:
        The outcomes, by name of the check.
    """
    if len(windows) < 2:
        return {}
    return {name: {None: _outcome(CHECKS[name], context, whole_window(windows))} for name in names}


def _outcome(check: Check, context: CheckContext, window: Window | None) -> CheckOutcome:
    if check.scope is Scope.PER_WINDOW:
        return check.function(replace(context, window=window))
    not_judged = context.reported_by_hand and context.current is None
    return _NOT_JUDGED if not_judged else check.function(context)


def worst(outcomes: Iterable[CheckOutcome]) -> CheckOutcome:
    """Returns the first outcome that failed as more than a warning, or else the first."""
    return min(outcomes, key=lambda one: one.is_warning)

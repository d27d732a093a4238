"""Reads the events of one run, by asset of one source. Events of other assets are left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from analytics_assets.orchestration import metadata as keys
from analytics_assets.orchestration.checks.registry import CHECKS

_EVENTS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
}


@dataclass(frozen=True)
class StepFailure:
    """The failure of a step.

    Attributes:
        error: the name of the class of the first cause.
        metadata: the metadata of a `dg.Failure`; empty for any other error.
    """

    error: str
    metadata: Mapping[str, Any]


@dataclass
class AssetEvents:
    """What a run planned and did for one asset.

    Attributes:
        step: the key of the step; empty if the run planned nothing for the asset.
        planned: whether the run was to materialize the asset.
        materialized: the partitions that were materialized; None stands for the asset without partitions.
        rows_quarantined: the rows that the sync put in quarantine.
        read_all: whether the sync read all rows of the asset or of its partitions, and not only new ones.
        checks_planned: the names of the checks that the run was to execute.
        evaluations: the evaluations of the checks, in order.
        failure: the failure of the step; None if the step did not fail.
    """

    step: str = ""
    planned: bool = False
    materialized: set[str | None] = field(default_factory=set)
    rows_quarantined: int = 0
    read_all: bool = True
    checks_planned: set[str] = field(default_factory=set)
    evaluations: list[dg.AssetCheckEvaluation] = field(default_factory=list)
    failure: StepFailure | None = None


def selects_any(run: dg.DagsterRun, assets: Mapping[dg.AssetKey, str]) -> bool:
    """Whether a run may have events of the assets. A run with no selection, or an empty one, executes a whole job."""
    if not run.asset_selection and not run.asset_check_selection:
        return True
    selected = {*(run.asset_selection or ()), *(one.asset_key for one in run.asset_check_selection or ())}
    return not selected.isdisjoint(assets)


def events_of_run(
    instance: dg.DagsterInstance, run_id: str, assets: Mapping[dg.AssetKey, str]
) -> dict[dg.AssetKey, AssetEvents]:
    """Returns the events of a run by asset key, only for assets with events.

    A check that the project does not define, such as a user's own check on one of the assets, is left out.

    Args:
        instance: the Dagster instance.
        run_id: the id of the run.
        assets: the dlt resource names, by asset key.
    """
    found: dict[dg.AssetKey, AssetEvents] = {}
    failures: dict[str, StepFailure] = {}
    for record in instance.get_records_for_run(run_id, of_type=_EVENTS).records:
        event = record.event_log_entry.dagster_event
        assert event is not None
        if event.is_step_failure:
            failures[event.step_key or ""] = _step_failure(event)
            continue
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            if evaluation.asset_key in assets and evaluation.check_name in CHECKS:
                found.setdefault(evaluation.asset_key, AssetEvents()).evaluations.append(evaluation)
            continue
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            check = event.asset_check_planned_data.asset_check_key
            if check.asset_key in assets and check.name in CHECKS:
                one = found.setdefault(check.asset_key, AssetEvents())
                one.step = event.step_key or ""
                one.checks_planned.add(check.name)
            continue
        if event.asset_key is None or event.asset_key not in assets:
            continue
        one = found.setdefault(event.asset_key, AssetEvents())
        if event.is_step_materialization:
            materialization = event.step_materialization_data.materialization
            one.materialized.add(materialization.partition)
            rows = keys.read(materialization.metadata, keys.ROWS_QUARANTINED, 0) or 0
            one.rows_quarantined = max(one.rows_quarantined, rows)
            if materialization.partition is None and keys.CURSOR_TO in materialization.metadata:
                one.read_all = False
        else:
            one.planned, one.step = True, event.step_key or ""
    for one in found.values():
        one.failure = failures.get(one.step)
    return found


def _step_failure(event: dg.DagsterEvent) -> StepFailure:
    data = event.step_failure_data
    error = data.error
    while error and error.cause:
        error = error.cause
    metadata: Mapping[str, Any] = data.user_failure_data.metadata if data.user_failure_data else {}
    return StepFailure((error.cls_name if error else None) or "an error", metadata)

"""Converts the state that version 0.1.0 stored in the cursor of the alert sensor."""

from collections.abc import Mapping

import dagster as dg

from analytics_assets.orchestration.alerts.cursor import Incident, IncidentState, Kind, ReportedFailure
from analytics_assets.orchestration.alerts.failed_syncs import part_of
from analytics_assets.orchestration.alerts.finished_runs import FinishedRuns


def upgraded(state: IncidentState, assets: Mapping[dg.AssetKey, str], runs: FinishedRuns) -> IncidentState:
    """Returns a state without the fields that only version 0.1.0 wrote.

    Version 0.1.0 stored the time of a failure. Now the storage id of the failure is stored, so that no clock decides
    which of a failure and a load came last.

    Args:
        state: the stored state.
        assets: the dlt resource names, by asset key.
        runs: the finished runs of the Dagster instance.
    """
    if not state.reported_in_0_1_0 and not state.waiting_in_0_1_0:
        return state
    keys = {resource: asset for asset, resource in assets.items()}
    times = {at for one in state.reported_in_0_1_0 for at in one.failures.values()}
    ids = runs.last_failures_before(times)
    incidents = [
        _incident(one, keys[one.resource], ids)
        for one in state.reported_in_0_1_0
        if one.resource in keys and one.failures
    ]
    waiting = dict.fromkeys(state.waiting_in_0_1_0, state.run_failure or 0)
    return state.model_copy(
        update={
            "incidents": (*incidents, *state.incidents),
            "awaiting_retry": waiting | state.awaiting_retry,
            "waiting_in_0_1_0": (),
            "reported_in_0_1_0": (),
        }
    )


def _incident(one: ReportedFailure, asset: dg.AssetKey, ids: Mapping[float, int]) -> Incident:
    parts = {part_of(partitions): ids[at] for partitions, at in one.failures.items()}
    return Incident(
        kind=Kind.FAILED_SYNC,
        asset=asset.to_string(),
        reason=one.reason,
        parts=parts,
        last_failure=max(parts.values()),
        alerted_at=max(one.failures.values()),
    )

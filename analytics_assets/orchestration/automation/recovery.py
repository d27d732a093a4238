"""The recovery sensor, which requests the probe during an outage, and the missed syncs after the outage.

The recovery sensor does not wait for the next tick of a schedule. So a short outage at night does not delay a nightly
sync by a day. The recovery sensor requests runs only of assets whose schedule is on, or whose automation condition is
evaluated.
"""

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import dagster as dg
from pydantic import BaseModel, ConfigDict

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.http.breaker_client import describe, read_circuit
from analytics_assets.ingestion.http.circuit_breaker import (
    Circuit,
    CircuitEventKind,
    Phase,
    capitalized,
)
from analytics_assets.orchestration.automation.catch_up import (
    Candidates,
    ended_by_outage,
    first_requests,
    was_missed,
)
from analytics_assets.orchestration.automation.schedules import AutomatedSync
from analytics_assets.orchestration.circuit.event_log import EventLogCircuit


class RecoveryCursor(BaseModel):
    """The cursor of the recovery sensor. Dagster stores the cursor as JSON, so the fields keep their names.

    Attributes:
        opened: the id of the latest event that opened the circuit; None if there was no outage.
        requested: the run keys that the sensor has requested after this outage.
        made_good: whether the sensor has requested all missed syncs.
    """

    model_config = ConfigDict(frozen=True)

    opened: int | None = None
    requested: tuple[str, ...] = ()
    made_good: bool = False


def recovery_sensor(config: SyncConfig, syncs: Mapping[str, AutomatedSync]) -> dg.SensorDefinition:
    """Builds the recovery sensor of a source. The sensor is on by default.

    While the circuit is half-open, the sensor requests one missed sync per cool-down as the probe. As the probe, the
    sensor prefers the sync that failed last. After the circuit has closed, the sensor requests each missed sync once. A
    missed sync is a missing partition, a full sync that did not run since the last tick of its schedule, or one whose
    latest run an outage ended.

    Args:
        config: the config of the API.
        syncs: the syncs of the source, by dlt resource name.
    """
    source = config.name

    @dg.sensor(
        name=f"{source}__recovery",
        description=f"Probes whether {source} is back after an outage, and then requests the syncs that were missed. "
        "It requests only assets whose schedule is on, or whose automation condition is evaluated.",
        jobs=[one.job for one in syncs.values()],
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus[config.sensors.default_status.upper()],
    )
    def recovery(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        store, now = EventLogCircuit(context.instance, config), time.time()
        circuit = read_circuit(store, now, by=f"{source}__recovery")
        events = store.events()
        state = circuit.state(now)
        openings = [
            event.id
            for event in events
            if event.kind in (CircuitEventKind.OPENED, CircuitEventKind.FORCED_OPEN)
        ]
        opened = openings[-1] if openings else None
        cursor = _cursor(context.cursor, opened, is_closed=state.phase is Phase.CLOSED)
        requests: list[dg.RunRequest] = []
        if state.probe_is_free:
            # The run key does not depend on the sync, so that Dagster launches only one probe per cool-down.
            missed = _missed(context, _halted_first(syncs, circuit), "")[:1]
            requests = [one.with_replaced_attrs(run_key=_probe_key(circuit, now)) for one in missed]
        elif state.phase is Phase.CLOSED and not cursor.made_good:
            requests = _missed(context, syncs, f"after {cursor.opened}", cursor.requested)
            requested = (*cursor.requested, *(str(one.run_key) for one in requests))
            cursor = RecoveryCursor(opened=opened, requested=requested, made_good=not requests)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else capitalized(describe(store, circuit, now)),
            cursor=cursor.model_dump_json(),
        )

    return recovery


def _cursor(stored: str | None, opened: int | None, *, is_closed: bool) -> RecoveryCursor:
    """Returns the cursor of this tick. An outage that ended before the first tick of the sensor needs no request."""
    if not stored:
        return RecoveryCursor(opened=opened, made_good=is_closed)
    cursor = RecoveryCursor.model_validate_json(stored)
    # The circuit may have opened and closed again between two ticks.
    return cursor if cursor.opened == opened else RecoveryCursor(opened=opened)


def _probe_key(circuit: Circuit, now: float) -> str:
    """Returns the run key of the probe. Each failure, and each further cool-down, gives a new run key."""
    assert circuit.latest is not None
    assert circuit.half_open_at is not None
    cooldowns = (now - circuit.half_open_at) // circuit.policy.cooldown_after(circuit.failures)
    return f"probe {cooldowns:.0f} after {circuit.latest.id}"


def _halted_first(syncs: Mapping[str, AutomatedSync], circuit: Circuit) -> dict[str, AutomatedSync]:
    halted = circuit.latest.cause.resource if circuit.latest and circuit.latest.cause else None
    return dict(sorted(syncs.items(), key=lambda item: item[0] != halted))


def _missed(
    context: dg.SensorEvaluationContext,
    syncs: Mapping[str, AutomatedSync],
    suffix: str,
    requested: Collection[str] = (),
) -> list[dg.RunRequest]:
    """Returns the run requests of missed syncs, for assets with a schedule that is on or with a condition.

    Args:
        context: the context of the sensor evaluation.
        syncs: the syncs to consider, by dlt resource name.
        suffix: the end of each run key; it differs per outage, so that each sync is requested once per outage.
        requested: the run keys of earlier requests.
    """
    requests = []
    for name, sync in syncs.items():
        is_scheduled = sync.is_scheduled(context.instance)
        if not is_scheduled and not sync.has_condition(context):
            continue
        if sync.partitions is not None:
            ranges = sync.missing(context, Candidates(sync.keys(), datetime.now(UTC)))
            run_keys = {one: f"{name} {one.partitions.key} {suffix}" for one in ranges}
            fresh = [one for one in ranges if run_keys[one] not in requested]
            requests += [one.run_request(run_keys[one], sync.job_name) for one in first_requests(fresh)]
        elif f"{name} {suffix}" not in requested and (
            ended_by_outage(context.instance, sync.key)
            or (
                is_scheduled
                and was_missed(
                    context.instance, sync.key, sync.step, sync.asset.schedule or "", sync.timezone
                )
            )
        ):
            requests.append(dg.RunRequest(run_key=f"{name} {suffix}", job_name=sync.job_name))
    return requests

"""The sensor that needs no person: it finds out whether an API is back, and asks for what was missed meanwhile.

What belongs here: what is asked for between two ticks of the schedules, so that a nightly sync that was halted by a
short outage is there in the morning. Only assets whose schedule is on are asked for.
"""

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import dagster as dg
from pydantic import BaseModel, Field

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.http.circuit_breaker import Circuit, Kind, Phase, policy_of
from analytics_assets.orchestration.automation.catch_up import at_once, was_missed
from analytics_assets.orchestration.automation.schedules import ScheduledSync
from analytics_assets.orchestration.circuit.event_log import CircuitLog


class _Cursor(BaseModel):
    """What was done about the latest outage.

    Attributes:
        opened: the event that opened the circuit last.
        requested: run keys that were asked for because of it.
        made_good: whether there is nothing more to ask for.
    """

    opened: int | None = None
    requested: list[str] = Field(default_factory=list)
    made_good: bool = False


def recovery_sensor(config: SyncConfig, syncs: Mapping[str, ScheduledSync]) -> dg.SensorDefinition:
    """A sensor, on by default, that does two things for the assets of a source whose schedule is on.

    When the circuit is due to be probed it asks for one sync that was missed, the halted one first, once per
    cool-down. When the circuit has closed it asks, once per incident, for all that were missed: partitions that are
    missing, and full syncs that were not made since their last tick.

    Args:
        config: the source.
        syncs: its assets that have a schedule, by dlt resource name.
    """
    source = config.name

    @dg.sensor(
        name=f"{source}__recovery",
        description=f"Finds out whether {source} is back after an outage, and asks for what was missed, for assets "
        "whose schedule is on.",
        jobs=[one.job for one in syncs.values()],
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def recovery(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        events, now = CircuitLog(context.instance, config).events(), time.time()
        circuit = Circuit(policy_of(config)).after(events)
        opened = [event.id for event in events if event.kind in (Kind.OPENED, Kind.HELD)]
        latest, phase = opened[-1] if opened else None, circuit.phase(now)
        # What was over before the first look is history.
        first = _Cursor(opened=latest, made_good=phase is Phase.CLOSED)
        cursor = _Cursor.model_validate_json(context.cursor) if context.cursor else first
        if cursor.opened != latest:  # it may have closed again between two looks
            cursor = _Cursor(opened=latest)
        wanted: list[dg.RunRequest] = []
        if phase is Phase.DUE:
            # The one run key is that of the probe, whichever sync it is.
            missed = _missed(context, _halted_first(syncs, circuit), "")[:1]
            wanted = [one.with_replaced_attrs(run_key=_probe_key(circuit, now)) for one in missed]
        elif phase is Phase.CLOSED and not cursor.made_good:
            wanted = _missed(context, syncs, f"after {cursor.opened}", cursor.requested)
            cursor.requested += [str(one.run_key) for one in wanted]
            cursor.made_good = not wanted
        return dg.SensorResult(
            run_requests=wanted,
            skip_reason=None if wanted else circuit.statement(source, now),
            cursor=cursor.model_dump_json(),
        )

    return recovery


def _probe_key(circuit: Circuit, now: float) -> str:
    """One probe per failure, and another one for each cool-down in which nothing came of it."""
    assert circuit.latest is not None
    assert circuit.until is not None
    cooldowns = (now - circuit.until) // circuit.policy.after(circuit.failures)
    return f"probe {cooldowns:.0f} after {circuit.latest.id}"


def _halted_first(syncs: Mapping[str, ScheduledSync], circuit: Circuit) -> dict[str, ScheduledSync]:
    halted = circuit.latest.cause.resource if circuit.latest and circuit.latest.cause else None
    return dict(sorted(syncs.items(), key=lambda named: named[0] != halted))


def _missed(
    context: dg.SensorEvaluationContext,
    syncs: Mapping[str, ScheduledSync],
    once: str,
    before: Collection[str] = (),
) -> list[dg.RunRequest]:
    """What was missed of the assets whose schedule is on.

    Args:
        context: of the sensor.
        syncs: the assets.
        once: makes a run key of a name: the same is asked for once.
        before: run keys that were asked for before.
    """
    wanted = []
    for name, sync in syncs.items():
        if not sync.is_on(context.instance):
            continue
        if sync.partitions is not None:
            spans = sync.due(context, sync.keys(), datetime.now(UTC))
            keys = {span: f"{name} {span.first} to {span.last} {once}" for span in spans}
            fresh = [span for span in spans if keys[span] not in before]
            wanted += [span.request(keys[span], sync.job_name) for span in at_once(fresh)]
        elif f"{name} {once}" not in before and was_missed(
            context.instance, sync.key, sync.job_name, sync.cron
        ):
            wanted.append(dg.RunRequest(run_key=f"{name} {once}", job_name=sync.job_name))
    return wanted

"""The sensor that needs no person: it finds out whether an API is back, and asks for what was missed meanwhile.

What belongs here: what is asked for between two ticks of the schedules, so that a nightly sync that was halted by a
short outage is there in the morning. Only assets whose schedule is on are asked for.
"""

import time
from collections.abc import Iterator, Mapping

import dagster as dg
from pydantic import BaseModel, Field

from analytics_assets.config import SyncConfig
from analytics_assets.ingestion.circuit import Circuit, Phase
from analytics_assets.orchestration.catch_up import due_spans, span_request, was_missed
from analytics_assets.orchestration.circuit_log import CircuitLog
from analytics_assets.orchestration.schedules import ScheduledSync

_RUNS_PER_TICK = 10


class _Cursor(BaseModel):
    """The incident whose damage is being made good, and the run keys that were asked for because of it."""

    incident: int | None = None
    requested: list[str] = Field(default_factory=list)


def recovery_sensor(config: SyncConfig, syncs: Mapping[str, ScheduledSync]) -> dg.SensorDefinition:
    """A sensor, on by default, that does two things for the assets of a source whose schedule is on.

    When the circuit is due to be probed it asks for the sync that was halted, once per cool-down. When the circuit has
    closed it asks, once per incident, for what was missed: partitions that are missing, and full syncs that were not
    made since their last tick.

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
        cursor = _Cursor.model_validate_json(context.cursor) if context.cursor else _Cursor()
        circuit, now = CircuitLog(context.instance, config).circuit(), time.time()
        if circuit.since is not None and circuit.since.id != cursor.incident:
            cursor = _Cursor(incident=circuit.since.id)
        wanted: list[dg.RunRequest] = []
        if circuit.phase(now) is Phase.DUE:
            wanted = _probe(context, circuit, syncs)
        elif circuit.phase(now) is Phase.CLOSED and cursor.incident is not None:
            wanted = [*_missed(context, syncs, cursor)][:_RUNS_PER_TICK]
            cursor.requested += [str(request.run_key) for request in wanted]
            if not wanted:
                cursor = _Cursor()
        said = circuit.sentence(source, now)
        return dg.SensorResult(
            run_requests=wanted,
            skip_reason=None if wanted else f"{said[0].upper()}{said[1:]}.",
            cursor=cursor.model_dump_json(),
        )

    return recovery


def _probe(
    context: dg.SensorEvaluationContext, circuit: Circuit, syncs: Mapping[str, ScheduledSync]
) -> list[dg.RunRequest]:
    """The sync that was halted, if its schedule is on; once, for its run key is that of the latest failure."""
    assert circuit.latest is not None
    assert circuit.latest.cause is not None
    sync = syncs.get(circuit.latest.cause.resource)
    if sync is None or not sync.is_on(context.instance):
        return []
    run_key = f"probe after {circuit.latest.id}"
    if sync.partitions is None:
        return [dg.RunRequest(run_key=run_key, job_name=sync.job_name)]
    return [span_request(span, run_key, sync.job_name) for span in _spans(context, sync)[:1]]


def _missed(
    context: dg.SensorEvaluationContext, syncs: Mapping[str, ScheduledSync], cursor: _Cursor
) -> Iterator[dg.RunRequest]:
    """What was missed, but for what was asked for before because of this incident."""
    for sync in syncs.values():
        if not sync.is_on(context.instance):
            continue
        suffix = f"after {cursor.incident}"
        wanted: list[dg.RunRequest] = []
        if sync.partitions is not None:
            wanted = [
                span_request(span, f"{sync.resource} {'...'.join(span)} {suffix}", sync.job_name)
                for span in _spans(context, sync)
            ]
        elif was_missed(context.instance, sync.key, sync.job_name, sync.cron):
            wanted = [dg.RunRequest(run_key=f"{sync.resource} {suffix}", job_name=sync.job_name)]
        yield from (one for one in wanted if one.run_key not in cursor.requested)


def _spans(context: dg.SensorEvaluationContext, sync: ScheduledSync) -> list[tuple[str, str]]:
    assert sync.partitions is not None
    assert context.repository_def is not None
    return due_spans(context.instance, context.repository_def, sync.key, sync.partitions, sync.keys())

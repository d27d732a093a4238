"""The sensor that tells people: each incident once, to the log and to the channels, however long a channel is down."""

import time
from collections.abc import Sequence

import dagster as dg
from pydantic import BaseModel, Field

from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.alerts.channels import Channel, open_channels
from analytics_assets.orchestration.alerts.incidents import Alert, Incidents, Memory
from analytics_assets.orchestration.circuit.event_log import circuit_state

_KEPT = 100
"""Alerts that are kept for a channel that takes none; beyond that the oldest is in the log alone."""

_SECONDS = 20.0
"""A tick begins no further message after that: what was sent must be written down before Dagster ends the tick."""


class _Letter(BaseModel):
    """An alert that a channel has not taken yet.

    Attributes:
        taken: ids of the channels that have.
    """

    title: str
    body: str
    good: bool
    taken: list[str] = Field(default_factory=list)


class _Cursor(BaseModel):
    """What the sensor remembers from tick to tick; Dagster keeps it, over restarts of its daemon."""

    memory: Memory = Memory()
    outbox: list[_Letter] = Field(default_factory=list)


def failure_sensor(config: SyncConfig) -> dg.SensorDefinition:
    """A sensor, on by default, that tells of halted and failed syncs of a source, and when they are over.

    It is no `run_failure_sensor` of Dagster's: that one is called per run, goes on to the next run whether or not its
    message got through, and knows nothing of what runs have in common (docs/adr/0014).
    """
    source = config.name

    @dg.sensor(
        name=f"{source}__sync_failure",
        description=f"Tells of halted and failed syncs of {source}, once each, and when they are over: in its log, "
        "and to the channels named by SOURCES__ALERTS.",
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sync_failure(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        cursor = _Cursor.model_validate_json(context.cursor) if context.cursor else _Cursor()
        incidents, looked_at = Incidents(context.instance, config), cursor.memory.circuit_event
        alerts = [*incidents.news(cursor.memory)]
        for alert in alerts:
            said = "; ".join(f"{name} {value}" for name, value in alert.facts.items())
            (context.log.info if alert.good else context.log.error)(f"{alert.title}: {said}")
        cursor.outbox += [_letter(alert) for alert in alerts]
        if cursor.memory.circuit_event != looked_at:
            context.instance.report_runless_asset_event(circuit_state(incidents.log))
        channels, troubles = open_channels(source)
        troubles = [*troubles, *_deliver(cursor, channels)]
        for trouble in troubles:
            context.log.warning(trouble)
        if not troubles:
            taken = {channel.id for channel in channels}
            cursor.outbox = [letter for letter in cursor.outbox if not taken <= set(letter.taken)]
        cursor.outbox = cursor.outbox[-_KEPT:]
        told = [f"{alert.title}." for alert in alerts] or [f"Nothing new about {source}."]
        return dg.SensorResult(cursor=cursor.model_dump_json(), skip_reason=" ".join([*told, *troubles]))

    return sync_failure


def _letter(alert: Alert) -> _Letter:
    return _Letter(title=alert.title, body=alert.body, good=alert.good)


def _deliver(cursor: _Cursor, channels: Sequence[Channel]) -> list[str]:
    """Sends what is in the outbox, in order, and notes down which channel has taken what.

    Returns:
        A sentence per channel that takes nothing.
    """
    troubles = []
    give_up = time.monotonic() + _SECONDS
    for channel in channels:
        for letter in cursor.outbox:
            if channel.id in letter.taken:
                continue
            if time.monotonic() > give_up:
                break  # some services are sent to at a slow pace, and Dagster ends a tick that takes a minute
            if not channel.send(letter.title, letter.body, good=letter.good):
                troubles.append(f"The {channel.name} channel took no alert; the next tick tries again.")
                break  # it is down: one try a tick, and the order is kept
            letter.taken.append(channel.id)
    return troubles

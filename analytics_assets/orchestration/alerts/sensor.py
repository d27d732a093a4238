"""The alert sensor, which logs each alert once and sends it once to each channel.

If a channel is down, the sensor tries again at each tick. Alerts are stored before they are sent, so none is lost.
"""

import time
from collections.abc import Mapping, Sequence

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.alerts.alert import Alert
from analytics_assets.orchestration.alerts.channels import Channel, open_channels
from analytics_assets.orchestration.alerts.cursor import AlertMemory, OutboxMessage
from analytics_assets.orchestration.alerts.incidents import Incidents
from analytics_assets.orchestration.alerts.memory import MemoryStore
from analytics_assets.orchestration.circuit.event_log import closed_check_evaluation

_MAX_OUTBOX = 1_000
"""The most messages that wait for a channel that is down. Older messages are only in the log."""

_SEND_SECONDS = 20.0
"""The time limit in seconds for sending messages in one tick.

If a tick takes more than a minute, Dagster ends the tick and does not store its cursor."""


def failure_sensor(config: SyncConfig, assets: Mapping[dg.AssetKey, str]) -> dg.SensorDefinition:
    """Builds the alert sensor of a source. The sensor is on by default.

    The sensor is not a `run_failure_sensor`, because Dagster calls a `run_failure_sensor` once per failed run. If no
    channel accepts a message, a `run_failure_sensor` continues with the next run, and loses the message
    (docs/adr/0014).

    Args:
        config: the config of the API.
        assets: the dlt resource names, by the key of the asset that loads the resource.
    """
    source = config.name

    @dg.sensor(
        name=f"{source}__sync_failure",
        description=f"Reports halted and failed syncs, failed checks and quarantined rows of {source} once each, and "
        "when they are over: in its log, and to the channels of the setting SOURCES__ALERTS.",
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus[config.sensors.default_status.upper()],
    )
    def sync_failure(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        store = MemoryStore(context.instance, source, context.cursor)
        memory = store.read()
        incidents = Incidents(context.instance, config, assets)
        alerts, state = incidents.poll(memory.state)
        for alert in alerts:
            (context.log.info if alert.good else context.log.error)(alert.log_line)
        outbox = [*memory.outbox, *map(_message, alerts)]
        store.write(AlertMemory(state=state, outbox=tuple(outbox)))
        if state.circuit_event != memory.state.circuit_event:
            context.instance.report_runless_asset_event(closed_check_evaluation(incidents.store))
        channels, problems = open_channels(source)
        outbox, undelivered = _deliver(outbox, channels)
        problems = [*problems, *undelivered]
        if not problems:
            ids = {channel.id for channel in channels}
            outbox = [message for message in outbox if not ids <= set(message.accepted_by)]
        if len(outbox) > _MAX_OUTBOX:
            problems.append(f"{len(outbox) - _MAX_OUTBOX:,} old alerts are only in the log from now on.")
        for problem in problems:
            context.log.warning(problem)
        titles = [f"{alert.title}." for alert in alerts] or [f"Nothing new about {source}."]
        cursor = store.write(AlertMemory(state=state, outbox=tuple(outbox[-_MAX_OUTBOX:])))
        return dg.SensorResult(cursor=cursor, skip_reason=" ".join([*titles, *problems]))

    return sync_failure


def _message(alert: Alert) -> OutboxMessage:
    return OutboxMessage(title=alert.title, body=alert.body, good=alert.good)


def _deliver(
    outbox: Sequence[OutboxMessage], channels: Sequence[Channel]
) -> tuple[list[OutboxMessage], list[str]]:
    """Sends the messages of the outbox in order.

    Returns:
        The messages, each with the ids of the channels that accepted it, and one sentence per channel that is down.
    """
    messages, problems = [*outbox], []
    give_up = time.monotonic() + _SEND_SECONDS
    for channel in channels:
        for index, message in enumerate(messages):
            if channel.id in message.accepted_by:
                continue
            if time.monotonic() > give_up:
                break
            if not channel.send(message.title, message.body, good=message.good):
                problems.append(f"The {channel.name} channel accepted no alert; the next tick tries again.")
                # Stop here: at the next tick, the channel gets this message first, so its messages stay in order.
                break
            accepted_by = (*message.accepted_by, channel.id)
            messages[index] = message.model_copy(update={"accepted_by": accepted_by})
    return messages, problems

"""The store of circuit events: each event is a materialization of the external asset `<source>/circuit`.

This module reads and appends events, and writes a description of each event for the UI.
`ingestion/http/circuit_breaker.py` computes the state of the circuit from the events, and
`ingestion/http/breaker_client.py` decides when to append an event.
"""

import re
import time
from typing import Any

import dagster as dg

from analytics_assets.config.models import CIRCUIT, SyncConfig
from analytics_assets.ingestion.errors import SyncHalted
from analytics_assets.ingestion.http.breaker_client import describe
from analytics_assets.ingestion.http.circuit_breaker import (
    Circuit,
    CircuitEvent,
    CircuitEventKind,
    Phase,
    capitalized,
    policy_of,
)

_NEWEST_PAGE, _OLDER_PAGE = 20, 1000  # the most events that the newest page and each older page have
_EVENT = "analytics_assets/event"  # a metadata key that only events of this project have
_REPORTED = {  # the first word of a person's report selects the event kind
    "open": CircuitEventKind.FORCED_OPEN,
    **dict.fromkeys(("reset", "close", "closed", ""), CircuitEventKind.RESET),
}


def circuit_key(source: str) -> dg.AssetKey:
    """Returns the asset key of the circuit, `<source>/circuit`."""
    return dg.AssetKey([source, CIRCUIT])


CLOCK_NOTE = "The clock that wrote the last event was ahead, so the cool-down starts now"
"""The text of a note that a sync or a sensor appended."""

CLOSED_CHECK = "closed"
"""The name of the asset check that fails while the circuit is open."""


def reset_job_name(source: str) -> str:
    """Returns the name of the job that closes the circuit."""
    return f"{source}__circuit_reset"


class EventLogCircuit:
    """The circuit of one source, which all processes of a Dagster instance share.

    The history of the circuit is append-only, and Dagster's storage ids order the events.

    Args:
        instance: the Dagster instance, which stores the events.
        config: the config of the API.
    """

    def __init__(self, instance: dg.DagsterInstance, config: SyncConfig) -> None:
        self.source = config.name
        self.reset = f"the job {reset_job_name(config.name)}"
        self._instance = instance
        self._policy = policy_of(config)
        self._key = circuit_key(config.name)
        self._read: dict[int, CircuitEvent] = {}

    def circuit(self) -> Circuit:
        """Returns the circuit after all events so far."""
        return Circuit(self._policy).after(self.events())

    def events(self) -> list[CircuitEvent]:
        """Returns all events so far, in order. The object caches events, so each call reads only the newest pages."""
        read: dict[int, CircuitEvent] = {}
        cursor: str | None = None
        while True:
            limit = _OLDER_PAGE if cursor else _NEWEST_PAGE
            page = self._instance.fetch_materializations(self._key, limit=limit, cursor=cursor)
            found = {record.storage_id: _event(record) for record in page.records}
            read |= found
            # If no pages are left, `read` is the whole history.
            # If an event is in the cache and not in `read`, a person has deleted the event.
            if not page.has_more:
                self._read = read
                break
            if not self._read.keys().isdisjoint(found):
                self._read |= read
                break
            cursor = page.cursor
        return [self._read[storage_id] for storage_id in sorted(self._read)]

    def append(
        self,
        kind: CircuitEventKind,
        *,
        by: str = "",
        run_id: str = "",
        cause: SyncHalted | None = None,
        reason: str = "",
    ) -> None:
        """Appends an event, with a description for the UI.

        Args:
            kind: the kind of the event.
            by: the writer of the event.
            run_id: the id of the Dagster run that writes the event.
            cause: the failure that opened the circuit.
            reason: the reason that a person gave.
        """
        event = CircuitEvent(0, time.time(), kind, by, run_id, cause, reason)
        after = self.circuit().after([event])
        metadata: dict[str, Any] = {_EVENT: kind.value, "by": by, "failures_in_a_row": after.failures}
        if run_id:
            metadata["run"] = dg.MetadataValue.dagster_run(run_id)
        if cause:
            metadata |= {
                "resource": cause.resource,
                "endpoint": cause.endpoint,
                "status": cause.answer,
                "attempts": cause.attempts,
                "cause": cause.reason,
            }
            if cause.retry_at is not None:
                metadata["retry_at"] = dg.MetadataValue.timestamp(cause.retry_at)
                metadata["retry_header"] = cause.retry_header
        if after.half_open_at is not None:
            metadata["next_probe"] = dg.MetadataValue.timestamp(after.half_open_at)
            metadata["cooldown_minutes"] = after.policy.cooldown_after(after.failures) / 60
        if reason:
            metadata["reason"] = reason
        self._instance.report_runless_asset_event(
            dg.AssetMaterialization(self._key, description=_description(event, after), metadata=metadata)
        )


def closed_check_evaluation(store: EventLogCircuit) -> dg.AssetCheckEvaluation:
    """Returns the evaluation of the circuit's check, which passes if the circuit is closed."""
    circuit, now = store.circuit(), time.time()
    return dg.AssetCheckEvaluation(
        asset_key=circuit_key(store.source),
        check_name=CLOSED_CHECK,
        passed=circuit.phase(now) is Phase.CLOSED,
        description=capitalized(describe(store, circuit, now)),
        metadata={},
    )


def _description(event: CircuitEvent, after: Circuit) -> str:
    reason = f": {event.reason}" if event.reason else "."
    if event.kind is CircuitEventKind.FORCED_OPEN:
        return f"Opened by hand, until it is reset{reason}"
    if event.kind is CircuitEventKind.RESET:
        return f"Closed by hand{reason}"
    if event.kind is CircuitEventKind.PROBE:
        return "Probe: one request tests whether the API is back."
    if event.kind is CircuitEventKind.CLOSED:
        return "Closed: the API answers again."
    if event.kind is CircuitEventKind.NOTE:
        return f"{CLOCK_NOTE}."
    assert event.cause is not None
    until = f"; next probe after {after.half_open_in_words}" if after.half_open_at else ""
    return f"Opened: {event.cause.resource}: {event.cause.cause}{until}."


def _event(record: dg.EventLogRecord) -> CircuitEvent:
    """Converts a materialization of the circuit asset to a circuit event.

    A materialization comes from this project or a person.
    """
    materialization = record.asset_materialization
    assert materialization is not None
    metadata: dict[str, Any] = {name: value.value for name, value in materialization.metadata.items()}
    if _EVENT not in metadata:
        description = materialization.description or ""
        first, rest = _first_word(description)
        kind = _REPORTED.get(first, CircuitEventKind.NOTE)
        reason = description if kind is CircuitEventKind.NOTE else rest
        return CircuitEvent(record.storage_id, record.timestamp, kind, reason=reason)
    return CircuitEvent(
        id=record.storage_id,
        at=record.timestamp,
        kind=CircuitEventKind(metadata[_EVENT]),
        by=metadata["by"],
        run_id=metadata.get("run") or "",
        cause=_cause(metadata),
        reason=metadata.get("reason", ""),
    )


def _first_word(description: str) -> tuple[str, str]:
    """Splits a person's report into its first word, in lower case, and the remaining text."""
    found = re.match(r"\s*(\w*)[\s:,.;-]*(.*)", description, re.DOTALL)
    assert found is not None
    return found[1].lower(), found[2].strip()


def _cause(metadata: dict[str, Any]) -> SyncHalted | None:
    if "endpoint" not in metadata:
        return None
    return SyncHalted(
        resource=metadata["resource"],
        endpoint=metadata["endpoint"],
        status=metadata["status"] if isinstance(metadata["status"], int) else None,
        attempts=metadata["attempts"],
        reason=metadata["cause"],
        outage=True,
        retry_at=metadata.get("retry_at"),
        retry_header=metadata.get("retry_header"),
    )

"""The memory of a circuit: Dagster's event log, as materializations of the external asset `<source>/circuit`.

What belongs here: reading and appending, and how an event looks in the UI. What the events mean is
`ingestion/http/circuit_breaker.py`, when one is written `ingestion/http/breaker_client.py`.
"""

import re
import time
from typing import Any

import dagster as dg

from analytics_assets.config.models import CIRCUIT, SyncConfig
from analytics_assets.ingestion.errors import SyncHalted
from analytics_assets.ingestion.http.circuit_breaker import Circuit, Event, Kind, Phase, policy_of, utc

_NEWEST, _OLDER = 20, 1000  # events a look reads first, and at a time of those that were never read
_EVENT = "analytics_assets/event"  # the key by which our own events are known from a person's reports
_BY_HAND = {"open": Kind.HELD, "reset": Kind.RESET, "close": Kind.RESET, "closed": Kind.RESET, "": Kind.RESET}


def circuit_key(source: str) -> dg.AssetKey:
    """`<source>/circuit`."""
    return dg.AssetKey([source, CIRCUIT])


CLOSED_CHECK = "closed"
"""The asset check by which an open circuit is red in the lineage."""


class CircuitLog:
    """The circuit of one source, as all processes of a Dagster instance share it.

    It is append-only; the storage ids of the instance put the events in order.

    Args:
        instance: where the events are kept.
        config: the source.
    """

    def __init__(self, instance: dg.DagsterInstance, config: SyncConfig) -> None:
        self.source = config.name
        self._instance = instance
        self._policy = policy_of(config)
        self._key = circuit_key(config.name)
        self._read: dict[int, Event] = {}

    def circuit(self) -> Circuit:
        """The circuit after all events so far."""
        return Circuit(self._policy).after(self.events())

    def events(self) -> list[Event]:
        """All events so far, in order. Those read before are remembered; the newest are always read again."""
        read: dict[int, Event] = {}
        cursor: str | None = None
        while True:
            limit = _OLDER if cursor else _NEWEST
            page = self._instance.fetch_materializations(self._key, limit=limit, cursor=cursor)
            found = {record.storage_id: _event(record) for record in page.records}
            read |= found
            if not page.has_more:  # all there is: what was remembered and is gone, was wiped by hand
                self._read = read
                break
            if not self._read.keys().isdisjoint(found):
                self._read |= read
                break
            cursor = page.cursor
        return [self._read[storage_id] for storage_id in sorted(self._read)]

    def append(
        self, kind: Kind, *, by: str = "", run_id: str = "", cause: SyncHalted | None = None, reason: str = ""
    ) -> None:
        """Adds an event, told so that a person reads what happened and until when it holds.

        Args:
            kind: what happened.
            by: who tells it.
            run_id: the run it happened in.
            cause: of an opening.
            reason: a person's.
        """
        event = Event(0, time.time(), kind, by, run_id, cause, reason)
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
        if after.until is not None:
            metadata["next_probe"] = dg.MetadataValue.timestamp(after.until)
            metadata["cooldown_minutes"] = after.policy.after(after.failures) / 60
        if reason:
            metadata["reason"] = reason
        self._instance.report_runless_asset_event(
            dg.AssetMaterialization(self._key, description=_told(event, after), metadata=metadata)
        )


def circuit_state(log: CircuitLog) -> dg.AssetCheckEvaluation:
    """Whether the circuit is closed, as an evaluation of its check."""
    circuit, now = log.circuit(), time.time()
    return dg.AssetCheckEvaluation(
        asset_key=circuit_key(log.source),
        check_name=CLOSED_CHECK,
        passed=circuit.phase(now) is Phase.CLOSED,
        description=circuit.statement(log.source, now),
        metadata={},
    )


def _told(event: Event, after: Circuit) -> str:
    why = f": {event.reason}" if event.reason else "."
    if event.kind is Kind.HELD:
        return f"Opened by hand, until it is reset{why}"
    if event.kind is Kind.RESET:
        return f"Closed by hand{why}"
    if event.kind is Kind.PROBE:
        return "Probe: one request finds out whether the API is back."
    if event.kind is Kind.CLOSED:
        return "Closed: the API answers again."
    assert event.cause is not None
    until = f"; next probe after {utc(after.until)}" if after.until else ""
    return f"Opened: {event.cause}{until}."


def _event(record: dg.EventLogRecord) -> Event:
    """The event of a record, which we wrote, or a person who reported a materialization."""
    reported = record.asset_materialization
    assert reported is not None
    said: dict[str, Any] = {name: value.value for name, value in reported.metadata.items()}
    if _EVENT not in said:
        words = reported.description or ""
        first, rest = _words(words)
        kind = _BY_HAND.get(first, Kind.NOTE)
        reason = words if kind is Kind.NOTE else rest
        return Event(record.storage_id, record.timestamp, kind, reason=reason)
    return Event(
        id=record.storage_id,
        at=record.timestamp,
        kind=Kind(said[_EVENT]),
        by=said["by"],
        run_id=said.get("run") or "",
        cause=_cause(said),
        reason=said.get("reason", ""),
    )


def _words(description: str) -> tuple[str, str]:
    """The first word of what a person wrote, in lower case, and the rest."""
    found = re.match(r"\s*(\w*)[\s:,.;-]*(.*)", description, re.DOTALL)
    assert found is not None
    return found[1].lower(), found[2].strip()


def _cause(said: dict[str, Any]) -> SyncHalted | None:
    if "endpoint" not in said:
        return None
    status = said["status"] if isinstance(said["status"], int) else None
    return SyncHalted(
        said["resource"], said["endpoint"], status, said["attempts"], said["cause"], outage=True
    )

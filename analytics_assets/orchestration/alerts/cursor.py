"""What the alert sensor stores between ticks, as JSON.

The alias of a field is its name in the stored JSON. Names that version 0.1.0 stored have not changed, so newer versions
can read older cursors. `memory.py` decides where the JSON is stored.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class _Stored(BaseModel):
    model_config = ConfigDict(
        frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class Kind(StrEnum):
    """The kind of an incident. The value is also the key in `alerts` of a `defs.yaml`."""

    FAILED_SYNC = "failed_sync"
    FAILED_CHECK = "failed_check"
    QUARANTINE = "quarantine"


class Incident(_Stored):
    """A reported incident that is not over yet.

    Attributes:
        kind: the kind of the incident.
        asset: the asset key, as `AssetKey.to_string` writes it.
        reason: the reason of a failed sync or the name of a failed check; empty for a quarantine, and for checks
            that could not be executed.
        parts: what is wrong: partitions, ranges `first to last`, or "" for the whole asset. The value is the storage id
            of the event that ended the run; for a quarantine the value is a number of rows.
        last_failure: the storage id of the event that ended the last failed run.
        alerted_at: the time of the failure that was reported last, in seconds since 1970.
        good_since: whether the asset was loaded or checked well since the last failure.
    """

    kind: Kind
    asset: str
    reason: str
    parts: dict[str, int]
    last_failure: int
    alerted_at: float
    good_since: bool = False


class ReportedFailure(_Stored):
    """A failed sync that version 0.1.0 has reported, and that no later run has loaded yet.

    Attributes:
        resource: the dlt resource name.
        reason: the reason in the alert.
        failures: the times of the failures in seconds since 1970, by `PartitionRange.key`; the key is "" for a run
            without partitions.
    """

    resource: str
    reason: str
    failures: dict[str, float]


class IncidentState(_Stored):
    """The last positions that the sensor has read in Dagster's event log, and the incidents that are not over.

    Attributes:
        circuit_event: the id of the last circuit event that was read; None before the first poll.
        run_failure: the storage id of the last run failure that was read; None before the first poll.
        run_success: the same, for runs that succeeded.
        run_canceled: the same, for runs that a person canceled.
        awaiting_retry: the failed runs that Dagster will retry, with the storage ids of the events that ended them.
        incidents: the incidents that are not over, oldest first.
        waiting_in_0_1_0: the ids of the failed runs that version 0.1.0 waited for.
        reported_in_0_1_0: the failed syncs that version 0.1.0 has reported.
    """

    circuit_event: int | None = None
    run_failure: int | None = None
    run_success: int | None = None
    run_canceled: int | None = None
    awaiting_retry: dict[str, int] = Field(default_factory=dict)
    incidents: tuple[Incident, ...] = ()
    waiting_in_0_1_0: tuple[str, ...] = Field(default=(), alias="waiting")
    reported_in_0_1_0: tuple[ReportedFailure, ...] = Field(default=(), alias="told")


class OutboxMessage(_Stored):
    """An alert that at least one channel has not accepted yet.

    Attributes:
        title: the title, in one line.
        body: the details, with one line per detail.
        good: whether the alert reports the end of an incident.
        accepted_by: the ids of the channels that accepted the alert.
    """

    title: str
    body: str
    good: bool
    accepted_by: tuple[str, ...] = Field(default=(), alias="taken")


class AlertMemory(_Stored):
    """All that the alert sensor remembers. Version 0.1.0 stored it in the cursor of the sensor.

    Attributes:
        state: the state of the incidents.
        outbox: the messages to send, oldest first.
        store: in a cursor, the last part of the key under which Dagster's key-value store has the memory; None if
            the cursor is the whole memory.
    """

    state: IncidentState = Field(default=IncidentState(), alias="memory")
    outbox: tuple[OutboxMessage, ...] = ()
    store: str | None = None

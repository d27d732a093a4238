"""The cursor of the alert sensor, which Dagster stores as JSON between ticks.

The alias of a field is its name in the stored JSON. The field names in the stored JSON have not changed since version
0.1.0, so newer versions can read older cursors.
"""

from pydantic import BaseModel, ConfigDict, Field


class _Stored(BaseModel):
    model_config = ConfigDict(
        frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class ReportedFailure(_Stored):
    """A failed sync that the sensor has reported, and that no later run has loaded yet.

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
    """The last positions that the sensor has read in Dagster's event log, and the failed syncs that are not loaded yet.

    Attributes:
        circuit_event: the id of the last circuit event that was read; None before the first poll.
        run_failure: the storage id of the last run failure that was read; None before the first poll.
        awaiting_retry: the ids of failed runs that Dagster will retry; the sensor waits for the outcome of the retry.
        reported: the failed syncs that the sensor has reported.
    """

    circuit_event: int | None = None
    run_failure: int | None = None
    awaiting_retry: tuple[str, ...] = Field(default=(), alias="waiting")
    reported: tuple[ReportedFailure, ...] = Field(default=(), alias="told")


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


class AlertCursor(_Stored):
    """The cursor of the alert sensor.

    Attributes:
        state: the state of the incidents.
        outbox: the messages to send, oldest first.
    """

    state: IncidentState = Field(default=IncidentState(), alias="memory")
    outbox: tuple[OutboxMessage, ...] = ()

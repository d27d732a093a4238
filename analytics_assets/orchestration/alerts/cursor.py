"""What the alert sensor knows from tick to tick. Dagster stores it as JSON, over restarts of its daemon.

The aliases are the stored names of version 0.1.0.
"""

from pydantic import BaseModel, ConfigDict, Field


class _Stored(BaseModel):
    model_config = ConfigDict(
        frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class ReportedFailure(_Stored):
    """A failed sync that people were alerted of, until its partitions are loaded.

    Attributes:
        resource: dlt resource name.
        reason: the reason in the alert.
        failures: when it failed, in seconds since 1970, by `PartitionRange.key`; by "" for a run without partitions.
    """

    resource: str
    reason: str
    failures: dict[str, float]


class IncidentState(_Stored):
    """How far Dagster's records were read, and which failed syncs are not over.

    Attributes:
        circuit_event: id of the last event of the circuit that was read; None before the first poll.
        run_failure: storage id of the last failure of a run that was read; None before the first poll.
        awaiting_retry: ids of failed runs that Dagster is about to retry: the retry decides.
        reported: the failed syncs that people were alerted of.
    """

    circuit_event: int | None = None
    run_failure: int | None = None
    awaiting_retry: tuple[str, ...] = Field(default=(), alias="waiting")
    reported: tuple[ReportedFailure, ...] = Field(default=(), alias="told")


class OutboxMessage(_Stored):
    """An alert that some channel has not accepted yet.

    Attributes:
        title: one line.
        body: a line per detail.
        good: whether it ends an incident.
        accepted_by: ids of the channels that accepted it.
    """

    title: str
    body: str
    good: bool
    accepted_by: tuple[str, ...] = Field(default=(), alias="taken")


class AlertCursor(_Stored):
    """The cursor of the alert sensor.

    Attributes:
        state: of the incidents.
        outbox: messages to send, oldest first.
    """

    state: IncidentState = Field(default=IncidentState(), alias="memory")
    outbox: tuple[OutboxMessage, ...] = ()

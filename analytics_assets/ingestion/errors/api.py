"""Failures whose cause is the API as a whole: it is down, or its circuit is open."""

from __future__ import annotations

from dataclasses import dataclass, field

from analytics_assets.ingestion.errors.base import Fault, SyncError, counted


@dataclass(eq=False)
class ApiError(SyncError):
    """The API works wrongly, or the `defs.yaml` describes the API wrongly."""


@dataclass(eq=False)
class SyncHalted(ApiError):  # noqa: N818  users read this name of a state of the sync
    """A request failed for good, and the sync sends no more requests.

    Attributes:
        endpoint: the method and path of the request, without the query.
        status: the HTTP status of the last response; None if there was no response.
        attempts: the number of requests sent for this page, the first included.
        reason: the problem in a few words.
        outage: whether the whole API is down or refuses the key; only an outage opens the circuit.
        fault: the origin of the failure: config for a wrong key or path, transient for an API that is down.
    """

    endpoint: str
    status: int | None
    attempts: int
    reason: str
    outage: bool = False
    # In `SyncHalted`, `fault` is a field. Every other error class has one constant `fault`.
    fault: Fault = field(default=Fault.TRANSIENT, kw_only=True)  # type: ignore[misc]
    code = "halted"

    @property
    def cause(self) -> str:
        return f"halted after {counted(self.attempts, 'attempt')} of {self.endpoint}: {self.reason}"

    @property
    def answer(self) -> int | str:
        """The HTTP status, or `no answer` if there was no response."""
        return "no answer" if self.status is None else self.status


@dataclass(eq=False)
class CircuitOpenError(ApiError):
    """The circuit of the API is open, because a sync halted or because a person opened the circuit.

    Attributes:
        source: the dlt source name.
        state: the clause that says since when and why the circuit is open, and until when.
    """

    source: str
    state: str
    code = "circuit_open"
    fault = Fault.TRANSIENT

    @property
    def cause(self) -> str:
        return f"no request was sent, because {self.state}"

"""Failures whose cause is the API as a whole: it is down, or its circuit is open."""

from __future__ import annotations

from dataclasses import dataclass, field

from analytics_assets.ingestion.errors.base import Fault, SyncError, counted, utc


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
        retry_at: the time from which the API accepts requests again, in seconds since 1970, if it is after the
            cool-down; None if the API does not say.
        retry_header: the name of the header that says `retry_at`.
        fault: the origin of the failure: config for a wrong key or path, transient for an API that is down.
    """

    endpoint: str
    status: int | None
    attempts: int
    reason: str
    outage: bool = False
    retry_at: float | None = None
    retry_header: str | None = None
    # In `SyncHalted`, `fault` is a field. Every other error class has one constant `fault`.
    fault: Fault = field(default=Fault.TRANSIENT, kw_only=True)  # type: ignore[misc]
    code = "halted"

    @property
    def cause(self) -> str:
        return f"halted after {counted(self.attempts, 'attempt')} of {self.endpoint}: {self.reason}"

    @property
    def cure(self) -> str:
        if self.retry_at is None:
            return ""
        return f"No request is sent until {utc(self.retry_at)}: the API says so in `{self.retry_header}`"

    @property
    def answer(self) -> int | str:
        """The HTTP status, or `no answer` if there was no response."""
        return "no answer" if self.status is None else self.status


@dataclass(eq=False)
class RangeTooLargeError(SyncHalted):
    """The API does not page through as many rows as the range has. A sync of partitions then reads smaller ranges.

    Attributes:
        rows: how many rows the API pages through.
    """

    rows: int = field(default=0, kw_only=True)
    code = "range_too_large"

    @property
    def cause(self) -> str:
        return f"{self.endpoint} has more rows than the API pages through: {self.reason}"

    @property
    def cure(self) -> str:
        if self.status is None:
            otherwise = "If the API pages further, correct requests.max_offset"
        else:
            empty = f"`{{status: {self.status}, action: empty}}`"
            otherwise = (
                f"If the response means that there are no more rows, set requests.responses to {empty}"
            )
        return (
            "Read smaller parts, with partitions or shorter ones, or set `row_order: asc` if the API sorts by the "
            f"cursor. {otherwise}"
        )


@dataclass(eq=False)
class RangeTooSlowError(RangeTooLargeError):
    """The API needs too long for the range, and a smaller range can be read. The circuit stays closed.

    Without attempts, the range was not asked for, because the API needed too long for one that is not longer.
    """

    code = "range_too_slow"

    @property
    def cause(self) -> str:
        if not self.attempts:
            return f"{self.endpoint} is not asked for this range, because a range that is not longer took too long"
        return f"{self.endpoint} took too long in {counted(self.attempts, 'attempt')}: {self.reason}"

    @property
    def cure(self) -> str:
        return "Read smaller parts, with shorter partitions. Or raise requests.read_timeout"


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


@dataclass(eq=False)
class ForeignOriginError(ApiError):
    """A link, a redirect or a path leads to a server that the `defs.yaml` does not name. No request was sent to it.

    Attributes:
        endpoint: the method and path of the request, without the query.
        origin: scheme, host and port of the server; empty if the URL has none.
    """

    endpoint: str
    origin: str
    code = "foreign_origin"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        server = self.origin or "an address without a host"
        return f"{self.endpoint} leads to {server}, which is not the server of base_url"

    @property
    def cure(self) -> str:
        return (
            "Nothing was sent there. If it belongs to the API, add it to requests.trusted_origins, and it gets the "
            "secrets. If it only has files, add it to requests.download_origins, and it gets none"
        )


@dataclass(eq=False)
class NoTokenError(ApiError):
    """A token endpoint responds, but the sync gets no OAuth2 access token.

    Attributes:
        origin: the place that the token comes from, such as `POST /token`, or the method of a class.
        problem: the clause that says what is wrong, without any value of the response.
    """

    origin: str
    problem: str
    code = "no_token"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        return f"no OAuth2 token came from {self.origin}, because {self.problem}"

    @property
    def cure(self) -> str:
        if " " in self.origin:
            return "Nothing was loaded. Check access_token_url, client_id and client_secret"
        return "Nothing was loaded. Check this method, and the response of its token endpoint"

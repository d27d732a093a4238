"""What one exchange with the API means, and what to do next: the only place that decides it.

An exchange is one request and its response, or the network error in its place. `classify` looks at nothing else, and
changes nothing. The transport acts on its decision.

No reason holds a URL, query, header or body: each of them may hold a secret.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import urlsplit

from requests import PreparedRequest
from urllib3.exceptions import (
    InvalidHeader,
    LocationValueError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    SSLError,
    TimeoutError,  # noqa: A004  urllib3's own, which is no subclass of the built-in one
)
from urllib3.util import Retry

from analytics_assets.config.models import RequestsConfig
from analytics_assets.ingestion.errors import Fault

JITTER = 0.1
"""The most that a wait grows by, as a share of it: clients that failed together do not come back together."""

_KEY_STATUSES = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

_HINTS = {
    401: "the API does not accept the key: check the secret",
    403: "the key may not read this: check the secret and its rights",
    404: "there is no such endpoint: check base_url and path",
}


class Action(StrEnum):
    """What to do after an exchange."""

    SUCCESS = "success"  # hand the response on
    RETRY = "retry"  # send the request again, later
    RATE_LIMITED = "rate_limited"  # the same; the API is well, and was asked too often
    REFRESH_TOKEN = "refresh_token"  # noqa: S105  the token has expired; fails until tokens are renewed
    FAIL = "fail"  # give up


class Judge(StrEnum):
    """Who decides what an error status means."""

    SESSION = "session"  # `classify` alone
    HOOKS = "hooks"  # the `response_actions` of the user: they get the response once no retry is left
    TOKEN_REQUEST = "token_request"  # noqa: S105  `classify`; but a token server says nothing about the API


@dataclass(frozen=True)
class Caller:
    """What a request is for.

    Attributes:
        judge: who decides what an error status means.
        has_token: whether the request carries an OAuth2 token, which expires.
    """

    judge: Judge = Judge.SESSION
    has_token: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came of one request.

    Attributes:
        status: HTTP status; None where there was no response.
        headers: of the response.
        body: of the response, decoded and redacted; empty where it is read as a stream.
        error: the network error, where there was no response.
        host: host and port that were asked, for the reason.
    """

    status: int | None = None
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    error: BaseException | None = None
    host: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What an exchange means.

    Attributes:
        action: what to do next.
        reason: why, in a few words; empty for a success.
        fault: who can end it.
        outage: whether the circuit opens if this is the last attempt: the API is down, or refuses the key.
        closes_probe: whether the API is back, if the request was a probe.
        handed_on: whether the response goes to its judge where no retry is left, and is no failure yet.
        wait: seconds that the API asks to wait before the next attempt; None where it does not say.
    """

    action: Action
    reason: str = ""
    fault: Fault = Fault.TRANSIENT
    outage: bool = False
    closes_probe: bool = False
    handed_on: bool = False
    wait: float | None = None

    @property
    def may_retry(self) -> bool:
        """Whether the same request may succeed later."""
        return self.action in (Action.RETRY, Action.RATE_LIMITED)


_SUCCESS = Decision(Action.SUCCESS, closes_probe=True)
_INCONCLUSIVE_SUCCESS = Decision(Action.SUCCESS)  # a redirect or a token: only the next response is the API's


def classify(exchange: Exchange, caller: Caller, config: RequestsConfig) -> Decision:
    """Decides what one exchange means.

    Args:
        exchange: the response, or the error in its place.
        caller: what the request is for.
        config: which statuses are tried again.
    """
    if exchange.status is None:
        return _of_error(exchange.error, exchange.host)
    if exchange.status < HTTPStatus.BAD_REQUEST:
        is_redirect = exchange.status >= HTTPStatus.MULTIPLE_CHOICES
        return _INCONCLUSIVE_SUCCESS if is_redirect or caller.judge is Judge.TOKEN_REQUEST else _SUCCESS
    return _of_error_status(exchange, exchange.status, caller, config)


def _of_error_status(exchange: Exchange, status: int, caller: Caller, config: RequestsConfig) -> Decision:
    refused = status in _KEY_STATUSES
    retried = status in config.retry_statuses
    if retried:
        action = Action.RATE_LIMITED if status == HTTPStatus.TOO_MANY_REQUESTS else Action.RETRY
    elif status == HTTPStatus.UNAUTHORIZED and caller.has_token:
        action = Action.REFRESH_TOKEN
    else:
        action = Action.FAIL
    return Decision(
        action,
        reason=status_in_words(status),
        fault=_fault_of(status, retried=retried),
        outage=refused or retried,
        # An API that finds no such path is up. One that refuses the key may be asked again only with another.
        closes_probe=not (refused or retried or caller.judge is Judge.TOKEN_REQUEST),
        handed_on=caller.judge is Judge.HOOKS,
        wait=_retry_after(exchange.headers) if retried else None,
    )


def _of_error(error: BaseException | None, host: str) -> Decision:
    if isinstance(error, (LocationValueError, InvalidHeader)) or _is_untrusted(error):
        return unsendable(error)
    return Decision(Action.RETRY, reason=_network_reason(error, host), outage=True)


def unsendable(error: BaseException | None) -> Decision:
    """Decides on a request that can never be sent: a bad URL or header, or a certificate that is not valid."""
    reason = f"{type(error).__name__}: check base_url, its certificate, and where the API's links lead"
    return Decision(Action.FAIL, reason=reason, fault=Fault.CONFIG)


def backoff(
    decision: Decision, attempt: int, config: RequestsConfig, jitter: Callable[[], float] = random.random
) -> float:
    """The seconds to wait before the next attempt.

    They are what the API asks for, or else double with each attempt. Jitter adds up to a tenth, and never takes any
    away. `max_retry_delay` bounds the sum.

    Args:
        decision: on the exchange that failed.
        attempt: its number, from 1.
        config: the factor and the bound.
        jitter: gives a number from 0 to 1.
    """
    named = config.backoff_factor * 2 ** (attempt - 1) if decision.wait is None else decision.wait
    return float(min(named * (1 + JITTER * jitter()), config.max_retry_delay))


def endpoint_of(request: PreparedRequest) -> str:
    """Method and path. The query is left out: it may hold a secret, and does not name the endpoint."""
    return f"{request.method} {urlsplit(request.url or '').path}"


def status_in_words(status: int) -> str:
    """A status in words, with what to check where that is known."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "unknown status"
    hint = _HINTS.get(status)
    return f"{status} {phrase}" + (f"; {hint}" if hint else "")


def _fault_of(status: int, *, retried: bool) -> Fault:
    if retried or status == HTTPStatus.TOO_MANY_REQUESTS:
        return Fault.TRANSIENT
    return Fault.SYSTEM if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Fault.CONFIG


def _is_untrusted(error: BaseException | None) -> bool:
    """Whether the error is about a certificate: one that is not valid now is not valid in two seconds."""
    cause = error.args[0] if isinstance(error, SSLError) and error.args else error
    return isinstance(cause, ssl.SSLCertVerificationError)


def _network_reason(error: BaseException | None, host: str) -> str:
    if isinstance(error, ProxyError):
        return "no connection to the proxy"
    if isinstance(error, (NewConnectionError, SSLError)):
        return f"no connection to {host}; check base_url, or whether the API is up"
    if isinstance(error, TimeoutError):
        return "no response in time"
    if isinstance(error, ProtocolError) and isinstance(error.args[-1], OSError):
        return f"the connection to {host} broke"
    return "the response broke off"


def _retry_after(headers: Mapping[str, str] | None) -> float | None:
    header = (headers or {}).get("Retry-After")
    if header is None:
        return None
    try:
        return Retry().parse_retry_after(header)
    except InvalidHeader:
        return None  # neither seconds nor a date

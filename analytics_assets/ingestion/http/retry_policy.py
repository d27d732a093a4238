"""The retry policy: `classify` alone decides what an exchange with the API means, and what to do next.

An exchange is one request and its response, or the network error in place of the response. `classify` is a pure
function of exchange, caller and config. The transport does what `classify` decides.

The text `Decision.reason` never contains a URL, query or header, because each may contain a secret. It quotes only the
API's own explanation from the body, redacted.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3.exceptions import (
    ConnectTimeoutError,
    InvalidHeader,
    LocationValueError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    SSLError,
    TimeoutError,  # noqa: A004  urllib3's TimeoutError is not Python's TimeoutError
)

from analytics_assets.config.models import LONGEST_RETRY_DELAY, RequestsConfig
from analytics_assets.config.responses import ResponseRule
from analytics_assets.ingestion.errors import Fault, shown
from analytics_assets.ingestion.http.api_words import words_of
from analytics_assets.ingestion.http.deadline import DeadlineError
from analytics_assets.ingestion.http.exchange import Exchange
from analytics_assets.ingestion.http.rate_limit_headers import Limit, read_limit
from analytics_assets.ingestion.http.response_rules import matching_rule
from analytics_assets.ingestion.raw_json import read_body

JITTER = 0.1
"""The maximum jitter, as a share of the wait. Jitter spreads the retries of clients that failed at the same time."""

LONGEST_WAIT = 7 * 86_400.0
"""Seconds. A longer wait comes from a wrong clock or a wrong unit, and is not believed."""

NO_DATA = (HTTPStatus.ACCEPTED, HTTPStatus.PARTIAL_CONTENT)
"""Success statuses of responses that do not have the requested data."""

_LONGEST_ENDPOINT = 300  # a link of the API may have any length

_TRIES_OF_A_RANGE = 2  # one slow answer is no reason to read smaller ranges

_TOO_SLOW = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT, 524)  # 524 is of Cloudflare
"""The statuses with which a server says that the answer took too long."""

_KEY_STATUSES = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

_HINTS = {
    401: "the API does not accept the key: check {settings}",
    403: "the key may not read this: check {settings} and its rights",
    404: "there is no such endpoint: check base_url and path",
}

_LIMIT_HINTS = {403: "its headers say that the rate limit is reached"}

_TOKEN_HINTS = {
    **dict.fromkeys((400, 401, 403), "it issues no token: check client_id and client_secret{of_token}"),
    **dict.fromkeys((404, 405), "there is no token endpoint: check access_token_url"),
}
"""Hints for statuses of a token endpoint."""

_CLIENT_REFUSALS = frozenset({"invalid_client", "invalid_grant", "unauthorized_client", "access_denied"})
"""The error codes of RFC 6749 with which a token endpoint refuses the client, usually with status 400."""


class Action(StrEnum):
    """The action after an exchange."""

    SUCCESS = "success"  # return the response
    EMPTY = "empty"  # return the response as a page without rows
    RETRY = "retry"  # send the request again later
    RATE_LIMITED = "rate_limited"  # send the request again later, because the API got too many requests
    REFRESH_TOKEN = "refresh_token"  # noqa: S105  send the request again at once with a new OAuth2 token
    FAIL = "fail"  # fail without a retry


class Judge(StrEnum):
    """The part of the program that decides what an error status means."""

    SESSION = "session"  # `classify` alone decides
    HOOKS = "hooks"  # the user's `response_actions` get each response that is not retried
    TOKEN_REQUEST = "token_request"  # noqa: S105  `classify` decides, but a token server is not the API


@dataclass(frozen=True)
class Caller:
    """The caller of a request.

    Attributes:
        judge: the part of the program that decides what an error status means.
        can_renew: whether the request has an OAuth2 token, and a new token may be accepted if this one is not.
    """

    judge: Judge = Judge.SESSION
    can_renew: bool = False


@dataclass(frozen=True)
class Tries:
    """The tries that the requests of a sync have.

    Attributes:
        before: the tries with a larger range that took too long, just before this sync. They count as tries of the
            first request.
        may_shrink: whether a request that takes too long may fail early, because a smaller range can be read.
    """

    before: int = 0
    may_shrink: bool = False

    def ends_early(self, decision: Decision, failures: int) -> bool:
        """Whether a request fails now because it took too long, so that the next try has a smaller range.

        Args:
            decision: the decision about the last try.
            failures: the failed tries of this request.
        """
        enough = failures >= (1 if self.before else _TRIES_OF_A_RANGE)
        return self.may_shrink and decision.is_too_slow and enough


@dataclass(frozen=True, slots=True)
class Decision:
    """What `classify` decides about one exchange.

    Attributes:
        action: the next action.
        reason: the reason in a few words; empty for a success.
        fault: the origin of the failure.
        outage: whether the circuit opens after the last attempt, because the API is down or refuses the key.
        closes_probe: whether this outcome of a probe closes the circuit.
        handed_on: whether the user's hooks get the response after the last retry, in place of a failure.
        wait: the seconds until the API accepts requests again, as its headers say; None if they do not.
        wait_header: the name of the header that says `wait`; empty if there is none.
        is_too_slow: whether the API was asked, and needed too long.
    """

    action: Action
    reason: str = ""
    fault: Fault = Fault.TRANSIENT
    outage: bool = False
    closes_probe: bool = False
    handed_on: bool = False
    wait: float | None = None
    wait_header: str = ""
    is_too_slow: bool = False

    @property
    def is_success(self) -> bool:
        """Whether the request has succeeded."""
        return self.action in (Action.SUCCESS, Action.EMPTY)

    @property
    def may_retry(self) -> bool:
        """Whether the same request may succeed later."""
        return self.action in (Action.RETRY, Action.RATE_LIMITED)


_SUCCESS = Decision(Action.SUCCESS, closes_probe=True)
_INCONCLUSIVE_SUCCESS = Decision(Action.SUCCESS)  # a redirect or a token does not prove that the API is back


def classify(exchange: Exchange, caller: Caller, config: RequestsConfig) -> Decision:
    """Decides what one exchange means.

    Args:
        exchange: the response, or the network error.
        caller: the caller of the request.
        config: the request settings, which list the statuses to retry.
    """
    if exchange.status is None:
        return _of_error(exchange.error, exchange.host)
    rule = None if caller.judge is Judge.TOKEN_REQUEST else matching_rule(config.responses, exchange)
    if rule is not None:
        return _of_rule(rule, exchange, exchange.status, caller, config)
    if exchange.status < HTTPStatus.BAD_REQUEST:
        if exchange.status in NO_DATA and caller.judge is Judge.SESSION:
            return Decision(
                Action.FAIL, reason=no_data(exchange.status), fault=Fault.SYSTEM, closes_probe=True
            )
        is_redirect = exchange.status >= HTTPStatus.MULTIPLE_CHOICES
        return _INCONCLUSIVE_SUCCESS if is_redirect or caller.judge is Judge.TOKEN_REQUEST else _SUCCESS
    return _of_error_status(exchange, exchange.status, caller, config)


def _of_rule(
    rule: ResponseRule, exchange: Exchange, status: int, caller: Caller, config: RequestsConfig
) -> Decision:
    """Returns the decision of a rule in the config, which comes before every other decision."""
    if rule.action in ("success", "empty"):
        return Decision(Action(rule.action), closes_probe=True)
    is_temporary = rule.action in ("retry", "rate_limited")  # then a hint at a wrong setting would be wrong
    described = _with_words(exchange, status, {} if is_temporary else _HINTS)
    reason = f"{described}, which requests.responses calls `{rule.action}`"
    if rule.action == "fail":
        return Decision(Action.FAIL, reason=reason, fault=Fault.SYSTEM, closes_probe=True)
    if rule.action == "refresh_token":
        action = Action.REFRESH_TOKEN if caller.can_renew else Action.FAIL
        return Decision(action, reason=reason, fault=Fault.CONFIG, outage=True)
    return _again_later(
        Decision(Action(rule.action), reason=reason, outage=True),
        read_limit(exchange.headers or {}, exchange.status),
        config,
    )


def no_data(status: int) -> str:
    """Describes a success status without the requested data."""
    return (
        f"{status_in_words(status)}, which has no data or only a part: to wait for the data, set requests.responses "
        f"to `{{status: {status}, action: retry}}`"
    )


def _of_error_status(exchange: Exchange, status: int, caller: Caller, config: RequestsConfig) -> Decision:
    limit = read_limit(exchange.headers or {}, exchange.status)
    is_token_request = caller.judge is Judge.TOKEN_REQUEST
    # GitHub, for example, sends 403 in place of 429.
    is_forbidden_limit = status == HTTPStatus.FORBIDDEN and limit.is_reached
    refused = (status in _KEY_STATUSES and not is_forbidden_limit) or (
        is_token_request and _refuses_client(exchange, status)
    )
    retried = status in config.retry_statuses or is_forbidden_limit
    if caller.can_renew and _refuses_token(exchange, status):
        action = Action.REFRESH_TOKEN
    elif retried:
        is_limit = is_forbidden_limit or status == HTTPStatus.TOO_MANY_REQUESTS
        action = Action.RATE_LIMITED if is_limit else Action.RETRY
    else:
        action = Action.FAIL
    hints = _LIMIT_HINTS if is_forbidden_limit else _TOKEN_HINTS if is_token_request else _HINTS
    decision = Decision(
        action,
        # The reason of an outage must be the same in each run, so that alerts report the outage once.
        reason=_in_words(exchange, status, hints)
        if retried or refused
        else _with_words(exchange, status, hints),
        fault=_fault_of(status, retried=retried),
        outage=refused or retried,
        # A probe with status 404 closes the circuit, because the API is up. A probe with a refused key does not.
        closes_probe=not (refused or retried or is_token_request),
        handed_on=caller.judge is Judge.HOOKS,
        is_too_slow=status in _TOO_SLOW,
    )
    return _again_later(decision, limit, config) if decision.may_retry else decision


def _again_later(decision: Decision, limit: Limit, config: RequestsConfig) -> Decision:
    """Adds the wait that the API asks for to the decision to send a request again.

    A longer wait than `max_retry_delay` is not for a retry: the request fails, and the circuit stays open until then.
    """
    wait, reason = limit.wait, decision.reason
    if wait is None:
        return decision
    if wait > LONGEST_WAIT:
        days = LONGEST_WAIT / 86_400
        ignored = f"its `{limit.header}` is more than {days:.0f} days ahead, and is ignored"
        return replace(decision, reason=f"{reason}; {ignored}")
    if wait <= config.max_retry_delay:
        return replace(decision, wait=wait, wait_header=limit.header)
    if wait <= LONGEST_RETRY_DELAY:
        reason = f"{reason}; to wait in the run, raise requests.max_retry_delay"
    return replace(decision, action=Action.FAIL, reason=reason, wait=wait, wait_header=limit.header)


def _refuses_token(exchange: Exchange, status: int) -> bool:
    """Whether the API refuses the access token, as RFC 6750 says it. Some APIs send 403 in place of 401."""
    if status == HTTPStatus.FORBIDDEN:
        headers = {name.lower(): value for name, value in (exchange.headers or {}).items()}
        return "invalid_token" in headers.get("www-authenticate", "")
    return status == HTTPStatus.UNAUTHORIZED


def _refuses_client(exchange: Exchange, status: int) -> bool:
    """Whether a token endpoint refuses the client, as RFC 6749 says it."""
    if status != HTTPStatus.BAD_REQUEST:
        return False
    try:
        response = read_body(exchange.body)
    except ValueError:
        return False
    return isinstance(response, dict) and response.get("error") in _CLIENT_REFUSALS


def _of_error(error: BaseException | None, host: str) -> Decision:
    if isinstance(error, LocationValueError) or _is_untrusted(error):
        return unsendable(error)
    is_too_slow = isinstance(error, TimeoutError) and not isinstance(error, ConnectTimeoutError)
    is_over = error is not None and isinstance(error.__cause__, DeadlineError)
    reason = _network_reason(error, host)
    return Decision(Action.RETRY, reason=reason, outage=True, is_too_slow=is_too_slow or is_over)


def unsendable(error: BaseException | None) -> Decision:
    """Returns the decision for a request that no retry can send: a bad URL or header, or an invalid certificate."""
    reason = f"{type(error).__name__}: check base_url, its certificate, and where the API's links lead"
    return Decision(Action.FAIL, reason=reason, fault=Fault.CONFIG)


def backoff(
    decision: Decision, attempt: int, config: RequestsConfig, jitter: Callable[[], float] = random.random
) -> float:
    """Returns the seconds to wait before the next attempt.

    The wait doubles with each attempt, and is never shorter than the API asks for. Jitter adds up to a tenth of the
    wait. `max_retry_delay` limits the sum.

    Args:
        decision: the decision about the failed exchange.
        attempt: the number of the failed attempt, from 1.
        config: the request settings, with `backoff_factor` and `max_retry_delay`.
        jitter: a function that returns a random number from 0 to 1.
    """
    named = max(config.backoff_factor * 2 ** (attempt - 1), decision.wait or 0.0)
    return float(min(named * (1 + JITTER * jitter()), config.max_retry_delay))


def endpoint_of(request: PreparedRequest) -> str:
    """Returns the method and path of a request, without the query, because the query may contain a secret."""
    return shown(f"{request.method} {urlsplit(request.url or '').path}", _LONGEST_ENDPOINT)


def status_in_words(status: int, hints: Mapping[int, str] = _HINTS, settings: tuple[str, ...] = ()) -> str:
    """Describes an HTTP status in words, with a hint for some statuses.

    Args:
        status: the status.
        hints: the hints, by status.
        settings: the names of the settings that have the keys of the API.
    """
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "unknown status"
    named = " and ".join(settings)
    hint = hints.get(status, "").format(
        settings=named or "the secret", of_token=f" ({named})" if named else ""
    )
    return f"{status} {phrase}" + (f"; {hint}" if hint else "")


def _in_words(exchange: Exchange, status: int, hints: Mapping[int, str]) -> str:
    return status_in_words(status, hints, exchange.settings)


def _with_words(exchange: Exchange, status: int, hints: Mapping[int, str] = _HINTS) -> str:
    """Describes a status in words, with the API's own explanation."""
    encoding = get_encoding_from_headers(CaseInsensitiveDict(exchange.headers or {}))
    words = words_of(exchange.body, exchange.redact, encoding)
    described = _in_words(exchange, status, hints)
    return f"{described}; the API says: {words}" if words else described


def _fault_of(status: int, *, retried: bool) -> Fault:
    if retried or status == HTTPStatus.TOO_MANY_REQUESTS:
        return Fault.TRANSIENT
    return Fault.SYSTEM if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Fault.CONFIG


def _is_untrusted(error: BaseException | None) -> bool:
    """Whether the error is about an invalid certificate. A retry cannot make a certificate valid."""
    cause = error.args[0] if isinstance(error, SSLError) and error.args else error
    return isinstance(cause, ssl.SSLCertVerificationError)


def _network_reason(error: BaseException | None, host: str) -> str:
    if isinstance(error, ProxyError):
        return "no connection to the proxy"
    if isinstance(error, (NewConnectionError, SSLError)):
        return f"no connection to {host}; check base_url, or whether the API is up"
    if error is not None and isinstance(error.__cause__, DeadlineError):
        return f"{error.__cause__}, the most that requests.total_timeout allows"
    if isinstance(error, TimeoutError):
        return "no response in time"
    if isinstance(error, ProtocolError) and isinstance(error.args[-1], OSError):
        return f"the connection to {host} broke"
    is_ambiguous = isinstance(error, InvalidHeader)
    return "the response has two lengths in Content-Length" if is_ambiguous else "the response broke off"

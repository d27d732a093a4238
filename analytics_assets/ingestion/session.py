"""The one door to the network: every request of a sync goes through here.

What belongs here: retries, the halt that follows the last one, what can be seen of an answer that does not
fit the config, and the count of what was asked. A response that is no error passes through untouched to dlt's
paginators and hooks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from dlt.common.jsonpath import find_values
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import (
    ChunkedEncodingError,
    ContentDecodingError,
    HTTPError,
    InvalidHeader,
    InvalidSchema,
    InvalidURL,
    JSONDecodeError,
    MissingSchema,
    RequestException,
    SSLError,
    Timeout,
    TooManyRedirects,
)
from requests.exceptions import (
    ConnectionError as RequestsConnectionError,
)
from tenacity import RetryCallState, Retrying, retry_if_exception, retry_if_result, stop_after_attempt
from urllib3.exceptions import InvalidHeader as InvalidRetryAfter
from urllib3.util import Retry

from analytics_assets.config import RequestsConfig
from analytics_assets.ingestion.errors import SyncError, SyncHalted, UnreadableAnswerError

log = logging.getLogger("analytics_assets")

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
MAX_WAIT = 300.0
"""Seconds; also the most a Retry-After header is obeyed (dlt's own limit)."""

_NETWORK_ERRORS = (RequestsConnectionError, Timeout, ChunkedEncodingError, ContentDecodingError)
_DEAD_ENDS = (SSLError, InvalidURL, InvalidSchema, MissingSchema, InvalidHeader, TooManyRedirects)
"""No other try helps. Like `HTTPError`, their text holds the URL or a header, and with it the key."""
_CLIENT_HINTS = {
    401: "the API does not accept the key: check the secret",
    403: "the key may not read this: check the secret and its rights",
    404: "there is no such endpoint: check base_url and path",
}


@dataclass
class Telemetry:
    """What a sync asked of the API."""

    requests: int = 0
    retries: int = 0
    seconds_waited: float = 0.0
    bytes_received: int = 0


class ApiSession(Session):
    """A requests session that retries, counts, and raises `SyncHalted` when the API would not answer.

    Args:
        resource: dlt resource it works for.
        config: retries, backoff and the statuses worth a retry.
        data_selector: where the first answer has its rows; None to not look.
        may_repeat: whether one page may be asked for twice, as for a resource that follows its parent's rows.
        sleep: waits that many seconds; injected by tests.

    Raises:
        SyncHalted: from `send`, after the last retry of a network error or of a status in
            `retry_statuses`, at once for any other error status, and for paging that goes round in circles.
        UnreadableAnswerError: from `send`, where `data_selector` finds nothing.
    """

    def __init__(
        self,
        resource: str,
        config: RequestsConfig,
        *,
        data_selector: str | None = None,
        may_repeat: bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self.telemetry = Telemetry()
        self._resource = resource
        self._data_selector = data_selector
        self._may_repeat = may_repeat
        self._asked: set[str] = set()
        adapter = _RetryingAdapter(resource, config, self.telemetry, sleep)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """Sends one request of dlt's client."""
        kwargs.setdefault("timeout", (CONNECT_TIMEOUT, READ_TIMEOUT))
        page = request.method == "GET" and kwargs.get("allow_redirects", True)
        if page and not self._may_repeat:
            self._refuse_circles(request)
        try:
            response = super().send(request, **kwargs)
        except HTTPError as error:
            # dlt's response hook: no `response_actions` of the user took this status.
            raise _halted(self._resource, request, error.response) from None
        except _DEAD_ENDS as error:
            raise SyncHalted(self._resource, _endpoint(request), None, 1, _dead_end(error)) from None
        if page and self._data_selector and response.ok:
            self._find_rows(request, response, self._data_selector)
            self._data_selector = None  # the first page tells
        return response

    def _refuse_circles(self, request: PreparedRequest) -> None:
        url = request.url or ""
        if url in self._asked:
            reason = (
                "the same page was asked for twice: the paginator does not fit the API; check its parameters"
            )
            raise SyncHalted(self._resource, _endpoint(request), None, 1, reason)
        self._asked.add(url)

    def _find_rows(self, request: PreparedRequest, response: Response, data_selector: str) -> None:
        try:
            body = response.json()
        except JSONDecodeError:
            return  # dlt will say so
        if not find_values(data_selector, body):
            has = f", which has {', '.join(sorted(body))}" if isinstance(body, dict) else ""
            raise UnreadableAnswerError(
                f"{self._resource}: data_selector `{data_selector}` finds nothing in the answer of "
                f"{_endpoint(request)}{has}"
            )


class _RetryingAdapter(HTTPAdapter):
    """Retries below the session, so that response hooks see only the answer that stands."""

    def __init__(
        self,
        resource: str,
        config: RequestsConfig,
        telemetry: Telemetry,
        sleep: Callable[[float], None],
    ) -> None:
        super().__init__()
        self._resource = resource
        self._config = config
        self._telemetry = telemetry
        self._sleep = sleep

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        retrying = Retrying(
            stop=stop_after_attempt(self._config.max_retries + 1),
            wait=self._wait,
            retry=retry_if_exception(_passing) | retry_if_result(self._worth_a_retry),
            sleep=self._sleep,
            before_sleep=self._before_sleep(_endpoint(request)),
            retry_error_callback=self._after_the_last(_endpoint(request)),
        )
        response: Response = retrying(self._send_once, request, *args, **kwargs)
        response.attempts = retrying.statistics["attempt_number"]  # type: ignore[attr-defined]
        return response

    def _send_once(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        self._telemetry.requests += 1
        response = super().send(request, *args, **kwargs)
        # Read here, within the retry: a body cut short is a network error like any other.
        self._telemetry.bytes_received += len(response.content)
        return response

    def _worth_a_retry(self, response: Response) -> bool:
        return response.status_code in self._config.retry_statuses

    def _wait(self, state: RetryCallState) -> float:
        asked = _retry_after(state)
        backoff = self._config.backoff_factor * 2 ** (state.attempt_number - 1)
        return min(backoff if asked is None else asked, MAX_WAIT)

    def _before_sleep(self, endpoint: str) -> Callable[[RetryCallState], None]:
        def note(state: RetryCallState) -> None:
            seconds = state.next_action.sleep if state.next_action else 0.0
            self._telemetry.retries += 1
            self._telemetry.seconds_waited += seconds
            log.warning(
                "%s: %s: %s; retry %d of %d in %g s",
                self._resource,
                endpoint,
                _outcome_reason(state)[1],
                state.attempt_number,
                self._config.max_retries,
                seconds,
            )

        return note

    def _after_the_last(self, endpoint: str) -> Callable[[RetryCallState], Response]:
        def give_up(state: RetryCallState) -> Response:
            assert state.outcome is not None
            if not state.outcome.failed:
                response: Response = state.outcome.result()
                return response  # to the hooks: the user may have an action for this status
            status, reason = _outcome_reason(state)
            raise SyncHalted(self._resource, endpoint, status, state.attempt_number, reason) from None

        return give_up


def find_sync_error(error: BaseException, resource: str) -> SyncError | None:
    """What a user can act on among the causes of `error`, or None for a bug or anything else.

    dlt wraps what its extract step raises, and says of an answer it cannot read more than may be repeated:
    the whole page.

    Args:
        error: what dlt raised.
        resource: dlt resource being loaded.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, SyncError):
            return seen
        if isinstance(seen, HTTPError) and seen.response is not None:
            return _halted(resource, seen.response.request, seen.response)  # of an OAuth2 token
        if isinstance(seen, _DEAD_ENDS):
            return UnreadableAnswerError(f"{resource}: {_dead_end(seen)}")
        if isinstance(seen, JSONDecodeError):
            return UnreadableAnswerError(
                f"{resource}: the API answered with something that is no JSON: check base_url and path, "
                "or have the API look into it"
            )
        if isinstance(seen, ValueError) and " in the response in " in str(seen):
            said = str(seen).partition(" in the response in ")[0]
            return UnreadableAnswerError(
                f"{resource}: {said} in the answer of the API: make the paginator's total_path or has_more_path "
                "fit it, or set them to null"
            )
        seen = seen.__cause__ or seen.__context__
    return None


def _passing(error: BaseException) -> bool:
    """Whether another try may help: a certificate that does not hold now will not in two seconds."""
    return isinstance(error, _NETWORK_ERRORS) and not isinstance(error, SSLError)


def _dead_end(error: BaseException) -> str:
    return f"{type(error).__name__}: check base_url, its certificate, and where the API's links lead"


def _halted(resource: str, request: PreparedRequest, response: Response) -> SyncHalted:
    attempts = getattr(response, "attempts", 1)
    status = response.status_code
    return SyncHalted(resource, _endpoint(request), status, attempts, _status_reason(status))


def _endpoint(request: PreparedRequest) -> str:
    """Method and path: the query is left out, as the key may be in it."""
    return f"{request.method} {urlsplit(request.url or '').path}"


def _status_reason(status: int) -> str:
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "unknown status"
    hint = _CLIENT_HINTS.get(status)
    return f"{status} {phrase}" + (f"; {hint}" if hint else "")


def _outcome_reason(state: RetryCallState) -> tuple[int | None, str]:
    assert state.outcome is not None
    error = state.outcome.exception()
    if error is None:
        status = state.outcome.result().status_code
        return status, _status_reason(status)
    if isinstance(error, Timeout):
        return None, "no answer in time"
    if isinstance(error, (ChunkedEncodingError, ContentDecodingError)):
        return None, "the answer broke off"
    request = error.request if isinstance(error, RequestException) else None
    host = urlsplit((request.url if request else None) or "").netloc.rpartition("@")[2]
    return None, f"no connection to {host}; check base_url, or whether the API is up"


def _retry_after(state: RetryCallState) -> float | None:
    if state.outcome is None or state.outcome.failed:
        return None
    header = state.outcome.result().headers.get("Retry-After")
    if header is None:
        return None
    try:
        return Retry().parse_retry_after(header)
    except InvalidRetryAfter:
        return None  # neither seconds nor a date: the backoff it is

"""Sends one request with secrets, rate limit, retries and circuit breaker, in the same way for every endpoint.

`retry_policy.py` decides what a response means, and `response.py` reads the content of a response. The page readers in
`pagination.py` decide which page comes next.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import LocationValueError

from analytics_assets.ingestion.errors import ForeignOriginError, RangeTooSlowError, SyncHalted
from analytics_assets.ingestion.http.access_token import AccessToken, Token
from analytics_assets.ingestion.http.api_response import ApiResponse
from analytics_assets.ingestion.http.breaker_client import Breaker
from analytics_assets.ingestion.http.exchange import Exchange
from analytics_assets.ingestion.http.origins import Origins, origin_of, plain_headers
from analytics_assets.ingestion.http.rate_limit import RateLimiter, Turn
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.retry_policy import (
    Action,
    Caller,
    Decision,
    Judge,
    Tries,
    backoff,
    classify,
    endpoint_of,
    status_in_words,
    unsendable,
)
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets.ingestion.http.wire import (
    NETWORK_ERRORS,
    StreamedResponse,
    Wire,
    WireRequest,
    WireResponse,
)

log = logging.getLogger("analytics_assets")

_PAGE = Caller()
_Send = Callable[[WireRequest], WireResponse]


class FailedAheadError(Exception):
    """A request for a page that may not exist has failed. The failure does not count until the page is needed."""


class Transport(HTTPAdapter):
    """The HTTP adapter of `ApiSession`. `page_group.py` also calls the adapter directly, without the session.

    The adapter uses the connection pools, proxies and certificates of `requests`. The adapter, not the session, retries
    a request, so response hooks see only the response of the last attempt.

    Args:
        resource: the dlt resource of the sync.
        origins: the servers that may get requests.
        limiter: the rate limiter, which all requests of the source in this process share.
        breaker: the circuit breaker of this sync.
        secrets: the secrets, which the adapter puts into requests, and redacts in the texts about responses.
        telemetry: the counts of the sync.
        tries: the tries that the requests of the sync have.
        sleep: a function that waits the given number of seconds; by default, `stop` ends the wait early.
        jitter: a function that returns a random number from 0 to 1, for `backoff`.
        token_of: a function that finds the access token whose reference is in a request.
    """

    def __init__(  # noqa: PLR0913  each parameter is a part of the sync
        self,
        resource: str,
        origins: Origins,
        limiter: RateLimiter,
        breaker: Breaker,
        secrets: Secrets,
        telemetry: Telemetry,
        *,
        tries: Tries | None = None,
        sleep: Callable[[float], object] | None = None,
        jitter: Callable[[], float] = random.random,
        token_of: Callable[[PreparedRequest], AccessToken | None] = lambda _: None,
    ) -> None:
        super().__init__(pool_maxsize=limiter.config.max_in_flight)
        self._resource = resource
        self._origins = origins
        self._config = limiter.config
        self._limiter = limiter
        self._breaker = breaker
        self._secrets = secrets
        self._telemetry = telemetry
        self._tries = tries or Tries()
        self._stopped = Event()
        self._sleep = sleep or self._stopped.wait
        self._jitter = jitter
        self._token_of = token_of
        self._wire = Wire(resource, limiter, secrets, telemetry, self._check)

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,  # noqa: ARG002  requests' signature; the method `stream` reads chunks
        timeout: Any = None,  # noqa: ARG002  the timeouts of the config apply
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
        *,
        caller: Caller = _PAGE,
    ) -> ApiResponse:
        """Sends one request of a `requests` session.

        Raises:
            ForeignOriginError: the `defs.yaml` does not name the server of the request.
            SyncHalted: the request failed for good, or another request of the sync has failed for good.
            CircuitOpenError: the circuit is open.
        """
        wire_request = self.wire_request(request, verify, cert, proxies, caller)
        return self.as_response(request, self.ask(wire_request, caller))

    def as_response(self, request: PreparedRequest, response: WireResponse) -> ApiResponse:
        """Converts the response of a request to the response of a `requests` session."""
        return ApiResponse(request, response, self)

    def wire_request(
        self,
        request: PreparedRequest,
        verify: bool | str,
        cert: Any,
        proxies: Mapping[str, str] | None,
        caller: Caller = _PAGE,
    ) -> WireRequest:
        """Converts a prepared request to a `WireRequest`, which contains the secret values.

        Raises:
            SyncHalted: the URL or the certificate of the request is not valid.
            ForeignOriginError: the `defs.yaml` does not name the server of the request.
        """
        request = self._for_its_origin(request, caller)
        url = self._secrets.in_url(request.url or "")
        try:
            pool = self.get_connection_with_tls_context(request, verify, dict(proxies or {}), cert)
            self.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
            assert isinstance(pool, HTTPConnectionPool)
        except (LocationValueError, RequestException, OSError) as error:
            raise self.unsendable(endpoint_of(request), error) from None
        headers = self._secrets.in_headers({str(k): _text(v) for k, v in request.headers.items()})
        body = request.body.encode() if isinstance(request.body, str) else request.body
        if isinstance(body, bytes):
            revealed = self._secrets.in_body(body, headers.get("Content-Type", ""))
            if revealed != body:
                headers.pop("Content-Length", None)  # secrets change the length; urllib3 sets the header
            body = revealed
        return WireRequest(
            endpoint=endpoint_of(request),
            host=urlsplit(url).netloc.rpartition("@")[2],
            pool=pool,
            method=str(request.method),
            url=self._secrets.in_url(self.request_url(request, dict(proxies or {}))),
            headers=headers,
            body=body,
            token=self._token_of(request),
        )

    def _for_its_origin(self, request: PreparedRequest, caller: Caller) -> PreparedRequest:
        """Returns the request with secrets for a trusted origin, and without them for an origin of downloads."""
        url = request.url or ""
        # The file names the token endpoint, and the session follows no redirect of a token request.
        if caller.judge is Judge.TOKEN_REQUEST or self._origins.trusts(url):
            return request
        body = request.body.decode("latin-1") if isinstance(request.body, bytes) else str(request.body or "")
        if not self._origins.may_download(url) or self._secrets.is_in(body):
            raise ForeignOriginError(self._resource, endpoint_of(request), origin_of(url))
        plain = request.copy()
        plain.url = self._secrets.without(url)
        plain.headers = CaseInsensitiveDict(plain_headers(request.headers))
        return plain

    def ask(self, request: WireRequest, caller: Caller = _PAGE, *, ahead: bool = False) -> WireResponse:
        """Sends a request with retries, and reads the whole body of the response.

        Args:
            request: the request to send.
            caller: the caller of the request.
            ahead: whether the request is for a page that may not exist; such a request has no retries, and does not
                open the circuit.

        Raises:
            SyncHalted: the request failed for good, or another request of the sync has failed for good.
            FailedAheadError: a request with `ahead` failed.
            CircuitOpenError: the circuit is open.
        """
        return self._send_until_decided(request, caller, self._wire.read, ahead=ahead)

    @contextmanager
    def stream(self, request: WireRequest, caller: Caller = _PAGE) -> Iterator[StreamedResponse]:
        """Sends a request with retries, and provides the body in chunks within the `with` block.

        After the first chunk there is no retry, because the caller may already have used the chunk. A network error
        after the first chunk halts the sync, and does not open the circuit. `read_timeout` applies to each read from
        the network, not to the whole body. The request counts as in flight until the block ends. Redirects are not
        followed.

        Raises:
            SyncHalted: the request or the read of a chunk failed for good, or another request of the sync failed for
                good.
            CircuitOpenError: the circuit is open.
        """
        with ExitStack() as block:
            response = self._send_until_decided(request, caller, partial(self._wire.open, block=block))
            chunks = self._chunks(request, response)
            yield StreamedResponse(response.status, dict(response.raw.headers), chunks, response.attempts)

    def stop(self) -> None:
        """Ends all waits. Requests in flight, and those that are not yet sent, are cancelled."""
        self._stopped.set()
        self._wire.abort()

    def refused(self, endpoint: str, exchange: Exchange, attempts: int) -> SyncHalted:
        """Returns the failure for a response that a response hook rejected."""
        decision = classify(replace(exchange, settings=self._secrets.settings), _PAGE, self._config)
        if decision.is_success:  # a hook of the user rejected a response with a success status
            decision = replace(decision, reason=status_in_words(exchange.status or 0))
        return self._halted(endpoint, decision, exchange.status, attempts)

    def unsendable(self, endpoint: str, error: BaseException) -> SyncHalted:
        """Returns the failure for a request that no retry can send."""
        return self._halted(endpoint, unsendable(error), None, 1)

    def _send_until_decided(
        self, request: WireRequest, caller: Caller, exchange: _Send, *, ahead: bool = False
    ) -> WireResponse:
        """Sends the first attempt and the retries of a request. The probe of a half-open circuit has no retries.

        If the API refuses the access token, the request is sent again at once with a new token, which is no retry.
        """
        with self._limiter.single_flight:
            pass  # wait here while another request of this source is in its retries
        sent = failures = 0
        renewed = 0  # the tokens that the API has just refused, one after the other
        with ExitStack() as single_flight:
            while True:
                if request.token:
                    request.token.current()  # a token request takes a turn of its own
                with self._turn() as turn:
                    # The token may have ended while the request waited for its turn.
                    token = request.token.current() if request.token else None
                    is_probe = self._is_probe(request, single_flight, failures)
                    sent += 1
                    signed = request.signed(token) if token else request
                    can_renew = partial(self._can_renew, request, token, renewed, is_probe=is_probe)
                    response, decision = self._attempt(signed, caller, exchange, turn, can_renew)
                if decision.action is Action.REFRESH_TOKEN:
                    assert request.token is not None
                    assert token is not None
                    request.token.renew(token)
                    renewed += 1
                    continue
                renewed = 0
                if token and decision.is_success:
                    token.accepted = True
                if is_probe and decision.closes_probe:
                    self._breaker.record_success()
                if response and decision.is_success:
                    if decision.closes_probe:  # a token or a redirect says nothing about the range
                        self._tries = replace(self._tries, before=0)
                    return _decided(response, decision, sent)
                failures += 1
                left = self._config.max_retries - self._tries.before - failures
                is_last = is_probe or not decision.may_retry or left < 0
                if response and is_last and decision.handed_on:
                    return _decided(response, decision, sent)
                if ahead and not is_probe:
                    raise FailedAheadError
                if is_last:
                    status = response.status if response else None
                    tries = sent + self._tries.before
                    raise self._halted(request.endpoint, decision, status, tries) from None
                failed = time.monotonic()
                if failures == 1:
                    single_flight.enter_context(self._limiter.single_flight)
                self._check()
                tries = failures + self._tries.before
                self._back_off(request, decision, tries, time.monotonic() - failed)
                if caller.judge is not Judge.TOKEN_REQUEST and self._tries.ends_early(decision, failures):
                    reason = self._secrets.redact(decision.reason)
                    raise RangeTooSlowError(self._resource, request.endpoint, None, failures, reason)

    def _is_probe(self, request: WireRequest, single_flight: ExitStack, failures: int) -> bool:
        """Whether this attempt is the probe of a half-open circuit. A probe holds the lock `single_flight`."""
        if failures:
            is_probe = self._breaker.acquire_permission(fresh=True)
        else:
            single_flight.enter_context(self._limiter.single_flight)
            is_probe = self._breaker.acquire_permission()
            if not is_probe:
                single_flight.close()
        if is_probe:
            log.info("%s: %s: probing whether the API is back", self._resource, request.endpoint)
        return is_probe

    def _attempt(
        self,
        request: WireRequest,
        caller: Caller,
        exchange: _Send,
        turn: Turn,
        can_renew: Callable[[], bool],
    ) -> tuple[WireResponse | None, Decision]:
        try:
            response = exchange(request)
        except NETWORK_ERRORS as error:
            self._refuse_stopped()
            return None, classify(Exchange(error=error, host=request.host), caller, self._config)
        turn.headers = headers = response.raw.headers
        hide, settings = self._secrets.redact, self._secrets.settings
        received = Exchange(response.status, headers, response.body, redact=hide, settings=settings)
        # Only now, because the API may have accepted the token for other requests meanwhile.
        return response, classify(received, replace(caller, can_renew=can_renew()), self._config)

    def _can_renew(self, request: WireRequest, token: Token | None, renewed: int, *, is_probe: bool) -> bool:
        if request.token is None or token is None or renewed > self._config.max_retries:
            return False
        return request.token.may_renew(token, is_probe=is_probe)

    def _chunks(self, request: WireRequest, response: WireResponse) -> Iterator[bytes]:
        """Yields the body of a streamed response in chunks."""
        if response.body:
            yield response.body
        try:
            yield from response.chunks
        except NETWORK_ERRORS as error:
            broken = classify(Exchange(error=error, host=request.host), _PAGE, self._config)
            decision = replace(broken, outage=False)
            raise self._halted(request.endpoint, decision, None, response.attempts) from None

    @contextmanager
    def _turn(self) -> Iterator[Turn]:
        """Waits until the rate limiter permits a request. After the block, the limiter gets the response headers."""
        self._check()
        wait, turn = self._limiter.reserve(), Turn()
        try:
            if wait > 0:
                self._telemetry.waited(wait)
                self._sleep(wait)
                self._check()
            yield turn
        finally:
            self._limiter.update_from_headers(turn.headers)

    def _check(self) -> None:
        self._breaker.check()
        self._refuse_stopped()

    def _refuse_stopped(self) -> None:
        if self._stopped.is_set():
            raise CancelledError  # the session is closed, so no caller needs the response

    def _back_off(self, request: WireRequest, decision: Decision, attempt: int, waited: float) -> None:
        seconds = backoff(decision, attempt, self._config, self._jitter)
        # The backoff includes the wait for another request's retries, because the API could recover in that time.
        seconds = seconds if waited < 0.01 else max(0.0, seconds - waited)
        self._telemetry.waited(seconds, for_retry=True)
        log.warning(
            "%s: %s: %s; retry %d of %d in %.3g s",
            self._resource,
            request.endpoint,
            decision.reason,
            attempt,
            self._config.max_retries,
            seconds,
        )
        self._sleep(seconds)

    def _halted(self, endpoint: str, decision: Decision, status: int | None, attempts: int) -> SyncHalted:
        """Returns the failure of a request without further retries. An outage of the API also opens the circuit."""
        reason, outage, fault = self._secrets.redact(decision.reason), decision.outage, decision.fault
        endpoint = self._secrets.redact(endpoint)
        halted = SyncHalted(self._resource, endpoint, status, attempts, reason, outage=outage, fault=fault)
        if not decision.outage:
            return halted
        return self._breaker.record_failure(halted, decision.wait, decision.wait_header)


def _decided(response: WireResponse, decision: Decision, attempts: int) -> WireResponse:
    if decision.action is Action.SUCCESS and attempts == 1 and response.status < HTTPStatus.BAD_REQUEST:
        return response
    if decision.action is Action.EMPTY:
        return replace(response, attempts=attempts, status=HTTPStatus.NO_CONTENT, body=b"")
    status = (
        HTTPStatus.OK
        if decision.is_success and response.status >= HTTPStatus.BAD_REQUEST
        else response.status
    )
    return replace(response, attempts=attempts, status=status)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value

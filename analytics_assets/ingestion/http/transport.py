"""How one request is sent: secrets, rate limit, retries and halt, the same for every page of every endpoint.

Elsewhere: what a response means is decided in `retry_policy.py`, what it contains is read in `response.py`, and which
page comes next is for `pagination.py`.
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
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import LocationValueError

from analytics_assets.ingestion.errors import SyncHalted
from analytics_assets.ingestion.http.api_response import ApiResponse
from analytics_assets.ingestion.http.breaker_client import Breaker
from analytics_assets.ingestion.http.rate_limit import RateLimiter, Turn
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.retry_policy import (
    Action,
    Caller,
    Decision,
    Exchange,
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


class Transport(HTTPAdapter):
    """The adapter below our session. Pages that are read ahead ask it directly.

    Pools, proxies and certificates are those of requests. Retries are made here, below the session, so that response
    hooks see only the response of the last attempt.

    Args:
        resource: dlt resource it works for.
        limiter: what it shares with the other requests of its source.
        breaker: what stops it, and what it trips.
        secrets: put into requests, and redacted in responses.
        telemetry: counts.
        sleep: waits that many seconds; by default no longer than until the transport is stopped.
        jitter: gives a number from 0 to 1, see `backoff`.
    """

    def __init__(
        self,
        resource: str,
        limiter: RateLimiter,
        breaker: Breaker,
        secrets: Secrets,
        telemetry: Telemetry,
        *,
        sleep: Callable[[float], object] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(pool_maxsize=limiter.config.max_in_flight)
        self._resource = resource
        self._config = limiter.config
        self._limiter = limiter
        self._breaker = breaker
        self._secrets = secrets
        self._telemetry = telemetry
        self._stopped = Event()
        self._sleep = sleep or self._stopped.wait
        self._jitter = jitter
        self._wire = Wire(limiter, secrets, telemetry, self._check)

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,  # noqa: ARG002  requests' signature; see `stream` for a body in chunks
        timeout: Any = None,  # noqa: ARG002  those of the config hold
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
        *,
        caller: Caller = _PAGE,
    ) -> ApiResponse:
        """Sends one request of requests' session.

        Raises:
            SyncHalted, CircuitOpenError: see `ask`.
        """
        response = self.ask(self.wire_request(request, verify, cert, proxies), caller)
        return ApiResponse(request, response.raw, response.body, response.attempts, self._secrets, self)

    def wire_request(
        self, request: PreparedRequest, verify: bool | str, cert: Any, proxies: Mapping[str, str] | None
    ) -> WireRequest:
        """The wire form of a prepared request.

        Raises:
            SyncHalted: its URL is not valid.
        """
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
                headers.pop("Content-Length", None)  # urllib3 counts again
            body = revealed
        return WireRequest(
            endpoint=endpoint_of(request),
            host=urlsplit(url).netloc.rpartition("@")[2],
            pool=pool,
            method=str(request.method),
            url=self._secrets.in_url(self.request_url(request, dict(proxies or {}))),
            headers=headers,
            body=body,
        )

    def ask(self, request: WireRequest, caller: Caller = _PAGE) -> WireResponse:
        """Sends a request until it succeeds, or no retry is left, and reads the whole body.

        Args:
            request: the request.
            caller: what it is for.

        Raises:
            SyncHalted: it failed for good, or another request of the same sync has.
            CircuitOpenError: the circuit is open.
        """
        return self._send_until_decided(request, caller, self._wire.read)

    @contextmanager
    def stream(self, request: WireRequest, caller: Caller = _PAGE) -> Iterator[StreamedResponse]:
        """Sends a request as `ask` does, and gives the body chunk by chunk, for the block.

        Retries end with the first chunk: what was handed on cannot be taken back. From then on a network error halts
        the sync, and leaves the circuit as it is. `read_timeout` holds for each read from the network, and not for the
        body as a whole. The request counts as in flight until the block ends. Redirects are not followed.

        Raises:
            SyncHalted, CircuitOpenError: see `ask`; also while the chunks are read.
        """
        with ExitStack() as block:
            response = self._send_until_decided(request, caller, partial(self._wire.open, block=block))
            headers = {name: self._secrets.redact(value) for name, value in response.raw.headers.items()}
            chunks = self._secrets.redact_chunks(self._chunks(request, response))
            yield StreamedResponse(response.raw.status, headers, chunks, response.attempts)

    def stop(self) -> None:
        """Ends all waiting. What is not sent yet is not sent any more."""
        self._stopped.set()

    def refused(self, endpoint: str, exchange: Exchange, attempts: int) -> SyncHalted:
        """The failure of a response that its judge refused."""
        decision = classify(exchange, _PAGE, self._config)
        if decision.action is Action.SUCCESS:  # to us; not to a hook of the user
            decision = replace(decision, reason=status_in_words(exchange.status or 0))
        return self._halted(endpoint, decision, exchange.status, attempts)

    def unsendable(self, endpoint: str, error: BaseException) -> SyncHalted:
        """The failure of a request that can never be sent."""
        return self._halted(endpoint, unsendable(error), None, 1)

    def _send_until_decided(self, request: WireRequest, caller: Caller, exchange: _Send) -> WireResponse:
        """One loop over all attempts: the first, the retries, and a probe, which is never retried."""
        with self._limiter.single_flight:
            pass  # while another request of this source is retried, no request is sent
        attempt = 0
        with ExitStack() as single_flight:
            while True:
                attempt += 1
                with self._turn() as turn:
                    is_probe = self._is_probe(request, single_flight, attempt)
                    response, decision = self._attempt(request, caller, exchange, turn)
                if is_probe and decision.closes_probe:
                    self._breaker.record_success()
                is_last = is_probe or not decision.may_retry or attempt > self._config.max_retries
                if response and (decision.action is Action.SUCCESS or (is_last and decision.handed_on)):
                    return replace(response, attempts=attempt) if attempt > 1 else response
                if is_last:
                    status = response.raw.status if response else None
                    raise self._halted(request.endpoint, decision, status, attempt) from None
                failed = time.monotonic()
                if attempt == 1:
                    single_flight.enter_context(self._limiter.single_flight)
                self._check()
                self._back_off(request, decision, attempt, time.monotonic() - failed)

    def _is_probe(self, request: WireRequest, single_flight: ExitStack, attempt: int) -> bool:
        """Whether this attempt is the probe of an open circuit. A probe keeps the single flight, as a retry does."""
        if attempt > 1:
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
        self, request: WireRequest, caller: Caller, exchange: _Send, turn: Turn
    ) -> tuple[WireResponse | None, Decision]:
        try:
            response = exchange(request)
        except NETWORK_ERRORS as error:
            return None, classify(Exchange(error=error, host=request.host), caller, self._config)
        turn.headers = response.raw.headers
        received = Exchange(response.raw.status, response.raw.headers, response.body)
        return response, classify(received, caller, self._config)

    def _chunks(self, request: WireRequest, response: WireResponse) -> Iterator[bytes]:
        """The body of a streamed response, as it comes."""
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
        """Waits for a turn of the rate limiter. At its end the limiter learns what the API says of its limits."""
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
        if self._stopped.is_set():
            raise CancelledError  # nobody waits for the page any more

    def _back_off(self, request: WireRequest, decision: Decision, attempt: int, waited: float) -> None:
        seconds = backoff(decision, attempt, self._config, self._jitter)
        # The time spent waiting for another request's retries counts: the API could recover in it.
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
        """The failure that a decision stands for. An outage opens the circuit."""
        reason, outage, fault = decision.reason, decision.outage, decision.fault
        halted = SyncHalted(self._resource, endpoint, status, attempts, reason, outage=outage, fault=fault)
        return self._breaker.record_failure(halted) if decision.outage else halted


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value

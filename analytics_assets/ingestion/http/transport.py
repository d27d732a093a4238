"""How one request is made: secret, budget, retries and halt, the same for every page of every endpoint.

What belongs here: everything between a request that is ready and an answer that stands. What an answer says is
not its concern (`response.py`), nor which page is next (`pagination.py`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.client import HTTPException
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Timeout
from urllib3.exceptions import (
    HTTPError,
    InvalidHeader,
    LocationValueError,
)
from urllib3.util import Retry

from analytics_assets.ingestion.errors import SyncHalted
from analytics_assets.ingestion.http.breaker_client import Breaker
from analytics_assets.ingestion.http.rate_limit import Gate
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.retry_policy import (
    dead_end_reason,
    endpoint_of,
    is_untrusted,
    network_reason,
    status_reason,
)
from analytics_assets.ingestion.http.telemetry import Telemetry

log = logging.getLogger("analytics_assets")

_KEY_STATUSES = (401, 403)


@dataclass(frozen=True)
class Target:
    """A request as it goes over the wire, with its secrets in it: never to be logged or kept."""

    endpoint: str
    host: str
    pool: HTTPConnectionPool
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


@dataclass(frozen=True)
class Answer:
    """An answer that stands, whatever its status; its body is whole, and holds no secret."""

    raw: BaseHTTPResponse
    body: bytes
    sent: float
    received: float
    attempts: int = 1


@dataclass(frozen=True)
class _Trouble:
    """An attempt that got no answer, or one with a status worth another try."""

    reason: str
    status: int | None = None
    answer: Answer | None = None


@dataclass
class _Turn:
    """One place in the budget, and the headers of the answer it was used for."""

    headers: Mapping[str, str] | None = None


class Transport(HTTPAdapter):
    """The adapter below our session; read-ahead asks it directly.

    Pools, proxies and certificates are those of requests. Retries are below the session, so that response
    hooks see only the answer that stands.

    Args:
        resource: dlt resource it works for.
        gate: what it shares with the other requests of its source.
        breaker: what stops it, and what it trips.
        secrets: put into requests, taken out of answers.
        telemetry: counts.
        sleep: waits that many seconds; by default until the transport is closed at most.
    """

    def __init__(
        self,
        resource: str,
        gate: Gate,
        breaker: Breaker,
        secrets: Secrets,
        telemetry: Telemetry,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        super().__init__(pool_maxsize=gate.config.max_in_flight)
        self._resource = resource
        self._config = gate.config
        self._gate = gate
        self._breaker = breaker
        self._secrets = secrets
        self._telemetry = telemetry
        self._closed = Event()
        self._sleep = sleep or self._closed.wait
        self._timeout = Timeout(connect=self._config.connect_timeout, read=self._config.read_timeout)

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,  # noqa: ARG002  requests' signature; the body is always read whole
        timeout: Any = None,  # noqa: ARG002  that of the config holds
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Sends one request of requests' session.

        Raises:
            SyncHalted: see `ask`; with hooks of the user's own an error status is theirs to judge.
        """
        hooks = (request.hooks or {}).get("response") or []
        target = self.target(request, verify, cert, proxies)
        # One hook is dlt's own, which raises; without one it is a request for an OAuth2 token.
        answer = self.ask(target, judge_status=len(hooks) <= 1, tells=bool(hooks))
        response = self.build_response(request, answer.raw)
        response._content = answer.body
        response._content_consumed = True  # type: ignore[attr-defined]
        response.attempts = answer.attempts  # type: ignore[attr-defined]
        for name, value in response.headers.items():
            response.headers[name] = self._secrets.conceal(value)
        return response

    def target(
        self, request: PreparedRequest, verify: bool | str, cert: Any, proxies: Mapping[str, str] | None
    ) -> Target:
        """The wire form of a prepared request.

        Raises:
            SyncHalted: its URL is none.
        """
        endpoint = endpoint_of(request)
        url = self._secrets.in_url(request.url or "")
        try:
            pool = self.get_connection_with_tls_context(request, verify, dict(proxies or {}), cert)
            self.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
            assert isinstance(pool, HTTPConnectionPool)
        except (LocationValueError, RequestException, OSError) as error:
            raise self._dead_end(endpoint, error) from None
        headers = self._secrets.in_headers({str(k): _text(v) for k, v in request.headers.items()})
        body = request.body.encode() if isinstance(request.body, str) else request.body
        if isinstance(body, bytes):
            revealed = self._secrets.in_body(body, headers.get("Content-Type", ""))
            if revealed != body:
                headers.pop("Content-Length", None)  # urllib3 counts anew
            body = revealed
        return Target(
            endpoint=endpoint,
            host=urlsplit(url).netloc.rpartition("@")[2],
            pool=pool,
            method=str(request.method),
            url=self._secrets.in_url(self.request_url(request, dict(proxies or {}))),
            headers=headers,
            body=body,
        )

    def ask(self, target: Target, *, judge_status: bool = True, tells: bool = True) -> Answer:
        """Sends until an answer stands.

        Args:
            target: the request.
            judge_status: whether a status in `retry_statuses` that is there to stay is a halt.
            tells: whether an answer tells that the API is back, as that of a token server does not.

        Raises:
            SyncHalted: after the last retry of a network error, or of such a status; or another request of
                the same sync has halted before.
            CircuitOpenError: a request of another sync has.
        """
        with self._gate.trouble:
            pass  # while one request of this source is tried again, no other is sent
        with self._turn() as turn:
            with self._gate.trouble:
                if self._breaker.admit():
                    return self._probe(target, turn, judge_status=judge_status, tells=tells)
            outcome = self._exchange(target, turn)
        if isinstance(outcome, Answer):
            return outcome
        failed = time.monotonic()
        with self._gate.trouble:
            attempt = 1
            while attempt <= self._config.max_retries:
                self._check()
                self._back_off(target, outcome, attempt, time.monotonic() - failed)
                with self._turn() as turn:
                    if self._breaker.admit(fresh=True):
                        return self._probe(target, turn, judge_status=judge_status, tells=tells)
                    outcome = self._exchange(target, turn)
                if isinstance(outcome, Answer):
                    return outcome
                failed = time.monotonic()
                attempt += 1
            if outcome.answer and not judge_status:
                return replace(outcome.answer, attempts=attempt)
            raise self._given_up(target, outcome, attempt) from None

    def _probe(self, target: Target, turn: _Turn, *, judge_status: bool, tells: bool) -> Answer:
        """The one request that finds out whether an API that was given up on is back; it is not tried again."""
        log.info("%s: %s: probing whether the API is back", self._resource, target.endpoint)
        outcome = self._exchange(target, turn)
        if isinstance(outcome, _Trouble):
            if outcome.answer and not judge_status:
                return outcome.answer  # who judges it trips the breaker, or lets the next answer speak
            raise self._given_up(target, outcome, 1) from None
        status = outcome.raw.status
        if status in _KEY_STATUSES:
            if judge_status:
                raise self.halted(target.endpoint, status)
        elif tells and not HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            self._breaker.answered()  # where it leads elsewhere, or to a token, the next answer tells
        return outcome

    def stop(self) -> None:
        """Ends all waiting: what is not sent yet is not sent any more."""
        self._closed.set()

    def halted(self, endpoint: str, status: int, attempts: int = 1) -> SyncHalted:
        """What an error status is told as. Where it is about the key, or was tried again, the circuit opens."""
        outage = status in _KEY_STATUSES or status in self._config.retry_statuses
        reason = status_reason(status)
        halted = SyncHalted(self._resource, endpoint, status, attempts, reason, outage=outage)
        return self._breaker.trip(halted) if outage else halted

    def _given_up(self, target: Target, trouble: _Trouble, attempts: int) -> SyncHalted:
        endpoint, status, reason = target.endpoint, trouble.status, trouble.reason
        return self._breaker.trip(SyncHalted(self._resource, endpoint, status, attempts, reason, outage=True))

    @contextmanager
    def _turn(self) -> Iterator[_Turn]:
        """A place in the budget, waited for; at its end what the API says of its limits is heeded."""
        self._check()
        wait, turn = self._gate.reserve(), _Turn()
        try:
            if wait > 0:
                self._telemetry.waited(wait)
                self._sleep(wait)
                self._check()
            yield turn
        finally:
            self._gate.heed(turn.headers)

    def _exchange(self, target: Target, turn: _Turn) -> Answer | _Trouble:
        """One request and its answer."""
        try:
            with self._gate.slots:
                self._check()
                self._telemetry.request()
                sent = time.monotonic()
                raw = target.pool.urlopen(
                    target.method,
                    target.url,
                    body=target.body,
                    headers=target.headers,
                    retries=False,
                    redirect=False,
                    assert_same_host=False,
                    timeout=self._timeout,
                )
            turn.headers = raw.headers
        except (HTTPError, HTTPException, OSError) as error:
            if isinstance(error, (LocationValueError, InvalidHeader)) or is_untrusted(error):
                raise self._dead_end(target.endpoint, error) from None
            return _Trouble(network_reason(error, target.host))
        self._telemetry.answer(raw.status, len(raw.data))
        answer = Answer(raw, self._secrets.conceal_data(raw.data), sent, time.monotonic())
        if raw.status in self._config.retry_statuses:
            return _Trouble(status_reason(raw.status), raw.status, answer)
        return answer

    def _check(self) -> None:
        self._breaker.check()
        if self._closed.is_set():
            raise CancelledError  # of a page that nobody waits for any more

    def _back_off(self, target: Target, trouble: _Trouble, attempt: int, waited: float) -> None:
        asked = _retry_after(trouble.answer.raw.headers) if trouble.answer else None
        backoff = self._config.backoff_factor * 2 ** (attempt - 1)
        seconds = min(backoff if asked is None else asked, self._config.max_retry_delay)
        # What it waited for another request's retries counts: the API had that time to recover.
        seconds = seconds if waited < 0.01 else max(0.0, seconds - waited)
        self._telemetry.waited(seconds, for_retry=True)
        log.warning(
            "%s: %s: %s; retry %d of %d in %.3g s",
            self._resource,
            target.endpoint,
            trouble.reason,
            attempt,
            self._config.max_retries,
            seconds,
        )
        self._sleep(seconds)

    def _dead_end(self, endpoint: str, error: BaseException) -> SyncHalted:
        """No other try helps: a bad URL or header, or a certificate that does not hold."""
        return SyncHalted(self._resource, endpoint, None, 1, dead_end_reason(error))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    header = headers.get("Retry-After")
    if header is None:
        return None
    try:
        return Retry().parse_retry_after(header)
    except InvalidHeader:
        return None  # neither seconds nor a date: the backoff it is


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value

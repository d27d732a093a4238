"""The one door to the network: every request of a sync goes through here.

dlt's unchanged `rest_api_source` gets it as `client.session`. What belongs here: what a request of dlt's client
becomes, one exchange or a large virtual page of many, and what its failure is told as. How an exchange is
made is `transport.py`, which page is next `pagination.py`, what an answer says `response.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any, Self

from dlt.sources.helpers.rest_client.auth import (
    APIKeyAuth,
    BearerTokenAuth,
    HttpBasicAuth,
    OAuth2ClientCredentials,
)
from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException
from requests import PreparedRequest, Response, Session
from requests.exceptions import HTTPError, JSONDecodeError, RequestException
from requests.utils import get_encoding_from_headers

from analytics_assets.ingestion.errors import (
    NotJsonError,
    RefusedResponseError,
    SyncError,
    SyncHalted,
    TooManyPagesError,
    UnfollowableLinkError,
)
from analytics_assets.ingestion.http.breaker_client import Breaker
from analytics_assets.ingestion.http.page_limit import PageLimit, PagesCutError
from analytics_assets.ingestion.http.pagination import Ask, Numbers, Page, Rider, Row, Sweep
from analytics_assets.ingestion.http.rate_limit import Gate
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.response import Content
from analytics_assets.ingestion.http.retry_policy import dead_end_reason, endpoint_of, status_reason
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets.ingestion.http.transport import Target, Transport

_VIRTUAL_ROWS, _VIRTUAL_BYTES, _VIRTUAL_SECONDS = 25_000, 64_000_000, 10.0
"""Where a virtual page ends, whichever comes first. Fewer and larger pages cost dlt less, and memory more."""


_PLAIN_AUTHS = (APIKeyAuth, BearerTokenAuth, HttpBasicAuth, OAuth2ClientCredentials, type(None))
"""Those that do not look at what they sign, so that one signature does for many pages."""


class VirtualPage(Response):
    """Many pages of the API as the one that dlt asked for; its JSON is the list of their rows.

    Attributes:
        has_more: whether there are rows to come.
    """

    def __init__(self, request: PreparedRequest, rows: list[Row], *, has_more: bool) -> None:
        super().__init__()
        self.status_code = 200
        self.request = request
        self.url = str(request.url)
        self.has_more = has_more
        self._rows = rows

    def json(self, **_: Any) -> list[Row]:
        """The rows."""
        return self._rows


class ApiSession(Session):
    """A requests session that asks politely, believes only what an answer says, and stops where it must.

    A context manager: its threads and its hold on log records end with the block.

    Args:
        resource: dlt resource it works for.
        gate: what it shares with the other requests of its source in this process.
        breaker: the circuit of the source, as this sync meets it.
        secrets: of the source.
        telemetry: counts.
        may_repeat: whether one page may be asked for twice, as for a resource that follows its parent's rows.
        sleep: waits that many seconds; injected by tests.

    Attributes:
        limit: the pages that may be asked for; all of them unless it is set.

    Raises:
        SyncHalted: from `send`, after the last retry of a network error or of a status in `retry_statuses`, at
            once for any other error status, for paging that goes round in circles, and where another
            request of the session has halted before.
        CircuitOpenError: from `send`, where the circuit is open.
        RowsMovedError: from `send`, where rows moved while they were read.
        UnreadableResponseError: from `send`, where an answer does not fit the config.
        TooManyPagesError: from `send`, where there are more pages than may be asked for.
    """

    def __init__(
        self,
        resource: str,
        gate: Gate,
        breaker: Breaker,
        secrets: Secrets,
        telemetry: Telemetry,
        *,
        may_repeat: bool = True,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        super().__init__()
        self._resource = resource
        self._max_in_flight = gate.config.max_in_flight
        self._telemetry = telemetry
        self._may_repeat = may_repeat
        self.limit = PageLimit()
        self._asked: set[str] = set()
        self._last_body = b""
        self._block = ExitStack()
        self._block.enter_context(secrets.out_of_logs())
        self._threads = ThreadPoolExecutor(
            self._max_in_flight, thread_name_prefix=f"{resource}-page", initializer=_share_a_core
        )
        self._ahead = ThreadPoolExecutor(
            1, thread_name_prefix=f"{resource}-virtual-page", initializer=_share_a_core
        )
        self._next: dict[Sweep, Future[VirtualPage]] = {}
        self._transport = Transport(resource, gate, breaker, secrets, telemetry, sleep)
        self.mount("http://", self._transport)
        self.mount("https://", self._transport)

    def __enter__(self) -> Self:
        return self

    def __deepcopy__(self, _: Any) -> Self:
        """Itself: dlt copies the config it is in, and there is one door."""
        return self

    def close(self) -> None:
        """Ends the threads, with what they were asked for ahead; requests in flight are let finish."""
        self._transport.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._ahead.shutdown(wait=True, cancel_futures=True)
        self._block.close()  # not before: a request in flight still logs
        super().close()

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """Answers one request of dlt's client."""
        rider = _take_rider(request)
        try:
            if isinstance(rider, Sweep):
                return self._virtual_page(request, rider, kwargs)
            if rider is not None:
                if request.method == "GET" and not self._may_repeat:
                    self._refuse_circles(request)
                self.limit.take(rider.reader.resource, endpoint_of(request))
            response = super().send(request, **kwargs)
            if not request.hooks["response"] and response.status_code >= 400:
                raise self._halted(request, response)  # of an OAuth2 token: nobody else looks at its status
        except HTTPError as error:
            # dlt's response hook: no `response_actions` of the user took this status.
            raise self._halted(request, error.response) from None
        except RequestException as error:
            raise SyncHalted(self._resource, endpoint_of(request), None, 1, dead_end_reason(error)) from None
        if rider is not None:
            self._check(request, response, rider)
        return response

    def _halted(self, request: PreparedRequest, response: Response) -> SyncHalted:
        attempts = getattr(response, "attempts", 1)
        return self._transport.halted(endpoint_of(request), response.status_code, attempts)

    def _check(self, request: PreparedRequest, response: Response, rider: Rider) -> None:
        """Reads one answer of dlt's own paging, and keeps what was parsed for dlt."""
        endpoint = endpoint_of(request)
        parsed = rider.reader.parse(response.content, endpoint, lambda: response.encoding)
        content = rider.reader.read(parsed, endpoint)
        if content.rows is None:
            raise rider.reader.no_rows(parsed, endpoint)
        if not self._may_repeat and content.rows and response.content == self._last_body:
            raise self._circles(request)
        self._last_body = response.content
        response.json = lambda **_: parsed  # type: ignore[method-assign]
        self._telemetry.page(len(content.rows))

    def _refuse_circles(self, request: PreparedRequest) -> None:
        url = request.url or ""
        if url in self._asked:
            raise self._circles(request)
        self._asked.add(url)

    def _circles(self, request: PreparedRequest) -> SyncHalted:
        reason = "the same page came twice: the paginator does not fit the API; check its parameters"
        return SyncHalted(self._resource, endpoint_of(request), None, 1, reason)

    def _virtual_page(self, request: PreparedRequest, sweep: Sweep, kwargs: dict[str, Any]) -> VirtualPage:
        """The next rows of a sweep, as many as make a virtual page; the one after it is read meanwhile."""
        if _has_hooks(request) or not isinstance(sweep.auth, _PLAIN_AUTHS):
            ask = self._within_limit(self._ask_by_the_book(sweep, kwargs), request, sweep)
            return self._assemble(request, sweep, ask, 1)
        begun = self._next.pop(sweep, None)
        ask = self._within_limit(self._ask_ahead(request, sweep, kwargs), request, sweep)
        page = begun.result() if begun else self._assemble(request, sweep, ask, self._max_in_flight)
        if page.has_more and sweep.reads_to_the_end:
            self._next[sweep] = self._ahead.submit(self._assemble, request, sweep, ask, self._max_in_flight)
        return page

    def _assemble(self, request: PreparedRequest, sweep: Sweep, ask: Ask, in_flight: int) -> VirtualPage:
        rows: list[Row] = []
        size = 0
        until = time.monotonic() + _VIRTUAL_SECONDS
        try:
            for page, new in sweep.pages(ask, in_flight, endpoint_of(request)):
                rows += new
                size += page.size
                self._telemetry.page(len(new), sweep.total_rows)
                if len(rows) >= _VIRTUAL_ROWS or size >= _VIRTUAL_BYTES or time.monotonic() >= until:
                    break
        except PagesCutError:
            return VirtualPage(request, rows, has_more=False)
        return VirtualPage(request, rows, has_more=not sweep.finished)

    def _within_limit(self, ask: Ask, request: PreparedRequest, sweep: Sweep) -> Ask:
        """As `ask`, but a page beyond the limit is not asked for, and fails if the sweep comes to it.

        A sweep asks ahead, and may be at its end before.
        """

        def ask_within(numbers: Numbers) -> Future[Page]:
            try:
                self.limit.take(sweep.reader.resource, endpoint_of(request))
            except (TooManyPagesError, PagesCutError) as error:
                beyond: Future[Page] = Future()
                beyond.set_exception(error)
                return beyond
            return ask(numbers)

        return ask_within

    def _ask_ahead(self, request: PreparedRequest, sweep: Sweep, kwargs: dict[str, Any]) -> Ask:
        """By threads, straight from the transport: many times faster than through requests."""
        verify, cert, proxies = (kwargs.get(name) for name in ("verify", "cert", "proxies"))
        template = self._transport.target(request, True if verify is None else verify, cert, proxies)
        template.headers.pop("Content-Length", None)  # of the body without its numbers; urllib3 counts anew

        def fetch(numbers: Numbers) -> Page:
            answer = self._transport.ask(_with_numbers(template, numbers))
            status, headers = answer.raw.status, answer.raw.headers
            if status >= 400:
                raise self._transport.halted(template.endpoint, status)
            if status >= 300:
                return self._fetch_by_the_book(sweep, numbers, kwargs)  # requests knows how to follow
            parsed = sweep.reader.parse(
                answer.body, template.endpoint, lambda: get_encoding_from_headers(headers)
            )
            content = sweep.reader.read(parsed, template.endpoint)
            return Page(content, parsed, len(answer.body), answer.sent, answer.received)

        return lambda numbers: self._threads.submit(fetch, numbers)

    def _ask_by_the_book(self, sweep: Sweep, kwargs: dict[str, Any]) -> Ask:
        """One by one, each through the user's auth and hooks: these need not be made for threads."""

        def ask(numbers: Numbers) -> Future[Page]:
            page: Future[Page] = Future()
            page.set_result(self._fetch_by_the_book(sweep, numbers, kwargs))
            return page

        return ask

    def _fetch_by_the_book(self, sweep: Sweep, numbers: Numbers, kwargs: dict[str, Any]) -> Page:
        request = self.prepare_request(sweep.request_of(numbers))
        _take_rider(request)
        endpoint = endpoint_of(request)
        sent = time.monotonic()
        try:
            response = super().send(request, **kwargs)
        except HTTPError as error:
            raise self._halted(request, error.response) from None
        except IgnoreResponseException:
            return Page(Content([]), None, 0, sent, time.monotonic())
        parsed = sweep.reader.parse(response.content, endpoint, lambda: response.encoding)
        content = sweep.reader.read(parsed, endpoint)
        return Page(content, parsed, len(response.content), sent, time.monotonic())


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
        if isinstance(seen, JSONDecodeError):
            return NotJsonError(resource, "")
        if isinstance(seen, HTTPError) and seen.response is not None:  # of an auth of the user's own
            endpoint, status = endpoint_of(seen.response.request), seen.response.status_code
            return SyncHalted(resource, endpoint, status, 1, status_reason(status))
        if isinstance(seen, RequestException):
            return UnfollowableLinkError(resource, type(seen).__name__)
        if isinstance(seen, ValueError) and " in the response in " in str(seen):
            return RefusedResponseError(resource, str(seen).partition(" in the response in ")[0])
        seen = seen.__cause__ or seen.__context__
    return None


def _share_a_core() -> None:
    """Has a thread run where all others that fetch do: only one at a time may, as it is one interpreter.

    Handing that over from core to core costs more than the work itself: a third of the time of a whole sync.
    """
    with suppress(AttributeError, OSError):  # not on this system, or not in this sandbox
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})


def _take_rider(request: PreparedRequest) -> Rider | None:
    """Takes off the request what told whose it is."""
    hooks = request.hooks["response"]
    rider = next((hook for hook in hooks if isinstance(hook, Rider)), None)
    request.hooks["response"] = [hook for hook in hooks if not isinstance(hook, Rider)]
    return rider


def _has_hooks(request: PreparedRequest) -> bool:
    """Whether the user has `response_actions`: dlt alone hangs on one hook, which raises."""
    return len(request.hooks["response"]) > 1


def _with_numbers(template: Target, numbers: Numbers) -> Target:
    """The request of one page."""
    url, body = template.url, template.body
    for place, number in numbers.items():
        if place.param:
            url = url.replace(place.mark, str(number))
        elif body:
            body = body.replace(f'"{place.mark}"'.encode(), str(number).encode())
    return replace(template, url=url, body=body)

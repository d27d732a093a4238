"""The session: every request of a sync goes through it.

dlt's unchanged `rest_api_source` gets it as `client.session`. Each request of dlt's client becomes one exchange
(`transport.py`), or a group of many pages (`page_group.py`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self

from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException
from requests import PreparedRequest, Response, Session
from requests.exceptions import HTTPError, RequestException

from analytics_assets.ingestion.errors import Fault, SyncHalted
from analytics_assets.ingestion.http.api_response import ApiResponse, ParsedResponse
from analytics_assets.ingestion.http.breaker_client import Breaker
from analytics_assets.ingestion.http.page_group import PageGroups, SendOptions
from analytics_assets.ingestion.http.page_limit import PageLimit
from analytics_assets.ingestion.http.page_reader import Numbers, Page, PageReader
from analytics_assets.ingestion.http.rate_limit import RateLimiter
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.request_tag import RequestTag, caller_of, take_tag
from analytics_assets.ingestion.http.response import Content
from analytics_assets.ingestion.http.retry_policy import Caller, Exchange, endpoint_of
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets.ingestion.http.transport import Transport


class ApiSession(Session):
    """A requests session that keeps to the API's limits, checks every response, and stops where it must.

    A context manager: its threads and its filter of log records end with the block.

    Args:
        resource: dlt resource it works for.
        rate_limiter: what it shares with the other requests of its source in this process.
        breaker: the circuit of the source, as this sync sees it.
        secrets: of the source.
        telemetry: counts.
        page_limit: the pages that may be fetched; by default all.
        may_repeat: whether one page may be asked for twice, as for a resource that follows its parent's rows.
        sleep: waits that many seconds; by default no longer than until the session is closed.
        jitter: gives a number from 0 to 1, by which waits grow.

    Raises:
        SyncHalted: from `send`, after the last retry of a network error or of a status in `retry_statuses`; at once for
            any other error status, for paging that goes round in circles, and where another request of the session has
            halted before.
        CircuitOpenError: from `send`, where the circuit is open.
        RowsMovedError: from `send`, where rows moved while they were read.
        UnreadableResponseError: from `send`, where a response does not fit the config.
        TooManyPagesError: from `send`, where there are more pages than may be fetched.
    """

    def __init__(  # noqa: PLR0913  the parts of a sync, each made elsewhere
        self,
        resource: str,
        rate_limiter: RateLimiter,
        breaker: Breaker,
        secrets: Secrets,
        telemetry: Telemetry,
        *,
        page_limit: PageLimit | None = None,
        may_repeat: bool = True,
        sleep: Callable[[float], object] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__()
        self._resource = resource
        self._telemetry = telemetry
        self._may_repeat = may_repeat
        self._page_limit = page_limit or PageLimit()
        self._asked: set[str] = set()
        self._last_body = b""
        self._block = ExitStack()
        self._block.enter_context(secrets.out_of_logs())
        self._transport = Transport(
            resource, rate_limiter, breaker, secrets, telemetry, sleep=sleep, jitter=jitter
        )
        self._page_groups = PageGroups(
            resource,
            rate_limiter.config.max_in_flight,
            self._transport,
            self._fetch_sequentially,
            self._page_limit,
            telemetry,
        )
        self.mount("http://", self._transport)
        self.mount("https://", self._transport)

    def __enter__(self) -> Self:
        return self

    def __deepcopy__(self, _: Any) -> Self:
        """Itself: dlt copies the config that holds it, and its limits hold for one session."""
        return self

    def close(self) -> None:
        """Ends the threads, and drops what they were to fetch ahead. Requests in flight are completed."""
        self._transport.stop()
        self._page_groups.close()
        self._block.close()  # not before: a request in flight still logs
        super().close()

    def send(self, request: PreparedRequest, *, caller: Caller | None = None, **kwargs: Any) -> Response:
        """Sends one request of dlt's client; `caller` is set where requests follows a redirect."""
        tag = take_tag(request)
        try:
            if isinstance(tag, PageReader):
                return self._page_groups.next_group(request, tag, kwargs)
            if tag is not None:
                if request.method == "GET" and not self._may_repeat:
                    self._refuse_circles(request)
                self._page_limit.take(tag.reader.resource, endpoint_of(request))
            response = super().send(request, caller=caller or caller_of(request, tag), **kwargs)
        except RequestException as error:
            raise self._failure(request, error) from None
        return response if tag is None else self._checked(request, response, tag)

    def _failure(self, request: PreparedRequest, error: RequestException) -> SyncHalted:
        endpoint, response = endpoint_of(request), error.response
        if not isinstance(error, HTTPError) or response is None:
            return self._transport.unsendable(endpoint, error)
        # A response hook raised it: that of dlt, or one of the user.
        if isinstance(response, ApiResponse):
            exchange = Exchange(response.status_code, response.headers, response.content)
            return self._transport.refused(endpoint, exchange, response.attempts)
        return self._transport.refused(endpoint, Exchange(response.status_code, response.headers), 1)

    def _checked(self, request: PreparedRequest, response: Response, tag: RequestTag) -> Response:
        """A response to dlt's own paging, once its content has been checked."""
        endpoint = endpoint_of(request)
        parsed = tag.reader.parse(response.content, endpoint, lambda: response.encoding)
        content = tag.reader.read(parsed, endpoint)
        if content.rows is None:
            raise tag.reader.no_rows(parsed, endpoint)
        if not self._may_repeat and content.rows and response.content == self._last_body:
            raise self._circles(request)
        self._last_body = response.content
        self._telemetry.page(len(content.rows))
        return ParsedResponse(response, parsed)

    def _refuse_circles(self, request: PreparedRequest) -> None:
        url = request.url or ""
        if url in self._asked:
            raise self._circles(request)
        self._asked.add(url)

    def _circles(self, request: PreparedRequest) -> SyncHalted:
        reason = "the same page came twice: the paginator does not fit the API; check its parameters"
        return SyncHalted(self._resource, endpoint_of(request), None, 1, reason, fault=Fault.CONFIG)

    def _fetch_sequentially(self, reader: PageReader, numbers: Numbers, options: SendOptions) -> Page:
        """One page through requests, with the auth and the hooks of the user."""
        request = self.prepare_request(reader.request_of(numbers))
        take_tag(request)
        endpoint = endpoint_of(request)
        sent = time.monotonic()
        try:
            response = super().send(request, caller=caller_of(request, reader), **options)
        except HTTPError as error:
            raise self._failure(request, error) from None
        except IgnoreResponseException:
            return Page(Content([]), None, 0, sent, time.monotonic())
        parsed = reader.reader.parse(response.content, endpoint, lambda: response.encoding)
        content = reader.reader.read(parsed, endpoint)
        return Page(content, parsed, len(response.content), sent, time.monotonic())

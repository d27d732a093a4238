"""One page that dlt asked for as many pages of the API: how they are fetched, and when a group of them is full.

Fewer and larger pages cost dlt less. Which pages a group has is for `page_reader.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

from dlt.sources.helpers.rest_client.auth import (
    APIKeyAuth,
    BearerTokenAuth,
    HttpBasicAuth,
    OAuth2ClientCredentials,
)
from requests import PreparedRequest
from requests.utils import get_encoding_from_headers

from analytics_assets.ingestion.errors import TooManyPagesError
from analytics_assets.ingestion.http.api_response import PageGroup, Row
from analytics_assets.ingestion.http.page_limit import PageLimit, PagesCutError
from analytics_assets.ingestion.http.page_reader import Fetch, Numbers, Page, PageReader
from analytics_assets.ingestion.http.request_tag import caller_of, has_own_hooks
from analytics_assets.ingestion.http.retry_policy import endpoint_of
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets.ingestion.http.transport import Transport
from analytics_assets.ingestion.http.wire import WireRequest

_GROUP_ROWS, _GROUP_BYTES, _GROUP_SECONDS = 25_000, 64_000_000, 10.0
"""Where a group ends, whichever comes first. Larger groups cost dlt less, and memory more."""

_PLAIN_AUTHS = (APIKeyAuth, BearerTokenAuth, HttpBasicAuth, OAuth2ClientCredentials, type(None))
"""Those that do not look at what they sign, so that one signature serves many pages."""

SendOptions = dict[str, Any]
"""What dlt passes to `Session.send` with a request: certificates and proxies."""


class PageGroups:
    """Fetches the pages of a page reader in groups.

    Args:
        resource: dlt resource, which names the threads.
        max_in_flight: requests at the same time.
        transport: fetches pages ahead.
        fetch_sequentially: fetches one page through the session, with the auth and the hooks of the user.
        page_limit: the pages that may be fetched.
        telemetry: counts.
    """

    def __init__(
        self,
        resource: str,
        max_in_flight: int,
        transport: Transport,
        fetch_sequentially: Callable[[PageReader, Numbers, SendOptions], Page],
        page_limit: PageLimit,
        telemetry: Telemetry,
    ) -> None:
        self._max_in_flight = max_in_flight
        self._transport = transport
        self._fetch_sequentially = fetch_sequentially
        self._page_limit = page_limit
        self._telemetry = telemetry
        self._threads = ThreadPoolExecutor(
            max_in_flight, thread_name_prefix=f"{resource}-page", initializer=_share_a_core
        )
        self._ahead = ThreadPoolExecutor(
            1, thread_name_prefix=f"{resource}-page-group", initializer=_share_a_core
        )
        self._next: dict[PageReader, Future[PageGroup]] = {}

    def close(self) -> None:
        """Ends the threads, and drops what they were to fetch ahead. Requests in flight are completed."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._ahead.shutdown(wait=True, cancel_futures=True)

    def next_group(self, request: PreparedRequest, reader: PageReader, options: SendOptions) -> PageGroup:
        """The next rows of a page reader, as many as make a group. The group after it is fetched meanwhile.

        Raises:
            SyncError: see `ApiSession`.
        """
        if has_own_hooks(request) or not isinstance(reader.auth, _PLAIN_AUTHS):
            fetch = self._within_limit(self._one_by_one(reader, options), request, reader)
            return self._assemble(request, reader, fetch, 1)
        begun = self._next.pop(reader, None)
        fetch = self._within_limit(self._many_at_once(request, reader, options), request, reader)
        group = begun.result() if begun else self._assemble(request, reader, fetch, self._max_in_flight)
        if group.has_more and reader.reads_all:
            self._next[reader] = self._ahead.submit(
                self._assemble, request, reader, fetch, self._max_in_flight
            )
        return group

    def _assemble(
        self, request: PreparedRequest, reader: PageReader, fetch: Fetch, in_flight: int
    ) -> PageGroup:
        rows: list[Row] = []
        size = 0
        until = time.monotonic() + _GROUP_SECONDS
        try:
            for page, new in reader.pages(fetch, in_flight, endpoint_of(request)):
                rows += new
                size += page.size
                self._telemetry.page(len(new), reader.total_rows)
                if len(rows) >= _GROUP_ROWS or size >= _GROUP_BYTES or time.monotonic() >= until:
                    break
        except PagesCutError:
            return PageGroup(request, rows, has_more=False)
        return PageGroup(request, rows, has_more=not reader.is_finished)

    def _within_limit(self, fetch: Fetch, request: PreparedRequest, reader: PageReader) -> Fetch:
        """As `fetch`, but a page beyond the limit is not fetched, and fails only if the reader comes to it.

        A reader asks ahead, and may be at its end before.
        """
        resource, endpoint = reader.reader.resource, endpoint_of(request)

        def fetch_within(numbers: Numbers) -> Future[Page]:
            try:
                self._page_limit.take(resource, endpoint)
            except (TooManyPagesError, PagesCutError) as error:
                beyond: Future[Page] = Future()
                beyond.set_exception(error)
                return beyond
            return fetch(numbers)

        return fetch_within

    def _many_at_once(self, request: PreparedRequest, reader: PageReader, options: SendOptions) -> Fetch:
        """By threads, straight from the transport: many times faster than through requests."""
        verify, cert, proxies = (options.get(name) for name in ("verify", "cert", "proxies"))
        template = self._transport.wire_request(request, True if verify is None else verify, cert, proxies)
        template.headers.pop("Content-Length", None)  # of the body without its numbers; urllib3 counts again
        caller = caller_of(request, reader)

        def fetch(numbers: Numbers) -> Page:
            response = self._transport.ask(_with_numbers(template, numbers), caller)
            if response.raw.status >= 300:
                return self._fetch_sequentially(reader, numbers, options)  # requests follows redirects
            headers = response.raw.headers
            parsed = reader.reader.parse(
                response.body, template.endpoint, lambda: get_encoding_from_headers(headers)
            )
            content = reader.reader.read(parsed, template.endpoint)
            return Page(content, parsed, len(response.body), response.sent, response.received)

        return lambda numbers: self._threads.submit(fetch, numbers)

    def _one_by_one(self, reader: PageReader, options: SendOptions) -> Fetch:
        """In sequence, each through the auth and the hooks of the user, which need not be safe across threads."""

        def fetch(numbers: Numbers) -> Future[Page]:
            page: Future[Page] = Future()
            page.set_result(self._fetch_sequentially(reader, numbers, options))
            return page

        return fetch


def _with_numbers(template: WireRequest, numbers: Numbers) -> WireRequest:
    """The request of one page."""
    url, body = template.url, template.body
    for place, number in numbers.items():
        if place.param:
            url = url.replace(place.mark, str(number))
        elif body:
            body = body.replace(f'"{place.mark}"'.encode(), str(number).encode())
    return replace(template, url=url, body=body)


def _share_a_core() -> None:
    """Puts all threads that fetch on one core: one interpreter runs only one of them at a time.

    To pass the interpreter from core to core costs more than the work itself: a third of the time of a whole sync.
    """
    with suppress(AttributeError, OSError):  # not on this system, or not in this sandbox
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})

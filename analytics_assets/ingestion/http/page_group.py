"""Page groups: fetches many pages of the API, and returns their rows to dlt as one response.

dlt needs less time for a few large responses than for many small responses. The page readers in `pagination.py` decide
which page comes next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

from dlt.sources.helpers.rest_client.auth import (
    APIKeyAuth,
    BearerTokenAuth,
    HttpBasicAuth,
    OAuth2ClientCredentials,
)
from requests import PreparedRequest
from requests.utils import get_encoding_from_headers

from analytics_assets.ingestion.errors import RangeTooLargeError, SyncError, TooManyPagesError
from analytics_assets.ingestion.http.api_response import PageGroup, Row
from analytics_assets.ingestion.http.bytes_ahead import NoRoomError
from analytics_assets.ingestion.http.core_affinity import share_a_core
from analytics_assets.ingestion.http.page_limit import PageLimit, PagesCutError
from analytics_assets.ingestion.http.page_reader import AheadError, Fetch, Numbers, Page, PageReader
from analytics_assets.ingestion.http.request_tag import caller_of, has_own_hooks
from analytics_assets.ingestion.http.retry_policy import endpoint_of
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets.ingestion.http.transport import FailedAheadError, Transport
from analytics_assets.ingestion.http.wire import WireRequest, WireResponse
from analytics_assets.ingestion.row_of_parent import for_fields_of_parent

_GROUP_ROWS, _GROUP_BYTES, _GROUP_SECONDS = 25_000, 64_000_000, 10.0
"""The limits of a group in rows, bytes and seconds. Larger groups cost dlt less time, but need more memory."""

_PLAIN_AUTHS = (APIKeyAuth, BearerTokenAuth, HttpBasicAuth, OAuth2ClientCredentials)
"""Auth types that do not depend on the URL or body of a request, so that one signed request serves all pages.

`ONLY_SENT` in `source/settings.py` has the names of the same auth types. A new auth type usually belongs in both."""

_PLAIN_CALLS = tuple(auth.__call__ for auth in _PLAIN_AUTHS)

SendOptions = dict[str, Any]
"""The keyword arguments that `requests` passes to `Session.send`, such as certificates and proxies."""


class PageGroups:
    """Fetches the pages of a page reader in groups.

    Args:
        resource: the dlt resource name, which is also in the names of the threads.
        max_in_flight: the most requests at the same time.
        transport: the transport, which sends the requests of parallel fetches.
        fetch_sequentially: a function that fetches one page through the session, with the user's auth and hooks. If
            the page's request already has a response, which is a redirect, the function only follows it.
        page_limit: the limit on the number of pages.
        telemetry: the counts of the sync.
    """

    def __init__(
        self,
        resource: str,
        max_in_flight: int,
        transport: Transport,
        fetch_sequentially: Callable[[PageReader, Numbers, SendOptions, WireResponse | None], Page],
        page_limit: PageLimit,
        telemetry: Telemetry,
    ) -> None:
        self._max_in_flight = max_in_flight
        self._transport = transport
        self._fetch_sequentially = fetch_sequentially
        self._page_limit = page_limit
        self._telemetry = telemetry
        self._threads = ThreadPoolExecutor(
            max_in_flight, thread_name_prefix=f"{resource}-page", initializer=share_a_core
        )
        self._ahead = ThreadPoolExecutor(
            1, thread_name_prefix=f"{resource}-page-group", initializer=share_a_core
        )
        self._next: dict[PageReader, Future[PageGroup]] = {}
        self._too_large: dict[PageReader, RangeTooLargeError] = {}

    def close(self) -> None:
        """Ends the threads, and cancels requests that are not yet sent. The transport ends those in flight."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._ahead.shutdown(wait=True, cancel_futures=True)

    def next_group(self, request: PreparedRequest, reader: PageReader, options: SendOptions) -> PageGroup:
        """Returns the next group of a page reader's rows, and starts to fetch the group after it.

        Raises:
            SyncError: one of the failures in the docstring of `ApiSession`.
        """
        if too_large := self._too_large.pop(reader, None):
            raise too_large
        if has_own_hooks(request) or not signs_alike(reader.auth):
            fetch = self._within_limit(self._one_by_one(reader, options), request, reader)
            return self._assemble(request, reader, fetch, 1)
        begun = self._next.pop(reader, None)
        fetch = self._within_limit(self._many_at_once(request, reader, options), request, reader)
        group = begun.result() if begun else self._assemble(request, reader, fetch, self._max_in_flight)
        if group.has_more and reader.reads_all and reader not in self._too_large:
            self._next[reader] = self._ahead.submit(
                self._assemble, request, reader, fetch, self._max_in_flight
            )
        return group

    def _assemble(
        self, request: PreparedRequest, reader: PageReader, fetch: Fetch, in_flight: int
    ) -> PageGroup:
        parts: list[list[Row]] = []
        count = size = 0
        until = time.monotonic() + _GROUP_SECONDS
        has_more = True
        try:
            for page, new in reader.pages(fetch, in_flight, endpoint_of(request)):
                parts.append(new)
                count += len(new)
                size += page.size
                self._telemetry.page(len(new), reader.total_rows)
                if count >= _GROUP_ROWS or size >= _GROUP_BYTES or time.monotonic() >= until:
                    break
        except PagesCutError:
            has_more = False
        except RangeTooLargeError as error:
            if not parts:
                raise
            self._too_large[reader] = error  # the next group fails, because these rows may be kept
        # The list of one large page is not copied.
        rows = parts[0] if len(parts) == 1 else [*chain.from_iterable(parts)]
        if reader.reader.gets_fields:
            rows = for_fields_of_parent(rows)
        return PageGroup(request, rows, size=size, has_more=has_more and not reader.is_finished)

    def _within_limit(self, fetch: Fetch, request: PreparedRequest, reader: PageReader) -> Fetch:
        """Wraps `fetch` to apply the page limit. A page beyond the limit gets a failed future instead of a request.

        A page reader requests pages ahead, so it may find the last page before it reads a failed future.
        """
        resource, endpoint = reader.reader.resource, endpoint_of(request)

        def fetch_within(numbers: Numbers, ahead: bool) -> Future[Page]:
            try:
                self._page_limit.take(resource, endpoint)
            except (TooManyPagesError, PagesCutError) as error:
                beyond: Future[Page] = Future()
                beyond.set_exception(error)
                return beyond
            return fetch(numbers, ahead)

        return fetch_within

    def _many_at_once(self, request: PreparedRequest, reader: PageReader, options: SendOptions) -> Fetch:
        """Returns a function that fetches pages in threads, directly through the transport.

        A `requests` session would be slower.
        """
        verify, cert, proxies = (options.get(name) for name in ("verify", "cert", "proxies"))
        template = self._transport.wire_request(request, True if verify is None else verify, cert, proxies)
        template.headers.pop("Content-Length", None)  # the page number changes the length of the body
        caller = caller_of(request)

        def fetch(numbers: Numbers, ahead: bool, again: int = 0) -> Page:
            number = again or reader.bytes_ahead.begin()
            note = partial(reader.bytes_ahead.note, number, is_its_turn=bool(again))
            asked = _with_numbers(template, numbers, note)
            try:
                return page(numbers, number, self._transport.ask(asked, caller, ahead=ahead))
            except NoRoomError:
                raise AheadError(partial(self._threads.submit, fetch, numbers, False, number)) from None
            except BaseException as error:
                reader.bytes_ahead.end(number)
                if isinstance(error, FailedAheadError):
                    raise AheadError(partial(self._threads.submit, fetch, numbers, False, number)) from None
                raise

        def page(numbers: Numbers, number: int, response: WireResponse) -> Page:
            if response.status >= 300:
                # The transport follows no redirect, so the session follows it.
                reader.bytes_ahead.end(number)
                return self._fetch_sequentially(reader, numbers, options, response)
            headers = response.raw.headers
            parsed = reader.reader.parse(
                response.body,
                template.endpoint,
                lambda: get_encoding_from_headers(headers),
                status=response.status,
            )
            content = reader.reader.read(parsed, template.endpoint)
            size = len(response.body)
            return Page(content, parsed, size, headers, response.sent, response.received, number)

        return lambda numbers, ahead: self._threads.submit(fetch, numbers, ahead)

    def _one_by_one(self, reader: PageReader, options: SendOptions) -> Fetch:
        """Returns a fetch function for one request at a time, because custom auth and hooks may not be thread-safe."""

        def fetch(numbers: Numbers, _: bool) -> Future[Page]:
            page: Future[Page] = Future()
            try:
                page.set_result(self._fetch_sequentially(reader, numbers, options, None))
            except SyncError as error:  # the reader decides whether the page had to exist
                page.set_exception(error)
            return page

        return fetch


def signs_alike(auth: Any) -> bool:
    """Whether an auth signs all pages alike. A subclass with a method of its own may sign the URL or the body."""
    return auth is None or (isinstance(auth, _PLAIN_AUTHS) and type(auth).__call__ in _PLAIN_CALLS)


def _with_numbers(template: WireRequest, numbers: Numbers, judge_size: Callable[[int], None]) -> WireRequest:
    """Returns the request of one page."""
    url, body = template.url, template.body
    for place, number in numbers.items():
        if place.param:
            url = url.replace(place.mark, str(number))
        elif body:
            body = body.replace(f'"{place.mark}"'.encode(), str(number).encode())
    return replace(template, url=url, body=body, judge_size=judge_size)

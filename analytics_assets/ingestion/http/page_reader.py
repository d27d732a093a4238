"""The base class of both page readers: requests pages ahead, and checks the pages in order.

`pagination.py` has the reader for offsets and the reader for page numbers. `response.py` parses one page, and
`page_group.py` fetches the pages.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import msgspec
from dlt.sources.helpers.rest_client.paginators import RangePaginator
from requests import Request

from analytics_assets.ingestion.errors import (
    RangeTooLargeError,
    RowsMovedError,
    SamePageError,
    SyncHalted,
    ignore_total,
)
from analytics_assets.ingestion.http.api_response import Row
from analytics_assets.ingestion.http.bytes_ahead import BytesAhead
from analytics_assets.ingestion.http.pages_read import PagesRead
from analytics_assets.ingestion.http.place import Place
from analytics_assets.ingestion.http.read_bounds import (
    MOST_BYTES_AHEAD,
    REFUSALS,
    BoundedRead,
    ReadBounds,
    refused_page,
)
from analytics_assets.ingestion.http.request_tag import RequestTag
from analytics_assets.ingestion.http.response import Content, ResponseReader
from analytics_assets.ingestion.http.row_key import key_of, same_rows
from analytics_assets.ingestion.raw_json import read_row


@dataclass(frozen=True)
class Page:
    """One page of the API.

    Attributes:
        content: the rows of the page, its total, and its has-more flag.
        response: the parsed body.
        size: the bytes of the body. A page has no body, because its rows may be views of another text.
        headers: the headers of the response.
        sent: the time when the request was sent, in seconds of a monotonic clock.
        received: the time when the response was complete, by the same clock.
        number: the number of the page in `BytesAhead`; 0 if it is not counted there.
    """

    content: Content
    response: Any
    size: int
    headers: Mapping[str, str]
    sent: float
    received: float
    number: int = 0


Numbers = dict[Place, int]
Fetch = Callable[[Numbers, bool], "Future[Page]"]
"""A function that fetches one page, given the numbers of the request, and whether paging may end before this page.

If paging may end before the page, a failed request has no retries and does not open the circuit. The future then has an
`AheadError`, with which the reader requests the page again once it reaches the page."""


class AheadError(Exception):
    """A page that was requested ahead has failed.

    Args:
        again: a function that requests the page again, with retries.
    """

    def __init__(self, again: Callable[[], Future[Page]]) -> None:
        super().__init__()
        self.again = again


_NO_SUCH_PAGE = (HTTPStatus.NOT_FOUND, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
"""The statuses with which APIs answer a request for a page after the last one."""


@dataclass(frozen=True)
class Planned:
    """A page that has been requested.

    Attributes:
        start: the offset of the first new row, or the page number.
        overlap: the number of rows that the page shares with the page before.
        page: the future of the page.
        is_extra: whether the page should not exist, because the pages before have reached the total.
    """

    start: int
    overlap: int
    page: Future[Page]
    is_extra: bool = False


@dataclass(frozen=True)
class Accepted:
    """A page that a page reader has checked and accepted.

    Attributes:
        rows: the rows of the page without the overlap.
        is_full: whether the page has as many rows as the largest page so far.
        is_last: whether the page is the last page.
    """

    rows: list[Row]
    is_full: bool
    is_last: bool


@dataclass(frozen=True)
class Paging:
    """The paging settings of one endpoint.

    Attributes:
        paginator: the configured dlt paginator.
        reader: the reader that parses the responses.
        primary_key: the primary key fields of a row; empty if the resource has no primary key.
        overlap: whether offset pages overlap by one row.
        bounds: the bounds of each read.
        reads_all: whether dlt reads all pages. With `row_order`, dlt may stop before the last page.
    """

    paginator: RangePaginator
    reader: ResponseReader
    primary_key: tuple[str, ...] = ()
    overlap: bool = True
    bounds: ReadBounds = field(default_factory=ReadBounds)
    reads_all: bool = True


class PageReader(RequestTag, ABC):
    """Reads all pages of one request of dlt.

    Each response may report a total number of rows or pages. The reader compares the totals of two pages only if the
    response of one page was complete before the request for the other page was sent. If two requests overlap in time,
    the order in which the API computed their totals is unknown.

    Args:
        paging: the paging settings.
        request: dlt's request, which is the template of all page requests.

    Attributes:
        reads_all: whether dlt reads all pages, as in `Paging`.
        bytes_ahead: bounds the bytes of the pages that arrive before their turn.
    """

    def __init__(self, paging: Paging, request: Request) -> None:
        super().__init__(paging.reader, request.auth)
        paginator = paging.paginator
        self.reads_all = paging.reads_all
        self.bytes_ahead = BytesAhead(MOST_BYTES_AHEAD)
        self._request = request
        self._number = Place(paginator.param_name, paginator.param_body_path)
        self._start = int(paginator.initial_value)
        self._maximum = paginator.maximum_value
        self._ends_empty = bool(paginator.stop_after_empty_page)
        self._primary_key = paging.primary_key
        self._totals: list[tuple[float, int]] = []  # pairs of receive time and total, smallest total first
        self._ahead: deque[Planned] = deque()
        self._window = 1
        self._largest = 0
        self._largest_size = 0  # in bytes
        self._before: list[Row] = []
        # With a later start, a total also counts rows that are not read.
        starts_late = self._start > int(paginator.base_index)
        self._read = PagesRead(paging.reader, checks_total=bool(paging.reader.total_path) or starts_late)
        self._bounds = BoundedRead(self.reader.resource, self._primary_key, paging.bounds)
        self._is_finished = False

    @property
    def places(self) -> list[Place]:
        """The places of the page numbers, offsets and limits in a request."""
        return [self._number]

    @property
    def total(self) -> int | None:
        """The largest total that any response has reported so far; None if no response has reported a total."""
        return self._totals[-1][1] if self._totals else None

    @property
    def total_rows(self) -> int | None:
        """The total number of rows that the API reports; None if the total is unknown or counts pages."""
        return None

    @property
    def is_finished(self) -> bool:
        """Whether the last page has been read."""
        return self._is_finished

    def attach(self) -> None:
        """Adds this reader to the response hooks of dlt's request, and puts a placeholder at each of `places`."""
        for place in self.places:
            place.put(self._request, place.mark)
        self._request.hooks["response"].append(self)

    def request_of(self, numbers: Numbers) -> Request:
        """Returns dlt's request for one page."""
        request = copy(self._request)
        for place, number in numbers.items():
            place.put(request, number)
        return request

    def pages(self, fetch: Fetch, max_in_flight: int, endpoint: str) -> Iterator[tuple[Page, list[Row]]]:
        """Yields each page with its new rows, in order.

        The new rows exclude the overlap with the page before. A later call continues at the next page.

        Raises:
            RowsMovedError: rows may be missing or doubled.
            UnreadableResponseError: a response does not match the config, or the read does not end.
            RangeTooLargeError: the API does not page through so many rows. The pages before are right.
        """
        while not self._is_finished:
            if self._read.pages:
                self._bounds.judge_size(endpoint, self._read.rows + 1)
            while not self._ahead or (self._may_read_ahead() and self._has_next()):
                self._ahead.append(self._plan_next(fetch))
            planned = self._ahead.popleft()
            page = self._await(planned)
            if page is None:
                self._finish(endpoint)
                return
            self.bytes_ahead.end(page.number)
            self._largest_size = max(self._largest_size, page.size)
            self._judge_total(page, endpoint)
            accepted = self._accept(planned, page, fetch, endpoint)
            self._read.add(page.response, page.headers, len(accepted.rows), has_body=bool(page.size))
            is_new = self._is_new(planned, accepted.rows)
            more = self._read.more_than_one_page
            self._bounds.judge(endpoint, self._read.pages, more, is_new=is_new, has_next=not accepted.is_last)
            self._widen(max_in_flight, is_full=accepted.is_full)
            if accepted.is_last and not self._bounds.is_capped:
                self._finish(endpoint)
            yield page, accepted.rows
        self._before = []  # which may be large

    def _may_read_ahead(self) -> bool:
        """Whether another page may be requested, by the number and the bytes of the pages that are not read."""
        if len(self._ahead) >= self._window:
            return False
        sizes = [_size_of(one.page) for one in self._ahead]
        self._largest_size = max(self._largest_size, *(size or 0 for size in sizes))
        expected = sum(self._largest_size if size is None else size for size in sizes)
        return expected + self._largest_size <= MOST_BYTES_AHEAD

    def _await(self, planned: Planned) -> Page | None:
        """Returns a page; None if the API has no such page, and the page should not exist."""
        try:
            try:
                return planned.page.result()
            except AheadError as ahead:
                return ahead.again().result()
        except SyncHalted as halted:
            is_first = not self._read.pages
            if halted.outage or is_first:
                raise
            may_be_after_end = planned.is_extra or self.total is None
            if may_be_after_end and halted.status in _NO_SUCH_PAGE:
                return None
            is_after_end = planned.is_extra or self._read.says_last
            if is_after_end and halted.status == HTTPStatus.BAD_REQUEST:
                return None  # otherwise a 400 may also be a limit of the offset
            if self._read.pages > 1 or not planned.overlap:  # otherwise the API may refuse any overlap
                halted = refused_page(halted, self._read.rows, f"`{self._number.name}` {planned.start:,}")
            if isinstance(halted, RangeTooLargeError):
                raise halted from None
            reason = f"{halted.reason}{self._hint(planned, halted.status)}"
            if halted.status == HTTPStatus.NOT_FOUND:
                reason = f"404 Not Found for a page that the total promises, after {self._read.rows:,} rows"
            raise replace(halted, reason=reason) from None

    def _hint(self, planned: Planned, status: int | None) -> str:
        """Returns what may be wrong if the API refuses a page after the first; empty if unknown."""
        if status not in REFUSALS:
            return ""
        return (
            f"; the API refuses `{self._number.name}` {planned.start:,} after {self._read.rows:,} rows: if it pages "
            "only that far, read smaller parts with partitions. If it means that there are no more rows, set "
            f"requests.responses to `{{status: {status}, action: empty}}`"
        )

    @abstractmethod
    def _has_next(self) -> bool:
        """Whether there may be a page after the last requested page."""

    @abstractmethod
    def _plan_next(self, fetch: Fetch) -> Planned:
        """Requests the page after the last requested page."""

    def _plan_page(
        self, fetch: Fetch, numbers: Numbers, start: int, end: int | None, overlap: int = 0
    ) -> Planned:
        """Requests a page. The API promises a page that starts before `end`, the end by its total."""
        is_promised = end is not None and start < end
        page = fetch(numbers, not is_promised and bool(self._ahead))
        return Planned(start, overlap, page, is_extra=end is not None and not is_promised)

    @abstractmethod
    def _accept(self, planned: Planned, page: Page, fetch: Fetch, endpoint: str) -> Accepted:
        """Checks the rows of one page.

        Before this call, `pages` checks the total that the page reports.

        Raises:
            RowsMovedError: rows may be missing or doubled.
            UnreadableResponseError: the response does not match the config.
        """

    def _is_new(self, planned: Planned, rows: list[Row]) -> bool:
        """Whether a page has a new row. Without a primary key, the overlap with the page before proves it."""
        return bool(rows) if planned.overlap and not self._primary_key else self._bounds.is_new_page(rows)

    def _finish(self, endpoint: str) -> None:
        self._is_finished = True
        for later in self._ahead:
            later.page.cancel()
        if self._maximum is None:  # otherwise the file limits the pages
            self._read.judge_end(endpoint)

    def _widen(self, most: int, *, is_full: bool) -> None:
        """After each full page, doubles the number of pages to request ahead, up to `most`.

        If the total is known, the reader requests `2 * most` pages ahead, so that no thread waits for a slow page.
        """
        if self.total is not None:
            self._window = 2 * most
        elif is_full:
            self._window = min(2 * self._window, most)

    def _judge_total(self, page: Page, endpoint: str) -> None:
        total = page.content.total
        if total is None:
            return
        before = max((one for received, one in self._totals if received <= page.sent), default=total)
        if total < before:
            raise self._moved(endpoint, f"the total shrank from {before:,} to {total:,}")
        if self.total is None or total > self.total:
            self._totals.append((page.received, total))

    def _rows(self, page: Page, endpoint: str, *, promised: bool) -> list[Row]:
        """Returns the rows of a page.

        Fails if the response has no rows, unless the total or the has-more flag shows that the page is empty.
        """
        if page.content.rows is not None:
            return page.content.rows
        is_clear = page.content.total is not None or page.content.has_more is False
        elsewhere = not self._read.rows and self.reader.has_rows_elsewhere(page.response)
        if promised or not is_clear or elsewhere:
            raise self.reader.no_rows(page.response, endpoint)
        return []

    def _identity(self, row: Row) -> Any:
        """The identity of a row: its primary key, or the whole row if the row has no primary key."""
        key = key_of(row, self._primary_key)
        if key is None:
            return read_row(row) if isinstance(row, msgspec.Raw) else row
        return key

    def _refuse_same_page(self, rows: list[Row], endpoint: str) -> None:
        """Fails if a page without overlap equals the page before, because then the API ignores the page number."""
        if rows and same_rows(rows, self._before):
            raise self._same_page(endpoint, "two pages are the same")

    def _same_page(self, endpoint: str, observation: str, way_out: str = "") -> SamePageError:
        more, name = self._read.more_than_one_page(), self._number.name
        return SamePageError(self.reader.resource, observation, endpoint, name, more=more, way_out=way_out)

    def _moved(
        self, endpoint: str, observation: str, suspect: str = "", *, way_out: str = ""
    ) -> RowsMovedError:
        return RowsMovedError(self.reader.resource, observation, endpoint, suspect=suspect, way_out=way_out)

    @property
    def _total_may_be_wrong(self) -> str:
        if not self.reader.total_path:
            return ""
        # Without a `total_path`, the end of paging would contradict the same total.
        ignored = f", and {ignore_total(self.reader.resource)}" if self._read.more_than_one_page() else ""
        path = self.reader.total_path
        return f"If `{path}` counts other rows than these, set the paginator's total_path to null{ignored}"


def _size_of(page: Future[Page]) -> int | None:
    """The bytes of a page that has come; None if it is still to come, and 0 if it has failed."""
    if not page.done():
        return None
    return 0 if page.cancelled() or page.exception() else page.result().size

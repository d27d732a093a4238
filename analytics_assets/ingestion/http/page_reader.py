"""What both page readers share: pages are asked for ahead, and judged in order.

What differs, by offset or by page number, is in `pagination.py`. What one page contains is in `response.py`, and how
it is fetched in `page_group.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any

import msgspec
from dlt.common.jsonpath import set_value_at_path
from dlt.sources.helpers.rest_client.paginators import RangePaginator
from requests import Request

from analytics_assets.ingestion.errors import RowsMovedError
from analytics_assets.ingestion.http.api_response import Row
from analytics_assets.ingestion.http.request_tag import RequestTag
from analytics_assets.ingestion.http.response import Content, ResponseReader
from analytics_assets.ingestion.raw_json import read_row


@dataclass(frozen=True)
class Place:
    """Where a number goes in a request: a query parameter, or a path in the JSON body."""

    param: str | None
    body_path: str | None

    @property
    def name(self) -> str:
        """The name that the user wrote."""
        return str(self.param or self.body_path)

    @property
    def mark(self) -> str:
        """Text in place of the number, in the request that stands for all pages. No encoding of a URL changes it."""
        return f"~{self.name}~"

    def put(self, request: Request, value: int | str) -> None:
        """Puts a number, or the mark, into dlt's request."""
        if self.param:
            request.params = {**(request.params or {}), self.param: value}
        else:
            request.json = deepcopy(request.json or {})
            set_value_at_path(request.json, str(self.body_path), value)


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        content: its rows, and what it says of the others.
        response: the parsed body.
        size: of its body, in bytes.
        sent: when the request was sent, in seconds of a monotonic clock.
        received: when its response had come.
    """

    content: Content
    response: Any
    size: int
    sent: float
    received: float


Numbers = dict[Place, int]
Fetch = Callable[[Numbers], "Future[Page]"]
"""Fetches the page with these numbers in their places."""


@dataclass(frozen=True)
class Planned:
    """A page that has been asked for.

    Attributes:
        start: its first new row, or its page number.
        overlap: rows of it that the page before has as well.
        page: the page, once it has come.
    """

    start: int
    overlap: int
    page: Future[Page]


@dataclass(frozen=True)
class Accepted:
    """A page that has been judged.

    Attributes:
        rows: those that no page before has.
        is_full: whether it has as many rows as the largest page so far.
        is_last: whether no page comes after it.
    """

    rows: list[Row]
    is_full: bool
    is_last: bool


@dataclass(frozen=True)
class Paging:
    """How the pages of one endpoint are read.

    Attributes:
        paginator: of dlt, as configured.
        reader: reads the responses.
        primary_key: fields of a row that tell it from all others; empty where they are not known.
        overlap: whether offset pages overlap by one row.
        reads_all: False where dlt may stop before the last page, as with `row_order`.
    """

    paginator: RangePaginator
    reader: ResponseReader
    primary_key: tuple[str, ...] = ()
    overlap: bool = True
    reads_all: bool = True


class PageReader(RequestTag, ABC):
    """Reads all pages of one request of dlt.

    The totals of two pages are compared only as far as their times allow. A response that had come before another
    request was sent is the older one.

    Args:
        paging: how its pages are read.
        request: dlt's request, which stands for all pages.

    Attributes:
        reads_all: see `Paging`.
    """

    def __init__(self, paging: Paging, request: Request) -> None:
        super().__init__(paging.reader, request.auth)
        paginator = paging.paginator
        self.reads_all = paging.reads_all
        self._request = request
        self._number = Place(paginator.param_name, paginator.param_body_path)
        self._start = int(paginator.initial_value)
        self._maximum = paginator.maximum_value
        self._ends_empty = bool(paginator.stop_after_empty_page)
        self._primary_key = paging.primary_key
        self._totals: list[tuple[float, int]] = []  # (received, total), each larger than those before it
        self._ahead: deque[Planned] = deque()
        self._window = 1
        self._largest = 0
        self._before: list[Row] = []
        self._is_finished = False

    @property
    def places(self) -> list[Place]:
        """Where its numbers go."""
        return [self._number]

    @property
    def total(self) -> int | None:
        """The largest total of any page so far; None where there is none yet."""
        return self._totals[-1][1] if self._totals else None

    @property
    def total_rows(self) -> int | None:
        """How many rows the API has, where that is known."""
        return None

    @property
    def is_finished(self) -> bool:
        """Whether the last page has been read."""
        return self._is_finished

    def attach(self) -> None:
        """Tags dlt's request, and marks the places of the numbers in it."""
        for place in self.places:
            place.put(self._request, place.mark)
        self._request.hooks["response"].append(self)

    def request_of(self, numbers: Numbers) -> Request:
        """Dlt's request for one page."""
        request = copy(self._request)
        for place, number in numbers.items():
            place.put(request, number)
        return request

    def pages(self, fetch: Fetch, max_in_flight: int, endpoint: str) -> Iterator[tuple[Page, list[Row]]]:
        """The pages not yet read, in order, each with its own rows. Called again, it goes on where it was.

        Raises:
            RowsMovedError: rows may have been missed or doubled.
            UnreadableResponseError: a response says too little.
        """
        while not self._is_finished:
            while len(self._ahead) < self._window and (not self._ahead or self._has_next()):
                self._ahead.append(self._plan_next(fetch))
            planned = self._ahead.popleft()
            page = planned.page.result()
            self._judge_total(page, endpoint)
            accepted = self._accept(planned, page, fetch, endpoint)
            self._widen(max_in_flight, is_full=accepted.is_full)
            if accepted.is_last:
                self._finish()
            yield page, accepted.rows

    @abstractmethod
    def _has_next(self) -> bool:
        """Whether there may be a page after those that have been asked for."""

    @abstractmethod
    def _plan_next(self, fetch: Fetch) -> Planned:
        """Asks for the page after those that have been asked for."""

    @abstractmethod
    def _accept(self, planned: Planned, page: Page, fetch: Fetch, endpoint: str) -> Accepted:
        """Judges one page, whose total has been judged.

        Raises:
            RowsMovedError, UnreadableResponseError: see `pages`.
        """

    def _finish(self) -> None:
        self._is_finished = True
        for later in self._ahead:
            later.page.cancel()

    def _widen(self, most: int, *, is_full: bool) -> None:
        """Asks for more pages ahead with each full page, up to as many as may be in flight.

        Once the total is known it is twice as many: a page that comes before its turn does not leave a thread idle.
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
        """The rows of a page; none where the response leaves no doubt that there are none."""
        if page.content.rows is not None:
            return page.content.rows
        is_clear = page.content.total is not None or page.content.has_more is False
        if promised or not is_clear:
            raise self.reader.no_rows(page.response, endpoint)
        return []

    def _identity(self, row: Row) -> Any:
        """What tells a row from all others: its primary key, or all of it."""
        row = read_row(row) if isinstance(row, msgspec.Raw) else row
        if isinstance(row, dict) and self._primary_key and all(name in row for name in self._primary_key):
            return tuple(row[name] for name in self._primary_key)
        return row

    def _refuse_same_page(self, rows: list[Row], endpoint: str) -> None:
        """Pages that do not overlap are never the same, unless the API ignores the number."""
        if rows and self._before == rows:
            raise self._moved(endpoint, f"two pages are the same: does the API know `{self._number.name}`?")

    def _moved(self, endpoint: str, observation: str) -> RowsMovedError:
        return RowsMovedError(self.reader.resource, observation, endpoint)

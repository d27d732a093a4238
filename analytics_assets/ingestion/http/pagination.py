"""Strict paging by offset or page number: every row the API promised, once and in order, many requests at a time.

dlt trusts the page size it asked for and the first empty page; here a page counts for the rows it has, and the end
must be seen. What a page says is `response.py`; how it is asked for is `session.py`.
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
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator, RangePaginator
from requests import Request, Response

from analytics_assets.ingestion.errors import RowsMovedError
from analytics_assets.ingestion.http.response import Content, Reader
from analytics_assets.ingestion.raw_json import read_row

Row = Any


@dataclass(frozen=True)
class Place:
    """Where a number goes in a request: a query parameter, or a path in the JSON body."""

    param: str | None
    body_path: str | None

    @property
    def name(self) -> str:
        """As the user knows it."""
        return str(self.param or self.body_path)

    @property
    def mark(self) -> str:
        """Stands for the number in a request that is not one page's, and survives every encoding of a URL."""
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
    """One page as it was answered.

    Attributes:
        content: what it says.
        answer: the parsed body.
        size: of its body, in bytes.
        sent: when it was asked for, in seconds of a monotonic clock.
        received: when its answer had come.
    """

    content: Content
    answer: Any
    size: int
    sent: float
    received: float


Numbers = dict[Place, int]
Ask = Callable[[Numbers], "Future[Page]"]
"""Asks for the page with these numbers in their places."""


class Rider:
    """What travels with dlt's request to the session, as a response hook that does nothing.

    dlt hands one session to all resources; this tells it whose request it has.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __call__(self, response: Response, *_: Any, **__: Any) -> Response:
        """Leaves the response as it is."""
        return response


class Sweep(Rider, ABC):
    """One pass over all pages of one request.

    Pages are asked for ahead, and judged in order. The totals of the pages may be judged out of order only as
    far as their times tell: an answer that was complete before another was asked for is the older one.

    Attributes:
        endpoint: whose pages they are.
        finished: whether the last page has been read.
        reads_to_the_end: False where dlt may want no more before there is none, as with `row_order`.
    """

    def __init__(
        self, paginator: RangePaginator, reader: Reader, primary_key: tuple[str, ...], *, overlap: bool
    ) -> None:
        super().__init__(reader)
        self._start = int(paginator.initial_value)
        self._base = int(paginator.base_index)
        self._maximum = paginator.maximum_value
        self._ends_empty = bool(paginator.stop_after_empty_page)
        self._primary_key = primary_key
        self._overlaps = overlap
        self._number = Place(paginator.param_name, paginator.param_body_path)
        self._pages: Iterator[tuple[Page, list[Row]]] | None = None
        self.reads_to_the_end = True
        self._totals: list[tuple[float, int]] = []  # (received, total), each larger than those before it
        self.endpoint = ""
        self.finished = False

    @property
    def places(self) -> list[Place]:
        """Where its numbers go."""
        return [self._number]

    @property
    def auth(self) -> Any:
        """The auth of its request."""
        return self._request.auth

    def ride(self, request: Request) -> None:
        """Goes along with dlt's request, which stands for all of its pages."""
        for place in self.places:
            place.put(request, place.mark)
        request.hooks["response"].append(self)
        self._request = request

    def request_of(self, numbers: Numbers) -> Request:
        """Dlt's request for one page."""
        request = copy(self._request)
        for place, number in numbers.items():
            place.put(request, number)
        return request

    @property
    def total(self) -> int | None:
        """The largest total an answer has told; None where there is none yet."""
        return self._totals[-1][1] if self._totals else None

    @property
    def total_rows(self) -> int | None:
        """How many rows there are to be, where that is known."""
        return None

    def pages(self, ask: Ask, max_in_flight: int, endpoint: str) -> Iterator[tuple[Page, list[Row]]]:
        """The pages not yet read, in order, each with the rows that are its own.

        Called again, it goes on where it was, and asks with the newer `ask`. `finished` is set with the last page.

        Raises:
            RowsMovedError: rows may have been missed or doubled.
            UnreadableResponseError: an answer says too little.
        """
        self._ask = ask
        self.endpoint = endpoint
        if self._pages is None:
            self._pages = self._sweep(max_in_flight)
        return self._pages

    @abstractmethod
    def _sweep(self, max_in_flight: int) -> Iterator[tuple[Page, list[Row]]]: ...

    def _judge_total(self, page: Page) -> None:
        total = page.content.total
        if total is None:
            return
        before = max((one for received, one in self._totals if received <= page.sent), default=total)
        if total < before:
            raise self._moved(f"the total shrank from {before:,} to {total:,}")
        if self.total is None or total > self.total:
            self._totals.append((page.received, total))

    def _rows(self, page: Page, *, promised: bool) -> list[Row]:
        """The rows of a page; none where the answer leaves no doubt that there are none."""
        if page.content.rows is not None:
            return page.content.rows
        told = page.content.total is not None or page.content.has_more is False
        if promised or not told:
            raise self.reader.no_rows(page.answer, self.endpoint)
        return []

    def _identity(self, row: Row) -> Any:
        """What tells a row from all others: its primary key, or all of it."""
        row = read_row(row) if isinstance(row, msgspec.Raw) else row
        if isinstance(row, dict) and self._primary_key and all(name in row for name in self._primary_key):
            return tuple(row[name] for name in self._primary_key)
        return row

    def _refuse_same_page(self, before: list[Row], rows: list[Row]) -> None:
        """Where pages do not overlap, two that are the same tell of an API that does not know the number."""
        if rows and before == rows:
            raise self._moved(f"two pages are the same: does the API know `{self._number.name}`?")

    def _wider(self, window: int, most: int, *, full: bool) -> int:
        """How many pages to ask for ahead: more with each full page, up to as many as may be in flight.

        Once the total is known, twice as many: a page that came before its turn shall not leave its thread idle.
        """
        if self.total is not None:
            return 2 * most
        return min(2 * window, most) if full else window

    def _moved(self, what: str) -> RowsMovedError:
        return RowsMovedError(self.reader.resource, what, self.endpoint)


class OffsetSweep(Sweep):
    """By offset and limit.

    Every page but the first begins with the last row of the page before. Is it the same row, then no row that
    was there all the time has crossed the border between the two requests, whatever was inserted or deleted:
    each such row is in exactly one page, in whatever order the pages were answered. This needs an API that
    keeps its rows in one order.
    """

    def __init__(
        self, paginator: RangePaginator, reader: Reader, primary_key: tuple[str, ...], *, overlap: bool
    ) -> None:
        super().__init__(paginator, reader, primary_key, overlap=overlap)
        assert isinstance(paginator, OffsetPaginator)
        self._limit = int(paginator.limit)
        self._size = Place(paginator.limit_param, paginator.limit_body_path)
        if self._maximum is not None:  # dlt stops before the first page that begins there
            pages = -(-(int(self._maximum) - self._start) // self._limit)
            self._maximum = self._start + max(1, pages) * self._limit
        self._first: list[Row] = []
        self._ahead: deque[tuple[int, int, Future[Page]]] = deque()  # first new row, overlap, page

    @property
    def places(self) -> list[Place]:  # noqa: D102
        return [self._number, self._size]

    @property
    def total_rows(self) -> int | None:  # noqa: D102
        return self.total

    def _plan(self, position: int, step: int) -> tuple[int, int, Future[Page]]:
        overlap = 1 if self._overlaps and step > 1 and position > self._start else 0
        return position, overlap, self._ask({self._number: position - overlap, self._size: self._limit})

    def _sweep(self, max_in_flight: int) -> Iterator[tuple[Page, list[Row]]]:
        position = planned = self._start
        step = self._limit  # rows a page is expected to have
        window = 1
        largest = 0
        before: list[Row] = []
        while not self.finished:
            bound = min((one for one in (self.total, self._maximum) if one is not None), default=None)
            while len(self._ahead) < window and (bound is None or planned < bound or not self._ahead):
                self._ahead.append(self._plan(planned, step))
                planned += step - self._ahead[-1][1]
            _, overlap, future = self._ahead.popleft()
            page = future.result()
            self._judge_total(page)
            rows = self._rows(page, promised=self.total is not None and position < self.total)
            self._first = self._first or rows[:1]
            if overlap:
                self._same_border(before[-1], rows)
            else:
                self._refuse_same_page(before, rows)
            new = rows[overlap:]
            until = [self._ahead[0][0]] if self._ahead else []
            until += [self._maximum] if self._maximum is not None else []
            new = new[: min(until) - position] if until else new
            position += len(new)
            short = len(rows) < (largest or self._limit)
            largest = max(largest, len(rows))
            self._judge_end(page, position, found=bool(rows[overlap:]), short=short)
            if self._ahead and position < self._ahead[0][0] and not self.finished:
                self._ahead.appendleft(self._plan(position, step))  # what the short page left open
            elif not self._ahead:
                planned = position
            step = max(len(rows), 1)
            window = self._wider(window, max_in_flight, full=not short)
            before = new or before
            if self.finished:
                for _, _, later in self._ahead:
                    later.cancel()
            yield page, new

    def _same_border(self, before: Row, rows: list[Row]) -> None:
        border = self._identity(rows[0]) if rows else None
        if rows and border == self._identity(before):
            return
        if rows and border == self._identity(self._first[0]):
            raise self._moved(
                f"a page begins with the very first row: does the API know `{self._number.name}`?"
            )
        raise self._moved("the row before a page is not the one it was")

    def _judge_end(self, page: Page, position: int, *, found: bool, short: bool) -> None:
        """The end is a page that is shorter than others, at or after the total; without a total, an empty one."""
        total, has_more = self.total, page.content.has_more
        at_maximum = self._maximum is not None and position >= self._maximum
        over = not found or has_more is False
        if over and total is not None and position < total and not at_maximum:
            raise self._moved(f"rows end at {position:,} of {total:,}")
        if has_more and not found:
            raise self._moved("an empty page says that there is more")
        at_end = not found and (total is not None or self._ends_empty or has_more is None)
        if total is not None:
            at_end = at_end or (position >= total and short)
        self.finished = at_maximum or at_end or has_more is False


class PageNumberSweep(Sweep):
    """By page number.

    Pages cannot overlap. A row that is inserted meanwhile shows in another that comes twice, where rows have a
    primary key (some 60 bytes of memory each); one that is deleted shows in the number of pages at most.
    """

    def __init__(
        self, paginator: RangePaginator, reader: Reader, primary_key: tuple[str, ...], *, overlap: bool
    ) -> None:
        super().__init__(paginator, reader, primary_key, overlap=overlap)
        self._ahead: deque[Future[Page]] = deque()
        self._seen: set[int] = set()

    def _refuse_seen(self, rows: list[Row]) -> None:
        if not self._primary_key:
            return
        keys = {hash(str(self._identity(row))) for row in rows}  # of text: -1 and -2 have one hash
        if len(keys) < len(rows) or not self._seen.isdisjoint(keys):
            raise self._moved("a row came twice")
        self._seen |= keys

    def _sweep(self, max_in_flight: int) -> Iterator[tuple[Page, list[Row]]]:
        number = planned = self._start
        window = 1
        fetched = 0
        largest = 0
        before: list[Row] = []
        while not self.finished:
            last = self.total + self._base if self.total is not None else None
            bound = min((one for one in (last, self._maximum) if one is not None), default=None)
            while len(self._ahead) < window and (bound is None or planned < bound or not self._ahead):
                self._ahead.append(self._ask({self._number: planned}))
                planned += 1
            page = self._ahead.popleft().result()
            self._judge_total(page)
            # A total of rows where pages should be is a mistake that dlt forgives: the empty page tells.
            promised = self.total is not None and number < self.total + self._base and fetched < self.total
            rows = self._rows(page, promised=promised)
            self._refuse_same_page(before, rows)
            self._refuse_seen(rows)
            number += 1
            fetched += len(rows)
            has_more = page.content.has_more
            if not rows and self._ends_empty and (promised or has_more):
                raise self._moved(f"page {number - 1:,} is empty, and not the last")
            if has_more is False and self.total is not None and number < self.total + self._base:
                raise self._moved(f"page {number - 1:,} says that it is the last of {self.total:,}")
            self.finished = (
                has_more is False
                or (not rows and (self._ends_empty or (has_more is None and bound is None)))
                or (self.total is not None and number >= self.total + self._base)
                or (self._maximum is not None and number >= self._maximum)
            )
            window = self._wider(window, max_in_flight, full=len(rows) >= largest)
            largest = max(largest, len(rows))
            before = rows
            if self.finished:
                for later in self._ahead:
                    later.cancel()
            yield page, rows

"""Strict paging by offset or page number, with many requests at a time: each row of the API is read once and in order.

dlt computes each offset from the page size that it requested, and stops at the first empty page. The readers in this
module count the rows of each page, and check that the last page is really the last. `page_reader.py` has the base class
of both readers.
"""

from __future__ import annotations

from typing import Any

from dlt.sources.helpers.rest_client.paginators import OffsetPaginator
from msgspec import Raw
from requests import Request

from analytics_assets.ingestion.errors import TotalOfPageError
from analytics_assets.ingestion.http.api_response import Row
from analytics_assets.ingestion.http.packed_hashes import PACKED_FROM, PackedHashes
from analytics_assets.ingestion.http.page_reader import (
    Accepted,
    Fetch,
    Page,
    PageReader,
    Paging,
    Planned,
)
from analytics_assets.ingestion.http.place import Place
from analytics_assets.ingestion.http.read_bounds import REFUSALS
from analytics_assets.ingestion.http.row_key import hash_of, keys_of, same_rows

_VALUES_CHANGE = (
    "If the API sends other values of a row with each request, set `primary_key`, "
    "or requests.page_overlap: false"
)


def _alike(row: Any, other: Any) -> bool:
    """Whether two rows have more equal than other values."""
    if not (isinstance(row, dict) and isinstance(other, dict)):
        return False
    equal = [field for field, value in row.items() if field in other and other[field] == value]
    return len(equal) > len(row) - len(equal)


def page_reader_of(paging: Paging, request: Request) -> PageReader:
    """Returns a page reader for the paginator of `paging`."""
    kind = OffsetReader if isinstance(paging.paginator, OffsetPaginator) else PageNumberReader
    return kind(paging, request)


class OffsetReader(PageReader):
    """Reads pages by offset and limit.

    With `Paging.overlap`, the request for a page starts at the last row of the page before. If every page starts with
    the last row of the page before, the reader yields exactly once each row that exists during the whole sync. The
    overlap works only if the API always returns its rows in the same order.
    """

    def __init__(self, paging: Paging, request: Request) -> None:
        super().__init__(paging, request)
        paginator = paging.paginator
        assert isinstance(paginator, OffsetPaginator)
        self._overlaps = paging.overlap
        self._limit = int(paginator.limit)
        self._size = Place(paginator.limit_param, paginator.limit_body_path)
        if self._maximum is not None:  # dlt requests no page that starts at or after its `maximum_offset`
            pages = -(-(int(self._maximum) - self._start) // self._limit)
            self._maximum = self._start + max(1, pages) * self._limit
        self._first: list[Row] = []  # a copy, because a row that is JSON text keeps its whole page in memory
        # `_position` is the offset after the last row read. `_next` is the offset after the last row requested.
        self._position = self._next = self._start
        self._step = self._limit  # the expected number of rows of a page
        self._totals_are_of_pages = True
        self._single: Row | None = None  # the row of the page before, if it is the only one

    @property
    def places(self) -> list[Place]:  # noqa: D102
        return [self._number, self._size]

    @property
    def total_rows(self) -> int | None:
        """The total number of rows from the first offset to `maximum_offset`; None if the total is unknown."""
        if self.total is None:
            return None
        end = self.total if self._maximum is None else min(self.total, self._maximum)
        return max(0, end - self._start)

    def _judge_total(self, page: Page, endpoint: str) -> None:
        """Also fails if `total_path` leads to the number of rows of each page, which would end paging too early."""
        is_of_page = page.content.total == len(page.content.rows or ())
        self._totals_are_of_pages = self._totals_are_of_pages and is_of_page
        if self._totals_are_of_pages and self._read.pages and page.content.rows:
            raise TotalOfPageError(self.reader.resource, endpoint, self.reader.total_path)
        super()._judge_total(page, endpoint)
        if not self._read.pages and self.total_rows is not None:
            self._bounds.judge_total(endpoint, self.total_rows)

    def _hint(self, planned: Planned, status: int | None) -> str:
        """Also names `page_overlap` if the second page is refused, because some APIs accept only whole pages."""
        if planned.overlap and self._read.pages == 1 and status in REFUSALS:
            return (
                f"; the API refuses `{self._number.name}` {planned.start - planned.overlap:,}: if it accepts only "
                "multiples of the limit, set requests.page_overlap: false"
            )
        return super()._hint(planned, status)

    def _has_next(self) -> bool:
        return all(self._next < one for one in (self.total, self._maximum) if one is not None)

    def _plan_next(self, fetch: Fetch) -> Planned:
        planned = self._plan(self._next, fetch)
        self._next += self._step - planned.overlap
        return planned

    def _plan(self, position: int, fetch: Fetch) -> Planned:
        overlap = 1 if self._overlaps and self._step > 1 and position > self._start else 0
        numbers = {self._number: position - overlap, self._size: self._limit}
        return self._plan_page(fetch, numbers, position, self.total, overlap)

    def _accept(self, planned: Planned, page: Page, fetch: Fetch, endpoint: str) -> Accepted:
        promised = self.total is not None and self._position < self.total
        rows = self._rows(page, endpoint, promised=promised)
        self._first = self._first or [one.copy() if isinstance(one, Raw) else one for one in rows[:1]]
        if planned.overlap:
            self._refuse_other_border(rows, endpoint)
        else:
            self._refuse_same_page(rows, endpoint)
        new = rows[planned.overlap :]
        is_empty = not new
        until = [self._ahead[0].start] if self._ahead else []
        until += [self._maximum] if self._maximum is not None else []
        new = new[: min(until) - self._position] if until else new
        self._position += len(new)
        is_full = len(rows) >= (self._largest or self._limit)
        self._largest = max(self._largest, len(rows))
        is_last = self._is_last(page, endpoint, is_empty=is_empty, is_full=is_full)
        if self._ahead and self._position < self._ahead[0].start and not is_last:
            self._ahead.appendleft(self._plan(self._position, fetch))  # requests the missing rows
        elif not self._ahead:
            self._next = self._position
        self._step = max(len(rows), 1)
        self._before = new or self._before
        return Accepted(new, is_full, is_last)

    def _is_new(self, planned: Planned, rows: list[Row]) -> bool:
        """Also whether a single row differs from the row of the page before in most fields, if nothing else proves it.

        An API that ignores the offset of its only row may change a field, such as a time, with each response.
        """
        is_single = len(rows) == 1 and self._limit > 1 and not planned.overlap and not self._primary_key
        before, self._single = self._single, self._identity(rows[0]) if is_single else None
        if before is not None and self._single is not None and _alike(self._single, before):
            return False
        return super()._is_new(planned, rows)

    def _refuse_other_border(self, rows: list[Row], endpoint: str) -> None:
        border = self._identity(rows[0]) if rows else None
        if rows and border == self._identity(self._before[-1]):
            return
        first = self._identity(self._first[0])
        is_same = not self._primary_key and _alike(border, self._identity(self._before[-1]))
        # Without a primary key, the API may change a field of the first row with each response.
        is_first = border == first or (not self._primary_key and not is_same and _alike(border, first))
        if rows and is_first:
            way_out = "If the API accepts only multiples of the limit, set requests.page_overlap: false"
            raise self._same_page(endpoint, "a later page begins with the very first row", way_out)
        way_out = _VALUES_CHANGE if is_same else ""
        raise self._moved(endpoint, "the row before a page is not the one it was", way_out=way_out)

    def _is_last(self, page: Page, endpoint: str, *, is_empty: bool, is_full: bool) -> bool:
        """Whether a page is the last.

        The last page reaches the total or `maximum_offset`, is empty, or has a false has-more flag.
        """
        total, has_more, position = self.total, page.content.has_more, self._position
        at_maximum = self._maximum is not None and position >= self._maximum
        is_over = is_empty or has_more is False
        if is_over and total is not None and position < total and not at_maximum:
            raise self._moved(endpoint, f"rows end at {position:,} of {total:,}", self._total_may_be_wrong)
        if has_more and is_empty:
            raise self._moved(endpoint, "an empty page says that there is more")
        at_end = is_empty and (total is not None or self._ends_empty or has_more is None)
        at_total = total is not None and position >= total and not is_full
        return at_maximum or at_end or at_total or has_more is False


class PageNumberReader(PageReader):
    """Reads pages by page number.

    Pages by number cannot overlap. If the API inserts a row during the sync, another row appears on two pages. The
    reader keeps a hash of each primary key to detect a row that appears twice. A hash takes some 100 bytes of memory,
    or 8 if the first page is large and the only one. If the API deletes a row during the sync, another row may be
    skipped. The reader notices a skipped row only if the number of pages changes.
    """

    def __init__(self, paging: Paging, request: Request) -> None:
        super().__init__(paging, request)
        self._base = int(paging.paginator.base_index)
        self._next = self._start
        self._fetched = 0
        self._accepts_repeated_rows = paging.bounds.accepts_repeated_rows
        self._seen: set[int] = set()
        self._packed: PackedHashes | None = None  # of a first, large page; most such pages are the only one
        self._keys_before = (0, 0)  # the number and the sum of the keys of the page before

    @property
    def _end(self) -> int | None:
        """The page number after the last page; None if the total is unknown."""
        return None if self.total is None else self.total + self._base

    def _has_next(self) -> bool:
        return all(self._next < one for one in (self._end, self._maximum) if one is not None)

    def _plan_next(self, fetch: Fetch) -> Planned:
        planned = self._plan_page(fetch, {self._number: self._next}, self._next, self._end)
        self._next += 1
        return planned

    def _accept(self, planned: Planned, page: Page, fetch: Fetch, endpoint: str) -> Accepted:  # noqa: ARG002
        number, end = planned.start, self._end
        if planned.is_extra and page.content.rows is not None and same_rows(page.content.rows, self._before):
            # Some APIs send the last page in place of a later one.
            return Accepted([], is_full=False, is_last=True)
        is_promised = end is not None and number < end
        # In some configs, `total_path` leads to a number of rows instead of pages. dlt then stops at the first empty
        # page.
        has_rows_left = self.total is not None and self._fetched < self.total
        rows = self._rows(page, endpoint, promised=is_promised and has_rows_left)
        self._refuse_same_page(rows, endpoint)
        self._refuse_seen(rows, endpoint)
        self._fetched += len(rows)
        is_full = len(rows) >= self._largest
        self._largest = max(self._largest, len(rows))
        self._before = rows
        has_more = page.content.has_more
        if not rows and self._ends_empty and ((is_promised and has_rows_left) or has_more):
            observation = f"page {number:,} is empty, and not the last"
            raise self._moved(endpoint, observation, self._total_may_be_wrong)
        if has_more is False and end is not None and number + 1 < end:
            raise self._moved(
                endpoint,
                f"page {number:,} says that it is the last of {self.total:,}",
                self._total_may_be_wrong,
            )
        return Accepted(rows, is_full, self._is_last(rows, has_more, number, is_full=is_full))

    def _is_last(self, rows: list[Row], has_more: bool | None, number: int, *, is_full: bool) -> bool:
        """Whether a page is the last.

        The total of some APIs is the number of the last page, counted from 0, or is out of date. So a full page is not
        the last only because it reaches the total.
        """
        if has_more is False or (self._maximum is not None and number + 1 >= self._maximum):
            return True
        at_total = self._end is not None and number + 1 >= self._end
        is_only_end = has_more is None and self._end is None and self._maximum is None
        at_empty = not rows and (self._ends_empty or is_only_end or at_total)
        return at_empty or (at_total and not is_full)

    def _refuse_seen(self, rows: list[Row], endpoint: str) -> None:
        if not self._primary_key or self._accepts_repeated_rows:
            return
        if self._packed and rows:
            self._seen, self._packed = self._packed.unpacked(), None
        hashes = (
            hash_of(self._identity(row) if key is None else key)
            for row, key in zip(rows, keys_of(rows, self._primary_key), strict=True)
        )
        if len(rows) > PACKED_FROM and not self._seen:
            self._packed = PackedHashes(hashes)
            self._keys_before = (len(rows), self._packed.total)
            if self._packed.has_twice:
                raise self._moved(endpoint, "a row came twice", way_out=self._repeats)
            return
        keys = {*hashes}
        before, self._keys_before = self._keys_before, (len(keys), sum(keys))
        if keys and self._keys_before == before:
            raise self._same_page(endpoint, "two pages have the same rows", self._repeats)
        if len(keys) < len(rows) or not self._seen.isdisjoint(keys):
            raise self._moved(endpoint, "a row came twice", way_out=self._repeats)
        self._seen |= keys

    @property
    def _repeats(self) -> str:
        setting = f"assets.{self.reader.resource}.accept_repeated_rows: true"
        return f"If the API does send rows more than once, set {setting}"

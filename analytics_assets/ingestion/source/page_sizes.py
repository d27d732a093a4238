"""Gives the steps after dlt's paginator pages of a good size: small pages are joined, and large pages are divided.

dlt needs 3 to 5 ms for each page, whatever its size. A page of many rows would be in memory as JSON text, as Arrow
table or Python objects, and as written file at the same time. dlt also keeps up to 5,000 rows in memory before it
writes them, whatever their size. So the end of each part, and of small pages that are together as large as one, is
announced, and the pipeline then lets dlt write the rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Any

from dlt.extract.resource import DltResource
from dlt.sources.helpers.rest_client.client import PageData
from msgspec import Raw

from analytics_assets.ingestion.http.api_response import ParsedResponse
from analytics_assets.ingestion.row_of_parent import RowOfParent

MOST_ROWS = 100_000
"""The most rows of a part. Parts of this size cost no time, because DuckDB reads row groups of 122,880 rows."""

MOST_BYTES = 8_000_000
"""The size from which a part ends. Its rows as Python objects take about eight times as much."""

JOINED_ROWS, JOINED_BYTES, JOINED_SECONDS = 25_000, 8_000_000, 10.0
"""Pages are joined until they have so many rows or bytes, or until the first of them has waited so many seconds."""

_after_part: ContextVar[Callable[[], None]] = ContextVar("after_part", default=lambda: None)

Pages = Callable[[Iterator[Any]], Iterator[Any]]
"""A function that yields the rows of some pages in other pages."""


@contextmanager
def after_each_part(call: Callable[[], None]) -> Iterator[None]:
    """Within the `with` block, calls a function after all steps have had a part of a page, or pages of this size."""
    token = _after_part.set(call)
    try:
        yield
    finally:
        _after_part.reset(token)


def change_pages(resource: DltResource, change: Pages) -> None:
    """Lets a resource of dlt yield other pages. For a resource with a parent, these are the children of some parents.

    Args:
        resource: the resource. The pages then go through the steps of its pipe.
        change: the function that changes the pages.
    """
    # A step of the pipe could divide a page, too. But dlt would ask for the next page before the second part.
    read: Any = resource._pipe.gen
    if resource.is_transformer:

        def pages_of_parents(item: Any, meta: Any = None) -> Any:
            pages = read(item, meta=meta)
            return change(pages) if isinstance(pages, Iterator) else pages

        resource._pipe.replace_gen(pages_of_parents)
    else:
        pages: Any = lambda: change(read())  # noqa: E731  dlt's type has no function without arguments
        resource._pipe.replace_gen(pages)


def join_pages(pages: Iterator[Any], clock: Callable[[], float] = time.monotonic) -> Iterator[Any]:
    """Yields the rows of small pages together.

    The first page comes alone and at once, so that a mistake in it ends the sync early.

    Args:
        pages: the pages. An item that is no list stays as it is.
        clock: a function that returns the time in seconds.
    """
    yield from islice(pages, 1)
    joined: list[Any] = []
    size, until = 0, 0.0
    try:
        for page in pages:
            is_large = not isinstance(page, list) or len(page) >= JOINED_ROWS
            if joined and (is_large or clock() >= until):
                yield joined
                joined, size = [], 0
            if is_large:
                yield page  # without a copy
                continue
            if not joined:
                until = clock() + JOINED_SECONDS
            joined += page
            size += _size_of_page(page)
            if len(joined) >= JOINED_ROWS or size >= JOINED_BYTES:
                yield joined
                joined, size = [], 0
    except Exception:
        if joined:
            yield joined  # an error of these rows comes first, as without joined pages
        raise
    if joined:
        yield joined


def _size_of_page(page: list[Any]) -> int:
    """Returns the bytes of the response of a page; 0 if unknown."""
    response = page.response if isinstance(page, PageData) else None
    return response.size if isinstance(response, ParsedResponse) else 0


def divide_pages(pages: Iterable[Any]) -> Iterator[Any]:
    """Yields each large page in parts, in order."""
    waiting = 0
    for page in pages:
        size = _size_of_rows(page) if isinstance(page, list) else 0
        waiting += size
        if isinstance(page, list) and (len(page) > MOST_ROWS or size > MOST_BYTES):
            start = 0
            for end in _ends(page):
                yield page[start:end]
                _after_part.get()()
                start = end
            waiting = 0
        else:
            yield page
        if waiting >= MOST_BYTES:
            _after_part.get()()
            waiting = 0


def _ends(page: list[Any]) -> Iterator[int]:
    """Yields the position after the last row of each part."""
    start = size = 0
    for end, row in enumerate(page, 1):
        size += _size(row)
        if size >= MOST_BYTES or end - start >= MOST_ROWS or end == len(page):
            yield end
            start, size = end, 0


def _size_of_rows(page: list[Any]) -> int:
    return sum(map(len, page)) if {*map(type, page)} == {Raw} else sum(map(_size, page))


def _size(row: Any) -> int:
    """The size of a row that is JSON text. A row that was parsed before is in memory anyway."""
    return len(row) if type(row) in (Raw, RowOfParent) else 0

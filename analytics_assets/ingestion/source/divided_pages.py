"""Divides large pages: the steps after dlt's paginator get a page in parts, so that only its text is in memory at once.

A page of many rows would otherwise be in memory as JSON text, as Arrow table or Python objects, and as written file at
the same time. dlt also keeps up to 5,000 rows in memory before it writes them, whatever their size. So the end of each
part, and of small pages that are together as large as one, is announced, and the pipeline then lets dlt write the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from dlt.extract.resource import DltResource
from msgspec import Raw

MOST_ROWS = 100_000
"""The most rows of a part. Parts of this size cost no time, because DuckDB reads row groups of 122,880 rows."""

MOST_BYTES = 8_000_000
"""The size from which a part ends. Its rows as Python objects take about eight times as much."""

_after_part: ContextVar[Callable[[], None]] = ContextVar("after_part", default=lambda: None)


@contextmanager
def after_each_part(call: Callable[[], None]) -> Iterator[None]:
    """Within the `with` block, calls a function after all steps have had a part of a page, or pages of this size."""
    token = _after_part.set(call)
    try:
        yield
    finally:
        _after_part.reset(token)


def divide_pages(resource: DltResource) -> None:
    """Lets a resource of dlt yield each large page in parts, in order."""
    # A step of the pipe could divide a page, too. But dlt would ask for the next page before the second part.
    read: Any = resource._pipe.gen
    if resource.is_transformer:

        def pages_of_parent(item: Any, meta: Any = None) -> Any:
            pages = read(item, meta=meta)
            return _divided(pages) if isinstance(pages, Iterator) else pages

        resource._pipe.replace_gen(pages_of_parent)
    else:
        pages: Any = lambda: _divided(read())  # noqa: E731  dlt's type has no function without arguments
        resource._pipe.replace_gen(pages)


def _divided(pages: Iterator[Any]) -> Iterator[Any]:
    waiting = 0
    for page in pages:
        size = sum(map(_size, page)) if isinstance(page, list) else 0
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


def _size(row: Any) -> int:
    """The size of a row that is JSON text. A row that was parsed before is in memory anyway."""
    return len(row) if type(row) is Raw else 0

"""Divides large pages: the steps after dlt's paginator get a page in parts, so that only its text is in memory at once.

A page of many rows would otherwise be in memory as JSON text, as Arrow table and as written file at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dlt.extract.resource import DltResource

MOST_ROWS = 100_000
"""The most rows of a part. Parts of this size cost no time, because DuckDB reads row groups of 122,880 rows."""


def divide_pages(resource: DltResource) -> None:
    """Lets a resource of dlt yield each page with more than `MOST_ROWS` rows in parts, in order."""
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
    for page in pages:
        if isinstance(page, list) and len(page) > MOST_ROWS:
            for start in range(0, len(page), MOST_ROWS):
                yield page[start : start + MOST_ROWS]
        else:
            yield page

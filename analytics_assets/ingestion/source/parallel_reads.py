"""Reads several ranges of time, or the children of several parents, side by side. dlt reads one after the other.

What belongs here: how one read of dlt becomes several. `side_by_side.py` runs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from inspect import getgeneratorlocals, isgenerator
from typing import Any

from dlt.extract.resource import DltResource
from dlt.sources.rest_api.config_setup import paginate_dependent_resource, paginate_resource

from analytics_assets.ingestion.contract.page_range import PageRange
from analytics_assets.ingestion.http.dlt_paginators import CheckedPaginator, reads_alike
from analytics_assets.ingestion.http.page_group import signs_alike
from analytics_assets.ingestion.http.side_by_side import SideBySide
from analytics_assets.ingestion.source.incremental import WriteBound
from analytics_assets.ingestion.source.page_sizes import Pages
from analytics_assets.ingestion.time_window import Cursor, Window


@dataclass(frozen=True)
class _Range:
    """dlt's incremental object, with the range of one read. A request may name any of its attributes."""

    whole: Any
    start_value: Any
    end_value: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    @property
    def initial_value(self) -> Any:
        return self.start_value

    @property
    def last_value(self) -> Any:
        return self.start_value


def read_ranges(
    resource: DltResource,
    cursor: Cursor,
    ranges: Sequence[Window],
    side_by_side: SideBySide,
    page_range: PageRange,
    change: Pages,
) -> None:
    """Lets a resource of dlt read its window in several ranges side by side.

    The pages of different ranges come in any order. A resource whose auth, hooks or paginator may not be used by
    several threads is read as before.

    Args:
        resource: the resource, which asks the API for a start and an end of its cursor.
        cursor: the cursor of the resource.
        ranges: the ranges, which are the whole window without gaps.
        side_by_side: runs the reads.
        page_range: gets the range of each page, before the page comes.
        change: changes the pages of each range.
    """
    read: Any = resource._pipe.gen

    def pages() -> Iterator[Any]:
        whole = read()
        arguments = _arguments_of(whole, paginate_resource)
        # Paging by offset or number has many requests in flight anyway.
        if arguments is None or not isinstance(arguments["paginator"], CheckedPaginator):
            yield from change(whole)
            return
        reads = [partial(_read_range, arguments, cursor, one) for one in ranges]
        for number, page in side_by_side.pages(reads, in_order=False, change=change):
            page_range.window = ranges[number]
            yield page

    reads_of_all: Any = pages  # dlt's type has no function without arguments
    resource._pipe.replace_gen(reads_of_all)


def read_parents(resource: DltResource, side_by_side: SideBySide) -> None:
    """Lets a resource of dlt that needs the rows of a parent read the children of several parents side by side.

    The children of one parent come after those of the parent before, as with dlt.

    Args:
        resource: the resource.
        side_by_side: runs the reads.
    """
    read: Any = resource._pipe.gen

    def pages(items: Any, meta: Any = None) -> Iterator[Any]:
        whole = read(items, meta=meta)
        arguments = _arguments_of(whole, paginate_dependent_resource)
        has_many = isinstance(items, list) and len(items) > 1
        if arguments is None or arguments["parallelized"] or not has_many:
            yield from whole
            return
        reads = (partial(paginate_dependent_resource, **{**arguments, "items": [one]}) for one in items)
        for _, page in side_by_side.pages(reads, in_order=True):
            yield page

    resource._pipe.replace_gen(pages)


def _arguments_of(read: Any, function: Any) -> dict[str, Any] | None:
    """Returns the arguments of a read that has not begun; None if threads may not share them."""
    if not isgenerator(read) or read.gi_code is not function.__code__:
        return None
    arguments = getgeneratorlocals(read)
    # Hooks are the user's `response_actions`.
    is_plain = not arguments["hooks"] and signs_alike(arguments["client"].auth)
    return arguments if is_plain and reads_alike(arguments["paginator"]) else None


def _read_range(arguments: dict[str, Any], cursor: Cursor, window: Window) -> Iterator[Any]:
    whole = arguments["incremental_object"]
    found = _Range(whole, cursor.bound(window.start), cursor.bound(window.end))
    write = arguments["incremental_cursor_transform"]
    changed = {
        "params": {**arguments["params"]},  # dlt writes the range into them
        "paginator": deepcopy(arguments["paginator"]),
        "incremental_object": found,
        "incremental_cursor_transform": replace(write, end=found.end_value)
        if isinstance(write, WriteBound)
        else write,
    }
    read: Iterator[Any] = paginate_resource(**{**arguments, **changed})
    return read

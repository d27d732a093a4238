"""What dlt is given in place of its paginators, so that every answer is read, and the session does the paging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlt.sources.helpers.rest_client.detector import PaginatorFactory
from dlt.sources.helpers.rest_client.exceptions import PaginatorNotFound
from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    OffsetPaginator,
    PageNumberPaginator,
    RangePaginator,
)
from requests import Request, Response

from analytics_assets.ingestion.http.pagination import OffsetSweep, PageNumberSweep, Rider
from analytics_assets.ingestion.http.response import Reader


class CheckedPaginator(BasePaginator):
    """dlt's own paginator, with every answer read by `reader`; that of the first answer, if there is none.

    Args:
        paginator: as configured; None to detect it, as dlt does.
        reader: reads the answers.
    """

    def __init__(self, paginator: BasePaginator | None, reader: Reader) -> None:
        super().__init__()
        self._paginator = paginator
        self._rider = Rider(reader)

    def init_request(self, request: Request) -> None:  # noqa: D102  dlt's
        request.hooks["response"].append(self._rider)
        if self._paginator is not None:
            self._paginator.init_request(request)

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:  # noqa: D102  dlt's
        if self._paginator is None:
            self._paginator, _ = PaginatorFactory().create_paginator(response)
        if self._paginator is None:
            raise PaginatorNotFound("no paginator fits the first answer: set `paginator`")
        self._paginator.update_state(response, data)

    def update_request(self, request: Request) -> None:  # noqa: D102  dlt's
        if self._paginator is not None:
            self._paginator.update_request(request)

    @property
    def has_next_page(self) -> bool:  # noqa: D102  dlt's
        return self._paginator is None or self._paginator.has_next_page


class SweepPaginator(BasePaginator):
    """Stands in for dlt's offset or page-number paginator: the session pages, dlt asks for more until it has all.

    Args:
        paginator: as configured.
        reader: reads the answers.
        primary_key: fields of a row that tell it from all others; empty where it is not known.
        overlap: whether offset pages overlap by a row.
        reads_to_the_end: whether dlt wants all pages there are.
    """

    def __init__(
        self,
        paginator: RangePaginator,
        reader: Reader,
        primary_key: Sequence[str],
        *,
        overlap: bool,
        reads_to_the_end: bool = True,
    ) -> None:
        super().__init__()
        self._paginator = paginator
        self._reader = reader
        self._primary_key = tuple(primary_key)
        self._overlap = overlap
        self._reads_to_the_end = reads_to_the_end

    def init_request(self, request: Request) -> None:  # noqa: D102  dlt's
        self._has_next_page = True
        kind = OffsetSweep if isinstance(self._paginator, OffsetPaginator) else PageNumberSweep
        sweep = kind(self._paginator, self._reader, self._primary_key, overlap=self._overlap)
        sweep.reads_to_the_end = self._reads_to_the_end
        sweep.ride(request)

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:  # noqa: ARG002, D102  dlt's
        self._has_next_page = response.has_more  # type: ignore[attr-defined]

    def update_request(self, request: Request) -> None:  # noqa: D102  dlt's
        pass


def is_range(paginator: BasePaginator | None) -> bool:
    """Whether `paginator` is one of dlt's two that page by number, and no subclass with ideas of its own."""
    return type(paginator) in (OffsetPaginator, PageNumberPaginator)

"""Replaces dlt's paginators: the session checks every response, and does the paging by offset or page number."""

from __future__ import annotations

from typing import Any

from dlt.sources.helpers.rest_client.detector import PaginatorFactory
from dlt.sources.helpers.rest_client.exceptions import PaginatorNotFound
from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    OffsetPaginator,
    PageNumberPaginator,
)
from requests import Request, Response

from analytics_assets.ingestion.http.api_response import PageGroup
from analytics_assets.ingestion.http.page_reader import Paging
from analytics_assets.ingestion.http.pagination import page_reader_of
from analytics_assets.ingestion.http.request_tag import RequestTag
from analytics_assets.ingestion.http.response import ResponseReader


class CheckedPaginator(BasePaginator):
    """Wraps dlt's own paginator, and adds a `RequestTag` to each request so that the session checks the response.

    Args:
        paginator: the configured paginator; None to detect the paginator from the first response, as dlt does.
        reader: the reader that checks the responses.
    """

    def __init__(self, paginator: BasePaginator | None, reader: ResponseReader) -> None:
        super().__init__()
        self._paginator = paginator
        self._reader = reader

    def init_request(self, request: Request) -> None:  # noqa: D102  described by dlt
        request.hooks["response"].append(RequestTag(self._reader, request.auth))
        if self._paginator is not None:
            self._paginator.init_request(request)

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:  # noqa: D102  described by dlt
        if self._paginator is None:
            self._paginator, _ = PaginatorFactory().create_paginator(response)
        if self._paginator is None:
            raise PaginatorNotFound("no paginator fits the first response: set `paginator`")
        self._paginator.update_state(response, data)

    def update_request(self, request: Request) -> None:  # noqa: D102  described by dlt
        if self._paginator is not None:
            self._paginator.update_request(request)

    @property
    def has_next_page(self) -> bool:  # noqa: D102  described by dlt
        return self._paginator is None or self._paginator.has_next_page


class PagingBySession(BasePaginator):
    """A paginator in place of dlt's offset or page-number paginator. The session reads the pages in groups for dlt.

    Args:
        paging: the settings of the paging.
    """

    def __init__(self, paging: Paging) -> None:
        super().__init__()
        self._paging = paging

    def init_request(self, request: Request) -> None:  # noqa: D102  described by dlt
        self._has_next_page = True
        page_reader_of(self._paging, request).attach()

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:  # noqa: ARG002, D102  dlt
        assert isinstance(response, PageGroup)
        self._has_next_page = response.has_more

    def update_request(self, request: Request) -> None:  # noqa: D102  described by dlt
        pass


def is_range(paginator: BasePaginator | None) -> bool:
    """Whether `paginator` is dlt's own offset or page-number paginator, and not an instance of a subclass."""
    return type(paginator) in (OffsetPaginator, PageNumberPaginator)

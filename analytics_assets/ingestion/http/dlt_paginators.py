"""Replaces dlt's paginators: the session checks every response, and does the paging by offset or page number."""

from __future__ import annotations

from typing import Any

from dlt.common.jsonpath import TJsonPath
from dlt.sources.helpers.rest_client.detector import PaginatorFactory
from dlt.sources.helpers.rest_client.exceptions import PaginatorNotFound
from dlt.sources.helpers.rest_client.paginators import (
    BaseNextUrlPaginator,
    BasePaginator,
    BaseReferencePaginator,
    HeaderCursorPaginator,
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    RangePaginator,
    SinglePagePaginator,
)
from requests import Request, Response

from analytics_assets.ingestion.errors import PagingFieldError
from analytics_assets.ingestion.http.api_response import PageGroup, ParsedResponse
from analytics_assets.ingestion.http.end_hints import leads_on
from analytics_assets.ingestion.http.next_reference import path_of, wrong_reference
from analytics_assets.ingestion.http.page_reader import Paging
from analytics_assets.ingestion.http.pagination import page_reader_of
from analytics_assets.ingestion.http.read_bounds import ReadBounds
from analytics_assets.ingestion.http.read_progress import ReadProgress
from analytics_assets.ingestion.http.readable_rows import readable
from analytics_assets.ingestion.http.request_tag import RequestTag
from analytics_assets.ingestion.http.response import NoContent, ResponseReader
from analytics_assets.ingestion.http.retry_policy import endpoint_of
from analytics_assets.ingestion.row_of_parent import for_fields_of_parent


class CheckedPaginator(BasePaginator):
    """Wraps dlt's own paginator: the session checks each response, and `ReadProgress` judges the end of the read.

    Args:
        paginator: the configured paginator; None to detect the paginator from the first response, as dlt does.
        reader: the reader that checks the responses.
        primary_key: the primary key fields of a row; empty if the resource has no primary key.
        bounds: the bounds of each read.

    Attributes:
        paginator: the configured or detected paginator; None before it is detected.
    """

    def __init__(
        self,
        paginator: BasePaginator | None,
        reader: ResponseReader,
        primary_key: tuple[str, ...],
        bounds: ReadBounds,
    ) -> None:
        super().__init__()
        self.paginator = paginator
        self._reader = reader
        self._primary_key = primary_key
        self._bounds = bounds

    def init_request(self, request: Request) -> None:  # noqa: D102  described by dlt
        self._progress = ReadProgress(self._reader, self._primary_key, self._bounds)
        self._ends = False
        self._sizes = [*_scalars(request.params), *_scalars(request.json)]
        request.hooks["response"].append(RequestTag(self._reader, request.auth, self._progress))
        if self.paginator is not None:
            self.paginator.init_request(request)

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:  # noqa: D102  described by dlt
        if self.paginator is None:
            self.paginator, _ = PaginatorFactory().create_paginator(response)
        if self.paginator is None:
            raise PaginatorNotFound("no paginator fits the first response: set `paginator`")
        endpoint, parsed = endpoint_of(response.request), response.json()
        self._ends = isinstance(parsed, NoContent)
        before = getattr(self.paginator, "_next_reference", None)
        read = response
        if self._reader.may_read_rows:
            read = ParsedResponse(response, self._reader.readable(parsed))
        if not self._ends:
            self.paginator.update_state(read, readable(data) if self._reader.is_read_by_user else data)
        if isinstance(self.paginator, BaseReferencePaginator):
            reference: Any = self.paginator._next_reference
            has_next = self.paginator._has_next_page  # a flag of the API may have ended the read
            if isinstance(reference, str):
                text = reference.strip()
                is_link = isinstance(self.paginator, BaseNextUrlPaginator)
                # A header is always a text, also one that says that there is no next page.
                is_end = not text or (
                    isinstance(self.paginator, HeaderCursorPaginator) and not leads_on(text)
                )
                reference = "" if is_end else text if is_link else reference
                self.paginator._next_reference = reference  # which sets `_has_next_page`
                self.paginator._has_next_page = has_next
            if not reference:
                self.paginator._next_reference = None  # which also ends paging
            elif has_next and (wrong := wrong_reference(self.paginator, reference)):
                path, setting = path_of(self.paginator)
                raise PagingFieldError(self._reader.resource, endpoint, path, setting, wrong, "")
            # After the end, some APIs repeat the cursor of the end, from which a later read may continue.
            self._ends = self._ends or (not data and bool(reference) and reference == before)
        self._progress.add(
            data or [],
            parsed,
            response.headers,
            endpoint,
            has_body=bool(getattr(response, "size", 0)),
            has_next=self.has_next_page,
        )
        if data and self._reader.gets_fields:
            data[:] = for_fields_of_parent(data)  # the list that dlt passes on
        if not self.has_next_page:
            missing = _missing_path(self.paginator, read) if self._progress.read.pages == 1 else None
            if missing:
                self._progress.refuse_missing_path(parsed, endpoint, *missing, self._sizes)
            if not _is_cut(self.paginator):
                self._progress.read.judge_end(endpoint)

    def update_request(self, request: Request) -> None:  # noqa: D102  described by dlt
        if self.paginator is not None and self.has_next_page:
            self.paginator.update_request(request)

    @property
    def has_next_page(self) -> bool:  # noqa: D102  described by dlt
        return self.paginator is None or (self.paginator.has_next_page and not self._ends)


def _missing_path(paginator: BasePaginator, response: Response) -> tuple[str, str] | None:
    """Returns path and setting of the field or header that leads to the next page, if the response lacks it."""
    match paginator:
        case JSONLinkPaginator(next_url_path=path) | JSONResponseCursorPaginator(cursor_path=path):
            is_missing = not path.find(response.json())
        case HeaderLinkPaginator():
            is_missing = "link" not in response.headers
        case HeaderCursorPaginator():
            is_missing = paginator.cursor_key not in response.headers
        case _:
            return None
    return path_of(paginator) if is_missing else None


def _is_cut(paginator: BasePaginator) -> bool:
    """Whether the file limits the number of pages."""
    return isinstance(paginator, RangePaginator) and paginator.maximum_value is not None


def _scalars(values: Any) -> list[Any]:
    return [one for one in values.values() if type(one) in (int, str)] if isinstance(values, dict) else []


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


READ_NO_ROWS = (
    type(None),  # dlt detects it by the fields beside the rows
    SinglePagePaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
    HeaderLinkPaginator,
    HeaderCursorPaginator,
)
"""The types of dlt's paginators that read only headers and the fields at the paths of `paths_read_by`."""


def reads_alike(paginator: BasePaginator) -> bool:
    """Whether copies of a paginator may read side by side, because all that it remembers is one read.

    The user's own paginators may share something else.
    """
    if isinstance(paginator, CheckedPaginator):
        return type(paginator.paginator) in READ_NO_ROWS
    return isinstance(paginator, PagingBySession)


def paths_read_by(paginator: BasePaginator | None) -> tuple[TJsonPath, ...]:
    """Returns the JSONPaths that a paginator of dlt reads in a response."""
    match paginator:
        case JSONLinkPaginator(next_url_path=path):
            return (path,)
        case JSONResponseCursorPaginator(cursor_path=path, has_more_path=more):
            return (path, more) if more else (path,)
        case _:
            return ()


def is_range(paginator: BasePaginator | None) -> bool:
    """Whether `paginator` is dlt's own offset or page-number paginator, and not an instance of a subclass."""
    return type(paginator) in (OffsetPaginator, PageNumberPaginator)

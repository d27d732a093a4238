"""Follows one read of all pages by one of dlt's own paginators, and judges whether its end is the end of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from requests import PreparedRequest

from analytics_assets.ingestion.errors import Fault, PagingFieldError, SyncHalted
from analytics_assets.ingestion.http.end_hints import Read
from analytics_assets.ingestion.http.read_bounds import BoundedRead, ReadBounds
from analytics_assets.ingestion.http.response import ResponseReader
from analytics_assets.ingestion.http.retry_policy import endpoint_of
from analytics_assets.ingestion.http.row_selection import keys_of


class ReadProgress:
    """The progress of one read.

    Args:
        reader: the reader that parses the responses.
        primary_key: the primary key fields of a row; empty if the resource has no primary key.
        bounds: the bounds of the read.

    Attributes:
        rows: the number of rows read.
    """

    def __init__(self, reader: ResponseReader, primary_key: tuple[str, ...], bounds: ReadBounds) -> None:
        self.rows = 0
        self._reader = reader
        self._read = BoundedRead(reader.resource, primary_key, bounds)
        self._asked: set[int] = set()
        self._last_rows = 0
        self._with_rows: tuple[Any, bytes, Mapping[str, str]] | None = None
        self._first: tuple[Any, bytes, Mapping[str, str]] | None = None

    @property
    def pages(self) -> int:
        """The number of pages read."""
        return self._read.pages

    def refuse_repetition(self, request: PreparedRequest) -> None:
        """Fails if this read has sent the same request before.

        Raises:
            SyncHalted: the request is the same as an earlier one.
        """
        body = request.body if isinstance(request.body, (str, bytes)) else None
        asked = hash((request.method, request.url, body))
        if asked in self._asked:
            reason = "the same page came twice: the paginator does not fit the API; check its parameters"
            raise SyncHalted(self._reader.resource, endpoint_of(request), None, 1, reason, fault=Fault.CONFIG)
        self._asked.add(asked)

    def add(
        self,
        rows: list[Any],
        response: Any,
        body: bytes,
        headers: Mapping[str, str],
        endpoint: str,
        *,
        has_next: bool,
    ) -> None:
        """Counts a page.

        Raises:
            NoNewRowsError: too many pages in succession had no new row, and there is another page.
            EndlessReadError: there is a page beyond the most pages of a read.
        """
        self.rows += len(rows)
        self._last_rows = len(rows)
        self._with_rows = (response, body, headers) if rows else self._with_rows
        self._first = self._first or (response, body, headers)
        self._read.add(endpoint, is_new=self._read.has_new_row(rows), has_next=has_next)

    def judge_end(self, response: Any, body: bytes, headers: Mapping[str, str], endpoint: str) -> None:
        """Fails if the last response of a read, or the last one with rows, says that there are more rows.

        Some APIs send the total only with the first page. It counts unless the last page says that it is the last.

        Raises:
            MorePagesError: the response says that there are more rows.
        """
        read = Read(self.rows, self.pages, self._last_rows)
        if body:
            self._reader.judge_end(response, body, headers, endpoint, read)
        says_last = body and self._reader.says_last(response, body, headers, self.rows)
        if self._first and self.pages > 1 and not says_last:
            self._reader.judge_end(*self._first, endpoint, Read(self.rows, self.pages, last_rows=0))
        if not self._last_rows and self._with_rows:  # a page without rows may say nothing
            self._reader.judge_end(*self._with_rows, endpoint, read)

    def refuse_missing_path(
        self, response: Any, endpoint: str, path: str, setting: str, sizes: Sequence[Any]
    ) -> None:
        """Fails if a first full page lacks the field in which the paginator looks for the next page.

        Args:
            response: the parsed first response.
            endpoint: the method and path of the request, for the error text.
            path: the path of the field, which the response lacks.
            setting: the setting of the paginator that names the path.
            sizes: the values of the request's parameters, one of which may be the number of rows of a full page.

        Raises:
            PagingFieldError: a parameter asks for exactly as many rows as the response has.
        """
        if self._reader.judges_end and self.rows > 1 and str(self.rows) in map(str, sizes):
            raise PagingFieldError(self._reader.resource, endpoint, path, setting, "", keys_of(response))

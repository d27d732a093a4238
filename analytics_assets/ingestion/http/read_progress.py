"""Follows one read of all pages by one of dlt's own paginators, and finds a read that goes round in circles.

`pages_read.py` judges whether the end of a read is the end of the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from requests import PreparedRequest

from analytics_assets.ingestion.errors import Fault, PagingFieldError, SyncHalted, single_page
from analytics_assets.ingestion.http.pages_read import PagesRead
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
        read: the pages read so far.
    """

    def __init__(self, reader: ResponseReader, primary_key: tuple[str, ...], bounds: ReadBounds) -> None:
        self.read = PagesRead(reader)
        self._reader = reader
        self._bounds = BoundedRead(reader.resource, primary_key, bounds)
        self._asked: set[int] = set()

    def judge_request(self, request: PreparedRequest) -> None:
        """Judges a request before it is sent. dlt has the rows of the pages before it.

        Raises:
            SyncHalted: this read has sent the same request before.
            RangeTooLargeError: the API does not page through so many rows.
        """
        if self.read.pages:
            self._bounds.judge_size(endpoint_of(request), self.read.rows + 1)
        body = request.body if isinstance(request.body, (str, bytes)) else None
        asked = hash((request.method, request.url, body))
        if asked in self._asked:
            one_page = single_page(self._reader.resource, self.read.more_than_one_page())
            reason = f"the paginator asks for the same page again: check its parameters. {one_page}"
            raise SyncHalted(self._reader.resource, endpoint_of(request), None, 1, reason, fault=Fault.CONFIG)
        self._asked.add(asked)

    def add(
        self,
        rows: list[Any],
        response: Any,
        headers: Mapping[str, str],
        endpoint: str,
        *,
        has_body: bool,
        has_next: bool,
    ) -> None:
        """Counts a page.

        Raises:
            NoNewRowsError: too many pages in succession had no new row, and there is another page.
            EndlessReadError: there is a page beyond the most pages of a read.
        """
        self.read.add(response, headers, len(rows), has_body=has_body)
        is_new = not has_next or self._bounds.has_new_row(rows)  # no later page is compared with a last one
        more = self.read.more_than_one_page
        self._bounds.judge(endpoint, self.read.pages, more, is_new=is_new, has_next=has_next)

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
        if self._reader.judges_end and self.read.rows > 1 and str(self.read.rows) in map(str, sizes):
            present = keys_of(response, path)
            raise PagingFieldError(self._reader.resource, endpoint, path, setting, "", present)

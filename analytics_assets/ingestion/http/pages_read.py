"""Counts the pages of one read, and judges whether the end of paging is the end of the rows.

Each read ends here, with a page reader of ours and with one of dlt's paginators. `end_hints.py` has the fields that say
that there are more rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from analytics_assets.ingestion.http.end_hints import Read
from analytics_assets.ingestion.http.response import ResponseReader


class PagesRead:
    """The pages of one read.

    Args:
        reader: the reader that parses the responses.
        checks_total: whether the total is judged elsewhere, or counts other rows than those of the read.

    Attributes:
        rows: the number of rows read.
        pages: the number of pages read.
    """

    def __init__(self, reader: ResponseReader, *, checks_total: bool = False) -> None:
        self.rows = self.pages = 0
        self._reader = reader
        self._checks_total = checks_total
        self._last_rows = self._first_rows = 0
        # Responses without their rows, which may be large.
        self._first: tuple[Any, Mapping[str, str]] | None = None
        self._last: tuple[Any, Mapping[str, str]] | None = None
        self._with_rows: tuple[Any, Mapping[str, str]] | None = None
        self._has_body = False

    def add(self, response: Any, headers: Mapping[str, str], rows: int, *, has_body: bool) -> None:
        """Counts a page.

        Args:
            response: the parsed response.
            headers: the headers of the response.
            rows: the number of new rows.
            has_body: whether the response has a body.
        """
        self._last = (self._reader.without_rows(response), headers)
        self._has_body = has_body
        if self._first is None:
            self._first, self._first_rows = self._last, rows
        self._with_rows = self._last if rows else self._with_rows
        self._last_rows = rows
        self.rows += rows
        self.pages += 1

    @property
    def says_last(self) -> bool:
        """Whether the last page with rows says that it is the last one."""
        return self._with_rows is not None and self._reader.says_last(*self._with_rows, self.rows)

    def more_than_one_page(self) -> str:
        """The clause with which the first response says that there is more, as if it were the only page."""
        read = Read(self._first_rows, 1, self._first_rows, checks_total=False)
        return self._reader.says_more(*self._first, read) if self._first else ""

    def judge_end(self, endpoint: str) -> None:
        """Fails if the last response of a read, or the last one with rows, says that there are more rows.

        Some APIs send the total only with the first page. It counts unless the last page says that it is the last.

        Args:
            endpoint: the method and path of the request, for the error text.

        Raises:
            MorePagesError: a response says that there are more rows.
        """
        assert self._first is not None
        assert self._last is not None
        read = Read(self.rows, self.pages, self._last_rows, self._checks_total)
        if self._has_body:
            self._reader.judge_end(*self._last, endpoint, read)
        if self.pages > 1 and not (self._has_body and self._reader.says_last(*self._last, self.rows)):
            self._reader.judge_end(*self._first, endpoint, replace(read, last_rows=0))
        if not self._last_rows and self._with_rows:  # a page without rows may say nothing
            self._reader.judge_end(*self._with_rows, endpoint, read)

"""Parses a response, and reads its rows and its paging fields. Raises an error if one of them is unclear.

`row_selection.py` finds the rows. `end_hints.py` finds fields that contradict the end of paging. No error contains a
row of the response, because a row may contain personal data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from dlt.common.jsonpath import TJsonPath

from analytics_assets.ingestion.errors import (
    MorePagesError,
    NotJsonError,
    PagingFieldError,
    UnreadableResponseError,
)
from analytics_assets.ingestion.http.end_hints import LARGEST_COUNT, Read, contradiction, says_end
from analytics_assets.ingestion.http.json_path import Find, before_wildcard, finder, steps_of
from analytics_assets.ingestion.http.readable_rows import with_readable_rows
from analytics_assets.ingestion.http.row_selection import (
    RowRules,
    RowSelector,
    has_list_of_objects,
    keys_of,
)
from analytics_assets.ingestion.json_kind import kind_of
from analytics_assets.ingestion.raw_json import read_body
from analytics_assets.ingestion.raw_rows import Text, read_around_rows
from analytics_assets.ingestion.wildcard_rows import Path

MOST_PARSED = 32_000_000
"""The bytes of a response that is parsed with its rows, if the paginator is the user's."""


@dataclass(frozen=True)
class Content:
    """The content of one response.

    Attributes:
        rows: the rows of the response; None if the selected field is missing or null.
        total: the total number of rows or pages, as the paginator counts; None without `total_path`, or if the response
            has neither rows nor a total.
        has_more: whether there are more pages; None without `has_more_path`, or if the response has neither rows nor
            the flag.
    """

    rows: list[Any] | None
    total: int | None = None
    has_more: bool | None = None


@dataclass(frozen=True)
class _Field:
    """A field that the paginator reads.

    Attributes:
        path: the JSONPath of the field, as the user wrote it.
        setting: the setting of the paginator, such as `total_path`.
        find: a function that returns the values at the path.
        read: a function that converts a value to its type, or returns None for a value of a wrong kind.
    """

    path: str
    setting: str
    find: Find
    read: Callable[[Any], Any]

    @classmethod
    def at(cls, path: TJsonPath | None, setting: str, read: Callable[[Any], Any]) -> _Field | None:
        """Returns the field at a path, or None if no path is set."""
        return cls(str(path), setting, finder(path), read) if path else None


class NoContent(list[Any]):
    """The parsed body of a response that has none, such as one with status 204. It has no rows."""


@dataclass(frozen=True)
class PagingFields:
    """The fields in which the API describes its paging.

    Attributes:
        total_path: the JSONPath of the total; None for no total.
        has_more_path: the JSONPath of the has-more flag; None for no flag.
        judges_end: whether paging fails at its end if the last response says that there is more.
        read_by_dlt: the JSONPaths that dlt's own paginator reads in a response.
    """

    total_path: TJsonPath | None = None
    has_more_path: TJsonPath | None = None
    judges_end: bool = True
    read_by_dlt: tuple[TJsonPath, ...] = ()


class ResponseReader:
    """Reads the responses of one endpoint.

    Args:
        resource: the dlt resource of the responses.
        rules: what counts as rows.
        paging: the fields in which the API describes its paging.
        raw_rows: whether rows may stay JSON text (`msgspec.Raw`), which a later step parses part by part. Rows stay
            JSON text only if the JSONPath of the rows consists of field names and wildcards, and with a wildcard only
            if no other path leads into the rows.
        is_read_by_user: whether the paginator is the user's, which may read anything in a response. Then only the rows
            of a large response stay JSON text.
        gets_fields: whether dlt adds fields of a parent's row to each row (`include_from_parent`).

    Attributes:
        resource: the dlt resource of the responses.
        judges_end: whether paging fails at its end if the last response says that there is more.
        has_rows_as_text: whether rows may stay JSON text.
        is_read_by_user: whether the paginator is the user's.
        gets_fields: whether dlt adds fields of a parent's row to each row.
    """

    def __init__(
        self,
        resource: str,
        rules: RowRules,
        paging: PagingFields | None = None,
        *,
        raw_rows: bool = False,
        is_read_by_user: bool = False,
        gets_fields: bool = False,
    ) -> None:
        paging = paging or PagingFields()
        self.resource = resource
        self._rows = RowSelector(resource, rules)
        self._total = _Field.at(paging.total_path, "total_path", _as_whole_number)
        self._has_more = _Field.at(paging.has_more_path, "has_more_path", _as_flag)
        self.judges_end = paging.judges_end
        self.has_rows_as_text = raw_rows
        self.is_read_by_user = is_read_by_user
        self.gets_fields = gets_fields
        others = (paging.total_path, paging.has_more_path, *paging.read_by_dlt)
        self._other_paths = tuple(str(one) for one in others if one)

    @property
    def total_path(self) -> str:
        """The JSONPath of the total; empty for no total."""
        return self._total.path if self._total else ""

    def parse(
        self,
        body: bytes,
        endpoint: str,
        encoding: Callable[[], str | None] = lambda: None,
        *,
        status: int = 200,
    ) -> Any:
        """Parses the JSON of a body.

        Args:
            body: the decompressed body.
            endpoint: the method and path of the request, for the error text.
            encoding: a function that returns the encoding in the response headers, or None.
            status: the HTTP status; a response with status 204 or 205 has no body.

        Raises:
            NotJsonError: the body is not JSON.
        """
        if status in (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT):
            return NoContent()
        try:
            may_stay = self.has_rows_as_text and not (self.is_read_by_user and len(body) <= MOST_PARSED)
            around = read_around_rows(body, encoding(), self._path_in) if may_stay else None
            return read_body(body, encoding()) if around is None else around
        except ValueError:
            raise NotJsonError(self.resource, endpoint) from None

    def _path_in(self, text: Text) -> Path | None:
        """Returns the steps that lead to the rows in strict JSON; None if the rows must not stay text."""
        path = steps_of(self._rows.selector_in(text))
        if path is None or path == (names := before_wildcard(path)):
            return path
        # The rows take the place of what they are in.
        return None if self.is_read_by_user or _lead_into(names, self._other_paths) else path

    def readable(self, response: Any) -> Any:
        """Returns a parsed response for code that may read the rows. Each row that it reads is parsed alone."""
        return with_readable_rows(response, self._rows.path) if self.may_read_rows else response

    @property
    def may_read_rows(self) -> bool:
        """Whether a paginator, or a path such as `total_path`, may read the rows, which may be JSON text."""
        if not self.has_rows_as_text:
            return False
        return self.is_read_by_user or _lead_into(self._rows.path, self._other_paths)

    def read(self, response: Any, endpoint: str) -> Content:
        """Returns the content of a parsed response of `endpoint`.

        Raises:
            UnreadableResponseError: the response does not match the config, or its rows are not a list.
        """
        if isinstance(response, NoContent):
            return Content([])
        rows = self._rows.rows(response, endpoint)
        beside = self.readable(response)
        total = self._value(self._total, beside, rows, endpoint)
        has_more = self._value(self._has_more, beside, rows, endpoint)
        return Content(rows, total, has_more)

    def no_rows(self, response: Any, endpoint: str) -> UnreadableResponseError:
        """Returns the error for a response without rows that does not say that the page is empty."""
        return self._rows.no_rows(response, endpoint)

    def has_rows_elsewhere(self, response: Any) -> bool:
        """Whether a response lacks the field with the rows, and has a list of objects in another field."""
        return not self._rows.is_null(response) and has_list_of_objects(response)

    def says_end(self, response: Any, rows: int) -> bool:
        """Whether a response whose rows are null says that there are no more rows, after `rows` rows."""
        return self._rows.is_null(response) and says_end(response, self._rows.path, rows)

    def says_last(self, response: Any, headers: Mapping[str, str], rows: int) -> bool:
        """Whether a page with rows says that it is the last one, after `rows` rows with its own."""
        return says_end(response, self._rows.path, rows, headers)

    def judge_end(self, response: Any, headers: Mapping[str, str], endpoint: str, read: Read) -> None:
        """Fails if the last response of a read, or the last one with rows, says that there are more rows.

        Args:
            response: the parsed response; its rows may be left out.
            headers: the headers of the response.
            endpoint: the method and path of the request, for the error text.
            read: the pages that were read.

        Raises:
            MorePagesError: the response says that there are more rows.
        """
        more = self.says_more(response, headers, read)
        if more:
            raise MorePagesError(self.resource, endpoint, more, read.rows)

    def says_more(self, response: Any, headers: Mapping[str, str], read: Read) -> str:
        """The clause with which a response says that there are more rows; empty if it does not, or may do so."""
        if not self.judges_end or self._rows.came_as_object:
            return ""
        return contradiction(response, self._rows.path, headers, read)

    def without_rows(self, response: Any) -> Any:
        """Returns a response with None in place of its rows, so that the rows can leave the memory."""
        return _without(response, self._rows.path)

    def _value(self, field: _Field | None, response: Any, rows: list[Any] | None, endpoint: str) -> Any:
        if field is None:
            return None
        found = field.find(response)
        if not found or found[0] is None:
            if not rows and not (self._rows.has_wildcard and field.setting == "total_path"):
                return None  # the page reader decides whether an empty page may lack a paging field
            present = keys_of(response, field.path)
            raise PagingFieldError(self.resource, endpoint, field.path, field.setting, "", present)
        value = field.read(found[0])
        if value is None:
            kind = kind_of(found[0]) if _is_short(found[0]) else "a number too large for a total"
            raise PagingFieldError(
                self.resource, endpoint, field.path, field.setting, kind, keys_of(response)
            )
        return value


@lru_cache(maxsize=256)  # each page asks
def _lead_into(rows: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether one of the other paths may lead into the rows."""
    for other in others:
        steps = steps_of(other)
        if steps is None or before_wildcard(steps) != steps or steps[: len(rows)] == rows:
            return True
    return False


def _without(response: Any, path: tuple[str, ...]) -> Any:
    if not path:
        return None
    if not isinstance(response, dict) or path[0] not in response:
        return response
    return {**response, path[0]: _without(response[path[0]], path[1:])}


def _as_whole_number(value: Any) -> int | None:
    """Converts a value to a whole number as dlt does, but returns None for a fraction and for `true`.

    A number of rows that no API can have is None, too.
    """
    if not _is_short(value):
        return None
    if isinstance(value, str) and re.fullmatch(r"\s*\d+\s*", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_COUNT
    return value if is_count else None


def _is_short(value: Any) -> bool:
    """Whether a number, or a text that may be one, is short enough to be a number of rows or pages."""
    if isinstance(value, str):
        digits = value.strip()
        return not digits.isdigit() or len(digits) < len(str(LARGEST_COUNT))
    return not isinstance(value, (int, float)) or not value >= LARGEST_COUNT


def _as_flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
            value.lower()
        )
    return value if isinstance(value, bool) else None

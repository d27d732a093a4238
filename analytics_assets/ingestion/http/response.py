"""Reads the rows and the total of a response. Raises an error if the rows or the total are unclear.

If the field with the rows is missing or null, dlt itself would load no rows, and the run would succeed. This module
raises an error that names the missing field. No error contains a value of the response, because the value may be
personal data.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
from dlt.common.jsonpath import TJsonPath, compile_path
from dlt.sources.helpers.rest_client.detector import find_response_page_data

from analytics_assets.ingestion.errors import (
    MissingRowsError,
    NoListError,
    NotJsonError,
    PagingFieldError,
    RowsNotAListError,
    UnreadableResponseError,
)
from analytics_assets.ingestion.json_kind import kind_of
from analytics_assets.ingestion.raw_json import read_json, read_lenient_json

Find = Callable[[Any], list[Any]]


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


class ResponseReader:
    """Reads the responses of one endpoint.

    Args:
        resource: the dlt resource of the responses.
        data_selector: the JSONPath of the rows; None to find the list in the first response, as dlt does.
        total_path: the JSONPath of the total; None for no total.
        has_more_path: the JSONPath of the has-more flag; None for no flag.
        paged: whether the rows must be a list; if false, one object may be the only row.
        raw_rows: whether rows may stay JSON text (`msgspec.Raw`), which a later step parses for a whole page at once.
            Rows stay JSON text only if all configured JSONPaths consist of plain field names.

    Attributes:
        resource: the dlt resource of the responses.
    """

    def __init__(
        self,
        resource: str,
        data_selector: TJsonPath | None = None,
        total_path: TJsonPath | None = None,
        has_more_path: TJsonPath | None = None,
        *,
        paged: bool = False,
        raw_rows: bool = False,
    ) -> None:
        self.resource = resource
        self._paged = paged
        self._selector = data_selector
        self._select = finder(data_selector) if data_selector is not None else None
        # A JSONPath with a wildcard or a filter may correctly find nothing.
        self._may_find_nothing = bool(re.search(r"[*?]|\.\.", str(data_selector or "")))
        self._total = _Field.at(total_path, "total_path", _as_whole_number)
        self._has_more = _Field.at(has_more_path, "has_more_path", _as_flag)
        self._decode_raw = (
            _decoder_of_raw_rows(data_selector, total_path, has_more_path) if raw_rows else None
        )

    def parse(self, body: bytes, endpoint: str, encoding: Callable[[], str | None] = lambda: None) -> Any:
        """Parses the JSON of a body.

        Args:
            body: the decompressed body.
            endpoint: the method and path of the request, for the error text.
            encoding: a function that returns the encoding in the response headers, or None.

        Raises:
            NotJsonError: the body is not JSON.
        """
        if self._decode_raw is not None and _is_utf_8(body):
            with suppress(msgspec.DecodeError):
                response = self._decode_raw(body)
                if None not in response.values():  # if a field is null or missing, `read_json` reads the body
                    return response
        try:
            return read_json(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Some APIs send JSON that msgspec rejects: NaN, a lone surrogate, UTF-16 or Latin-1.
            for text in (lambda: body, lambda: body.decode(encoding() or "utf-8")):
                with suppress(ValueError, LookupError):
                    return read_lenient_json(text())
            raise NotJsonError(self.resource, endpoint) from None

    def read(self, response: Any, endpoint: str) -> Content:
        """Returns the content of a parsed response of `endpoint`.

        Raises:
            UnreadableResponseError: the response does not match the config, or its rows are not a list.
        """
        rows = self._rows(response, endpoint)
        total = self._value(self._total, response, rows, endpoint)
        has_more = self._value(self._has_more, response, rows, endpoint)
        return Content(rows, total, has_more)

    def no_rows(self, response: Any, endpoint: str) -> UnreadableResponseError:
        """Returns the error for a response without rows that does not say that the page is empty."""
        found = "null" if self._select and self._select(response) else "nothing"
        return MissingRowsError(self.resource, endpoint, str(self._selector), found, _keys(response))

    def _rows(self, response: Any, endpoint: str) -> list[Any] | None:
        if self._select is None:
            path, found = find_response_page_data(response)
            if self._paged and not isinstance(found, list):
                raise NoListError(self.resource, endpoint, _keys(response))
            self._selector = ".".join(path)
            self._select = finder(self._selector)
        found = self._select(response)
        if self._may_find_nothing:
            return found[0] if len(found) == 1 and isinstance(found[0], list) else found
        if not found or found[0] is None:
            return None
        rows = found[0] if len(found) == 1 else found
        if isinstance(rows, list):
            return rows
        if isinstance(rows, dict) and not self._paged:
            return [rows]
        raise RowsNotAListError(self.resource, endpoint, str(self._selector), kind_of(rows))

    def _value(self, field: _Field | None, response: Any, rows: list[Any] | None, endpoint: str) -> Any:
        if field is None:
            return None
        found = field.find(response)
        if not found or found[0] is None:
            if not rows:
                return None  # the page reader decides whether an empty page may lack a paging field
            raise PagingFieldError(self.resource, endpoint, field.path, field.setting, "", _keys(response))
        value = field.read(found[0])
        if value is None:
            kind = kind_of(found[0])
            raise PagingFieldError(self.resource, endpoint, field.path, field.setting, kind, _keys(response))
        return value


def _decoder_of_raw_rows(*paths: TJsonPath | None) -> Callable[[bytes], Any] | None:
    """Returns a decoder that keeps each row as JSON text; None if a path has more than field names.

    The first of `paths` leads to the rows.
    """
    plain = [str(path) for path in paths if path]
    if not paths[0] or not all(re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", path) for path in plain):
        return None
    rows, *others = [path.partition(".")[0] for path in plain]
    if rows != plain[0] or rows in others:
        return None
    fields = [(name, Any, None) for name in dict.fromkeys(others)]
    response = msgspec.defstruct("Response", [(rows, list[msgspec.Raw] | None, None), *fields])
    decoder = msgspec.json.Decoder(response)
    # dlt copies the `ResponseReader`. Python's `copy` returns a function unchanged, so this code returns a function.
    return lambda body: msgspec.structs.asdict(decoder.decode(body))


def _is_utf_8(body: bytes) -> bool:
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False


def finder(path: TJsonPath) -> Find:
    """Returns a function that finds all values at a JSONPath. A path of plain field names needs only dict lookups."""
    plain = re.fullmatch(r"(?:\$\.)?(\w+(?:\.\w+)*)", path) if isinstance(path, str) else None
    if plain is None:
        compiled = compile_path(path)
        return lambda response: [match.value for match in compiled.find(response)]
    fields = plain[1].split(".")

    def find(response: Any) -> list[Any]:
        for field in fields:
            if not isinstance(response, dict) or field not in response:
                return []
            response = response[field]
        return [response]

    return find


def _as_whole_number(value: Any) -> int | None:
    """Converts a value to a whole number as dlt does, but returns None for a fraction and for `true`."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d+\s*", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _as_flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
            value.lower()
        )
    return value if isinstance(value, bool) else None


def _keys(response: Any) -> str:
    """Lists the field names of a response for an error text, and never a value."""
    if not isinstance(response, dict):
        return f" (it is {kind_of(response)})"
    names = [
        key for key in response if re.fullmatch(r"[A-Za-z_$][\w.-]{0,40}", str(key))
    ]  # the pattern excludes keys that are data, such as e-mail addresses
    return f" (it has {', '.join(sorted(names))[:200]})" if names else " (it is empty)"

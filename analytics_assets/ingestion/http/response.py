"""The content of a page: its rows, and how many the API has. Whatever a response leaves unclear is refused.

dlt takes a missing key or a null for no rows, and the run is green. Here it is a failure that names what is missing.
No error holds a value of the response: it may be a customer's.
"""

from __future__ import annotations

import json
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

_decode = msgspec.json.Decoder().decode

Find = Callable[[Any], list[Any]]


@dataclass(frozen=True)
class Content:
    """The content of one response.

    Attributes:
        rows: its rows; None where the key is missing or null.
        total: how many rows or pages there are in all, as the paginator counts. None where no `total_path` is set, or
            the response has neither rows nor a total.
        has_more: whether there are more; None likewise.
    """

    rows: list[Any] | None
    total: int | None = None
    has_more: bool | None = None


@dataclass(frozen=True)
class _Field:
    """A field that the paginator reads.

    Attributes:
        path: as written.
        setting: of the paginator, such as `total_path`.
        find: gives the values at the path.
        read: gives the value as its type, or None where it is of another kind.
    """

    path: str
    setting: str
    find: Find
    read: Callable[[Any], Any]

    @classmethod
    def at(cls, path: TJsonPath | None, setting: str, read: Callable[[Any], Any]) -> _Field | None:
        """The field at a path; None where no path is set."""
        return cls(str(path), setting, finder(path), read) if path else None


class ResponseReader:
    """Reads the responses of one endpoint.

    Args:
        resource: dlt resource it works for.
        data_selector: JSONPath of the rows; None to find the list as dlt does, in the first response.
        total_path: JSONPath of the total; None where there is none.
        has_more_path: JSONPath of the flag that there are more; None where there is none.
        paged: whether rows must be a list; otherwise one object is one row.
        raw_rows: whether rows may stay JSON, as `msgspec.Raw`, for a step that parses many of them at once. They do
            where the selector is a plain field.

    Attributes:
        resource: as above.
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
        # A path with a wildcard or a filter may well find nothing.
        self._may_find_nothing = bool(re.search(r"[*?]|\.\.", str(data_selector or "")))
        self._total = _Field.at(total_path, "total_path", _as_whole_number)
        self._has_more = _Field.at(has_more_path, "has_more_path", _as_flag)
        self._decode_raw = (
            _decoder_of_raw_rows(data_selector, total_path, has_more_path) if raw_rows else None
        )

    def parse(self, body: bytes, endpoint: str, encoding: Callable[[], str | None] = lambda: None) -> Any:
        """The JSON of a body.

        Args:
            body: the body, decompressed.
            endpoint: method and path that it came from, for the error.
            encoding: gives the encoding that the headers name, if any.

        Raises:
            NotJsonError: the body is not JSON.
        """
        if self._decode_raw is not None and _is_utf_8(body):
            with suppress(msgspec.DecodeError):
                response = self._decode_raw(body)
                if None not in response.values():  # else the error lists all of its fields
                    return response
        try:
            return _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Not quite JSON, but sent: NaN, a lone surrogate, UTF-16, Latin-1.
            for text in (lambda: body, lambda: body.decode(encoding() or "utf-8")):
                with suppress(ValueError, LookupError):
                    return json.loads(text())
            raise NotJsonError(self.resource, endpoint) from None

    def read(self, response: Any, endpoint: str) -> Content:
        """The content of a parsed response of `endpoint`.

        Raises:
            UnreadableResponseError: it does not fit the config, or its rows are no list.
        """
        rows = self._rows(response, endpoint)
        total = self._value(self._total, response, rows, endpoint)
        has_more = self._value(self._has_more, response, rows, endpoint)
        return Content(rows, total, has_more)

    def no_rows(self, response: Any, endpoint: str) -> UnreadableResponseError:
        """The failure of a response without rows that does not say that there are none."""
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
                return None  # the page reader decides what that means
            raise PagingFieldError(self.resource, endpoint, field.path, field.setting, "", _keys(response))
        value = field.read(found[0])
        if value is None:
            kind = kind_of(found[0])
            raise PagingFieldError(self.resource, endpoint, field.path, field.setting, kind, _keys(response))
        return value


def _decoder_of_raw_rows(*paths: TJsonPath | None) -> Callable[[bytes], Any] | None:
    """Decodes all of a response but its rows, which are at the first of `paths`; None where a path is not plain."""
    plain = [str(path) for path in paths if path]
    if not paths[0] or not all(re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", path) for path in plain):
        return None
    rows, *others = [path.partition(".")[0] for path in plain]
    if rows != plain[0] or rows in others:
        return None
    fields = [(name, Any, None) for name in dict.fromkeys(others)]
    response = msgspec.defstruct("Response", [(rows, list[msgspec.Raw] | None, None), *fields])
    decoder = msgspec.json.Decoder(response)
    return lambda body: msgspec.structs.asdict(decoder.decode(body))  # a function: dlt copies what it is in


def _is_utf_8(body: bytes) -> bool:
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False


def finder(path: TJsonPath) -> Find:
    """A function that gives all values found under a JSONPath. Plain fields are looked up, which is much faster."""
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
    """A whole number as dlt accepts it, but not rounded and not `true`; None where it is no whole number."""
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
    """The fields of a response, for a person to find the right one among them; never a value."""
    if not isinstance(response, dict):
        return f" (it is {kind_of(response)})"
    names = [
        key for key in response if re.fullmatch(r"[A-Za-z_$][\w.-]{0,40}", str(key))
    ]  # no e-mail address
    return f" (it has {', '.join(sorted(names))[:200]})" if names else " (it is empty)"

"""What a 200 says: its rows, and how many there are to be. Anything it does not say in so many words is refused.

dlt takes a missing key or a null for no rows, and a green run for the truth; here it is a failure that names
what is missing. No message holds a value of the answer: it may be a customer's.
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

_ABSENT = object()
_decode = msgspec.json.Decoder().decode

Find = Callable[[Any], list[Any]]


@dataclass(frozen=True)
class Content:
    """What one answer says.

    Attributes:
        rows: its rows; None where the key is missing or null.
        total: how many there are in all, rows or pages as the paginator counts; None where that is not configured,
            or the answer has no rows and does not say.
        has_more: whether there are more; None likewise.
    """

    rows: list[Any] | None
    total: int | None = None
    has_more: bool | None = None


class Reader:
    """Reads the answers of one endpoint.

    Args:
        resource: dlt resource it works for.
        data_selector: JSONPath of the rows; None to find the list as dlt does, in the first answer.
        total_path: JSONPath of the total; None where there is none.
        has_more_path: JSONPath of the flag that there are more; None where there is none.
        paged: whether rows must be a list; otherwise one object is one row.
        unread: whether rows may stay JSON, as `msgspec.Raw`, for who reads many of them at once. They do where the
            selector is a plain field.

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
        unread: bool = False,
    ) -> None:
        self.resource = resource
        self._paged = paged
        self._selector = data_selector
        self._select = finder(data_selector) if data_selector is not None else None
        # A path with a wildcard or a filter may well find nothing.
        self._may_find_nothing = bool(re.search(r"[*?]|\.\.", str(data_selector or "")))
        self._total = (str(total_path), finder(total_path)) if total_path else None
        self._has_more = (str(has_more_path), finder(has_more_path)) if has_more_path else None
        self._unread = _unread_decoder(data_selector, total_path, has_more_path) if unread else None

    def parse(self, body: bytes, endpoint: str, encoding: Callable[[], str | None] = lambda: None) -> Any:
        """The JSON of a body.

        Args:
            body: the body, decompressed.
            endpoint: whose answer it is.
            encoding: gives the encoding, if it is not Unicode.

        Raises:
            UnreadableResponseError: it is none.
        """
        if self._unread is not None and _is_utf_8(body):
            with suppress(msgspec.DecodeError):
                answer = self._unread(body)
                if None not in answer.values():  # else what it has instead is to be told
                    return answer
        try:
            return _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Not quite JSON, but sent: NaN, a lone surrogate, UTF-16, Latin-1.
            for text in (lambda: body, lambda: body.decode(encoding() or "utf-8")):
                with suppress(ValueError, LookupError):
                    return json.loads(text())
            raise NotJsonError(self.resource, endpoint) from None

    def read(self, answer: Any, endpoint: str) -> Content:
        """What the parsed answer of `endpoint` says.

        Raises:
            UnreadableResponseError: it does not fit the config, or its rows are no list.
        """
        rows = self._rows(answer, endpoint)
        total = self._say(self._total, answer, rows, endpoint, "total_path", _as_whole_number)
        has_more = self._say(self._has_more, answer, rows, endpoint, "has_more_path", _as_flag)
        return Content(rows, total, has_more)

    def no_rows(self, answer: Any, endpoint: str) -> UnreadableResponseError:
        """That there are no rows where rows should be, and nothing that says there are none."""
        found = "null" if self._select and self._select(answer) else "nothing"
        return MissingRowsError(self.resource, endpoint, str(self._selector), found, _keys(answer))

    def _rows(self, answer: Any, endpoint: str) -> list[Any] | None:
        if self._select is None:
            path, found = find_response_page_data(answer)
            if self._paged and not isinstance(found, list):
                raise NoListError(self.resource, endpoint, _keys(answer))
            self._selector = ".".join(path)
            self._select = finder(self._selector)
        found = self._select(answer)
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

    def _say(
        self,
        where: tuple[str, Find] | None,
        answer: Any,
        rows: list[Any] | None,
        endpoint: str,
        setting: str,
        read: Callable[[Any], Any],
    ) -> Any:
        if where is None:
            return None
        path, find = where
        found = find(answer)
        value = found[0] if found else _ABSENT
        if value is _ABSENT or value is None:
            if not rows:
                return None  # what that means is for the sweep to say
            raise PagingFieldError(self.resource, endpoint, path, setting, "", _keys(answer))
        said = read(value)
        if said is None:
            raise PagingFieldError(self.resource, endpoint, path, setting, kind_of(value), _keys(answer))
        return said


def _unread_decoder(*paths: TJsonPath | None) -> Callable[[bytes], Any] | None:
    """Decodes an answer but for its rows, which are under the first of `paths`; None where a path is not plain."""
    plain = [str(path) for path in paths if path]
    if not paths[0] or not all(re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", path) for path in plain):
        return None
    rows, *others = [path.partition(".")[0] for path in plain]
    if rows != plain[0] or rows in others:
        return None
    fields = [(name, Any, None) for name in dict.fromkeys(others)]
    answer = msgspec.defstruct("Answer", [(rows, list[msgspec.Raw] | None, None), *fields])
    decoder = msgspec.json.Decoder(answer)
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
        return lambda answer: [match.value for match in compiled.find(answer)]
    fields = plain[1].split(".")

    def find(answer: Any) -> list[Any]:
        for field in fields:
            if not isinstance(answer, dict) or field not in answer:
                return []
            answer = answer[field]
        return [answer]

    return find


def _as_whole_number(value: Any) -> int | None:
    """As dlt takes it, without rounding and without `true`; None where it is no whole number."""
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


def _keys(answer: Any) -> str:
    """The fields of an answer, for a person to find the right one among them; never a value."""
    if not isinstance(answer, dict):
        return f" (it is {kind_of(answer)})"
    names = [key for key in answer if re.fullmatch(r"[A-Za-z_$][\w.-]{0,40}", str(key))]  # no e-mail address
    return f" (it has {', '.join(sorted(names))[:200]})" if names else " (it is empty)"

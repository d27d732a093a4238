"""Finds the rows in a parsed response. Raises an error if the rows are missing, or could be two different lists.

If the field with the rows is missing or null, dlt itself would load no rows, and the run would succeed. Without a
`data_selector`, dlt takes the first list that looks like rows. This module raises an error in each unclear case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from dlt.common.jsonpath import TJsonPath
from dlt.sources.helpers.rest_client.detector import find_response_page_data

from analytics_assets.config.assets import EmptyAnswer
from analytics_assets.config.json_paths import in_yaml
from analytics_assets.ingestion.errors import (
    AmbiguousRowsError,
    ErrorAnswerError,
    MissingRowsError,
    NoListError,
    ObjectAfterListsError,
    RowsNotAListError,
)
from analytics_assets.ingestion.http.api_words import words_of
from analytics_assets.ingestion.http.end_hints import plain
from analytics_assets.ingestion.http.error_fields import ERROR_NAMES, NAMES_BESIDE_ROWS, error_member
from analytics_assets.ingestion.http.json_path import before_wildcard, finder, steps_of
from analytics_assets.ingestion.http.list_memory import ListMemory
from analytics_assets.ingestion.json_kind import kind_of
from analytics_assets.ingestion.raw_rows import Text, read_outline

_NAME_IN_PATH = re.compile(r"""\['([^']+)'\]|\["([^"]+)"\]|([^.\[\]$'"]+)""")

_WILDCARD = re.compile(r"\[\s*[*?]|\.?\*")
"""A wildcard or a filter in a JSONPath, which may correctly find nothing."""


_LEVELS_OF_DLT = 3
"""The levels of objects in which dlt looks for the list of rows."""


@dataclass(frozen=True)
class RowRules:
    """What counts as rows of one endpoint.

    Attributes:
        data_selector: the JSONPath of the rows; None to find the list in the first response, as dlt does.
        paged: whether the rows must be a list; if false, one object may be the only row.
        row_fields: the fields that a row is known to have: its primary key and its declared columns.
        empty_answer: the answer that means no rows: `null` at the selector, or also an `absent` field; None if neither.
        one_object: whether one object may stand in place of a list of rows.
        memory: whether the rows came as a list before; None to know only the responses of one read.
        redact: a function that replaces the secrets in a text, for the API's own words.
    """

    data_selector: TJsonPath | None = None
    paged: bool = False
    row_fields: Collection[str] = ()
    empty_answer: EmptyAnswer | None = None
    one_object: bool = False
    memory: ListMemory | None = None
    redact: Callable[[str], str] = str


class RowSelector:
    """Finds the rows in the responses of one endpoint.

    Args:
        resource: the dlt resource name.
        rules: what counts as rows.
    """

    def __init__(self, resource: str, rules: RowRules) -> None:
        self._resource = resource
        self._rules = rules
        self._selector = rules.data_selector
        self._find = finder(rules.data_selector) if rules.data_selector is not None else None
        self._row_fields = set(map(_first_field, ("id", *rules.row_fields)))
        self._came_as_list = self._came_as_object = False

    @property
    def path(self) -> tuple[str, ...]:
        """The names of the fields that lead to the rows; empty if the whole response is the rows."""
        steps = steps_of(str(self._selector or "$"))
        if steps is not None:
            return before_wildcard(steps)
        plain = _before_wildcard(str(self._selector or "")).partition("..")[0]
        return tuple("".join(one) for one in _NAME_IN_PATH.findall(plain))

    def selector_in(self, text: Text) -> str:
        """The JSONPath of the rows in strict JSON. Without a `data_selector`, it is the path that dlt finds.

        It is empty if dlt would take a list of errors for the rows.

        Raises:
            msgspec.DecodeError: the text is not strict JSON.
        """
        if self._selector is None:
            path, _ = find_response_page_data(read_outline(text, _LEVELS_OF_DLT))
            return "" if path[-1] in ERROR_NAMES else ".".join(path)
        return str(self._selector)

    @property
    def has_wildcard(self) -> bool:
        """Whether the `data_selector` has a wildcard or a filter, which may correctly find nothing."""
        return bool(_WILDCARD.search(str(self._selector or "")))

    @property
    def came_as_object(self) -> bool:
        """Whether one object was the only row of a response, so that its fields are data."""
        return self._came_as_object

    def is_null(self, response: Any) -> bool:
        """Whether the field with the rows is null."""
        return bool(self._find) and finder(_before_wildcard(str(self._selector)) or "$")(response) == [None]

    def rows(self, response: Any, endpoint: str) -> list[Any] | None:
        """Returns the rows of a parsed response; None if the selected field is missing or null.

        Raises:
            AmbiguousRowsError: no `data_selector` is set, and more than one value could be the rows.
            ErrorAnswerError: the response has an error and no rows.
            NoListError: the rows must be a list, and the response has no list.
            RowsNotAListError: the selected value is not a list of rows.
            ObjectAfterListsError: an object without a known field came where lists came before.
            MissingRowsError: the list before a wildcard of the `data_selector` is missing.
        """
        rows = self._select(response, endpoint)
        if not rows:
            self._refuse_error(response, endpoint)
        if rows is None and self._is_empty_answer(response):
            return []
        return rows

    def no_rows(self, response: Any, endpoint: str) -> MissingRowsError:
        """Returns the error for a response without rows that does not say that the page is empty."""
        found = "null" if self._find and self._find(response) else "nothing"
        return MissingRowsError(self._resource, endpoint, str(self._selector), found, self._keys_of(response))

    def _keys_of(self, response: Any) -> str:
        return keys_of(response, str(self._selector or ""))

    def _select(self, response: Any, endpoint: str) -> list[Any] | None:
        if self._find is None:
            self._guess(response, endpoint)
        assert self._find is not None
        found = self._find(response)
        if self.has_wildcard:
            self._came_as_list = True
            return self._of_wildcard(found, response, endpoint)
        if not found or found[0] is None:
            return None
        rows = found[0] if len(found) == 1 else found
        if isinstance(rows, list):
            self._came_as_list = True
            if self._rules.memory:
                self._rules.memory.remember()
            return rows
        may_be_row = self._rules.one_object or not (self._rules.paged or self._came_as_list)
        if isinstance(rows, dict) and may_be_row:
            if rows is response:
                self._refuse_error(rows, endpoint, may_be_row=True)
            self._refuse_after_lists(rows, endpoint)
            self._came_as_object = True
            if memory := self._rules.memory:
                memory.remember_object()
            return [rows]
        raise RowsNotAListError(self._resource, endpoint, str(self._selector), kind_of(rows))

    def _refuse_after_lists(self, found: dict[str, Any], endpoint: str) -> None:
        """Fails if an object is probably no row: no field of it is known, and lists or other fields came before."""
        memory = self._rules.memory
        if self._rules.one_object or memory is None or self._has_row_field(found):
            return
        if memory.came_before:
            raise ObjectAfterListsError(self._resource, endpoint, keys_of(found))
        known = set(map(_first_field, memory.columns_before()))
        if known and known.isdisjoint(map(plain, map(str, found))):
            raise ObjectAfterListsError(self._resource, endpoint, keys_of(found), "rows with other fields")

    def _of_wildcard(self, found: list[Any], response: Any, endpoint: str) -> list[Any] | None:
        """Returns the values that a wildcard found. The value before the wildcard must exist."""
        if found:
            return found[0] if len(found) == 1 and isinstance(found[0], list) else found
        before = _before_wildcard(str(self._selector)) or "$"
        around = finder(before)(response)
        if around and around[0] is not None:
            return []
        if self._is_empty_answer(response):
            return []
        self._refuse_error(response, endpoint)
        what = "null" if around else "nothing"
        raise MissingRowsError(self._resource, endpoint, before, what, self._keys_of(response))

    def _guess(self, response: Any, endpoint: str) -> None:
        """Finds the rows as dlt does, and refuses a response in which something else could also be the rows."""
        path, found = find_response_page_data(response)
        lists = [".".join(one) for one in _lists_along(response, path)]
        if isinstance(found, list) and len(lists) > 1:
            raise AmbiguousRowsError(self._resource, endpoint, tuple(lists), "more than one list")
        if path[-1] in ERROR_NAMES:
            self._refuse_error(response, endpoint)
            raise NoListError(self._resource, endpoint, keys_of(response))
        holder = self._row_around(response, path) if isinstance(found, list) else None
        if holder is not None:
            raise AmbiguousRowsError(
                self._resource, endpoint, (*lists, holder), "a list inside what may be a row"
            )
        is_unknown = (
            bool(self._rules.row_fields) and not self._rules.one_object and not self._has_row_field(found)
        )
        if not isinstance(found, list) and (self._rules.paged or is_unknown):
            self._refuse_error(response, endpoint)
            if not self._rules.paged:
                self._refuse_after_lists(found, endpoint)
            raise NoListError(self._resource, endpoint, keys_of(response))
        self._selector = ".".join(path)
        self._find = finder(self._selector)

    def _row_around(self, response: Any, path: tuple[str, ...]) -> str | None:
        """Returns the path of an object around the list that has fields of a row; None if there is no such object."""
        for depth, field in enumerate(path):
            if not isinstance(response, dict):
                return None
            if any(
                plain(key) in self._row_fields and not isinstance(one, (dict, list))
                for key, one in response.items()
            ):
                return ".".join(path[:depth]) or "$"
            response = response.get(field)
        return None

    def _has_row_field(self, found: Any) -> bool:
        return any(plain(str(key)) in self._row_fields for key in found)

    def _is_empty_answer(self, response: Any) -> bool:
        if self._rules.empty_answer == "absent":
            return True
        return self._rules.empty_answer == "null" and self.is_null(response)

    def _refuse_error(self, response: Any, endpoint: str, *, may_be_row: bool = False) -> None:
        """Fails if a response without rows says that the request failed."""
        if not isinstance(response, dict):
            return
        known = self._row_fields if may_be_row else self._row_fields - NAMES_BESIDE_ROWS
        has_row_field = not known.isdisjoint(map(plain, map(str, response)))
        member = error_member(response, self.path, has_row_field=has_row_field, may_be_row=may_be_row)
        if member is not None:
            raise ErrorAnswerError(self._resource, endpoint, member, words_of(response, self._rules.redact))


def _first_field(column: str) -> str:
    """Returns the outermost field of a column, such as `user` of `user__name`."""
    return plain(re.split(r"(?<=.)(?:__|\.)", column)[0])


def keys_of(response: Any, path: str = "") -> str:
    """Lists the field names of a response for an error text, and never a value.

    Args:
        response: the parsed response.
        path: the JSONPath that finds nothing, which may lack the quotes around a name with dots.
    """
    if not isinstance(response, dict):
        return f" (it is {kind_of(response)})"
    names = [
        key for key in response if re.fullmatch(r"[@A-Za-z_$][\w.-]{0,40}", str(key))
    ]  # the pattern excludes keys that are data, such as e-mail addresses
    if not names:
        return " (it is empty)"
    quoted = _with_quotes(response, path.removeprefix("$.").split("."))
    hint = f"; for the name with dots write `{in_yaml(quoted)}`" if quoted else ""
    return f" (it has {', '.join(sorted(names))[:200]}{hint})"


def has_list_of_objects(value: Any, depth: int = 3) -> bool:
    """Whether a response has a list of objects, in objects of at most `depth` levels."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict)
    is_object = depth > 0 and isinstance(value, dict)
    return is_object and any(has_list_of_objects(one, depth - 1) for one in value.values())


def _with_quotes(response: Any, fields: list[str]) -> str:
    """Returns the JSONPath of `fields` if some of them together are one name in the response; empty if not."""
    for start, field in enumerate(fields):
        if not isinstance(response, dict):
            break
        for end in range(start + 2, len(fields) + 1):
            name = ".".join(fields[start:end])
            if name in response:
                return ".".join([*fields[:start], f"'{name}'", *fields[end:]])
        response = response.get(field)
    return ""


def _before_wildcard(selector: str) -> str:
    """Returns the part of a JSONPath before the first part that may find nothing."""
    wild = _WILDCARD.search(selector)
    return (selector[: wild.start()] if wild else selector).rstrip(".[ ")


def _lists_along(response: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yields the paths of all lists in the objects that contain the rows."""
    for depth, field in enumerate(path):
        if not isinstance(response, dict):
            return
        yield from ((*path[:depth], key) for key, value in response.items() if isinstance(value, list))
        response = response.get(field)

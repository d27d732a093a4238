"""Finds values in parsed JSON by a JSONPath. A path of plain field names needs only dict lookups."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from dlt.common.jsonpath import TJsonPath, compile_path
from jsonpath_ng import DatumInContext, JSONPath

from analytics_assets.ingestion.wildcard_rows import Path, SelectedRows, Wildcard

Find = Callable[[Any], list[Any]]
"""A function that returns all values at a JSONPath."""

_STEP = re.compile(
    r"""\.?\[\s*(?P<items>\*)\s*\]          # [*]
      | (?:^|\.)(?P<fields>\*)              # .*
      | (?:^|\.)(?P<name>[A-Za-z_@][\w@-]*|(?<=\.)\w+)
      | (?:^|\.)'(?P<quoted>[^'\\]+)'       # .'a name'
      | \.?\['(?P<single>[^'\\]+)'\]        # ['a name']
      | \.?\["(?P<double>[^"\\]+)"\]        # ["a name"]
    """,
    re.VERBOSE,
)


@lru_cache(maxsize=256)  # each page asks
def steps_of(path: str) -> Path | None:
    """Returns the steps of a JSONPath of names and wildcards; None if it has anything else, such as a filter."""
    rest = path.strip()
    if rest.startswith("$"):
        rest = rest[1:]
        if rest and rest[0] not in ".[":
            return None
    elif not rest:
        return None
    steps: list[str | Wildcard] = []
    place = 0
    while place < len(rest):
        step = _STEP.match(rest, place)
        if step is None:
            return None
        place = step.end()
        kind = str(step.lastgroup)
        steps.append(Wildcard[kind.upper()] if kind in ("items", "fields") else step[kind])
    return tuple(steps)


@lru_cache(maxsize=256)
def before_wildcard(path: Path) -> tuple[str, ...]:
    """Returns the names before the first wildcard of a path."""
    names: list[str] = []
    for step in path:
        if isinstance(step, Wildcard):
            break
        names.append(step)
    return tuple(names)


class RowsPath(JSONPath):
    """A JSONPath with a wildcard, which may find rows that `ResponseReader` has already selected.

    Args:
        path: the JSONPath of the rows.
    """

    def __init__(self, path: TJsonPath) -> None:
        self._path = compile_path(path)
        self._before = before_wildcard(steps_of(str(path)) or ())

    def find(self, datum: Any) -> list[DatumInContext]:
        """Returns the values at the path, or one list of rows if these have been selected."""
        found = datum
        for name in self._before:
            found = found.get(name) if isinstance(found, dict) else None
        return [DatumInContext(found)] if isinstance(found, SelectedRows) else self._path.find(datum)

    def __str__(self) -> str:
        return str(self._path)

    def __repr__(self) -> str:
        return repr(self._path)


def compiled(path: TJsonPath) -> JSONPath:
    """Compiles the JSONPath of the rows, also for dlt, which would compile it for each page."""
    steps = steps_of(str(path)) or ()
    return compile_path(path) if before_wildcard(steps) == steps else RowsPath(path)


def finder(path: TJsonPath) -> Find:
    """Returns a function that finds all values at a JSONPath. A path of plain field names needs only dict lookups."""
    plain = re.fullmatch(r"(?:\$\.)?(\w+(?:\.\w+)*)", path) if isinstance(path, str) else None
    if plain is None:
        jsonpath = compiled(path)
        return lambda response: [match.value for match in jsonpath.find(response)]
    fields = plain[1].split(".")

    def find(response: Any) -> list[Any]:
        for field in fields:
            if not isinstance(response, dict) or field not in response:
                return []
            response = response[field]
        return [response]

    return find

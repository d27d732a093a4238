"""Reports a JSONPath that nobody can parse, or that finds nothing, before a run would fail with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from dlt.common.jsonpath import compile_path
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.string import DefintionInvalid

from analytics_assets.config.endpoints import WrittenResource
from analytics_assets.config.validation_errors import Location, error_at

_HOW_TO_WRITE = (
    "Write the names of the fields with dots between them, and a name with other characters in quotes: "
    "`data.'odd name'`."
)
_ANNOTATION = re.compile(r"[\w-]*@(?:odata|microsoft)(?:\.\w+)+")
"""The name of an annotation in OData, such as `@odata.nextLink` or `value@odata.count`. Its dots belong to the name."""

_PART = re.compile(rf"{_ANNOTATION.pattern}|[^.]+")
_PLAIN = re.compile(r"[\w@-]+|\$", re.ASCII)
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")


def problem_of(path: Any) -> str:
    """Returns the clause and the cure of a JSONPath that cannot work; empty if it can. Only text can be wrong."""
    if not isinstance(path, str):
        return ""
    if not _compiles(path):
        return f"is no JSONPath. {_written_in_quotes(path) or _HOW_TO_WRITE}"
    unquoted = _QUOTED.sub("", path)
    if _ANNOTATION.search(unquoted):
        cure = _written_in_quotes(path) or _HOW_TO_WRITE
        return f"looks for a field inside another, but the dots are part of its name. {cure}"
    if "`sorted`" in unquoted:
        return (
            "has `sorted` in backticks, which fails on rows. Leave it out, or sort by a field: `data[/id]`."
        )
    if "&" in unquoted and "?" not in unquoted:
        return "has `&`, which no JSONPath here can compute. Name one of both paths."
    return ""


@lru_cache(maxsize=1000)
def _compiles(path: str) -> bool:
    try:
        compile_path(path)
    except (JSONPathError, DefintionInvalid, re.error):
        return False
    return True


def _written_in_quotes(path: str) -> str:
    """Returns the sentence with the JSONPath in which each odd name has quotes; empty if no quotes help."""
    if re.search(r"[\[\]'\"`*|,]", path):
        return ""
    quoted = ".".join(one if _PLAIN.fullmatch(one) else f"'{one}'" for one in _PART.findall(path))
    if "'" not in quoted or not quoted.strip("' ") or not _compiles(quoted):
        return ""
    return f"Write the name in quotes: `{in_yaml(quoted)}`."


def in_yaml(path: str) -> str:
    """Writes a JSONPath as a `defs.yaml` has it: YAML takes away the quotes of a text that begins with one."""
    return f'"{path}"' if path.startswith("'") else path


def refuse_bad_paths(client: Mapping[str, Any], resources: Iterable[WrittenResource]) -> None:
    """Fails at the first setting whose JSONPath cannot work.

    Raises:
        ValidationError: a JSONPath cannot work.
    """
    for keys, path in _of_paginator(client.get("paginator"), ()):
        problem = problem_of(path)
        if problem:
            raise error_at(("client", *keys), _sentence(keys, path, problem))
    for resource in resources:
        for keys, path in _of_endpoint(resource.endpoint):
            problem = problem_of(path)
            if problem:
                raise resource.error(_sentence(keys, path, problem), "endpoint", *keys)


def _sentence(keys: Location, path: str, problem: str) -> str:
    return f"{'.'.join(map(str, keys))} `{path}` {problem}"


def _of_endpoint(endpoint: Mapping[str, Any]) -> Iterator[tuple[Location, Any]]:
    yield ("data_selector",), endpoint.get("data_selector")
    yield from _of_paginator(endpoint.get("paginator"), ())
    params = endpoint.get("params") or {}
    for place, one in ((("incremental",), endpoint.get("incremental")), *_under("params", params)):
        if isinstance(one, dict):
            yield (*place, "cursor_path"), one.get("cursor_path")
            if one.get("type") == "resolve":
                yield (*place, "field"), one.get("field")


def _under(key: str, values: Mapping[str, Any]) -> Iterator[tuple[Location, Any]]:
    for name, value in values.items():
        yield (key, name), value


def _of_paginator(paginator: Any, place: Location) -> Iterator[tuple[Location, Any]]:
    for key, value in paginator.items() if isinstance(paginator, dict) else ():
        if str(key).endswith("_path"):
            yield (*place, "paginator", key), value

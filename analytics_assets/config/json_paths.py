"""Reports a JSONPath of `rest_api` that nobody can parse, before a run would fail with the error of the parser."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dlt.common.jsonpath import compile_path
from jsonpath_ng.exceptions import JSONPathError

from analytics_assets.config.endpoints import WrittenResource
from analytics_assets.config.validation_errors import Location, error_at

HOW_TO_WRITE = (
    "Write the names of the fields with dots between them, and a name with other characters in quotes: "
    "`data.'odd name'`."
)
"""The sentence that says what a JSONPath looks like."""


def parses(path: Any) -> bool:
    """Whether a value is a JSONPath. Only text can be wrong."""
    if not isinstance(path, str):
        return True
    try:
        compile_path(path)
    except JSONPathError:
        return False
    return True


def refuse_bad_paths(client: Mapping[str, Any], resources: Iterable[WrittenResource]) -> None:
    """Fails at the first setting that is no JSONPath.

    Raises:
        ValidationError: a setting is no JSONPath.
    """
    for keys, path in _of_paginator(client.get("paginator"), ()):
        if not parses(path):
            raise error_at(("client", *keys), _sentence(keys, path))
    for resource in resources:
        for keys, path in _of_endpoint(resource.endpoint):
            if not parses(path):
                raise resource.error(_sentence(keys, path), "endpoint", *keys)


def _sentence(keys: Location, path: str) -> str:
    return f"{'.'.join(map(str, keys))} `{path}` is no JSONPath. {HOW_TO_WRITE}"


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

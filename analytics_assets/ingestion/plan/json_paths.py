"""Refuses a JSONPath of the config that nobody can parse, before a run would fail with the error of the parser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlt.common.jsonpath import compile_path
from jsonpath_ng.exceptions import JSONPathError

from analytics_assets.ingestion.errors import UnfitResourceError


def refuse_bad_paths(name: str, endpoint: Mapping[str, Any], client: Mapping[str, Any]) -> None:
    """Fails if a setting of an endpoint is no JSONPath.

    Args:
        name: the dlt resource name.
        endpoint: the endpoint of the resource, with the defaults that dlt has applied.
        client: the client of the source, whose paginator the endpoint uses if it has none.

    Raises:
        UnfitResourceError: a setting is no JSONPath.
    """
    for setting, path in _paths(endpoint, client):
        if isinstance(path, str) and not _parses(path):
            raise UnfitResourceError(
                name,
                f"{setting} `{path}` is no JSONPath",
                "Write the names of the fields with dots between them, and a name with other characters in quotes: "
                "`data.'odd name'`",
            )


def _paths(endpoint: Mapping[str, Any], client: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "data_selector", endpoint.get("data_selector")
    for paginator in (endpoint.get("paginator"), client.get("paginator")):
        if isinstance(paginator, Mapping):
            for key, value in paginator.items():
                if str(key).endswith("_path"):
                    yield f"paginator.{key}", value
    for one in (endpoint.get("incremental"), *(endpoint.get("params") or {}).values()):
        if isinstance(one, Mapping):
            yield "cursor_path", one.get("cursor_path")
            if one.get("type") == "resolve":
                yield "field", one.get("field")


def _parses(path: str) -> bool:
    try:
        compile_path(path)
    except JSONPathError:
        return False
    return True

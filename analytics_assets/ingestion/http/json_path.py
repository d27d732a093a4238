"""Finds values in parsed JSON by a JSONPath. A path of plain field names needs only dict lookups."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dlt.common.jsonpath import TJsonPath, compile_path

Find = Callable[[Any], list[Any]]
"""A function that returns all values at a JSONPath."""


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

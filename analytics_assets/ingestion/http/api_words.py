"""Finds the API's own words about an error in a response, for error texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from analytics_assets.ingestion.errors import shown
from analytics_assets.ingestion.raw_json import read_body

_FIELDS = (
    "message",
    "error_description",
    "detail",
    "error_message",
    "errorMessage",
    "error",
    "errors",
    "title",
    "description",
    "reason",
    "msg",
)
"""The fields that contain an explanation, the most explicit first."""

_LONGEST = 200
_LONGEST_READ = 10_000
_DEPTH = 4


def words_of(response: Any, redact: Callable[[str], str], encoding: str | None = None) -> str:
    """Returns the explanation in a response in at most 200 characters; empty if there is none.

    The explanation is redacted before it is cut, because a part of a secret is not found any more. Links are left out,
    because they may contain a secret in another encoding.

    Args:
        response: the body as bytes, or the parsed JSON.
        redact: a function that replaces the secrets in a text.
        encoding: the encoding of a body that is not UTF-8; None if unknown.
    """
    if isinstance(response, bytes):
        try:
            response = read_body(response, encoding)
        except ValueError:
            return ""
    text = redact(next(_texts(response, _DEPTH), ""))
    return shown(" ".join(re.sub(r"\w+://\S+", "…", text[:_LONGEST_READ]).split()), _LONGEST)


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield value
    elif isinstance(value, list) and depth:
        for one in value[:3]:
            yield from _texts(one, depth - 1)
    elif isinstance(value, dict) and depth:
        for field in _FIELDS:
            if field in value:
                yield from _texts(value[field], depth - 1)

"""Finds the rule in `requests.responses` that matches a response."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from analytics_assets.config.responses import ANY, ResponseRule
from analytics_assets.ingestion.http.exchange import Exchange
from analytics_assets.ingestion.http.json_path import Find, before_wildcard, finder, steps_of
from analytics_assets.ingestion.raw_json import read_body
from analytics_assets.ingestion.raw_rows import read_fields

_PIECE = 1_048_576
"""The bytes of a body that are decoded or parsed at once."""

_LARGEST_VALUE = 1_048_576
"""The bytes of the largest list or object that may equal a value in a rule."""

_MOST_CONTEXT = 64  # the characters before a text, which may change how it is written in lower case

_finder: Any = lru_cache(finder)


def matching_rule(rules: Sequence[ResponseRule], exchange: Exchange) -> ResponseRule | None:
    """Returns the first rule whose conditions all hold for a response; None if there is no such rule."""
    return next((rule for rule in rules if _matches(rule, exchange)), None)


def _matches(rule: ResponseRule, exchange: Exchange) -> bool:
    headers = {name.lower(): value for name, value in (exchange.headers or {}).items()}
    return (
        (rule.status is None or exchange.status == rule.status)
        and all(_is(headers.get(name.lower()), value) for name, value in rule.header.items())
        and (rule.text is None or _has_text(rule.text, exchange.body))
        and (not rule.body or _has_fields(rule, exchange.body))
    )


def _has_text(text: str, body: bytes) -> bool:
    """Whether a body has a text, in any case. A large body is decoded in pieces."""
    decode, wanted, before = codecs.getincrementaldecoder("utf-8")("replace").decode, text.lower(), ""
    for start in range(0, len(body) or 1, _PIECE):
        piece = before + decode(body[start : start + _PIECE], start + _PIECE >= len(body))
        if wanted in piece.lower():
            return True
        before = piece[-len(text) - _MOST_CONTEXT :]
    return False


def _has_fields(rule: ResponseRule, body: bytes) -> bool:
    try:
        response = _read(rule, body)
    except ValueError:
        return False
    for path, value in rule.body.items():
        find: Find = _finder(path)
        found = find(response)
        if not any(_is(one, value) for one in found) and not (value is None and not found):
            return False
    return True


def _read(rule: ResponseRule, body: bytes) -> Any:
    """Parses a body; of a large one, only the fields that a rule names, and not the rows.

    Raises:
        ValueError: the body is not JSON.
    """
    paths = [steps_of(path) for path in rule.body]
    names = [path for path in paths if path and before_wildcard(path) == path]
    if len(body) > _PIECE and len(names) == len(paths):
        return read_fields(body, [before_wildcard(path) for path in names], _LARGEST_VALUE)
    return read_body(body)


def _is(found: Any, value: Any) -> bool:
    """Whether a value equals the value in a rule. `*` equals every value except null."""
    if value == ANY:
        return found is not None
    if isinstance(found, bool) or isinstance(value, bool) or found is None or value is None:
        return found is value or str(found).lower() == str(value).lower()
    return bool(found == value) or str(found) == str(value)

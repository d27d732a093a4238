"""Finds the rule in `requests.responses` that matches a response."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from analytics_assets.config.responses import ANY, ResponseRule
from analytics_assets.ingestion.http.exchange import Exchange
from analytics_assets.ingestion.http.json_path import Find, finder
from analytics_assets.ingestion.raw_json import read_body

_finder: Any = lru_cache(finder)


def matching_rule(rules: Sequence[ResponseRule], exchange: Exchange) -> ResponseRule | None:
    """Returns the first rule whose conditions all hold for a response; None if there is no such rule."""
    return next((rule for rule in rules if _matches(rule, exchange)), None)


def _matches(rule: ResponseRule, exchange: Exchange) -> bool:
    headers = {name.lower(): value for name, value in (exchange.headers or {}).items()}
    return (
        (rule.status is None or exchange.status == rule.status)
        and all(_is(headers.get(name.lower()), value) for name, value in rule.header.items())
        and (rule.text is None or rule.text.lower() in exchange.body.decode(errors="replace").lower())
        and (not rule.body or _has_fields(rule, exchange.body))
    )


def _has_fields(rule: ResponseRule, body: bytes) -> bool:
    try:
        response = read_body(body)
    except ValueError:
        return False
    for path, value in rule.body.items():
        find: Find = _finder(path)
        found = find(response)
        if not any(_is(one, value) for one in found) and not (value is None and not found):
            return False
    return True


def _is(found: Any, value: Any) -> bool:
    """Whether a value equals the value in a rule. `*` equals every value except null."""
    if value == ANY:
        return found is not None
    if isinstance(found, bool) or isinstance(value, bool) or found is None or value is None:
        return found is value or str(found).lower() == str(value).lower()
    return bool(found == value) or str(found) == str(value)

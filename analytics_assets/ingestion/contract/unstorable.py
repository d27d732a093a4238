"""What dlt's normalizer stumbles over in fields that are not declared, so that such a row must not get there."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from analytics_assets.ingestion.contract.coercion import is_unicode
from analytics_assets.ingestion.contract.columns import field_name

_DEEPEST = 100
"""Levels of nesting; dlt's own ways with a row end at some 250."""


def unstorable_in(value: Any, depth: int = 0) -> str:
    """What in fields that are not declared dlt cannot store; empty where it can."""
    if depth > _DEEPEST:
        return f"more than {_DEEPEST} lists and objects in one another"
    if isinstance(value, dict):
        names: dict[str, Any] = {}
        for key, one in value.items():
            name = field_name("", key)
            if not name:
                return "a field without a name"
            if name.startswith("_dlt_"):
                return "a field `_dlt_…`: a name of dlt's own"
            other = names.setdefault(name, one)
            if other != one and other is not None and one is not None:
                return f"two fields that are one column, `{name}`"
        parts = [*value, *value.values()]
    elif isinstance(value, list):
        parts = value
    else:
        return _unstorable_scalar(value)
    return next((found for part in parts if (found := unstorable_in(part, depth + 1))), "")


def _unstorable_scalar(value: Any) -> str:
    if isinstance(value, str):
        if not is_unicode(value):
            return "text that is no valid Unicode"
        if value[:4] in ("0001", "9999"):  # dlt takes it for a timestamp, and moves it to UTC
            with suppress(ValueError):
                moment = datetime.fromisoformat(value)
                try:
                    moment.astimezone(UTC)
                except OverflowError:
                    return "a timestamp that its zone moves out of the years there are"
    elif isinstance(value, float) and not math.isfinite(value):
        return "a number that is none: NaN, or infinite"
    elif isinstance(value, (int, float)) and not -(2**63) <= value < 2**63:
        return "a number of more than 64 bits that is not declared"
    return ""

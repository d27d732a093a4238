"""Finds undeclared values that dlt's normalizer cannot store. A row with an unstorable value goes to quarantine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from analytics_assets.ingestion.contract.coercion_rules import is_unicode
from analytics_assets.ingestion.contract.columns import field_name
from analytics_assets.ingestion.raw_json import JsonNumber

_MAX_DEPTH = 100
"""The most levels of nesting. dlt fails at about 250 levels."""


def unstorable_in(row: Mapping[str, Any]) -> str:
    """Describes the first unstorable value of a row; empty if dlt can store all values.

    Args:
        row: the row without its typed columns.
    """
    if any(isinstance(value, list) and field_name("", key) == "quarantine" for key, value in row.items()):
        return "a list `quarantine`, which is the name of the table of rejected rows"
    return _in_value(row, 0)


def _in_value(value: Any, depth: int) -> str:
    if depth > _MAX_DEPTH:
        return f"more than {_MAX_DEPTH} nested lists and objects"
    if isinstance(value, dict):
        names: dict[str, Any] = {}
        for key, one in value.items():
            name = field_name("", key)
            if not name:
                return "a field without a name"
            if name.startswith("_dlt_"):
                return "a field `_dlt_…`, a name that dlt reserves"
            other = names.setdefault(name, one)
            if other is not one and other != one and other is not None and one is not None:
                return f"two fields with different values for one column, `{name}`"
        parts = [*value, *value.values()]
    elif isinstance(value, list):
        parts = value
    else:
        return _in_scalar(value)
    return next((found for part in parts if (found := _in_value(part, depth + 1))), "")


def _in_scalar(value: Any) -> str:
    if isinstance(value, str):
        if not is_unicode(value):
            return "text that is not valid Unicode"
    elif isinstance(value, float) and not math.isfinite(value):
        return "a number that is NaN or infinite"
    elif isinstance(value, JsonNumber) and not value.is_of_a_float:
        return "an undeclared number that a double would round: declare its field, as decimal or double"
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "an undeclared number of more than 64 bits"
    return ""

"""Names the kind of a JSON value, for error messages."""

from __future__ import annotations

import math
from typing import Any

from analytics_assets.ingestion.raw_json import JsonNumber, TooDeep

_KINDS = {
    bool: "true or false",
    str: "text",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
    type(None): "null",
}


def kind_of(value: Any) -> str:
    """The kind of a value, such as `text` or `a list`; the name of the Python type for a value that is not JSON."""
    if isinstance(value, TooDeep):
        return "a value with too many nested lists and objects"
    if isinstance(value, float) and not math.isfinite(value):
        is_number = isinstance(value, JsonNumber) and value.is_number
        return "a number too large for a double" if is_number else "NaN or infinite"
    kind = float if isinstance(value, float) else type(value)
    return _KINDS.get(kind, kind.__name__)

"""Names the kind of a JSON value, for error messages."""

from __future__ import annotations

from typing import Any

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
    kind = float if isinstance(value, float) else type(value)
    return _KINDS.get(kind, kind.__name__)

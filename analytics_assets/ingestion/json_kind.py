"""The kind of a JSON value, in words for a person."""

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
    """The kind of a value: `text`, `a list`. The name of its Python type where JSON has no such kind."""
    return _KINDS.get(type(value), type(value).__name__)

"""Parses a row that is still JSON text, as `msgspec.Raw`. Only code that needs its fields calls this."""

from __future__ import annotations

import json
from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode


def read_row(row: msgspec.Raw) -> Any:
    """The parsed row. Python's own parser reads text that msgspec refuses, such as half a surrogate pair."""
    try:
        return _decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(bytes(row))

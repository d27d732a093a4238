"""Parses a row that is still JSON text (`msgspec.Raw`). Only code that needs the row's fields calls this module."""

from __future__ import annotations

import json
from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode


def read_row(row: msgspec.Raw) -> Any:
    """Parses a row. Python's JSON parser reads text that msgspec rejects, such as half a surrogate pair."""
    try:
        return _decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(bytes(row))

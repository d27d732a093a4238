"""Parses a row that is still JSON text (`msgspec.Raw`). Only code that needs the fields of a row calls this module."""

from __future__ import annotations

import json
from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode


def read_row(row: msgspec.Raw) -> Any:
    """Parses a row. If msgspec rejects the text, Python's JSON parser parses the text."""
    try:
        return _decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(bytes(row))

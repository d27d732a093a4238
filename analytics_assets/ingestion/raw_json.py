"""A row that is still JSON text, as `msgspec.Raw`: it is parsed only by who needs its fields."""

from __future__ import annotations

import json
from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode


def read_row(row: msgspec.Raw) -> Any:
    """The parsed row. Text that msgspec refuses, such as half a surrogate pair, goes through Python's own parser."""
    try:
        return _decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(bytes(row))

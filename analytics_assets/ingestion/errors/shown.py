"""Text of others in texts of ours: `shown` cuts it, and escapes what a terminal or a browser would obey."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

MOST_NAMES = 100
"""The most names in one list that we show."""

_OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, among them line breaks and the start of ANSI codes
    "\u2028\u2029"  # line breaks
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the direction of the text
    "\ufeff\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"  # invisible characters, and halves of characters
)


def shown(text: Any, most: int = 200) -> str:
    r"""Returns a text in at most `most` characters, with escapes such as `\n` and `\x1b`."""
    whole = str(text)
    escaped = _OBEYED.sub(lambda one: one[0].encode("unicode_escape").decode(), whole[:most])
    return escaped if len(whole) <= most and len(escaped) <= most else escaped[: most - 1] + "…"


def names_shown(names: Iterable[Any], most: int = MOST_NAMES) -> list[str]:
    """Returns the first names of a list, and how many there are more."""
    every = list(names)
    listed = [shown(one) for one in islice(every, most)]
    return listed if len(every) <= most else [*listed, f"and {len(every) - most:,} more"]


def all_shown(value: Any, most: int = 1000) -> Any:
    """Returns a value with all its texts as `shown` returns them; the items of a collection are cut shorter."""
    if type(value) is str:
        return shown(value, most)
    if type(value) is tuple:
        return tuple(all_shown(one, most // 2) for one in value[:MOST_NAMES])
    if type(value) is dict:
        return {
            all_shown(name, most // 5): all_shown(one, most // 5)
            for name, one in islice(value.items(), MOST_NAMES)
        }
    return value

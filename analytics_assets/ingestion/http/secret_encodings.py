"""Writes a secret in the usual encodings, and finds these in a text.

What belongs here: texts and their encodings. `redaction.py` knows the secrets, and what takes their place.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote, quote_plus

_LEAST_CORE = 6
"""The fewest characters of base64 that are searched. Fewer may be a part of any word."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_BASE64_BEFORE = re.compile(r"[A-Za-z0-9+/_-]*\Z")


class Encoding(NamedTuple):
    """A secret in one encoding.

    Attributes:
        text: the encoded secret.
        reference: the reference of the secret.
        is_core: whether the text is from the middle of a longer base64 text, such as that of `user:password`.
    """

    text: str
    reference: str
    is_core: bool = False


class Found(NamedTuple):
    """A part of a text that has a secret, or several ones that overlap.

    Attributes:
        start: the index of the first character.
        end: the index after the last character.
        reference: the reference of the first secret in it.
    """

    start: int
    end: int
    reference: str


def encodings_of(value: str, reference: str) -> set[Encoding]:
    """Returns a value in the encodings of URLs, JSON, HTML and base64."""
    escaped = json.dumps(value)[1:-1]
    quoted = {quote(value, safe=""), quote(value), quote_plus(value)}
    encoded = value.encode()
    whole = {
        value,
        escaped,
        escaped.replace("/", "\\/"),
        html.escape(value),
        base64.b64encode(encoded).decode(),
        base64.urlsafe_b64encode(encoded).decode(),
        repr(value)[1:-1],
        *quoted,
        *(_lower_hex(one) for one in quoted),
    }
    cores = {one for one in _cores(encoded) if len(one) >= _LEAST_CORE}
    return {Encoding(one, reference) for one in whole} | {
        Encoding(one, reference, is_core=True) for one in cores
    }


def found_in(text: str, encodings: Iterable[Encoding]) -> list[Found]:
    """Returns the parts of a text that have a secret, in order. Parts that overlap are one."""
    found = sorted(
        (place for one in encodings if one.text in text for place in _places(text, one)),
        key=lambda one: (one.start, -one.end),
    )
    joined: list[Found] = []
    for one in found:
        if joined and one.start < joined[-1].end:
            joined[-1] = joined[-1]._replace(end=max(joined[-1].end, one.end))
        else:
            joined.append(one)
    return joined


def _places(text: str, encoding: Encoding) -> Iterator[Found]:
    at = text.find(encoding.text)
    while at >= 0:
        start, end = at, at + len(encoding.text)
        if encoding.is_core:
            # The whole base64 text goes, because its other characters have bits of the secret.
            before, after = _BASE64_BEFORE.search(text, 0, start), _BASE64.match(text, end)
            start = before.start() if before else start
            end = after.end() if after else end
        yield Found(start, end, encoding.reference)
        at = text.find(encoding.text, max(at + 1, end if encoding.is_core else 0))


def _cores(encoded: bytes) -> Iterator[str]:
    """Yields the characters of base64 that depend on the value alone, for each number of bytes before it."""
    for before in range(3):
        padded = bytes(before) + encoded
        first, end = -(-8 * before // 6), 8 * len(padded) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(padded).decode()[first:end]


def _lower_hex(quoted: str) -> str:
    """Writes `%2F` as `%2f`, because APIs use both forms."""
    first, *rest = quoted.split("%")
    return "%".join([first, *(one[:2].lower() + one[2:] for one in rest)])

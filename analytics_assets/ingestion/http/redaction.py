"""Secrets: a stand-in everywhere, the value only in the request.

dlt gets a stand-in for every secret, so that nothing it logs, raises, pickles or loads can hold the value. The
transport puts the value in as a request leaves, and takes it out of what comes back.
"""

from __future__ import annotations

import base64
import html
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from secrets import token_hex
from urllib.parse import quote, quote_plus

_PROCESS = token_hex(4)  # so that nothing an API sends can be taken for a stand-in
_LEAST_IN_TEXT = 4
_LEAST_IN_DATA = 8
"""Characters. A shorter value may be an ordinary word: taking it out would garble logs, or worse, rows."""

_LOGGERS = (
    "dlt",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.util.retry",
)
"""What logs requests and URLs."""


def stand_in(field: str) -> str:
    """What stands for a secret field, such as `api_key`; of characters that no encoding of a URL changes."""
    return f"hidden.{field}.{_PROCESS}"


class Secrets:
    """The secrets of one API.

    Args:
        values: by stand-in.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        self._spellings: list[tuple[str, str]] = []
        self._in_data: list[tuple[bytes, bytes]] = []
        for name, value in self._values.items():
            for spelling in _spellings(value):
                self._learn(spelling, name)

    def in_url(self, url: str) -> str:
        """A URL with the values in it."""
        for name, value in self._values.items():
            url = url.replace(name, quote(value, safe=""))
        return url

    def in_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers with the values in them, also within those of HTTP basic authentication."""
        return {header: self._in_header(value) for header, value in headers.items()}

    def in_body(self, body: bytes, content_type: str) -> bytes:
        """A body with the values in it, spelled as its type asks: JSON, or else a form."""
        for name, value in self._values.items():
            spelled = json.dumps(value)[1:-1] if "json" in content_type else quote_plus(value)
            body = body.replace(name.encode(), spelled.encode())
        return body

    def conceal(self, text: str) -> str:
        """Text of ours or of others with every value, however spelled, replaced by its stand-in."""
        for spelling, name in self._spellings:
            text = text.replace(spelling, name)
        return text

    def conceal_data(self, body: bytes) -> bytes:
        """An answer's body in which an API that echoes the key does so in vain."""
        for spelling, name in self._in_data:
            if spelling in body:
                body = body.replace(spelling, name)
        return body

    @contextmanager
    def out_of_logs(self) -> Iterator[None]:
        """Keeps the values out of what dlt and urllib3 log, at any level, for the block."""
        loggers = [logging.getLogger(name) for name in _LOGGERS]
        for logger in loggers:
            logger.addFilter(self._conceal_record)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(self._conceal_record)

    def _conceal_record(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        concealed = self.conceal(said)
        if concealed != said:
            record.msg, record.args = concealed, None
        return True

    def _in_header(self, value: str) -> str:
        if value.startswith("Basic "):
            plain = base64.b64decode(value.removeprefix("Basic ")).decode()
            for name, secret in self._values.items():
                if name in plain:
                    encoded = base64.b64encode(plain.replace(name, secret).encode()).decode()
                    self._learn(encoded, name)
                    return f"Basic {encoded}"
        for name, secret in self._values.items():
            value = value.replace(name, secret)
        return value

    def _learn(self, spelling: str, name: str) -> None:
        if len(spelling) >= _LEAST_IN_TEXT and (spelling, name) not in self._spellings:
            # Longest first: one spelling may be part of another. A new list: other threads read the old one.
            self._spellings = sorted([*self._spellings, (spelling, name)], key=lambda one: -len(one[0]))
            self._in_data = [(a.encode(), b.encode()) for a, b in self._spellings if len(a) >= _LEAST_IN_DATA]


def _spellings(value: str) -> set[str]:
    """A value as URLs, JSON, HTML and base64 write it."""
    escaped = json.dumps(value)[1:-1]
    quoted = {quote(value, safe=""), quote(value), quote_plus(value)}
    encoded = value.encode()
    return {
        value,
        escaped,
        escaped.replace("/", "\\/"),
        html.escape(value),
        base64.b64encode(encoded).decode(),
        base64.urlsafe_b64encode(encoded).decode(),
        *quoted,
        *(_lower_hex(one) for one in quoted),
    }


def _lower_hex(quoted: str) -> str:
    """`%2F` as `%2f`; both are in use."""
    first, *rest = quoted.split("%")
    return "%".join([first, *(one[:2].lower() + one[2:] for one in rest)])

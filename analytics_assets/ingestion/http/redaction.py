"""Secrets: a reference everywhere, the value only in the request.

dlt gets a reference in place of every secret. So nothing that dlt logs, raises, pickles or loads can hold the value.
The transport puts the value into each request, and takes it out of each response.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from secrets import token_hex
from urllib.parse import quote, quote_plus

_PROCESS = token_hex(4)  # so that nothing an API sends can be taken for a reference
_LEAST_IN_TEXT = 4
_LEAST_IN_BODY = 8
"""Characters. A shorter value may be an ordinary word: redacting it would garble logs, or worse, rows."""

_LOGGERS = (
    "dlt",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.util.retry",
)
"""The loggers that write requests and URLs."""


def secret_reference(field: str) -> str:
    """The text that refers to a secret field, such as `api_key`. No encoding of a URL changes its characters."""
    return f"hidden.{field}.{_PROCESS}"


class Secrets:
    """The secrets of one API.

    Args:
        values: by reference.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        self._encodings: list[tuple[str, str]] = []
        self._in_body: list[tuple[bytes, bytes]] = []
        for reference, value in self._values.items():
            for encoding in _encodings(value):
                self._learn(encoding, reference)

    def in_url(self, url: str) -> str:
        """A URL with the values in it."""
        for reference, value in self._values.items():
            url = url.replace(reference, quote(value, safe=""))
        return url

    def in_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers with the values in them, also within those of HTTP basic authentication."""
        return {header: self._in_header(value) for header, value in headers.items()}

    def in_body(self, body: bytes, content_type: str) -> bytes:
        """A body with the values in it, encoded as its type asks: JSON, or else a form."""
        for reference, value in self._values.items():
            encoded = json.dumps(value)[1:-1] if "json" in content_type else quote_plus(value)
            body = body.replace(reference.encode(), encoded.encode())
        return body

    def redact(self, text: str) -> str:
        """Text in which every value, however encoded, is replaced by its reference."""
        for encoding, reference in self._encodings:
            text = text.replace(encoding, reference)
        return text

    def redact_body(self, body: bytes) -> bytes:
        """The body of a response, redacted: an API may echo the key."""
        for encoding, reference in self._in_body:
            if encoding in body:
                body = body.replace(encoding, reference)
        return body

    def redact_chunks(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks of a body, redacted as `redact_body` redacts the whole.

        A value may begin in one chunk and end in the next. So the last bytes of each chunk, fewer than the longest
        value has, are handed on with the next chunk.
        """
        references = dict(self._in_body)
        if not references:
            yield from chunks
            return
        longest = max(map(len, references))
        pattern = re.compile(b"|".join(re.escape(encoding) for encoding, _ in self._in_body))
        kept = b""
        for chunk in chunks:
            text = kept + chunk
            redacted, end = _replace_until(max(0, len(text) - longest + 1), text, pattern, references)
            kept = text[end:]
            if redacted:
                yield redacted
        if kept:
            yield _replace_until(len(kept), kept, pattern, references)[0]

    @contextmanager
    def out_of_logs(self) -> Iterator[None]:
        """Redacts what dlt and urllib3 log, at any level, for the block."""
        loggers = [logging.getLogger(name) for name in _LOGGERS]
        for logger in loggers:
            logger.addFilter(self._redact_record)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(self._redact_record)

    def _redact_record(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = self.redact(message)
        if redacted != message:
            record.msg, record.args = redacted, None
        return True

    def _in_header(self, value: str) -> str:
        if value.startswith("Basic "):
            plain = base64.b64decode(value.removeprefix("Basic ")).decode()
            for reference, secret in self._values.items():
                if reference in plain:
                    encoded = base64.b64encode(plain.replace(reference, secret).encode()).decode()
                    self._learn(encoded, reference)
                    return f"Basic {encoded}"
        for reference, secret in self._values.items():
            value = value.replace(reference, secret)
        return value

    def _learn(self, encoding: str, reference: str) -> None:
        if len(encoding) >= _LEAST_IN_TEXT and (encoding, reference) not in self._encodings:
            # Longest first: one encoding may be part of another. A new list: other threads read the old one.
            self._encodings = sorted([*self._encodings, (encoding, reference)], key=lambda one: -len(one[0]))
            self._in_body = [(a.encode(), b.encode()) for a, b in self._encodings if len(a) >= _LEAST_IN_BODY]


def _replace_until(
    end: int, text: bytes, pattern: re.Pattern[bytes], replacements: Mapping[bytes, bytes]
) -> tuple[bytes, int]:
    """The text with all matches that begin before `end` replaced, and the position up to which it goes."""
    parts, position = [], 0
    for match in pattern.finditer(text):
        if match.start() >= end:
            break
        parts += [text[position : match.start()], replacements[match[0]]]
        position = match.end()
    end = max(position, end)
    return b"".join([*parts, text[position:end]]), end


def _encodings(value: str) -> set[str]:
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

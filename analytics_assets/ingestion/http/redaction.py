"""Secrets: inserts secret values into requests, and replaces secret values in responses and log records.

For the auth types in `_ONLY_SENT` (`source/build.py`), dlt gets a reference in place of each secret value. So no log,
error text, pickle or table of dlt can contain the value. A custom auth type gets the value itself, because it may
compute with the value. The transport uses this module to insert the values into each request, and to redact each
response.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from secrets import token_hex
from threading import Lock
from urllib.parse import quote, quote_plus

_PROCESS = token_hex(4)  # a random part, so that no text of an API looks like a reference
_LEAST_IN_TEXT = 4
_LEAST_IN_BODY = 8
"""The minimum length of a secret value for redaction. A shorter value may be an ordinary word in logs and rows."""

_MAX_LEARNT = 20
"""The most values that `learn` keeps. A token that lives seconds is one of thousands in a long sync."""

_LOGGERS = (
    "dlt",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.util.retry",
)
"""The loggers whose records may contain requests and URLs."""


def secret_reference(field: str) -> str:
    """Returns the reference to a secret field, such as `api_key`. URL encoding does not change the reference."""
    return f"hidden.{field}.{_PROCESS}"


class Secrets:
    """The secrets of one API. The class is thread-safe.

    Args:
        values: the secret values, by reference.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        self._learnt: dict[str, str] = {}
        self._numbers = count(1)
        self._lock = Lock()
        self._encodings: list[tuple[str, str]] = []
        self._in_body: list[tuple[bytes, bytes]] = []
        self._redact_too(
            (encoding, reference)
            for reference, value in self._values.items()
            for encoding in _encodings(value)
        )

    def learn(self, field: str, value: str) -> None:
        """Learns a secret value that is known only during the sync, such as an access token.

        Args:
            field: the name of the value, for its reference.
            value: the value.
        """
        if value in self._values.values():
            return
        reference = secret_reference(f"{field}.{next(self._numbers)}")
        with self._lock:
            self._learnt[reference] = value
            forgotten = list(self._learnt)[:-_MAX_LEARNT]
            for one in forgotten:
                del self._learnt[one]
            # Other threads may still iterate over the old objects, so the code makes new ones.
            kept = {name: old for name, old in self._values.items() if name not in forgotten}
            self._values = {**kept, reference: value}
            self._encodings = [one for one in self._encodings if one[1] not in forgotten]
        self._redact_too((encoding, reference) for encoding in _encodings(value))

    def reveal(self, text: str) -> str:
        """Replaces each reference in a text with its secret value."""
        for reference, value in self._values.items():
            text = text.replace(reference, value)
        return text

    def in_url(self, url: str) -> str:
        """Inserts the secret values into a URL in place of references."""
        for reference, value in self._values.items():
            url = url.replace(reference, quote(value, safe=""))
        return url

    def in_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Inserts the secret values into headers in place of references, also into an HTTP basic header."""
        return {header: self._in_header(value) for header, value in headers.items()}

    def in_body(self, body: bytes, content_type: str) -> bytes:
        """Inserts the secret values into a body in place of references, encoded for JSON or for a form."""
        for reference, value in self._values.items():
            encoded = json.dumps(value)[1:-1] if "json" in content_type else quote_plus(value)
            body = body.replace(reference.encode(), encoded.encode())
        return body

    def without(self, url: str) -> str:
        """Returns a URL without the query parameters that have a secret, as a value or as a reference."""
        address, mark, query = url.partition("?")
        kept = [pair for pair in query.split("&") if not self.is_in(pair)]
        return address + mark + "&".join(kept)

    def is_in(self, text: str) -> bool:
        """Whether a text has a secret, as a value or as a reference."""
        return any(reference in text for reference in self._values) or self.redact(text) != text

    def redact(self, text: str) -> str:
        """Replaces each secret value in a text, in any known encoding, with its reference."""
        for encoding, reference in self._encodings:
            text = text.replace(encoding, reference)
        return text

    def redact_body(self, body: bytes) -> bytes:
        """Replaces each secret value in a response body with its reference, because an API may echo a key."""
        for encoding, reference in self._in_body:
            if encoding in body:
                body = body.replace(encoding, reference)
        return body

    def redact_chunks(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Redacts the chunks of a body with the same result as `redact_body` for the whole body.

        A secret value may start in one chunk and end in the next. So the method holds back the last bytes of each
        chunk, and yields these bytes with the next chunk.
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
        """Redacts the log records of dlt and urllib3, at any level, within the `with` block."""
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
            found = [reference for reference in self._values if reference in plain]
            for reference in found:  # the user name and the password may both be secrets
                plain = plain.replace(reference, self._values[reference])
            if found:
                encoded = base64.b64encode(plain.encode()).decode()
                self._redact_too([(encoded, found[0])])
                return f"Basic {encoded}"
        for reference, secret in self._values.items():
            value = value.replace(reference, secret)
        return value

    def _redact_too(self, encodings: Iterable[tuple[str, str]]) -> None:
        """Adds encodings of secret values, each with the reference of its value."""
        with self._lock:
            fresh = {(one, ref) for one, ref in encodings if len(one) >= _LEAST_IN_TEXT}
            # The list starts with the longest encoding, because one encoding may contain another.
            # The code makes a new list, because other threads may still iterate over the old list.
            self._encodings = sorted(fresh.union(self._encodings), key=lambda one: (-len(one[0]), one))
            self._in_body = [(a.encode(), b.encode()) for a, b in self._encodings if len(a) >= _LEAST_IN_BODY]


def _replace_until(
    end: int, text: bytes, pattern: re.Pattern[bytes], replacements: Mapping[bytes, bytes]
) -> tuple[bytes, int]:
    """Replaces all matches that start before `end`. Returns the new text, and the position of the first unused byte."""
    parts, position = [], 0
    for match in pattern.finditer(text):
        if match.start() >= end:
            break
        parts += [text[position : match.start()], replacements[match[0]]]
        position = match.end()
    end = max(position, end)
    return b"".join([*parts, text[position:end]]), end


def _encodings(value: str) -> set[str]:
    """Returns a value in the encodings of URLs, JSON, HTML and base64."""
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
    """Writes `%2F` as `%2f`, because APIs use both forms."""
    first, *rest = quoted.split("%")
    return "%".join([first, *(one[:2].lower() + one[2:] for one in rest)])

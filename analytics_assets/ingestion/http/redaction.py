"""Secrets: inserts secret values into requests, and replaces secret values in the texts that this project writes.

For the auth types in `ONLY_SENT` (`source/settings.py`), dlt gets a reference in place of each secret value. A custom
auth type gets the value itself, because it may compute with the value. The transport inserts the values into each
request. Responses stay as they came, because a row may hold a text that equals a secret by chance. So each text about
a response is redacted when it is written: errors, log records, metadata.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from threading import Lock
from typing import Any, Self
from urllib.parse import quote, quote_plus, urlsplit

import msgspec

from analytics_assets.config.secret_reference import secret_reference
from analytics_assets.ingestion.http.secret_encodings import Encoding, Found, encodings_of, found_in
from analytics_assets.ingestion.raw_json import read_row

_LEAST_IN_TEXT = 4
"""The minimum length of a secret value for redaction. A shorter value may be a part of any word."""

_LEAST_IN_ROWS = 8
"""The minimum length of a secret value that is reported in rows. A shorter value may be an ordinary word."""

_MAX_LEARNT = 20
"""The most values that `learn` keeps. A token that lives seconds is one of thousands in a long sync."""

_LOGGERS = (
    "analytics_assets",
    "dlt",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.util.retry",
)
"""The loggers whose records may contain requests and URLs."""


class Secrets:
    """The secrets of one API. The class is thread-safe.

    Args:
        values: the secret values, by reference.
        ids: the references of values that are no keys, such as a user name. A row may well have them.
        settings: the names of the settings and environment variables that have the keys, for error texts.

    Attributes:
        settings: the names of the settings and environment variables that have the keys.
        in_responses: whether a response had a secret value, so that a row may hold it.
    """

    def __init__(
        self,
        values: Mapping[str, str] | None = None,
        ids: Collection[str] = (),
        settings: Iterable[str] = (),
    ) -> None:
        self._values = dict(values or {})
        self._ids = frozenset(ids)
        self.settings = tuple(dict.fromkeys(settings))
        self._spelled: dict[str, str] = {}
        self._learnt: dict[str, str] = {}
        self._numbers = count(1)
        self._lock = Lock()
        self._encodings: list[Encoding] = []
        self._in_rows = self._noticeable()
        self.in_responses = False
        for reference, value in self._values.items():
            self._redact_too(encodings_of(value, reference))

    def __deepcopy__(self, _: Any) -> Self:
        """Returns the object itself, because a copy of the config in dlt must learn the same tokens."""
        return self

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
            self._in_rows = self._noticeable()
            self._encodings = [one for one in self._encodings if one.reference not in forgotten]
        self._redact_too(encodings_of(value, reference))

    def hide_in(self, url: str) -> str:
        """Replaces each secret value after the server of a URL, in any known encoding, by a reference.

        An API may put its key into a link. `in_url` turns each reference back into the same text.
        """
        parts = urlsplit(url)
        start = len(f"{parts.scheme}://{parts.netloc}") if parts.netloc else 0
        server, rest = url[:start], url[start:]
        whole = [one for one in self._encodings if not one.is_core]
        return server + self._replaced(rest, found_in(rest, whole), self._reference_of)

    def _reference_of(self, text: str, reference: str) -> str:
        if text == quote(self._values.get(reference, ""), safe=""):
            return reference
        with self._lock:
            return self._spelled.setdefault(text, secret_reference(f"link.{len(self._spelled) + 1}"))

    def in_url(self, url: str) -> str:
        """Inserts the secret values into a URL in place of references."""
        for text, reference in list(self._spelled.items()):
            url = url.replace(reference, text)
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
        references = (*self._values, *list(self._spelled.values()))
        return any(reference in text for reference in references) or self.redact(text) != text

    def redact(self, text: str) -> str:
        """Replaces each secret value in a text, in any known encoding, with its reference."""
        return self._replaced(text, found_in(text, self._encodings), lambda _, reference: reference)

    @staticmethod
    def _replaced(text: str, found: list[Found], by: Callable[[str, str], str]) -> str:
        for one in reversed(found):
            text = text[: one.start] + by(text[one.start : one.end], one.reference) + text[one.end :]
        return text

    def notice(self, body: bytes) -> None:
        """Notes whether a response has a secret value. Only then are its rows searched."""
        if not self.in_responses:
            self.in_responses = any(value.encode() in body for value in self._in_rows)

    def fields_with(self, row: Any) -> list[str]:
        """Returns the names of the fields of a row whose whole value is a secret, with dots between nested names.

        Args:
            row: the parsed row, or its JSON.
        """
        if isinstance(row, msgspec.Raw):
            text = bytes(row)
            if not any(value.encode() in text for value in self._in_rows):
                return []
            row = read_row(row)
        return _paths_with(self._in_rows, row)

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
            plain = _decoded(value.removeprefix("Basic "))
            found = [reference for reference in self._values if reference in plain]
            for reference in found:  # the user name and the password may both be secrets
                plain = plain.replace(reference, self._values[reference])
            if found:
                encoded = base64.b64encode(plain.encode()).decode()
                self._redact_too([Encoding(encoded, found[0])])
                return f"Basic {encoded}"
        for reference, secret in self._values.items():
            value = value.replace(reference, secret)
        return value

    def _noticeable(self) -> tuple[str, ...]:
        keys = {value for reference, value in self._values.items() if reference not in self._ids}
        return tuple(value for value in keys if len(value) >= _LEAST_IN_ROWS)

    def _redact_too(self, encodings: Iterable[Encoding]) -> None:
        """Adds encodings of secret values."""
        with self._lock:
            fresh = {one for one in encodings if len(one.text) >= _LEAST_IN_TEXT}
            # The code makes a new list, because other threads may still iterate over the old list.
            self._encodings = sorted(fresh.union(self._encodings))


def _decoded(text: str) -> str:
    """Decodes base64; returns an empty text if the text is none."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


def _paths_with(secrets: Collection[str], row: Any) -> list[str]:
    found: dict[str, None] = {}  # each path once, in order
    # A stack, because a row may be nested deeper than Python may call.
    left: list[tuple[str, Any]] = [("", row)]
    while left:
        path, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{path}.{key}" if path else str(key), item) for key, item in value.items()]
        elif isinstance(value, list):
            left += [(path, item) for item in value]
        elif str(value) in secrets and not isinstance(value, bool):
            found[path] = None
    return list(found)

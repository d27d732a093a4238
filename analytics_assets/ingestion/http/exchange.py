"""The outcome of one request, which `retry_policy.py` judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exchange:
    """The outcome of one request: a response or a network error.

    Attributes:
        status: the HTTP status; None if there was no response.
        headers: the headers of the response.
        body: the decompressed body of the response; empty for a streamed response.
        error: the network error; None if there was a response.
        host: the host and port of the request, for the error text.
        redact: a function that replaces the secrets in a text, for the API's own words.
        settings: the names of the settings and environment variables that have the keys of the API.
    """

    status: int | None = None
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    error: BaseException | None = None
    host: str = ""
    redact: Callable[[str], str] = str
    settings: tuple[str, ...] = ()

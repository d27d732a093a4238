"""What an exchange that failed is told as: a few words without URL, query, header or body, which may hold a secret."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from urllib.parse import urlsplit

from requests import PreparedRequest
from urllib3.exceptions import (
    NewConnectionError,
    ProtocolError,
    ProxyError,
    SSLError,
    TimeoutError,  # noqa: A004  urllib3's own, which is no subclass of the built-in one
)

_CLIENT_HINTS = {
    401: "the API does not accept the key: check the secret",
    403: "the key may not read this: check the secret and its rights",
    404: "there is no such endpoint: check base_url and path",
}


def endpoint_of(request: PreparedRequest) -> str:
    """Method and path: the query is left out, as it says nothing of the endpoint."""
    return f"{request.method} {urlsplit(request.url or '').path}"


def status_reason(status: int) -> str:
    """An error status in words, with what to look at where that is known."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "unknown status"
    hint = _CLIENT_HINTS.get(status)
    return f"{status} {phrase}" + (f"; {hint}" if hint else "")


def dead_end_reason(error: BaseException) -> str:
    """What an error that no other try helps is told as; its own text may hold the URL or a header."""
    return f"{type(error).__name__}: check base_url, its certificate, and where the API's links lead"


def is_untrusted(error: BaseException) -> bool:
    """Whether it is about a certificate: one that does not hold now will not in two seconds."""
    cause = error.args[0] if isinstance(error, SSLError) and error.args else error
    return isinstance(cause, ssl.SSLCertVerificationError)


def network_reason(error: BaseException, host: str) -> str:
    """What a request that got no answer is told as."""
    if isinstance(error, ProxyError):
        return "no connection to the proxy"
    if isinstance(error, (NewConnectionError, SSLError)):
        return f"no connection to {host}; check base_url, or whether the API is up"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ProtocolError) and isinstance(error.args[-1], OSError):
        return f"the connection to {host} broke"
    return "the answer broke off"

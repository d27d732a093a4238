"""One request and its response on the wire, read whole or as a stream.

Elsewhere: whether and when a request is sent, and what its response means, is for `transport.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPException
from itertools import chain

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Timeout
from urllib3.exceptions import HTTPError

from analytics_assets.ingestion.http.rate_limit import RateLimiter
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.telemetry import Telemetry

NETWORK_ERRORS = (HTTPError, HTTPException, OSError)
"""What is raised where there is no response, or a part of it."""

_CHUNK = 65_536  # bytes


@dataclass(frozen=True)
class WireRequest:
    """A request as it goes over the wire, with its secrets in it: never to be logged or kept."""

    endpoint: str
    host: str
    pool: HTTPConnectionPool
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


@dataclass(frozen=True)
class WireResponse:
    """A response as it came.

    Attributes:
        raw: the response of urllib3.
        body: redacted; empty where the body is read as a stream.
        sent: when the request was sent, in seconds of a monotonic clock.
        received: when the response had come.
        attempts: requests sent until it came, the first included.
        chunks: the body that is read as a stream, decompressed and not yet redacted.
    """

    raw: BaseHTTPResponse
    body: bytes
    sent: float
    received: float
    attempts: int = 1
    chunks: Iterable[bytes] = ()


@dataclass(frozen=True)
class StreamedResponse:
    """A response whose body is read chunk by chunk.

    Attributes:
        status: HTTP status.
        headers: redacted.
        chunks: the body, decompressed and redacted. They can be read once, and within the block only.
        attempts: requests sent until it came, the first included.
    """

    status: int
    headers: dict[str, str]
    chunks: Iterator[bytes]
    attempts: int


class Wire:
    """Sends single requests. Safe across threads.

    Args:
        limiter: its slots bound the requests in flight.
        secrets: redacted in bodies.
        telemetry: counts.
        check: raises where nothing may be sent or read any more.
    """

    def __init__(
        self, limiter: RateLimiter, secrets: Secrets, telemetry: Telemetry, check: Callable[[], None]
    ) -> None:
        self._limiter = limiter
        self._secrets = secrets
        self._telemetry = telemetry
        self._check = check
        config = limiter.config
        self._timeout = Timeout(connect=config.connect_timeout, read=config.read_timeout)

    def read(self, request: WireRequest) -> WireResponse:
        """Sends one request, and reads its response with the whole body.

        Raises:
            HTTPError, HTTPException, OSError: there is no whole response.
        """
        with self._limiter.slots:
            self._check()
            sent, raw = self._send(request, preload=True)
        body = raw.data
        self._telemetry.response(raw.status, len(body))
        return WireResponse(raw, self._secrets.redact_body(body), sent, time.monotonic())

    def open(self, request: WireRequest, block: ExitStack) -> WireResponse:
        """Sends one request, and reads its response up to the first chunk of the body.

        Until `block` ends its connection is open, and it counts as in flight. The body of an error is cut after the
        first chunk, and its connection is closed.

        Raises:
            HTTPError, HTTPException, OSError: there is no response, or no first chunk.
        """
        with ExitStack() as opened:
            opened.enter_context(self._limiter.slots)
            self._check()
            sent, raw = self._send(request, preload=False)
            opened.callback(raw.close)
            chunks = raw.stream(_CHUNK, decode_content=True)
            first = next(chunks, b"")
            self._telemetry.response(raw.status, len(first))
            if raw.status >= 400:
                return WireResponse(raw, self._secrets.redact_body(first), sent, time.monotonic())
            block.push(opened.pop_all())
        return WireResponse(raw, b"", sent, time.monotonic(), chunks=chain((first,), self._counted(chunks)))

    def _send(self, request: WireRequest, *, preload: bool) -> tuple[float, BaseHTTPResponse]:
        self._telemetry.request()
        sent = time.monotonic()
        raw = request.pool.urlopen(
            request.method,
            request.url,
            body=request.body,
            headers=request.headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=self._timeout,
            preload_content=preload,
        )
        return sent, raw

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._check()
            self._telemetry.chunk(len(chunk))
            yield chunk

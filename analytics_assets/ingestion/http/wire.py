"""Sends one request, and reads its response whole or as a stream.

`transport.py` decides whether and when a request is sent, and retries the request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from http import HTTPStatus
from http.client import HTTPException
from io import BytesIO
from itertools import chain
from typing import Any
from urllib.parse import quote

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Timeout
from urllib3.exceptions import HTTPError, ProtocolError

from analytics_assets.ingestion.errors import AnswerTooLargeError
from analytics_assets.ingestion.http.access_token import AccessToken, Token
from analytics_assets.ingestion.http.deadline import Sockets, connection_class, lift_deadline
from analytics_assets.ingestion.http.rate_limit import RateLimiter
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.telemetry import Telemetry

NETWORK_ERRORS = (HTTPError, HTTPException, OSError)
"""The exceptions that show that there is no response or only a part of the response."""

_CHUNK = 65_536  # the size of a chunk of a stream in bytes
_PIECE = 1_048_576  # the bytes of a whole body that are read at once
_MOST_OF_AN_ERROR = 65_536  # the bytes of the body of an error, whose beginning says why


@dataclass(frozen=True)
class WireRequest:
    """A request that contains the secret values. Code must not log or store a `WireRequest`.

    Attributes:
        token: the access token whose reference the request has; None if the request has none.
        judge_size: a function that gets the bytes of the body that have come, and raises to end the response.
    """

    endpoint: str
    host: str
    pool: HTTPConnectionPool
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    token: AccessToken | None = None
    judge_size: Callable[[int], None] = lambda _: None

    def signed(self, token: Token) -> WireRequest:
        """Returns the request with a token in place of the reference of `self.token`."""
        assert self.token is not None
        reference, value = self.token.reference, token.value
        return replace(
            self,
            url=self.url.replace(reference, quote(value, safe="")),
            headers={name: one.replace(reference, value) for name, one in self.headers.items()},
        )


@dataclass(frozen=True)
class WireResponse:
    """A response from the network.

    Attributes:
        raw: the urllib3 response.
        status: the HTTP status.
        body: the body; empty for a streamed response.
        sent: the time when the request was sent, in seconds of a monotonic clock.
        received: the time when the response was complete, by the same clock.
        attempts: the number of requests sent until this response, the first included.
        chunks: the chunks of a streamed body, decompressed.
    """

    raw: BaseHTTPResponse
    status: int
    body: bytes
    sent: float
    received: float
    attempts: int = 1
    chunks: Iterable[bytes] = ()


@dataclass(frozen=True)
class StreamedResponse:
    """A response whose body is read chunk by chunk.

    Attributes:
        status: the HTTP status.
        headers: the headers.
        chunks: the decompressed body, which can be read once, within the `with` block.
        attempts: the number of requests sent until this response, the first included.
    """

    status: int
    headers: dict[str, str]
    chunks: Iterator[bytes]
    attempts: int


def _refuse_negative_chunks(raw: Any) -> None:
    """Makes a negative size of a chunk an error of the network. urllib3 would read until the end of the connection."""
    update = raw._update_chunk_length

    def checked() -> None:
        update()
        if raw.chunk_left is not None and raw.chunk_left < 0:
            raise ProtocolError("the size of a chunk is negative")

    raw._update_chunk_length = checked


class Wire:
    """Sends single requests. The class is thread-safe.

    Args:
        resource: the dlt resource of the sync.
        limiter: the rate limiter, whose slots limit the requests in flight.
        secrets: note whether a response has one of them.
        telemetry: the counts of the sync.
        check: a function that raises if the sync has stopped.
    """

    def __init__(
        self,
        resource: str,
        limiter: RateLimiter,
        secrets: Secrets,
        telemetry: Telemetry,
        check: Callable[[], None],
    ) -> None:
        self._resource = resource
        self._limiter = limiter
        self._secrets = secrets
        self._telemetry = telemetry
        self._check = check
        config = limiter.config
        self._timeout = Timeout(connect=config.connect_timeout, read=config.read_timeout)
        self._most = config.max_answer_bytes
        self._sockets = Sockets()
        self._connection_class = cache(
            partial(connection_class, seconds=config.seconds_in_all, sockets=self._sockets)
        )

    def abort(self) -> None:
        """Ends the requests in flight. Each fails with an error of the network."""
        self._sockets.abort()

    def read(self, request: WireRequest) -> WireResponse:
        """Sends one request, and reads the whole response.

        Raises:
            HTTPError, HTTPException, OSError: the network gave no response, or only a part.
            AnswerTooLargeError: the body is larger than `max_answer_bytes`.
        """
        with self._limiter.slots:
            self._check()
            sent, raw = self._send(request)
            body = self._body(request, raw)
        self._telemetry.response(raw.status, len(body))
        self._secrets.notice(body)
        return WireResponse(raw, raw.status, body, sent, time.monotonic())

    def open(self, request: WireRequest, block: ExitStack) -> WireResponse:
        """Sends one request, and reads its response up to the first chunk of the body.

        The connection stays open until `block` ends, and the request counts as in flight until then. For an error
        status, the method returns only the first chunk and closes the connection.

        Raises:
            HTTPError, HTTPException, OSError: the network gave no response, or no first chunk.
        """
        with ExitStack() as opened:
            opened.enter_context(self._limiter.slots)
            self._check()
            sent, raw = self._send(request)
            opened.callback(raw.close)
            lift_deadline(raw.connection)  # a stream may take as long as it sends bytes
            chunks = raw.stream(_CHUNK, decode_content=True)
            first = next(chunks, b"")
            self._telemetry.response(raw.status, len(first))
            if raw.status >= 400:
                return WireResponse(raw, raw.status, first, sent, time.monotonic())
            block.push(opened.pop_all())
        return WireResponse(
            raw, raw.status, b"", sent, time.monotonic(), chunks=chain((first,), self._counted(chunks))
        )

    def _send(self, request: WireRequest) -> tuple[float, BaseHTTPResponse]:
        self._telemetry.request()
        request.pool.ConnectionCls = self._connection_class(type(request.pool).ConnectionCls)
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
            preload_content=False,
        )
        if raw.chunked:
            _refuse_negative_chunks(raw)
        return sent, raw

    def _body(self, request: WireRequest, raw: BaseHTTPResponse) -> bytes:
        """Reads the body of a response; of an error, only the beginning.

        The size is that after decompression, because a small compressed body may be a large one.

        Raises:
            AnswerTooLargeError: the body is larger than `max_answer_bytes`.
        """
        try:
            if raw.status >= HTTPStatus.BAD_REQUEST:
                return raw.read(_MOST_OF_AN_ERROR, decode_content=True)
            body = BytesIO()  # pieces in a list would be a second body, whose memory the C library keeps
            for piece in raw.stream(_PIECE, decode_content=True):
                body.write(piece)
                if body.tell() > self._most:
                    raise AnswerTooLargeError(self._resource, request.endpoint, self._most)
                request.judge_size(body.tell())
            return body.getvalue()
        finally:
            if not raw.closed:
                raw.close()  # the rest of the body would be taken for the next response
            raw.release_conn()

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._check()
            self._telemetry.chunk(len(chunk))
            yield chunk

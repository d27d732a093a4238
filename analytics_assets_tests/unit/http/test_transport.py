"""A streamed body needs bounded memory, stays as it came, and has retries until the caller gets the first byte."""

from __future__ import annotations

import gzip
import hashlib
import socket
import tracemalloc
from typing import Any

import pytest
from requests import Request

from analytics_assets.config.models import RequestsConfig
from analytics_assets.config.secret_reference import secret_reference
from analytics_assets.ingestion.errors import SyncHalted
from analytics_assets.ingestion.http.breaker_client import Breaker
from analytics_assets.ingestion.http.circuit_breaker import Policy
from analytics_assets.ingestion.http.rate_limit import RateLimiter
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets.ingestion.http.transport import Transport
from analytics_assets.ingestion.http.wire import WireRequest
from analytics_assets_tests.answering import EVERYWHERE, Asked, Reply, answering
from analytics_assets_tests.memory_circuit import MemoryCircuit
from analytics_assets_tests.raw_server import Got, raw_server

SIZE = 50_000_000
SECRET = "a+long/secret=value"
BLOCK = bytes(range(256)) * 256


class Api:
    """A transport with all its dependencies."""

    def __init__(self, **config: Any) -> None:
        self.waits: list[float] = []
        self.telemetry = Telemetry("files")
        self.limiter = RateLimiter(RequestsConfig(**config))
        self.log = MemoryCircuit(Policy(300, 21_600, 100))
        breaker = Breaker(self.log, "files", "a run", sleep=lambda _: None)
        secrets = Secrets({secret_reference("api_key"): SECRET})
        self.transport = Transport(
            "files",
            EVERYWHERE,
            self.limiter,
            breaker,
            secrets,
            self.telemetry,
            sleep=self.waits.append,
            jitter=lambda: 0.0,
        )

    def request(self, url: str) -> WireRequest:
        return self.transport.wire_request(Request("GET", f"{url}/file").prepare(), True, None, None)


def send_large(connection: socket.socket, _: Got) -> None:
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode())
    left = SIZE
    while left:
        left -= connection.send(BLOCK[: min(left, len(BLOCK))])


def test_fifty_megabytes_are_read_in_bounded_memory() -> None:
    api, size = Api(), 0
    with raw_server(send_large) as url:
        request = api.request(url)
        tracemalloc.start()
        with api.transport.stream(request) as response:
            for chunk in response.chunks:
                size += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (response.status, response.attempts, size) == (200, 1, SIZE)
    assert api.telemetry.bytes_received == SIZE
    assert peak < 2_000_000


def test_a_stream_is_decompressed_and_stays_as_it_came() -> None:
    """The data has the text of the key, at the border of two chunks at every possible position."""
    padding = b"x" * 65_536
    body = b"".join(padding[n:] + SECRET.encode() + padding[: n + 7] for n in range(1, 40))
    answer = Reply(gzip.compress(body, 0), headers={"Content-Encoding": "gzip", "X-Echo": SECRET})
    api = Api()
    with answering(lambda _: answer) as url, api.transport.stream(api.request(url)) as response:
        chunks = list(response.chunks)
    assert len(chunks) > 30
    assert hashlib.sha256(b"".join(chunks)).digest() == hashlib.sha256(body).digest()
    assert response.headers["X-Echo"] == SECRET


def test_of_two_secrets_that_begin_alike_the_longer_one_is_redacted_whole() -> None:
    secrets = Secrets({"first": "abcdefgh", "second": "abcdefgh-and-more"})
    assert secrets.redact("1 abcdefgh-and-more 2 abcdefgh 3") == "1 second 2 first 3"


def test_it_is_retried_until_the_first_byte_is_handed_on() -> None:
    def respond(connection: socket.socket, got: Got) -> None:
        if got.number == 1:
            return connection.sendall(
                b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy"
            )
        promised = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
        return connection.sendall(promised + (b"" if got.number == 2 else b"rows"))

    api = Api(max_in_flight=1)
    with raw_server(respond) as url, api.transport.stream(api.request(url)) as response:
        assert b"".join(response.chunks) == b"rows"
    assert response.attempts == 3
    assert api.waits == [2, 4]


def test_a_stream_that_breaks_later_halts_and_leaves_the_circuit_closed() -> None:
    def respond(connection: socket.socket, _: Got) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + b"x" * 200_000)

    api = Api(max_in_flight=1)
    with raw_server(respond) as url, api.transport.stream(api.request(url)) as response:
        assert next(response.chunks)
        with pytest.raises(SyncHalted) as caught:
            list(response.chunks)
    assert (caught.value.attempts, caught.value.reason) == (1, "the response broke off")
    assert not caught.value.outage
    assert (api.waits, api.log.events) == ([], [])


def test_an_error_status_fails_and_an_abandoned_stream_gives_its_slot_back() -> None:
    asked: list[Asked] = []

    def reply(request: Asked) -> Any:
        asked.append(request)
        return Reply({}, 404) if len(asked) == 1 else Reply(b"x" * 300_000)

    api = Api(max_in_flight=1)
    with answering(reply) as url:
        with pytest.raises(SyncHalted, match="404 Not Found"), api.transport.stream(api.request(url)):
            pass
        for _ in range(2):
            with api.transport.stream(api.request(url)) as response:
                assert next(response.chunks)
                assert not api.limiter.slots.acquire(blocking=False)
        assert api.limiter.slots.acquire(blocking=False)

"""A bound on the time and the size of one response, whatever the server sends. The servers are real sockets."""

from __future__ import annotations

import gzip
import socket
import time
from typing import Any

import pytest
from requests import Response

from analytics_assets.ingestion.errors import AnswerTooLargeError, SyncHalted
from analytics_assets_tests.answering import api_session
from analytics_assets_tests.raw_server import Got, Respond, answer_of, raw_server

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
MiB = 2**20


def _drip(start: bytes, again: bytes) -> Respond:
    def send(connection: socket.socket, _: Got) -> None:
        connection.sendall(start)
        for _again in range(500):
            connection.sendall(again)
            time.sleep(0.02)

    return send


def get(url: str, **config: Any) -> Response:
    with api_session(max_retries=0, **config) as session:
        return session.get(f"{url}/rows")


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\n", b"X"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        (b"", b"H"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100000\r\n\r\n", b" "),
    ],
    ids=["body", "header", "value of a header", "status", "100 continue", "chunks", "trailers", "error"],
)
def test_an_exchange_has_a_deadline(start: bytes, again: bytes) -> None:
    """Each byte comes in time for `read_timeout`."""
    with raw_server(_drip(start, again), keeps_open=True) as url, pytest.raises(SyncHalted) as caught:
        get(url, read_timeout=5, total_timeout=0.3)
    assert (
        caught.value.reason == "no whole response within 0.3 s, the most that requests.total_timeout allows"
    )
    assert caught.value.outage


def test_read_timeout_is_still_the_wait_for_the_next_bytes() -> None:
    def silent(connection: socket.socket, _: Got) -> None:
        connection.sendall(GOOD[:-1])
        connection.recv(1)  # until the client gives up

    with raw_server(silent, keeps_open=True) as url, pytest.raises(SyncHalted) as caught:
        get(url, read_timeout=0.2, total_timeout=30)
    assert caught.value.reason == "no response in time"


def test_the_deadline_is_of_each_exchange() -> None:
    """The connection is kept. Its second exchange has a deadline of its own."""
    accepted: list[int] = []

    def send(connection: socket.socket, _: Got) -> None:
        accepted.append(connection.fileno())
        time.sleep(0.25)
        connection.sendall(GOOD)

    with raw_server(send, keeps_open=True) as url, api_session(total_timeout=0.4) as session:
        for _ in range(3):
            assert session.get(f"{url}/rows").json() == {}
    assert len(set(accepted)) == 1


def _answer(body: bytes, *headers: str, status: str = "200 OK") -> Respond:
    return lambda connection, _: connection.sendall(answer_of(body, *headers, status=status))


BOMB = gzip.compress(bytes(64 * MiB))
LARGE = [
    ("whole", bytes(3 * MiB), [f"Content-Length: {3 * MiB}"]),
    ("no length", bytes(3 * MiB), ["Connection: close"]),
    ("chunked", b"%x\r\n" % (3 * MiB) + bytes(3 * MiB) + b"\r\n0\r\n\r\n", ["Transfer-Encoding: chunked"]),
    ("gzip", BOMB, [f"Content-Length: {len(BOMB)}", "Content-Encoding: gzip"]),
    ("length of 30 digits", bytes(3 * MiB), [f"Content-Length: {10**30}"]),
]


@pytest.mark.parametrize(("body", "headers"), [one[1:] for one in LARGE], ids=[one[0] for one in LARGE])
def test_a_response_has_a_largest_size(body: bytes, headers: list[str]) -> None:
    with (
        raw_server(_answer(body, *headers), keeps_open=True) as url,
        pytest.raises(AnswerTooLargeError) as caught,
    ):
        get(url, max_answer_bytes=2 * MiB)
    assert (caught.value.endpoint, caught.value.limit) == ("GET /rows", 2 * MiB)
    assert "or raise requests.max_answer_bytes" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "headers"), [one[1:] for one in LARGE[:4]], ids=[one[0] for one in LARGE[:4]]
)
def test_only_the_beginning_of_an_error_is_read(body: bytes, headers: list[str]) -> None:
    with (
        raw_server(_answer(body, *headers, status="404 Not Found"), keeps_open=True) as url,
        pytest.raises(SyncHalted) as caught,
    ):
        get(url, max_answer_bytes=2 * MiB)
    assert caught.value.status == 404


def test_after_a_large_error_the_connection_is_not_used_again() -> None:
    """Its unread rest would be taken for the next response."""
    large = _answer(b"x" * MiB, f"Content-Length: {MiB}", status="503 Service Unavailable")
    answers = iter([large, _answer(b"{}", "Content-Length: 2")])

    def send(connection: socket.socket, got: Got) -> None:
        next(answers)(connection, got)

    with (
        raw_server(send, keeps_open=True) as url,
        api_session(backoff_factor=0.001) as session,
    ):
        assert session.get(f"{url}/rows").json() == {}


@pytest.mark.parametrize("status", ["204 No Content", "200 OK"], ids=["no content", "an empty body"])
def test_a_response_without_a_body_gives_its_connection_back(status: str) -> None:
    accepted: list[int] = []

    def send(connection: socket.socket, _: Got) -> None:
        accepted.append(connection.fileno())
        connection.sendall(answer_of(b"", "Content-Length: 0", status=status))

    with raw_server(send, keeps_open=True) as url, api_session() as session:
        for _ in range(3):
            session.get(f"{url}/rows")
    assert len(set(accepted)) == 1

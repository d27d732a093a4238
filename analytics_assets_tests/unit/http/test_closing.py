"""The end of a session while requests are in flight, as when a person terminates a run."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from requests import Request

from analytics_assets.ingestion.http.circuit_breaker import Policy
from analytics_assets.ingestion.http.session import ApiSession
from analytics_assets_tests.answering import Asked, Reply, answering, api_session
from analytics_assets_tests.memory_circuit import MemoryCircuit
from analytics_assets_tests.raw_server import no_room


@pytest.mark.parametrize("retries", [0, 3])
@pytest.mark.parametrize("has_begun", [True, False])
def test_requests_in_flight_end_with_the_session(*, has_begun: bool, retries: int) -> None:
    asked, until = threading.Semaphore(0), threading.Event()

    def reply(_: Asked) -> Reply:
        asked.release()
        until.wait(60)
        return Reply([], headers={"X": "y"} if has_begun else {})

    circuit = MemoryCircuit(Policy(300, 21_600, 100))
    with answering(reply) as url, ThreadPoolExecutor(4) as threads:
        session = api_session(log=circuit, max_retries=retries, read_timeout=60)

        def get() -> None:
            session.send(session.prepare_request(Request("GET", f"{url}/rows")))

        requests = [threads.submit(get) for _ in range(4)]
        for _ in requests:
            assert asked.acquire(timeout=30)
        took = seconds_to_end(session, requests)
        until.set()
    assert took < 20, "the server answers after 60 s"
    assert not circuit.events, "the API did not fail"


def seconds_to_end(session: ApiSession, requests: list[Future[None]]) -> float:
    """The seconds that all requests take to end after the session."""
    began = time.monotonic()
    session.close()
    for one in requests:
        with pytest.raises(CancelledError):
            one.result(30)
    return time.monotonic() - began


@contextmanager
def no_handshake() -> Iterator[str]:
    """A server that accepts connections and never answers the first message of TLS."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def no_name() -> Iterator[str]:
    """A name whose name server does not answer. Nothing can end the wait for it."""
    until, with_names = threading.Event(), socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "slow.example":
            until.wait(60)
            host = "127.0.0.1"
        return with_names(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield "http://slow.example:9"
        until.set()


@pytest.mark.parametrize("hangs", [no_room, no_handshake, no_name])
def test_requests_without_a_connection_end_with_the_session(
    hangs: Callable[[], AbstractContextManager[str]],
) -> None:
    circuit = MemoryCircuit(Policy(300, 21_600, 100))
    with hangs() as url, ThreadPoolExecutor(4) as threads:
        session = api_session(log=circuit, max_retries=0, connect_timeout=30)
        begun = threading.Barrier(5)

        def get() -> None:
            begun.wait(30)
            session.send(session.prepare_request(Request("GET", f"{url}/rows")))

        requests = [threads.submit(get) for _ in range(4)]
        begun.wait(30)
        with pytest.raises(TimeoutError):
            requests[0].result(0.3)  # it waits for its connection
        took = seconds_to_end(session, requests)
    assert took < 2, "a connection may take 30 s"
    assert not circuit.events, "the API did not fail"


def test_a_connection_that_is_made_after_the_end_is_ended_too() -> None:
    with answering(lambda _: []) as url:
        session = api_session()
        session.close()
        with pytest.raises(CancelledError):
            session.send(session.prepare_request(Request("GET", f"{url}/rows")))

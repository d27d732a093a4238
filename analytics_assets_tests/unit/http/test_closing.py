"""The end of a session while requests are in flight, as when a person terminates a run."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from requests import Request

from analytics_assets.ingestion.http.circuit_breaker import Policy
from analytics_assets_tests.answering import Asked, Reply, answering, api_session
from analytics_assets_tests.memory_circuit import MemoryCircuit


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
        began = time.monotonic()
        session.close()
        for one in requests:
            with pytest.raises(CancelledError):
                one.result(30)
        took = time.monotonic() - began
        until.set()
    assert took < 20, "the server answers after 60 s"
    assert not circuit.events, "the API did not fail"


def test_a_connection_that_is_made_after_the_end_is_ended_too() -> None:
    with answering(lambda _: []) as url:
        session = api_session()
        session.close()
        with pytest.raises(CancelledError):
            session.send(session.prepare_request(Request("GET", f"{url}/rows")))

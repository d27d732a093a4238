"""Halt, single-flight retry and rate limit, which all requests of a source share."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import pytest
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator

from analytics_assets.config.models import RequestsConfig
from analytics_assets.ingestion.errors import CircuitOpenError, SyncHalted
from analytics_assets.ingestion.http.breaker_client import Breaker
from analytics_assets.ingestion.http.circuit_breaker import Policy
from analytics_assets.ingestion.http.dlt_paginators import PagingBySession
from analytics_assets.ingestion.http.page_reader import Paging
from analytics_assets.ingestion.http.rate_limit import RateLimiter, rate_limiter_of
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.response import PagingFields, ResponseReader
from analytics_assets.ingestion.http.row_selection import RowRules
from analytics_assets.ingestion.http.session import ApiSession
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets_tests.answering import EVERYWHERE, Asked, Reply, answering, api_session
from analytics_assets_tests.memory_circuit import MemoryCircuit

POLICY = Policy(cooldown=300, max_cooldown=21_600, lease=100)


def sweep(url: str, session: Any) -> list[Any]:
    reader = ResponseReader("rows", RowRules("rows", paged=True), PagingFields("total"))
    paginator = PagingBySession(Paging(OffsetPaginator(10), reader, ("id",)))
    pages = RESTClient(url, session=session).paginate("/rows", paginator=paginator, data_selector="$")
    return [row for page in pages for row in page]


def rows_of(asked: Asked, size: int = 1000) -> dict[str, Any]:
    start = int(asked.params.get("offset", 0))
    return {"rows": [{"id": n} for n in range(start, min(start + 10, size))], "total": size}


def test_an_api_that_goes_down_is_retried_by_one_request_and_then_left_alone() -> None:
    """16 requests are in flight when the API goes down. All 16 fail, and only three retries are sent, not 48."""
    asked: list[Asked] = []

    def reply(request: Asked) -> Any:
        asked.append(request)
        return rows_of(request) if len(asked) == 1 else Reply({"error": "down"}, 503)

    limiter, log = RateLimiter(RequestsConfig(max_in_flight=16)), MemoryCircuit(POLICY, "an_api")
    with answering(reply) as url:
        # The wait before a retry is long enough for all 16 requests to fail.
        patient = api_session("rows", limiter=limiter, log=log, sleep=lambda _: time.sleep(0.02))
        with patient as session, pytest.raises(SyncHalted) as caught:
            sweep(url, session)
        assert (caught.value.attempts, caught.value.status) == (4, 503)
        assert len(asked) <= 1 + 16 + 3
        before = len(asked)
        with api_session("siblings", log=log) as session, pytest.raises(CircuitOpenError) as sibling:
            sweep(url, session)
        time.sleep(0.05)
        assert len(asked) == before, "another sync asked an API that is down"
        assert str(sibling.value).startswith(
            "siblings: no request was sent, because the circuit of an_api is open since "
        )
        assert "halted after 4 attempts of GET /rows: 503 Service Unavailable; it may be asked again" in str(
            sibling.value
        )


@pytest.mark.parametrize(("status", "opens"), [(401, True), (403, True), (404, False), (400, False)])
def test_a_key_that_is_refused_opens_the_circuit_and_a_missing_endpoint_does_not(
    status: int, opens: bool
) -> None:
    log = MemoryCircuit(POLICY)
    with answering(lambda _: Reply({}, status)) as url:
        with api_session("rows", log=log) as session, pytest.raises(SyncHalted) as caught:
            sweep(url, session)
        assert caught.value.outage is opens
        with (
            api_session("others", log=log) as session,
            pytest.raises(CircuitOpenError if opens else SyncHalted),
        ):
            sweep(url, session)


def test_sources_have_rate_limiters_of_their_own() -> None:
    config = RequestsConfig()
    assert rate_limiter_of("one", config) is rate_limiter_of("one", config)
    assert rate_limiter_of("one", config) is not rate_limiter_of("two", config)
    assert rate_limiter_of("one", RequestsConfig(max_in_flight=3)).config.max_in_flight == 3


def test_no_more_requests_are_in_flight_than_allowed_over_all_sessions_of_a_source() -> None:
    now, most = [0], [0]

    def reply(request: Asked) -> Any:
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.002)
        now[0] -= 1
        return rows_of(request, 200)

    limiter = RateLimiter(RequestsConfig(max_in_flight=3))
    with (
        answering(reply) as url,
        api_session(limiter=limiter) as one,
        api_session(limiter=limiter) as two,
        ThreadPoolExecutor(2) as threads,
    ):
        got = list(threads.map(lambda session: sweep(url, session), (one, two)))
    assert [len(rows) for rows in got] == [200, 200]
    assert most[0] == 3


def test_requests_per_second_is_a_pace_for_all_threads() -> None:
    now = [100.0]
    limiter = RateLimiter(RequestsConfig(requests_per_second=4), clock=lambda: now[0])
    assert [limiter.reserve() for _ in range(4)] == [0, 0.25, 0.5, 0.75]
    now[0] += 10
    assert [limiter.reserve() for _ in range(2)] == [0, 0.25]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}, 30),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "30"}, 30),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "300"}, 300),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "301"}, 0),
        ({"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "30"}, 0),
        ({"X-RateLimit-Remaining": "0"}, 0),
        ({"X-RateLimit-Reset": "30"}, 0),
        ({"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "30"}, 30),
        ({"RateLimit": "limit=9, remaining=0, reset=30"}, 30),
        ({"RateLimit": '"hour";r=0;t=30'}, 30),
        # several limits, or a repeated header, whose values the client joins
        ({"X-RateLimit-Remaining": "5, 0", "X-RateLimit-Reset": "200, 30"}, 30),
        ({"X-RateLimit-Remaining": "0, 0", "X-RateLimit-Reset": "200, 30"}, 200),
        ({"X-RateLimit-Remaining": "7, 5", "X-RateLimit-Reset": "200, 30"}, 0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30, 200"}, 200),
        ({"X-RateLimit-Remaining": "0,0", "X-RateLimit-Reset": "30"}, 30),
        ({"RateLimit": "limit=9, remaining=5, reset=30, limit=99, remaining=0, reset=200"}, 200),
        ({"RateLimit": '"hour";r=9;t=30, "day";r=0;t=200'}, 200),
        ({"X-RateLimit-Remaining": "none", "X-RateLimit-Reset": "soon"}, 0),
        (
            {
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "1445412540",
                "Date": "Wed, 21 Oct 2015 07:28:00 GMT",
            },
            60,
        ),
        (
            {
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "1445412540000",
                "Date": "Wed, 21 Oct 2015 07:28:00 GMT",
            },
            60,
        ),
    ],
)
def test_a_limit_that_is_used_up_is_waited_for(headers: dict[str, str], wait: float) -> None:
    limiter = RateLimiter(RequestsConfig(), clock=lambda: 0.0)
    limiter.reserve()
    limiter.update_from_headers(headers)
    assert limiter.reserve() == wait


def test_a_rate_limit_is_never_exceeded() -> None:
    """An API that accepts five requests, and then answers 429 until its reset. Its headers state the limit."""
    left = [5]
    statuses: list[int] = []

    def reply(request: Asked) -> Any:
        left[0] -= 1
        limits = {"X-RateLimit-Remaining": str(max(0, left[0])), "X-RateLimit-Reset": "7"}
        statuses.append(200 if left[0] >= 0 else 429)
        return Reply(rows_of(request, 100), statuses[-1], limits)

    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        left[0] = 5

    with answering(reply) as url, api_session(sleep=sleep, max_in_flight=1) as session:
        assert len(sweep(url, session)) == 100
    assert set(statuses) == {200}
    assert len(waits) >= 2


def test_a_session_that_is_left_waits_for_nothing() -> None:
    """A person ends a run while the session waits five minutes for the API."""
    busy = Reply({}, 429, {"Retry-After": "300"})
    with answering(lambda _: busy) as url:
        limiter = RateLimiter(RequestsConfig())
        secrets = Secrets()
        breaker = Breaker(MemoryCircuit(POLICY), "rows", "a run")
        telemetry = Telemetry("rows")
        session = ApiSession("rows", EVERYWHERE, limiter, breaker, secrets, telemetry)
        with ThreadPoolExecutor(1) as threads:
            syncing = threads.submit(sweep, url, session)
            until = time.monotonic() + 10
            while not telemetry.retries and time.monotonic() < until:
                time.sleep(0.001)
            start = time.monotonic()
            session.close()
            with pytest.raises(CancelledError):
                syncing.result(10)
        assert time.monotonic() - start < 5

"""The breaker of a sync: the number and the times of requests, and the state of the circuit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier, Thread
from typing import Any

import pytest
from dlt.sources.helpers.rest_client.auth import OAuth2ClientCredentials
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import SinglePagePaginator

from analytics_assets.config.models import RequestsConfig
from analytics_assets.ingestion.errors import CircuitOpenError, SyncHalted, UnreadableResponseError
from analytics_assets.ingestion.http.breaker_client import Breaker
from analytics_assets.ingestion.http.circuit_breaker import CircuitEventKind, Phase, Policy
from analytics_assets.ingestion.http.rate_limit import RateLimiter
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.session import ApiSession
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets_tests.answering import EVERYWHERE, Asked, Reply, answering
from analytics_assets_tests.memory_circuit import MemoryCircuit
from analytics_assets_tests.unit.http.test_rate_limit import rows_of, sweep

POLICY = Policy(cooldown=300, max_cooldown=1000, lease=100)
DOWN = Reply({"error": "down"}, 503)


class World:
    """An API, a clock, and a shared circuit store. Each sync has its own breaker and rate limiter."""

    def __init__(self, url: str, asked: list[Asked]) -> None:
        self.now = 1_000_000.0
        self.url = url
        self.asked = asked
        self.answer: Callable[[Asked], Any] = lambda asked: rows_of(asked, 30)
        self.log = MemoryCircuit(POLICY, "an_api", clock=lambda: self.now)

    def session(self, resource: str = "rows", sleep: Callable[[float], None] | None = None) -> ApiSession:
        def pass_by(seconds: float) -> None:
            self.now += seconds

        breaker = Breaker(self.log, resource, f"run of {resource}", lambda: self.now, sleep=lambda _: None)
        breaker.refresh()  # the step of the asset does the same
        limiter = RateLimiter(RequestsConfig(max_in_flight=4), clock=lambda: self.now)
        telemetry = Telemetry(resource)
        return ApiSession(
            resource, EVERYWHERE, limiter, breaker, Secrets(), telemetry, sleep=sleep or pass_by
        )

    def sync(self, resource: str = "rows") -> int:
        """Runs a whole sync as in a separate process. Returns the number of rows."""
        try:
            with self.session(resource) as session:
                return len(sweep(self.url, session))
        finally:
            self._settle()

    def _settle(self) -> None:
        """Waits for the requests that the end of the session cut off, which still reach the API."""
        before = -1
        while before != len(self.asked):
            before = len(self.asked)
            time.sleep(0.1)

    def fail(self) -> int:
        """Runs a sync that halts. Returns the number of requests."""
        before = len(self.asked)
        with pytest.raises((SyncHalted, CircuitOpenError)):
            self.sync()
        return len(self.asked) - before

    @property
    def phase(self) -> Phase:
        return self.log.circuit().phase(self.now)

    @property
    def kinds(self) -> list[str]:
        return [event.kind.value for event in self.log.events]


@pytest.fixture
def world() -> Iterator[World]:
    with _world() as made:
        yield made


@contextmanager
def _world() -> Iterator[World]:
    asked: list[Asked] = []
    made: list[World] = []

    def reply(request: Asked) -> Any:
        asked.append(request)
        return made[0].answer(request)

    with answering(reply) as url:
        made.append(World(url, asked))
        yield made[0]


def test_it_trips_cools_down_probes_doubles_probes_and_closes(world: World) -> None:
    world.answer = lambda _: DOWN
    assert world.fail() == 4
    assert world.fail() == 0, "nobody asks while it is open"
    world.now += 299
    assert world.fail() == 0
    world.now += 1
    assert world.fail() == 1, "a probe is one request, and is not tried again"
    assert world.log.circuit().failures == 2
    world.now += 599
    assert world.fail() == 0, "the cool-down has doubled"
    world.answer = lambda asked: rows_of(asked, 30)
    world.now += 1
    assert world.sync() == 30, "the sync whose request is the probe goes on"
    assert world.phase is Phase.CLOSED
    assert world.kinds == ["opened", "probe", "opened", "probe", "closed"]
    assert world.sync("others") == 30


DAY = 86_400.0


@pytest.mark.parametrize(
    ("ahead", "kinds"),
    [(30 * DAY, ["opened", "note", "probe", "closed"]), (300, ["opened", "probe", "closed"])],
)
def test_a_clock_that_was_ahead_opens_it_for_the_cool_down_only(
    world: World, ahead: float, kinds: list[str]
) -> None:
    world.answer = lambda _: DOWN
    world.now += ahead
    assert world.fail() == 4
    world.now -= ahead
    assert world.fail() == 0
    world.now += 299
    assert world.fail() == 0, "the cool-down began when the right clock saw the event"
    world.now += 2 if ahead == 30 * DAY else 2 + ahead
    world.answer = lambda asked: rows_of(asked, 30)
    assert world.sync() == 30
    assert world.kinds == kinds


@pytest.mark.parametrize(
    "reply",
    [
        Reply({}, 429, {"Retry-After": "86400"}),
        Reply({}, 503, {"Retry-After": "86400"}),
        Reply({}, 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "86400"}),
    ],
)
def test_a_quota_opens_it_until_the_api_accepts_requests_again(world: World, reply: Reply) -> None:
    """The API answers the first page, and then refuses all requests in flight."""
    world.answer = lambda asked: reply if asked.params.get("offset", "0") != "0" else rows_of(asked, 1000)
    with pytest.raises(SyncHalted) as caught:
        world.sync()
    header = list(reply.headers)[-1]
    assert (caught.value.attempts, caught.value.retry_at, caught.value.retry_header) == (
        1,
        1_000_000 + DAY,
        header,
    )
    assert f"No request is sent until 1970-01-13 13:46:40 UTC: the API says so in `{header}`." in str(
        caught.value
    )
    assert world.log.circuit().half_open_at == 1_000_000 + DAY
    asked = len(world.asked)
    assert asked <= 1 + 4, "no request has a retry"
    for hours in (0.1, 6, 17.8):
        world.now += hours * 3600
        assert world.fail() == 0
    world.now = 1_000_000 + DAY
    world.answer = lambda _: reply
    assert world.fail() == 1
    assert world.log.circuit().half_open_at == world.now + DAY, "the next day, and not twice a day"
    world.now += DAY
    world.answer = lambda asked: rows_of(asked, 30)
    assert world.sync() == 30
    assert world.kinds == ["opened", "probe", "opened", "probe", "closed"]


def test_a_wait_that_is_not_believed_gets_retries_and_the_usual_cool_down(world: World) -> None:
    world.answer = lambda _: Reply({}, 429, {"Retry-After": str(10**30)})
    with pytest.raises(
        SyncHalted, match="its `Retry-After` is more than 7 days ahead, and is ignored"
    ) as caught:
        world.sync()
    assert (caught.value.attempts, caught.value.retry_at) == (4, None)
    assert world.log.circuit().half_open_at == world.now + 300


def test_a_short_cool_down_does_not_shorten_a_wait_within_the_retries(world: World) -> None:
    world.log = MemoryCircuit(replace(POLICY, cooldown=10), "an_api", clock=lambda: world.now)
    world.answer = lambda _: Reply({}, 429, {"Retry-After": "200"})
    assert world.fail() == 4
    assert world.log.circuit().half_open_at == world.now + 200


def test_of_many_that_come_when_it_is_due_one_asks() -> None:
    with _world() as world:
        world.answer = lambda _: DOWN
        world.fail()
        world.now += 300
        before, together = len(world.asked), Barrier(16)
        caught_texts: list[str] = []

        def sync(number: int) -> None:
            together.wait()
            try:
                world.sync(f"resource {number}")
            except (SyncHalted, CircuitOpenError) as error:
                caught_texts.append(str(error))

        threads = [Thread(target=sync, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(world.asked) == before + 1
        assert len(caught_texts) == 16
        assert sum("halted after 1 attempt" in one and "no request" not in one for one in caught_texts) == 1


def test_a_probe_that_dies_does_not_wedge_it(world: World) -> None:
    world.answer = lambda _: DOWN
    world.fail()
    world.now += 300
    dead = Breaker(world.log, "rows", "a run that is killed", lambda: world.now, sleep=lambda _: None)
    assert dead.acquire_permission()
    assert world.fail() == 0, "its answer is waited for"
    world.now += 100
    assert world.fail() == 1


def test_a_sync_in_full_swing_stops_when_another_process_opens_the_circuit(world: World) -> None:
    """Another process opens the circuit at the fifth of 100 pages. After that, this sync sends almost no request."""

    def answer(asked: Asked) -> Any:
        if len(world.asked) == 5:
            halted = SyncHalted("others", "GET /others", 500, 4, "500", outage=True)
            world.log.append(CircuitEventKind.OPENED, by="others", run_id="another run", cause=halted)
        if len(world.asked) >= 5:
            world.now += 0.5
        return rows_of(asked, 1000)

    world.answer = answer
    with pytest.raises(
        CircuitOpenError, match="rows: no request was sent, because the circuit of an_api is open"
    ):
        world.sync()
    assert len(world.asked) <= 5 + 4 + 1


def test_a_retry_is_not_sent_when_another_process_has_opened_it_meanwhile(world: World) -> None:
    world.answer = lambda _: DOWN

    def sleep(_: float) -> None:
        if not world.log.events:
            halted = SyncHalted("others", "GET /others", 500, 4, "500", outage=True)
            world.log.append(CircuitEventKind.OPENED, by="others", run_id="another run", cause=halted)

    with world.session(sleep=sleep) as session, pytest.raises(CircuitOpenError):
        sweep(world.url, session)
    assert len(world.asked) == 1
    assert world.kinds == ["opened"], "one outage is opened once"


def test_an_expired_key_opens_it_and_a_probe_with_it_fails(world: World) -> None:
    world.answer = lambda _: Reply({}, 401)
    assert world.fail() == 1
    text = world.log.circuit().describe("an_api", "", world.now)
    assert "the API does not accept the key: check the secret" in text
    world.now += 300
    assert world.fail() == 1
    assert world.kinds == ["opened", "probe", "opened"]


def test_an_expired_client_secret_opens_it_too(world: World) -> None:
    """The same session requests the OAuth2 token."""
    world.answer = lambda _: Reply({}, 401)
    with world.session() as session:
        auth = OAuth2ClientCredentials(
            access_token_url=f"{world.url}/token", client_id="me", client_secret="expired", session=session
        )
        client = RESTClient(world.url, auth=auth, session=session, paginator=SinglePagePaginator())
        with pytest.raises(SyncHalted, match="POST /token: 401"):
            list(client.paginate("/rows"))
    assert world.phase is Phase.OPEN


def test_a_token_is_no_sign_that_the_api_is_back(world: World) -> None:
    """With OAuth2, the first request is for a token. The sync keeps its claim, and the next response decides."""
    up = Reply({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"})
    world.answer = lambda asked: up if asked.path == "/token" else DOWN

    def sync() -> None:
        with world.session() as session:
            auth = OAuth2ClientCredentials(
                access_token_url=f"{world.url}/token", client_id="me", client_secret="s", session=session
            )
            client = RESTClient(world.url, auth=auth, session=session, paginator=SinglePagePaginator())
            with pytest.raises(SyncHalted):
                list(client.paginate("/rows"))

    sync()
    for cooldown in (300, 600, 1000):
        world.now += cooldown
        before = len(world.asked)
        sync()
        assert [asked.path for asked in world.asked[before:]] == ["/token", "/rows"]
    assert world.kinds == ["opened", *["probe", "opened"] * 3]
    assert world.log.circuit().failures == 4


def test_an_answer_that_leads_elsewhere_is_no_sign_either(world: World) -> None:
    world.answer = lambda _: DOWN
    world.fail()
    world.now += 300
    world.answer = lambda asked: (
        Reply({}, 302, {"Location": "/maintenance"}) if asked.path == "/rows" else DOWN
    )
    assert world.fail() == 2, "the page, and where it leads"
    assert world.kinds == ["opened", "probe", "opened"]


def test_a_request_that_waited_for_its_turn_looks_again_before_it_is_sent(world: World) -> None:
    """The request waited for minutes because of the rate limit, and another process opened the circuit meanwhile."""
    limits = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "200"}
    world.answer = lambda asked: Reply(rows_of(asked, 1000), 200, limits)

    def wait(seconds: float) -> None:
        world.now += seconds
        if not world.log.events:
            halted = SyncHalted("others", "GET /others", 500, 4, "500", outage=True)
            world.log.append(CircuitEventKind.OPENED, by="others", run_id="another run", cause=halted)

    with world.session(sleep=wait) as session, pytest.raises(CircuitOpenError):
        sweep(world.url, session)
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Reply({}, 404), SyncHalted),
        (Reply({}, 400), SyncHalted),
        (Reply(b"<html>"), UnreadableResponseError),
        (Reply({"rows": None, "total": 3}), UnreadableResponseError),
    ],
)
def test_what_is_no_outage_leaves_it_closed_and_ends_one(
    world: World, answer: Reply, error: type[Exception]
) -> None:
    world.answer = lambda _: answer
    with pytest.raises(error):
        world.sync()
    assert world.log.events == []
    world.answer = lambda _: DOWN
    world.fail()
    world.now += 300
    world.answer = lambda _: answer
    with pytest.raises(error):
        world.sync()
    assert world.phase is Phase.CLOSED, "the API answers; what it says is another matter"


def test_a_status_that_the_users_hooks_judge_is_theirs_in_a_probe_too(world: World) -> None:
    """`response_actions` decide about the response to a probe. Here they refuse a 503, so the probe fails."""
    world.answer = lambda _: DOWN
    world.fail()
    world.now += 300

    def refuse(response: Any, **_: Any) -> Any:
        response.raise_for_status()

    def also(response: Any, **_: Any) -> Any:
        return response

    with world.session() as session, pytest.raises(SyncHalted):
        session.get(f"{world.url}/rows", hooks={"response": [also, refuse]})
    assert world.kinds == ["opened", "probe", "opened"]


def test_an_open_circuit_costs_a_healthy_sync_two_looks_a_second(world: World) -> None:
    looks = [0]
    circuit = world.log.circuit

    def counted() -> Any:
        looks[0] += 1
        return circuit()

    world.log.circuit = counted  # type: ignore[method-assign]
    world.answer = lambda asked: rows_of(asked, 1000)
    assert world.sync() == 1000
    assert looks[0] == 1


def test_a_claim_that_shows_up_late_and_lower_wins(world: World) -> None:
    """PostgreSQL assigns ids before it commits, so the breaker waits and reads the claims again."""
    world.answer = lambda _: DOWN
    world.fail()
    world.now += 300
    waits: list[float] = []

    def settle(seconds: float) -> None:
        waits.append(seconds)
        earlier = replace(world.log.events[-1], by="who was first", run_id="1234567890")
        world.log.events.insert(1, earlier)

    breaker = Breaker(world.log, "rows", "a run", lambda: world.now, sleep=settle)
    with pytest.raises(CircuitOpenError, match="run 12345678 probes the API, and another"):
        breaker.acquire_permission()
    assert waits == [0.5]


def test_a_process_that_was_too_slow_after_its_claim_claims_again(world: World) -> None:
    """Another run claimed first, its probe failed, and the next cool-down is over. The old claim permits no request."""
    world.answer = lambda _: DOWN
    world.fail()
    world.now += 300
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            world.log.events.insert(1, replace(world.log.events[-1], by="who was first"))
            halted = SyncHalted("others", "GET /others", 503, 1, "503", outage=True)
            world.log.append(CircuitEventKind.OPENED, by="who was first", run_id="another run", cause=halted)
            world.now += 601

    breaker = Breaker(world.log, "rows", "a run", lambda: world.now, sleep=pause)
    assert breaker.acquire_permission(), "an ordinary request would be sent, and sent again"
    assert world.kinds == ["opened", "probe", "probe", "opened", "probe"]


def test_an_outage_that_two_find_out_at_once_is_opened_by_one(world: World) -> None:
    breakers = [Breaker(world.log, "rows", "a run", lambda: world.now) for _ in range(2)]
    for breaker in breakers:
        assert not breaker.acquire_permission()
    for breaker in breakers:
        breaker.record_failure(SyncHalted("rows", "GET /rows", 503, 4, "503", outage=True))
    assert world.kinds == ["opened"]

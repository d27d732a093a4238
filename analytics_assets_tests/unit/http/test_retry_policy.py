"""The decisions of `classify` for all exchanges, and the limits of the waits."""

from __future__ import annotations

import random
import ssl
from typing import Any

import pytest
from urllib3.exceptions import LocationValueError, NewConnectionError, ProtocolError, SSLError

from analytics_assets.config.models import RequestsConfig
from analytics_assets.config.responses import ResponseRule
from analytics_assets.ingestion.errors import Fault
from analytics_assets.ingestion.http.exchange import Exchange
from analytics_assets.ingestion.http.retry_policy import (
    Action,
    Caller,
    Decision,
    Judge,
    backoff,
    classify,
)

CONFIG = RequestsConfig()
SESSION, HOOKS = Caller(), Caller(Judge.HOOKS)
TOKEN_REQUEST, WITH_TOKEN = Caller(Judge.TOKEN_REQUEST), Caller(can_renew=True)


@pytest.mark.parametrize(
    ("status", "caller", "action", "fault", "outage", "closes_probe"),
    [
        (200, SESSION, Action.SUCCESS, Fault.TRANSIENT, False, True),
        (204, HOOKS, Action.SUCCESS, Fault.TRANSIENT, False, True),
        (302, SESSION, Action.SUCCESS, Fault.TRANSIENT, False, False),
        (200, TOKEN_REQUEST, Action.SUCCESS, Fault.TRANSIENT, False, False),
        (503, SESSION, Action.RETRY, Fault.TRANSIENT, True, False),
        (503, TOKEN_REQUEST, Action.RETRY, Fault.TRANSIENT, True, False),
        (429, SESSION, Action.RATE_LIMITED, Fault.TRANSIENT, True, False),
        (401, SESSION, Action.FAIL, Fault.CONFIG, True, False),
        (401, TOKEN_REQUEST, Action.FAIL, Fault.CONFIG, True, False),
        (401, WITH_TOKEN, Action.REFRESH_TOKEN, Fault.CONFIG, True, False),
        (403, WITH_TOKEN, Action.FAIL, Fault.CONFIG, True, False),
        (404, SESSION, Action.FAIL, Fault.CONFIG, False, True),
        (404, TOKEN_REQUEST, Action.FAIL, Fault.CONFIG, False, False),
        (400, HOOKS, Action.FAIL, Fault.CONFIG, False, True),
        (501, SESSION, Action.FAIL, Fault.SYSTEM, False, True),
        (599, SESSION, Action.FAIL, Fault.SYSTEM, False, True),
    ],
)
def test_a_status_means_one_thing(
    status: int, caller: Caller, action: Action, fault: Fault, outage: bool, closes_probe: bool
) -> None:
    decision = classify(Exchange(status), caller, CONFIG)
    assert (decision.action, decision.fault) == (action, fault)
    assert (decision.outage, decision.closes_probe) == (outage, closes_probe)
    assert decision.handed_on is (caller is HOOKS and status >= 400)
    assert (decision.reason == "") is (status < 400)
    assert str(status) in decision.reason or status < 400


def test_the_statuses_of_the_file_are_the_ones_retried() -> None:
    config = RequestsConfig(retry_statuses=frozenset({418}))
    assert classify(Exchange(418), SESSION, config).action is Action.RETRY
    halted = classify(Exchange(503), SESSION, config)
    assert (halted.action, halted.outage) == (Action.FAIL, False)
    limited = classify(Exchange(429), SESSION, config)
    assert (limited.action, limited.fault) == (Action.FAIL, Fault.TRANSIENT)


@pytest.mark.parametrize(
    ("error", "action", "outage", "reason"),
    [
        (OSError(), Action.RETRY, True, "the response broke off"),
        (ProtocolError("a", ConnectionResetError()), Action.RETRY, True, "the connection to api:80 broke"),
        (NewConnectionError(None, "no"), Action.RETRY, True, "no connection to api:80; check base_url"),  # type: ignore[arg-type]
        (SSLError(ssl.SSLError("no TLS")), Action.RETRY, True, "no connection to api:80; check base_url"),
        (SSLError(ssl.SSLCertVerificationError("expired")), Action.FAIL, False, "SSLError: check base_url"),
        (LocationValueError("key=secret"), Action.FAIL, False, "LocationValueError: check base_url"),
    ],
)
def test_a_network_error_is_retried_unless_no_retry_helps(
    error: BaseException, action: Action, outage: bool, reason: str
) -> None:
    decision = classify(Exchange(error=error, host="api:80"), SESSION, CONFIG)
    assert (decision.action, decision.outage) == (action, outage)
    assert decision.fault is (Fault.TRANSIENT if outage else Fault.CONFIG)
    assert decision.reason.startswith(reason)
    assert "secret" not in decision.reason


@pytest.mark.parametrize(
    ("status", "header", "wait"),
    [
        (429, "7", 7),
        (429, "2.5", 2.5),
        (503, "0", 0),
        (503, "-5", 0),
        (503, "nan", None),
        (503, "soon", None),
        (503, None, None),
        (404, "7", None),
        (429, "Wed, 21 Oct 2015 07:28:00 GMT", 0),
        (429, "2015-10-21T07:28:00Z", 0),
        (429, "3600, 120", 3600),  # a repeated header, whose values the client joins
        (429, "120,soon", 120),
        (429, "Wed, 21 Oct 2015 07:28:00 GMT, 120", 120),
        (429, "120, Wednesday, 21-Oct-15 07:28:00 GMT", 120),
        (429, "soon, later", None),
    ],
)
def test_the_wait_is_what_the_api_asks_for(status: int, header: str | None, wait: float | None) -> None:
    headers = {"Retry-After": header} if header else {}
    assert classify(Exchange(status, headers), SESSION, CONFIG).wait == wait


DATE = {"Date": "Wed, 21 Oct 2015 07:28:00 GMT"}


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        (429, {"Retry-After": "2015-10-21T07:29:00Z"}, 60),
        (429, {"Retry-After": "2015-10-21T09:29:00+02:00"}, 60),
        (429, {"Retry-After": "1445412540"}, 60),
        (429, {"Retry-After": "7", "X-RateLimit-Reset": "60"}, 7),
        (429, {"X-RateLimit-Reset": "60"}, 60),
        (429, {"X-Rate-Limit-Reset": "1445412540000"}, 60),
        (429, {"RateLimit-Reset": "2015-10-21T07:29:00Z"}, 60),
        (429, {"RateLimit": "limit=100, remaining=0, reset=60"}, 60),
        (429, {"RateLimit": '"minute";r=3;t=5, "hour";r=0;t=60'}, 60),
        (429, {"RateLimit": '"minute";q=3'}, None),
        (429, {"X-RateLimit-Remaining": "12", "X-RateLimit-Reset": "60"}, None),
        (503, {"X-RateLimit-Reset": "60"}, None),
        (503, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}, 60),
    ],
)
def test_the_wait_is_the_time_of_any_rate_limit_header(
    status: int, headers: dict[str, str], wait: float | None
) -> None:
    assert classify(Exchange(status, DATE | headers), SESSION, CONFIG).wait == wait


ASKED_LATER = "429 Too Many Requests; to wait in the run, raise requests.max_retry_delay"
IGNORED = "is more than 7 days ahead, and is ignored"


@pytest.mark.parametrize(
    ("status", "headers", "action", "wait", "reason"),
    [
        (429, {"Retry-After": "300"}, Action.RATE_LIMITED, 300, "429 Too Many Requests"),
        (429, {"Retry-After": "301"}, Action.FAIL, 301, ASKED_LATER),
        (429, {"Retry-After": "3600"}, Action.FAIL, 3600, ASKED_LATER),
        (429, {"Retry-After": "86400"}, Action.FAIL, 86_400, "429 Too Many Requests"),
        (429, {"Retry-After": "Thu, 22 Oct 2015 07:28:00 GMT"}, Action.FAIL, 86_400, "429 Too Many Requests"),
        (429, {"X-RateLimit-Reset": "1445498880"}, Action.FAIL, 86_400, "429 Too Many Requests"),
        (
            429,
            {"RateLimit": "limit=9, remaining=0, reset=86400"},
            Action.FAIL,
            86_400,
            "429 Too Many Requests",
        ),
        (
            429,
            {"RateLimit": '"minute";r=0;t=5, "day";r=0;t=7200'},
            Action.FAIL,
            7200,
            "429 Too Many Requests",
        ),
        (503, {"Retry-After": "7200"}, Action.FAIL, 7200, "503 Service Unavailable"),
        (403, {"Retry-After": "7200"}, Action.FAIL, 7200, "403 Forbidden"),
        (
            403,
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7200"},
            Action.FAIL,
            7200,
            "403 Forbidden",
        ),
        (403, {"X-RateLimit-Remaining": "0"}, Action.RATE_LIMITED, None, "403 Forbidden"),
        (429, {"Retry-After": "604800"}, Action.FAIL, 604_800, "429 Too Many Requests"),
        (429, {"Retry-After": "604801"}, Action.RATE_LIMITED, None, f"its `Retry-After` {IGNORED}"),
        (429, {"Retry-After": str(10**30)}, Action.RATE_LIMITED, None, f"its `Retry-After` {IGNORED}"),
        (429, {"Retry-After": "9999-12-31"}, Action.RATE_LIMITED, None, f"its `Retry-After` {IGNORED}"),
        (503, {"Retry-After": str(10**30)}, Action.RETRY, None, f"its `Retry-After` {IGNORED}"),
        (
            429,
            {"X-RateLimit-Reset": str(10**30)},
            Action.RATE_LIMITED,
            None,
            f"its `X-RateLimit-Reset` {IGNORED}",
        ),
        (429, {"Retry-After": str(10**400)}, Action.RATE_LIMITED, None, "429 Too Many Requests"),
        (404, {"Retry-After": "86400"}, Action.FAIL, None, "404 Not Found"),
    ],
)
@pytest.mark.parametrize("caller", [SESSION, TOKEN_REQUEST])
def test_a_wait_that_no_retry_lasts_is_left_to_the_circuit(
    status: int, headers: dict[str, str], action: Action, wait: float | None, reason: str, caller: Caller
) -> None:
    decision = classify(Exchange(status, DATE | headers), caller, CONFIG)
    assert (decision.action, decision.wait, decision.outage) == (action, wait, status != 404)
    assert decision.wait_header == ("" if wait is None else list(headers)[-1])
    assert reason in decision.reason
    assert decision.fault is (Fault.CONFIG if status == 404 else Fault.TRANSIENT)


LIMITED = "403 Forbidden; its headers say that the rate limit is reached"
RULE = {"status": 403, "action": "rate_limited"}


@pytest.mark.parametrize(
    ("headers", "rules", "reason"),
    [
        ({"X-RateLimit-Remaining": "0"}, [], LIMITED),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}, [], LIMITED),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7200"}, [], LIMITED),
        ({"RateLimit": "limit=9, remaining=0, reset=60"}, [], LIMITED),
        ({"Retry-After": "60"}, [], LIMITED),
        ({}, [ResponseRule(**RULE)], "403 Forbidden, which requests.responses calls `rate_limited`"),
    ],
)
@pytest.mark.parametrize("caller", [SESSION, WITH_TOKEN, TOKEN_REQUEST])
def test_a_403_for_a_limit_says_nothing_about_the_key(
    headers: dict[str, str], rules: list[ResponseRule], reason: str, caller: Caller
) -> None:
    if caller is TOKEN_REQUEST and rules:
        return  # no rule counts for a token endpoint
    decision = classify(Exchange(403, headers), caller, RequestsConfig(responses=rules))
    assert decision.reason == reason
    assert decision.fault is Fault.TRANSIENT


def test_a_longer_max_retry_delay_waits_in_the_run() -> None:
    config = RequestsConfig(max_retry_delay=3600)
    assert classify(Exchange(429, {"Retry-After": "3600"}), SESSION, config).may_retry


def test_a_rule_leaves_a_long_wait_to_the_circuit_too() -> None:
    config = RequestsConfig(responses=[ResponseRule(body={"error": "quota"}, action="rate_limited")])
    decision = classify(Exchange(200, {"Retry-After": "86400"}, b'{"error": "quota"}'), SESSION, config)
    assert (decision.action, decision.wait, decision.outage) == (Action.FAIL, 86_400, True)


def test_no_wait_is_shorter_than_the_backoff() -> None:
    """An API that answers `Retry-After: 0` gets its retries after 2, 4 and 8 seconds, too."""
    at_once = Decision(Action.RATE_LIMITED, wait=0)
    assert [backoff(at_once, attempt, CONFIG, lambda: 0.0) for attempt in (1, 2, 3)] == [2, 4, 8]


RETRY = Decision(Action.RETRY)


def test_jitter_adds_up_to_a_tenth_and_never_takes_any_away() -> None:
    chance = random.Random(1)  # noqa: S311  no secret
    for attempt, seconds in ((1, 2), (2, 4), (3, 8)):
        waits = [backoff(RETRY, attempt, CONFIG, chance.random) for _ in range(1000)]
        assert seconds <= min(waits) < seconds * 1.01
        assert seconds * 1.09 < max(waits) <= seconds * 1.1
    waits = [backoff(Decision(Action.RATE_LIMITED, wait=30), 1, CONFIG, chance.random) for _ in range(1000)]
    assert 30 <= min(waits) < 30.3
    assert 32.7 < max(waits) <= 33


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_max_retry_delay_bounds_the_wait_with_its_jitter(jitter: float) -> None:
    config: Any = RequestsConfig(max_retry_delay=300)
    assert backoff(Decision(Action.RETRY, wait=86_400), 1, config, lambda: jitter) == 300
    assert backoff(Decision(Action.RETRY, wait=299), 1, config, lambda: jitter) == (300 if jitter else 299)
    assert backoff(RETRY, 10, config, lambda: jitter) == 300

"""An API that needs too long for a long range is asked for shorter ones, within the tries of one request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project, failure_of
from analytics_assets_tests.integration.test_batches import materialized
from analytics_assets_tests.integration.test_reconcile import defs

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 12
HOURS = [f"{START + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}" for hour in range(DAYS * 24)]


def gateway() -> Reply:
    return Reply({}, status=504)


def hangs() -> Reply:
    time.sleep(1)
    return Reply({}, status=500)


def refuses() -> Reply:
    return Reply({}, status=503)


@dataclass
class Slow:
    """An API with a row every hour.

    Attributes:
        longest: the longest range that the API answers in time.
        late: what it does for a longer range.
        asked: the length of the range of each request.
    """

    longest: timedelta = timedelta(days=2)
    late: Callable[[], Reply] = gateway
    asked: list[timedelta] = field(default_factory=list)

    def reply(self, asked: Asked) -> Any:
        since, until = asked.params["since"], asked.params["until"]
        length = datetime.fromisoformat(until) - datetime.fromisoformat(since)
        self.asked.append(length)
        if length > self.longest:
            return self.late()
        rows = [{"id": one, "name": "a", "at": at} for one, at in enumerate(HOURS) if since <= at < until]
        return {"data": rows}


@pytest.fixture
def slow() -> Iterator[tuple[Slow, str]]:
    api = Slow()
    with answering(api.reply) as url:
        document = yaml.safe_load(defs(url))
        [resource] = document["attributes"]["rest_api"]["resources"]
        resource["endpoint"]["paginator"] = "single_page"
        document["attributes"]["requests"] = {"backoff_factor": 0.001, "read_timeout": 0.3}
        yield api, str(yaml.safe_dump(document))


def run(project: Project, text: str, *last: str) -> Any:
    return project.run(project.definitions(text), "things", "2026-01-05", *last, source="api")


def at(url: str, text: str, **client: Any) -> str:
    """The file with another server, and with other settings of the client."""
    document = yaml.safe_load(text)
    document["attributes"]["rest_api"]["client"] |= {"base_url": url, **client}
    return str(yaml.safe_dump(document))


@pytest.fixture
def client_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__API__CLIENT_ID", "me")
    monkeypatch.setenv("SOURCES__API__CLIENT_SECRET", "s3cret-s3cret")


def oauth2(url: str) -> dict[str, Any]:
    return {"auth": {"type": "oauth2_client_credentials", "access_token_url": f"{url}/token"}}


def ids(project: Project) -> list[int]:
    return [one["id"] for one in project.query("SELECT id FROM api.things ORDER BY id")]


@pytest.mark.parametrize("late", [gateway, hangs])
def test_a_batch_that_takes_too_long_is_halved(
    project: Project, slow: tuple[Slow, str], late: Callable[[], Reply]
) -> None:
    api, text = slow
    api.late = late
    result = run(project, text, "2026-01-16")
    assert result.success, failure_of(result).description
    assert ids(project) == [*range(len(HOURS))]
    assert len(materialized(project.instance)) == DAYS
    days = [one / timedelta(days=1) for one in api.asked]
    assert days == [1, 8, 8, 4, 2, 2, 2, 2, 2, 1], "no later batch is as long as one that took too long"


def test_a_part_that_takes_too_long_is_halved_again(project: Project, slow: tuple[Slow, str]) -> None:
    api, text = slow
    api.longest = timedelta(hours=6)
    result = run(project, text, "2026-01-06")
    assert result.success, failure_of(result).description
    assert ids(project) == [*range(48)]
    assert [one / timedelta(hours=1) for one in api.asked] == [24, 24, 12, 6, 6, 6, 6, 6, 6, 6, 6]


def test_a_partition_that_takes_too_long_is_halved(project: Project, slow: tuple[Slow, str]) -> None:
    api, text = slow
    api.longest = timedelta(hours=12)
    result = run(project, text, "2026-01-06")
    assert result.success, failure_of(result).description
    assert ids(project) == [*range(48)]
    hours = [one / timedelta(hours=1) for one in api.asked]
    assert hours == [24, 24, 12, 12, 12, 12], "the second day is not asked for as a whole"


@pytest.mark.parametrize(
    ("late", "lengths"), [(gateway, [24, 24, 12, 6]), (refuses, [24, 24, 24, 24])], ids=["too slow", "down"]
)
def test_an_api_that_never_answers_gets_as_many_tries_as_ever(
    project: Project, slow: tuple[Slow, str], late: Callable[[], Reply], lengths: list[int]
) -> None:
    """Only what took too long is asked for in smaller ranges. The circuit opens after the last try."""
    api, text = slow
    api.longest, api.late = timedelta(0), late
    failure = failure_of(run(project, text, "2026-01-06"))
    assert failure.metadata["code"].value == "halted"
    assert "halted after 4 attempts of GET /things" in str(failure.description)
    assert [one / timedelta(hours=1) for one in api.asked] == lengths
    again = failure_of(run(project, text))
    assert again.metadata["code"].value == "circuit_open"
    assert len(api.asked) == 4


@pytest.mark.usefixtures("client_secrets")
@pytest.mark.parametrize("before", ["token", "redirect"])
def test_a_token_or_a_redirect_gives_no_further_tries(
    project: Project, slow: tuple[Slow, str], before: str
) -> None:
    api, text = slow
    api.longest = timedelta(0)

    def reply(asked: Asked) -> Any:
        if asked.path == "/token":
            return {"access_token": "t", "token_type": "bearer", "expires_in": 1}
        if before == "redirect" and asked.path == "/things":
            query = "&".join(f"{name}={value}" for name, value in asked.params.items())
            return Reply({}, status=302, headers={"Location": f"/elsewhere?{query}"})
        return api.reply(asked)

    with answering(reply) as url:
        failed = run(project, at(url, text, **(oauth2(url) if before == "token" else {})))
    assert failure_of(failed).metadata["code"].value == "halted"
    assert len(api.asked) == 4


@pytest.mark.usefixtures("client_secrets")
def test_a_token_server_that_is_slow_is_no_reason_for_smaller_ranges(
    project: Project, slow: tuple[Slow, str], caplog: pytest.LogCaptureFixture
) -> None:
    _, text = slow
    caplog.set_level(logging.INFO, "analytics_assets")
    asked_for: list[str] = []

    def reply(asked: Asked) -> Any:
        asked_for.append(asked.path)
        return gateway()

    with answering(reply) as url:
        failed = run(project, at(url, text, **oauth2(url)))
    assert failure_of(failed).metadata["code"].value == "halted"
    assert asked_for == ["/token"] * 4
    assert "retry 3 of 3" in caplog.text
    assert "in parts" not in caplog.text


def test_later_trouble_has_all_tries_again(project: Project, slow: tuple[Slow, str]) -> None:
    """The tries of a larger range count only until a smaller one is answered."""
    api, text = slow
    api.longest = timedelta(hours=12)
    failures = iter([refuses, refuses, refuses])
    whole = api.reply

    def reply(asked: Asked) -> Any:
        late = asked.params["since"].endswith("T12:00:00Z") and next(failures, None)
        return late() if late else whole(asked)

    with answering(reply) as url:
        result = run(project, at(url, text))
    assert result.success, failure_of(result).description
    assert ids(project) == [*range(24)]

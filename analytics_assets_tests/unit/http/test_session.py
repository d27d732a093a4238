"""The session: its retries, its waits, and its errors."""

from __future__ import annotations

import logging
import pickle
import socket
from typing import Any

import pytest
from dlt.sources.helpers.rest_client.auth import APIKeyAuth
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import SinglePagePaginator

from analytics_assets.config.secret_reference import secret_reference
from analytics_assets.demo_api.server import DEFAULT_KEY
from analytics_assets.ingestion.errors import SyncHalted
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets_tests.answering import api_session
from analytics_assets_tests.conftest import DemoApi

PATH = "/v1/transactions"


class Client:
    """dlt's own client with `ApiSession`, which records waits and does not sleep."""

    def __init__(self, url: str, *, key: str = DEFAULT_KEY, **config: Any) -> None:
        self.waits: list[float] = []
        self.telemetry = Telemetry("transactions")
        self.session = api_session(
            "transactions",
            secrets=Secrets({secret_reference("api_key"): key}),
            telemetry=self.telemetry,
            sleep=self.waits.append,
            **config,
        )
        self._client = RESTClient(
            url,
            auth=APIKeyAuth(name="api_key", api_key=secret_reference("api_key"), location="query"),
            session=self.session,
            paginator=SinglePagePaginator(),
        )

    def rows(self, path: str = PATH, hooks: Any = None) -> int:
        pages = self._client.paginate(path, data_selector="data", hooks=hooks)
        return sum(len(page) for page in pages)


def fault(**what: Any) -> dict[str, Any]:
    return {"path": PATH, **what}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_three_retries_with_exponential_backoff_then_halt(api: DemoApi, status: int) -> None:
    api.set_faults(fault(status=status))
    client = Client(api.url)
    with pytest.raises(SyncHalted) as caught:
        client.rows()
    assert client.waits == [2, 4, 8]
    assert api.request_counts()[PATH] == 4
    halted = caught.value
    assert (halted.resource, halted.endpoint) == ("transactions", f"GET {PATH}")
    assert (halted.status, halted.attempts) == (status, 4)
    assert f"{status} " in halted.reason
    assert str(halted).startswith(f"transactions: halted after 4 attempts of GET {PATH}: {status} ")


@pytest.mark.parametrize("good_at", [2, 3, 4])
def test_a_retry_that_succeeds_is_a_success(api: DemoApi, good_at: int) -> None:
    api.set_faults(fault(status=503, requests=list(range(1, good_at))))
    client = Client(api.url)
    assert client.rows() == 50
    assert client.waits == [2, 4, 8][: good_at - 1]
    telemetry = client.telemetry
    assert (telemetry.requests, telemetry.retries) == (good_at, good_at - 1)
    assert telemetry.seconds_waited == sum(client.waits)
    assert telemetry.bytes_received > 1000


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 501, 505])
def test_any_other_error_status_fails_at_once(api: DemoApi, status: int) -> None:
    api.set_faults(fault(status=status))
    client = Client(api.url)
    with pytest.raises(SyncHalted) as caught:
        client.rows()
    assert client.waits == []
    assert api.request_counts()[PATH] == 1
    assert (caught.value.status, caught.value.attempts) == (status, 1)


def test_a_wrong_key_says_that_it_is_the_key(api: DemoApi) -> None:
    with pytest.raises(SyncHalted, match="401 Unauthorized; the API does not accept the key"):
        Client(api.url, key="wrong").rows()


@pytest.mark.parametrize(
    ("what", "reason"),
    [({"reset": True}, "the connection to 127.0.0.1:"), ({"truncate": True}, "the response broke off")],
)
def test_network_errors_are_retried(api: DemoApi, what: dict[str, bool], reason: str) -> None:
    api.set_faults(fault(requests=[1], **what))
    assert Client(api.url).rows() == 50
    api.set_faults(fault(**what))
    client = Client(api.url)
    with pytest.raises(SyncHalted) as caught:
        client.rows()
    assert client.waits == [2, 4, 8]
    assert api.request_counts()[PATH] == 4
    assert caught.value.status is None
    assert caught.value.reason.startswith(reason)


def test_nobody_listening_is_a_network_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = Client(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(SyncHalted, match="no connection"):
            client.rows()
    assert len(client.waits) == 3


def test_a_read_timeout_is_retried(api: DemoApi) -> None:
    api.set_faults(fault(delay=0.4, requests=[1]))
    client = Client(api.url, read_timeout=0.1)
    assert client.rows() == 50
    assert client.waits == [2]


@pytest.mark.parametrize(
    ("header", "wait"),
    [("7", 7), ("0", 2), ("300", 300), (str(10**30), 2), ("soon", 2), ("Wed, 21 Oct 2015 07:28:00 GMT", 2)],
)
def test_retry_after_is_honoured(api: DemoApi, header: str, wait: float) -> None:
    api.set_faults(fault(status=429, retry_after=header, requests=[1]))
    client = Client(api.url)
    assert client.rows() == 50
    assert client.waits == [wait]


def test_the_settings_are_those_of_the_file(api: DemoApi) -> None:
    api.set_faults(fault(status=418))
    client = Client(api.url, max_retries=1, backoff_factor=0.5, retry_statuses=[418])
    with pytest.raises(SyncHalted):
        client.rows()
    assert client.waits == [0.5]


def test_response_actions_of_the_user_come_first(api: DemoApi) -> None:
    """dlt's hooks see the response of the last attempt."""
    api.set_faults(fault(status=503))
    seen = []
    client = Client(api.url)
    ignore = [lambda answer, *_, **__: seen.append(answer.status_code), lambda *_, **__: None]
    client.rows(hooks={"response": ignore})
    assert seen == [503]
    assert len(client.waits) == 3


@pytest.mark.parametrize("what", [{"status": 500}, {"reset": True}, {"status": 404}, {"truncate": True}])
def test_the_key_is_in_no_message(
    api: DemoApi, what: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    api.set_faults(fault(**what))
    with pytest.raises(SyncHalted) as caught:
        Client(api.url).rows()
    error: BaseException | None = caught.value
    assert error is not None
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert DEFAULT_KEY not in str(error)
    assert DEFAULT_KEY not in caplog.text


def test_a_halt_survives_pickling() -> None:
    halted = SyncHalted("events", "GET /v1/events", 503, 4, "503 Service Unavailable")
    again = pickle.loads(pickle.dumps(halted))  # noqa: S301  our own
    assert (str(again), again.__dict__) == (str(halted), halted.__dict__)

"""OAuth2 as real APIs do it, in whole syncs: tokens that end while pages are read, and classes of the user's own."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from dlt.common.configuration.specs import configspec
from dlt.sources.helpers.rest_client.auth import OAuth2ClientCredentials

from analytics_assets import RestApiSync
from analytics_assets.ingestion.errors import NoTokenError, SyncError, SyncHalted
from analytics_assets.ingestion.http.circuit_breaker import policy_of
from analytics_assets.ingestion.plan.load_plan import plan_load
from analytics_assets.ingestion.sync import run_sync
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.memory_circuit import MemoryCircuit
from analytics_assets_tests.real_api import defs

SIZE = 95


class Server:
    """An API whose tokens are good for a few requests. Only the newest token is valid, as with many servers."""

    def __init__(self, good_for: int) -> None:
        self.good_for = self.left = good_for
        self.issued: list[str] = []
        self.secrets: list[str] = []

    def reply(self, asked: Asked) -> Any:
        if asked.path == "/token":
            self.secrets.append(f"{asked.headers.get('authorization', '')} {asked.body.decode()}")
            self.issued.append(f"a-token-of-the-server-{len(self.issued)}")
            self.left = self.good_for
            return {"access_token": self.issued[-1], "expires_in": None}
        given = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if not self.issued or given != self.issued[-1] or self.left <= 0:
            return Reply({"error": f"{given} is expired"}, 401)
        self.left -= 1
        if asked.path.startswith("/shops/"):
            return {"data": [{"id": int(asked.path.split("/")[2]) * 100}]}
        if asked.path == "/shops":
            return {"data": [{"id": n} for n in range(1, 13)]}
        start = int(asked.params.get("offset", 0))
        return {"data": [{"id": n} for n in range(start, min(start + 10, SIZE))], "total": SIZE}


CREDENTIALS = {"type": "oauth2_client_credentials"}
OFFSET: dict[str, Any] = {"paginator": {"type": "offset", "limit": 10}}
SHOPS = {"name": "shops", "endpoint": {"path": "shops", "data_selector": "data", "paginator": "single_page"}}


@pytest.fixture
def client_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__API__CLIENT_ID", "the-client-id")
    monkeypatch.setenv("SOURCES__API__CLIENT_SECRET", "the-client-secret")


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("good_for", "endpoint", "parents", "rows", "tokens"),
    [
        (4, OFFSET, (), SIZE, 3),
        (4, {"path": "shops/{resources.shops.id}/things", "paginator": "single_page"}, (SHOPS,), 12, 3),
        (99, OFFSET, (), SIZE, 1),
    ],
    ids=["offset", "parent and child share a token", "no end"],
)
@pytest.mark.usefixtures("client_secrets")
def test_a_token_that_ends_while_pages_are_read(
    project: Project,
    caplog: pytest.LogCaptureFixture,
    good_for: int,
    endpoint: dict[str, Any],
    parents: tuple[Any, ...],
    rows: int,
    tokens: int,
) -> None:
    caplog.set_level(logging.DEBUG)
    server = Server(good_for)
    with answering(server.reply) as url:
        auth = {**CREDENTIALS, "access_token_url": f"{url}/token"}
        requests = {"max_in_flight": 2}
        config = defs(url, client={"auth": auth}, parents=parents, requests=requests, **endpoint)
        result = project.load(config, "things")
    assert len(project.query("SELECT DISTINCT id FROM api.things")) == rows
    assert result.requests.retries == 0
    assert len(server.issued) >= tokens
    assert all("the-client-secret" in one for one in server.secrets)
    for token in server.issued:
        assert token not in caplog.text
        assert not [
            one for one in project.folder.rglob("*") if one.is_file() and token.encode() in one.read_bytes()
        ]


@configspec
class Account(OAuth2ClientCredentials):
    """As in dlt's docs: a class of the user's own, whose token request differs."""

    def build_access_token_request(self) -> dict[str, Any]:
        return {"auth": (self.client_id, self.client_secret), "data": {"grant_type": "account_credentials"}}


def test_an_auth_object_of_the_python_form_is_renewed(project: Project) -> None:
    server = Server(4)
    with answering(server.reply) as url:
        auth = Account(access_token_url=f"{url}/token", client_id="me", client_secret="s")
        endpoint = {"path": "things", "data_selector": "data", **OFFSET}
        one = {"name": "things", "primary_key": "id", "write_disposition": "replace", "endpoint": endpoint}
        rest_api = {"client": {"base_url": url, "auth": auth}, "resources": [one]}
        sync = RestApiSync(name="api", rest_api=rest_api, requests={"max_in_flight": 1})
        run_sync(plan_load(sync, sync.resources["things"]), MemoryCircuit(policy_of(sync), "api"))
    assert len(project.query("SELECT DISTINCT id FROM api.things")) == SIZE
    assert len(server.issued) >= 3
    assert all(one == "Basic bWU6cw== grant_type=account_credentials" for one in server.secrets)


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (
            Reply({"error": "invalid_client"}),
            NoTokenError,
            "things: no OAuth2 token came from POST /token, because its response has no access_token (it has error). "
            "The API says: invalid_client. Nothing was loaded. Check access_token_url, client_id and client_secret.",
        ),
        (
            Reply({"error": "invalid_client"}, 400),
            SyncHalted,
            "things: halted after 1 attempt of POST /token: 400 Bad Request; it issues no token: check client_id and "
            "client_secret (SOURCES__API__CLIENT_ID and SOURCES__API__CLIENT_SECRET)",
        ),
    ],
)
@pytest.mark.usefixtures("client_secrets")
def test_a_token_endpoint_that_issues_none(
    project: Project, answer: Reply, error: type[SyncError], sentence: str
) -> None:
    with answering(lambda _: answer) as url:
        config = defs(url, client={"auth": {**CREDENTIALS, "access_token_url": f"{url}/token"}}, **OFFSET)
        with pytest.raises(error) as caught:
            project.load(config, "things")
    assert str(caught.value) == sentence

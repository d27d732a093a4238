"""Links and redirects to another server: it gets nothing, unless the file names it, and the secrets only if trusted."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from analytics_assets.ingestion.errors import ForeignOriginError, NoTokenError
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.real_api import defs

KEY = "s3cr3t-key/of the+API"
AUTHS: dict[str, Any] = {
    "header": {"type": "api_key", "name": "X-Api-Key", "location": "header"},
    "query": {"type": "api_key", "name": "key", "location": "query"},
    "bearer": {"type": "bearer"},
    "basic": {"type": "http_basic", "username": "me"},
}
SECRETS = {"header": "API_KEY", "query": "API_KEY", "bearer": "TOKEN", "basic": "PASSWORD"}
ROUTES = ["redirect 302", "redirect 307", "next", "link header", "offset redirect"]


def _api(route: str, other: Callable[[], str]) -> Callable[[Asked], Any]:
    """The first page leads to `/more` of the other server, or redirects to it."""

    def reply(asked: Asked) -> Any:
        target = f"{other()}/more"
        if "offset" in asked.params:
            return Reply(b"", 302, {"Location": f"{target}?offset={asked.params['offset']}"})
        if "redirect" in route:
            return Reply(b"", int(route[-3:]), {"Location": target})
        if route == "next":
            return {"data": [{"id": 1}], "next": target}
        return Reply({"data": [{"id": 1}]}, headers={"Link": f'<{target}>; rel="next"'})

    return reply


def _paginator(route: str) -> Any:
    if route == "offset redirect":
        return {"type": "offset", "limit": 10, "total_path": None}
    return {"next": {"type": "json_link", "next_url_path": "next"}, "link header": "header_link"}.get(
        route, "single_page"
    )


def _carries_the_key(asked: Asked) -> bool:
    spelled = (
        KEY,
        KEY.replace("/", "%2F").replace(" ", "%20").replace("+", "%2B"),
        base64.b64encode(f"me:{KEY}".encode()).decode(),
    )
    texts = [*asked.headers.values(), *asked.params.values(), asked.body.decode()]
    return any(one in text for one in spelled for text in texts)


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize("named", [None, "download_origins", "trusted_origins"])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("auth", AUTHS)
def test_another_server_gets_what_the_file_says(
    project: Project, monkeypatch: pytest.MonkeyPatch, auth: str, route: str, named: str | None
) -> None:
    monkeypatch.setenv(f"SOURCES__API__{SECRETS[auth]}", KEY)
    seen: list[Asked] = []

    def elsewhere(asked: Asked) -> Any:
        seen.append(asked)
        start = int(asked.params.get("offset", 0))
        return {"data": [{"id": 2}][start:]}

    with answering(elsewhere) as other, answering(_api(route, lambda: other)) as url:
        requests = {named: [other]} if named else {}
        config = defs(url, client={"auth": AUTHS[auth]}, requests=requests, paginator=_paginator(route))
        if named is None:
            with pytest.raises(ForeignOriginError) as caught:
                project.load(config, "things")
            assert (caught.value.origin, seen) == (other, [])
            assert KEY not in str(caught.value)
            assert "requests.trusted_origins" in str(caught.value)
            return
        project.load(config, "things")
    assert {row["id"] for row in project.query("SELECT id FROM api.things")} >= {2}
    if named == "download_origins":
        assert not any(map(_carries_the_key, seen))
    elif "redirect" not in route or auth != "query":  # a redirect replaces the query, as in each HTTP client
        assert all(map(_carries_the_key, seen))


def test_own_headers_stay_with_the_api(project: Project) -> None:
    """A header of the file may hold a key of any name, so a server of downloads gets no such header."""
    seen: list[Asked] = []

    def elsewhere(asked: Asked) -> Any:
        seen.append(asked)
        return {"data": [{"id": 2}]}

    with answering(elsewhere) as other, answering(_api("redirect 302", lambda: other)) as url:
        config = defs(
            url,
            client={"headers": {"X-Tenant": "acme"}},
            requests={"download_origins": [other]},
            paginator="single_page",
        )
        project.load(config, "things")
    assert "x-tenant" not in seen[0].headers


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_token_request_follows_no_redirect(
    project: Project, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("SOURCES__API__CLIENT_SECRET", KEY)
    monkeypatch.setenv("SOURCES__API__CLIENT_ID", "me")
    seen: list[Asked] = []
    with (
        answering(seen.append) as other,
        answering(lambda _: Reply(b"", status, {"Location": f"{other}/token"})) as url,
    ):
        auth = {"type": "oauth2_client_credentials", "access_token_url": f"{url}/token"}
        requests = {"trusted_origins": [other]}
        config = defs(url, client={"auth": auth}, requests=requests, paginator="single_page")
        with pytest.raises(NoTokenError, match="redirects to another address"):
            project.load(config, "things")
    assert seen == []

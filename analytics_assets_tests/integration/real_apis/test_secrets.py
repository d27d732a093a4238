"""Secrets: where the file may name one, that rows stay as they came, and that no text of ours has one."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import dagster as dg
import pytest
import yaml
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from analytics_assets import RestApiSync
from analytics_assets.ingestion.errors import (
    ContractExceededError,
    ErrorAnswerError,
    FailingTemplateError,
    KeyNotUniqueError,
    MissingSecretError,
    SyncError,
    SyncHalted,
    UnexpectedError,
    UnsendableSecretError,
    UnsetVariableError,
)
from analytics_assets.ingestion.source.settings import known_secrets
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project, check_of, failure_of
from analytics_assets_tests.examples import examples
from analytics_assets_tests.real_api import defs

SECRET = "s3cr3t/of the+API&co=1"

PLACES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("header", {}, {"headers": {"X-Custom-Token": "{{ X }}"}}, "x-custom-token"),
    ("header with text", {}, {"headers": {"X-Custom": "Key {{ X }}!"}}, "x-custom"),
    ("cookie", {}, {"headers": {"Cookie": "session={{ X }}"}}, "cookie"),
    ("authorization", {}, {"headers": {"Authorization": "Token {{ X }}"}}, "authorization"),
    ("header of the client", {"headers": {"DD-APPLICATION-KEY": "{{ X }}"}}, {}, "dd-application-key"),
    ("proxy", {"headers": {"Proxy-Authorization": "{{ X }}"}}, {}, "proxy-authorization"),
    ("parameter", {}, {"params": {"api_key": "{{ X }}"}}, "?api_key"),
    ("parameter with text", {}, {"params": {"access_token": "a{{ X }}b"}}, "?access_token"),
    ("json", {}, {"method": "POST", "json": {"a": [{"password": "{{ X }}"}]}}, "body"),
    ("form", {}, {"method": "POST", "data": {"password": "{{ X }}"}}, "body"),
    ("form of text", {}, {"method": "POST", "data": "a=1&password={{ X }}"}, "body"),
    ("form that begins with it", {}, {"method": "POST", "data": "password={{ X }}&a=1"}, "body"),
    ("path", {}, {"path": "a/{{ X }}/things"}, "path"),
    ("query of the path", {}, {"path": "things?token={{ X }}"}, "?token"),
    ("bearer", {"auth": {"type": "bearer", "token": "{{ X }}"}}, {}, "authorization"),
    ("user name", {"auth": {"type": "http_basic", "username": "{{ X }}", "password": ""}}, {}, "basic"),
    (
        "two keys",
        {"auth": {"type": "api_key", "name": "DD-API-KEY", "api_key": "{{ X }}", "location": "header"}},
        {"headers": {"DD-APPLICATION-KEY": "{{ X }}"}},
        "dd-api-key",
    ),
]  # fmt: skip


def _with(value: Any, source: str) -> Any:
    if isinstance(value, dict):
        return {key: _with(item, source) for key, item in value.items()}
    if isinstance(value, list):
        return [_with(item, source) for item in value]
    return value.replace("X }}", f"{source} }}}}") if isinstance(value, str) else value


def _sent(asked: Asked, where: str) -> str:
    if where.startswith("?"):
        return asked.params[where[1:]]
    if where == "basic":
        return base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()
    return {"body": asked.body.decode(), "path": asked.path}.get(where) or asked.headers[where]


@pytest.mark.matrix(keep=6)
@pytest.mark.parametrize(
    "source", ["env.MY_KEY", "secrets.my_key", "env('MY_KEY')", "secrets['my_key']", "secrets('my_key')"]
)
@pytest.mark.parametrize(
    ("client", "endpoint", "where"), [one[1:] for one in PLACES], ids=[one[0] for one in PLACES]
)
def test_a_secret_may_be_anywhere_in_a_request(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    client: dict[str, Any],
    endpoint: dict[str, Any],
    where: str,
    source: str,
) -> None:
    caplog.set_level("DEBUG")
    seen: list[Asked] = []

    def reply(asked: Asked) -> Any:
        seen.append(asked)
        return {"data": [{"id": 1}]}

    with answering(reply) as url:
        keys: Any = {"paginator": "single_page", **_with(endpoint, source)}
        text = defs(url, client=_with(client, source), **keys)
        component = RestApiSync.rendered(yaml.safe_load(text)["attributes"])  # no secret is set yet
        assert component.resources
        monkeypatch.setenv("MY_KEY", SECRET)
        monkeypatch.setenv("SOURCES__API__MY_KEY", SECRET)
        component = RestApiSync.rendered(yaml.safe_load(text)["attributes"])
        assert SECRET.encode() not in pickle.dumps(str(component.rest_api))
        project.load(text, "things")
    sent = _sent(seen[0], where)
    spelled = {SECRET, quote(SECRET, safe=""), SECRET.replace(" ", "+"), "s3cr3t%2Fof+the%2BAPI%26co%3D1"}
    assert any(one in sent for one in spelled), sent
    assert "hidden." not in sent
    assert not any(one in caplog.text for one in (SECRET, quote(SECRET, safe="")))


def test_a_secret_may_be_in_the_path_of_the_base_url(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__API__BOT", "123:ABC")
    seen: list[str] = []

    def reply(asked: Asked) -> Any:
        seen.append(asked.path)
        return {"data": [{"id": 1}], "next": f"{url}/bot123:ABC/more"} if len(seen) == 1 else {"data": []}

    paginator = {"type": "json_link", "next_url_path": "next"}
    with answering(reply) as url:
        text = defs(
            f"{url}/bot{{{{ secrets.bot }}}}", paginator=paginator, path="{{ env('PART', 'x') }}/things"
        )
        project.load(text, "things")
    assert seen == ["/bot123%3AABC/x/things", "/bot123:ABC/more"]


def test_a_parent_may_give_a_value_beside_a_secret(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "the-key")
    seen: list[Asked] = []

    def reply(asked: Asked) -> Any:
        seen.append(asked)
        return {"data": [{"id": 7}]}

    parent = {
        "name": "shops",
        "endpoint": {"path": "shops", "data_selector": "data", "paginator": "single_page"},
    }
    endpoint: Any = {
        "path": "{{ env.MY_KEY }}/{resources.shops.id}",
        "headers": {"X-Token": "{{ env.MY_KEY }}"},
    }
    with answering(reply) as url:
        project.load(defs(url, parents=(parent,), paginator="single_page", **endpoint), "things")
    assert [one.path for one in seen] == ["/shops", "/the-key/7"]
    assert seen[1].headers["x-token"] == "the-key"


def test_a_header_that_is_no_secret_is_read_when_the_run_starts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Asked] = []

    def reply(asked: Asked) -> Any:
        seen.append(asked)
        return {"data": [{"id": 1}]}

    headers = {"X-Api-Version": "{{ env.VERSION }}", "User-Agent": "me/{{ env.VERSION }}"}
    with answering(reply) as url:
        text = defs(url, client={"headers": headers}, headers=headers, paginator="single_page")
        plan = project.plan(text, "things")
        monkeypatch.setenv("VERSION", "2026-01 {a}")
        assert known_secrets(plan.config).redact("2026-01 {a}") == "2026-01 {a}"
        project.load(text, "things")
    assert seen[0].headers["x-api-version"] == "2026-01 {a}"
    assert seen[0].headers["user-agent"] == "me/2026-01 {a}"


def test_a_constant_at_a_key_of_a_secret_keeps_its_type(project: Project) -> None:
    seen: list[Asked] = []

    def reply(asked: Asked) -> Any:
        seen.append(asked)
        return {"data": [{"id": 1}]}

    body = {"token": "{{ 100 }}", "password": "{{ true }}", "secret": "{{ 'public' }}"}
    with answering(reply) as url:
        project.load(defs(url, method="POST", json=body, paginator="single_page"), "things")
    assert json.loads(seen[0].body) == {"token": 100, "password": True, "secret": "public"}


def test_a_header_that_only_looks_like_basic_is_sent(project: Project) -> None:
    seen: list[Asked] = []

    def reply(asked: Asked) -> Any:
        seen.append(asked)
        return {"data": [{"id": 1}]}

    with answering(reply) as url:
        project.load(defs(url, headers={"X-Plan": "Basic Tier1"}, paginator="single_page"), "things")
    assert seen[0].headers["x-plan"] == "Basic Tier1"


@pytest.mark.parametrize("status", [404, 500, 200])
def test_a_long_secret_in_a_link_is_redacted_before_its_path_is_cut(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    secret = "".join(f"{number:03d}abc" for number in range(60))
    monkeypatch.setenv("SOURCES__API__BOT", secret)
    seen: list[str] = []

    def reply(asked: Asked) -> Any:
        seen.append(asked.path)
        if len(seen) == 1:
            return {"data": [{"id": 1}], "next": f"{url}/{'d' * 100}/bot{secret}/more"}
        return Reply(b"no JSON", status)

    paginator = {"type": "json_link", "next_url_path": "next"}
    with answering(reply) as url, pytest.raises(SyncError) as caught:
        project.load(defs(f"{url}/bot{{{{ secrets.bot }}}}", paginator=paginator), "things")
    assert secret in seen[1]
    assert "005abc" not in f"{caught.value} {caught.value.facts()} {caplog.text}"


def test_a_user_name_in_rows_is_no_secret_in_rows(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCOUNT", "EMAIL"):
        monkeypatch.setenv(name, "me@acme.com")
    monkeypatch.setenv("SOURCES__API__PASSWORD", "the-long-password")
    auth = {"type": "http_basic", "username": "{{ env.EMAIL }}"}
    headers = {"X-Tenant": "{{ env.ACCOUNT }}"}
    rows = [{"id": 1, "mail": "me@acme.com"}, {"id": 2, "mail": "the-long-password"}]
    with answering(lambda _: {"data": rows}) as url:
        text = defs(url, client={"auth": auth, "headers": headers}, paginator="single_page")
        assert dict(project.load(text, "things").rows_with_secret) == {"mail": 1}


def test_the_secrets_of_an_auth_object_are_redacted() -> None:
    attributes = yaml.safe_load(defs("http://127.0.0.1:1", paginator="single_page"))["attributes"]
    attributes["rest_api"]["client"]["auth"] = BearerTokenAuth(token="the-long-token")
    secrets = known_secrets(RestApiSync(**attributes))
    redacted = secrets.redact("no the-long-token here")
    assert "the-long" not in redacted
    assert "BearerTokenAuth.token" in redacted
    assert secrets.settings == ("BearerTokenAuth.token",)


def test_a_key_of_several_lines_may_be_in_json(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__API__PEM", "-----BEGIN\nabc\n-----END")
    seen: list[Asked] = []

    def reply(asked: Asked) -> Any:
        seen.append(asked)
        return {"data": [{"id": 1}]}

    with answering(reply) as url:
        text = defs(url, method="POST", json={"key": "{{ secrets.pem }}"}, paginator="single_page")
        project.load(text, "things")
    assert json.loads(seen[0].body) == {"key": "-----BEGIN\nabc\n-----END"}


def test_a_sync_reads_only_its_own_secrets(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTHER_KEY", raising=False)
    other = {"name": "others", "endpoint": {"path": "others", "headers": {"X-Token": "{{ env.OTHER_KEY }}"}}}
    with answering(lambda _: {"data": [{"id": 1}]}) as url:
        text = defs(url, parents=(other,), paginator="single_page")
        assert project.load(text, "things").rows_loaded == 1
        with pytest.raises(UnsetVariableError):
            project.load(text, "others")


OAUTH2 = {"type": "oauth2_client_credentials", "access_token_url": "https://host/token"}
LITERALS: list[tuple[tuple[Any, ...], Any]] = [
    *(
        (("client", "headers", name), "abc")
        for name in (
            "Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-ApiKey", "apikey", "X-Custom-Token",
            "DD-APPLICATION-KEY", "X-Shopify-Access-Token", "Ocp-Apim-Subscription-Key", "X-Auth-Token",
            "Private-Token", "X-Secret", "X-Figma-Token", "password",
        )
    ),
    (("client", "base_url"), "https://me:pass@host/v1"),
    (("client", "base_url"), "https://me@host/v1"),
    (("client", "base_url"), "https://host/v1?api_key=abc"),
    (("client", "base_url"), "https://host/botghp_0123456789abcdefghij0123/"),
    (("endpoint", "params", "api_key"), "abc"),
    (("endpoint", "params", "access_token"), 12345),
    (("endpoint", "params", "key"), "AIzaSyA1234567890abcdefghijklmnopqrstuv"),
    (("endpoint", "params", "key"), "0123456789abcdefghij0123"),
    (("endpoint", "params", "q"), "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc"),
    (("endpoint", "json", "client_secret"), "abc"),
    (("endpoint", "json", "a", "password"), "abc"),
    (("endpoint", "path"), "things?token=abc"),
    (("endpoint", "path"), "xoxb-123456789012-abcdef/things"),
    (("endpoint", "headers", "X-Any"), "Bearer 0123456789abcdef0123"),
    (("endpoint", "headers", "X-Version-Token"), "abc"),
    (("endpoint", "params", "consumer_key"), "abc"),
    (("endpoint", "params", "refreshToken"), "abc"),
    (("endpoint", "path"), "bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0/things"),
    (("endpoint", "data"), "grant_type=x&password=hunter2"),
    (("endpoint", "params", "since_url"), "https://u:hunter2@host/x"),
    (("client", "auth"), {"type": "http_basic", "username": "me", "password": "abc"}),
    (("client", "auth"), {**OAUTH2, "access_token_request_data": {"refresh_token": "abc"}}),
    (("client", "auth"), {**OAUTH2, "access_token_url": "https://host/token?api_key=abc"}),
    (("client", "auth"), {**OAUTH2, "access_token_url": "https://u:hunter2@host/token"}),
]  # fmt: skip

PLAIN: list[tuple[tuple[Any, ...], Any]] = [
    *(
        (("client", "headers", name), "2024-01")
        for name in (
            "Accept",
            "User-Agent",
            "X-Api-Version",
            "Notion-Version",
            "X-Tenant",
            "X-Sort-Key",
            "Range",
        )
    ),
    (("endpoint", "params", "key"), "campaign"),
    (("endpoint", "params", "sort_key"), "created"),
    (("endpoint", "params", "page_token"), "first"),
    (("endpoint", "params", "next_token"), ""),
    (("endpoint", "params", "token_type"), "bearer"),
    (("endpoint", "params", "site"), "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
    (("endpoint", "params", "password"), ""),
    (("endpoint", "params", "token"), "{{ 'public' }}"),
    (("endpoint", "json", "keys"), "a"),
    (("endpoint", "path"), "author/things?key=name"),
    (("endpoint", "path"), "tokens/things"),
    (("client", "base_url"), "https://host/v1?x=1"),
    (("client", "headers", "X-CSRF-Token"), "Fetch"),
    (("client", "headers", "X-API-Key-Id"), "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
    (("client", "auth"), {"type": "http_basic", "username": "me", "password": "{{ 'X' }}"}),
    (("client", "auth"), {**OAUTH2, "client_id": "abc"}),
    (("endpoint", "json", "token_limit"), 100),
    (("endpoint", "params", "change_token"), "0"),
    (("endpoint", "params", "include_password_reset"), "false"),
]


DEFAULTS: list[tuple[tuple[Any, ...], Any]] = [
    *(
        (("client", "auth"), {"type": "bearer", "token": template})
        for template in (
            "{{ env('T', 'hunter2-x') }}",
            "{{ env('T', default='hunter2-x') }}",
            "{{ env.T | default('hunter2-x') }}",
            "{{ env.T | default('hunter2-x', true) }}",
            "{{ env['T'] | d('hunter2-x') }}",
            "{{ env.T or 'hunter2-x' }}",
            "{{ env.T if env.T else 'hunter2-x' }}",
            "{{ 'hunter2-x' if env.STAGE == 'dev' else env.T }}",
            "{{ (env.T or 'hunter2-x').strip() }}",
            "{{ env.T | default('hunter2-x') | trim }}",
            "{{ env.T | default('hunter2' ~ '-x') }}",
            "{{ {'dev': 'hunter2-x', 'prod': env.T}[env.STAGE] }}",
            "{{ [env.T, 'hunter2-x'] | select | first }}",
            "{{ secrets.t or 'hunter2-x' }}",
            "{% if env.T %}{{ env.T }}{% else %}hunter2-x{% endif %}",
            "{% if env.STAGE == 'dev' %}hunter2-x{% else %}{{ env.T }}{% endif %}",
        )
    ),
    (("client", "auth"), {"type": "http_basic", "username": "{{ env('U', 'hunter2-x') }}", "password": ""}),
    (("client", "auth"), {**OAUTH2, "access_token_request_data": {"refresh_token": "{{ env('R', 'hunter2') }}"}}),
    (("client", "headers", "X-Api-Key"), "{{ env('K', 'hunter2') }}"),
    (("client", "headers", "Authorization"), "Bearer {{ env('K', 'hunter2') }}"),
    (("client", "headers", "X-Any"), "{{ env('K', 'Bearer 0123456789abcdef0123') }}"),
    (("client", "base_url"), "{{ env('B', 'https://me:hunter2@host/v1') }}"),
    (("client", "base_url"), "{{ env('B', 'https://host/v1?api_key=hunter2') }}"),
    (("endpoint", "params", "api_key"), "{{ env('K', 'hunter2') }}"),
    (("endpoint", "params", "key"), "{{ env('K', '0123456789abcdef0123') }}"),
    (("endpoint", "params", "q"), "{{ env('Q', 'ghp_0123456789abcdefghij0123') }}"),
    (("endpoint", "params", "q"), "{{ env.Q }}-ghp_0123456789abcdefghij0123"),
    (("endpoint", "params", "q"), "{{ env('API_KEY', 'hunter2') }}"),
    (("endpoint", "params", "q"), "{{ env('MY_KEY', '0123456789abcdef0123') }}"),
    (("endpoint", "json", "a", "password"), "{{ env('P', 'hunter2') }}"),
    (("endpoint", "path"), "things?token=hunter2&x={{ env.X }}"),
]  # fmt: skip

NO_SECRET_DEFAULTS: list[tuple[tuple[Any, ...], Any]] = [
    (("client", "auth"), {"type": "bearer", "token": "{{ env('T', '') }}"}),
    (("client", "auth"), {"type": "bearer", "token": "{{ env.A or env.B }}"}),
    (("client", "auth"), {"type": "bearer", "token": "{{ env.T | replace('a', 'b') }}"}),
    (("client", "auth"), {"type": "bearer", "token": "{{ 'tok-' ~ env.T }}"}),
    (("client", "auth"), {"type": "bearer", "token": "{{ 'tok-%s' % env.T }}"}),
    (("client", "auth"), {"type": "bearer", "token": "{{ env.T if env.STAGE == 'prod' else env.S }}"}),
    (
        ("client", "auth"),
        {"type": "bearer", "token": "{% if env.T %}{{ env.T }}{% else %}{{ 'demo' }}{% endif %}"},
    ),
    (("client", "auth"), {"type": "api_key", "name": "{{ env('KEY_NAME', 'X-Key') }}", "location": "header"}),
    (("client", "auth"), {**OAUTH2, "access_token_url": "{{ env('TOKEN_URL', 'https://host/token') }}"}),
    (("client", "auth"), {**OAUTH2, "client_id": "{{ env('CLIENT_ID', 'abc') }}"}),
    (("client", "headers", "Authorization"), "{{ 'Bearer ' ~ env.T }}"),
    (("client", "headers", "X-Tenant"), "{{ env('TENANT', 'acme') }}"),
    (("client", "base_url"), "{{ env('B', 'https://host/v1?x=1') }}"),
    (("endpoint", "params", "project"), "{{ env('PROJECT_KEY', 'ACME') }}"),
    (("endpoint", "path"), "{{ env('P', 'things') }}?token={{ env.T }}"),
]


def _attributes(place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    attributes = yaml.safe_load(defs("https://host"))["attributes"]
    rest_api = attributes["rest_api"]
    holder = rest_api["client"] if place[0] == "client" else rest_api["resources"][0]["endpoint"]
    for part in place[1:-1]:
        holder = holder.setdefault(part, {})
    holder[place[-1]] = value
    if "json" in place:
        rest_api["resources"][0]["endpoint"]["method"] = "POST"
    return dict(attributes)


@pytest.mark.parametrize(("place", "value"), LITERALS, ids=str)
def test_a_written_secret_is_refused_with_the_cure(place: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        RestApiSync.rendered(_attributes(place, value))
    [error] = caught.value.errors()
    assert error["loc"][-len(place[1:]) :] == place[1:] or error["loc"][:3] == ("rest_api", "client", "auth")
    assert any(one in error["msg"] for one in ("env.", "http_basic", "SOURCES__", "Remove it here"))
    assert "hunter2" not in error["msg"]


@pytest.mark.parametrize("is_set", [False, True])
@pytest.mark.parametrize(("place", "value"), DEFAULTS, ids=str)
def test_a_secret_as_a_default_is_refused(
    monkeypatch: pytest.MonkeyPatch, place: tuple[Any, ...], value: Any, *, is_set: bool
) -> None:
    for name in "TUSKRBQPX" if is_set else "":
        monkeypatch.setenv(name, "https://host")
    with pytest.raises(ValidationError) as caught:
        RestApiSync.rendered(_attributes(place, value))
    [error] = caught.value.errors()
    assert "hunter2" not in error["msg"]
    assert "{{ 'the text' }}" in error["msg"]


@pytest.mark.parametrize(("place", "value"), NO_SECRET_DEFAULTS, ids=str)
def test_a_default_that_is_no_secret_is_not_refused(place: tuple[Any, ...], value: Any) -> None:
    assert RestApiSync.rendered(_attributes(place, value)).resources


@pytest.mark.parametrize("value", ["", "the-key"])
def test_the_way_out_of_a_refused_default_works(
    project: Project, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        RestApiSync.rendered(
            _attributes(("client", "auth"), {"type": "bearer", "token": "{{ env.A_KEY or 'public' }}"})
        )
    template = caught.value.errors()[0]["msg"].split("write `")[1].removesuffix("`.")
    if value:
        monkeypatch.setenv("A_KEY", value)
    seen: list[Asked] = []

    def reply(asked: Asked) -> Any:
        seen.append(asked)
        return {"data": [{"id": 1}]}

    with answering(reply) as url:
        auth = {"type": "bearer", "token": template}
        project.load(defs(url, client={"auth": auth}, paginator="single_page"), "things")
    assert seen[0].headers["authorization"] == f"Bearer {value or 'the text'}"


@pytest.mark.parametrize("field", ["api_key", "params", "path"])
def test_an_unset_variable_of_a_secret_has_no_default_as_cure(project: Project, field: str) -> None:
    template = "{{ env.NOWHERE_KEY }}"
    auth = {"type": "api_key", "name": "k", "location": "query", "api_key": template}
    client = {"auth": auth} if field == "api_key" else {}
    endpoint: dict[str, Any] = {"api_key": {}, "params": {"params": {"q": template}}}.get(
        field, {"path": f"a/{template}"}
    )
    with pytest.raises(UnsetVariableError) as caught:
        project.load(defs("https://host", client=client, **endpoint), "things")
    assert caught.value.is_secret
    assert "default" not in str(caught.value)


KEYS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("field", {"auth": {"type": "bearer"}}, {}, "SOURCES__API__TOKEN"),
    ("setting", {"auth": {"type": "bearer", "token": "{{ secrets.mine }}"}}, {}, "SOURCES__API__MINE"),
    ("variable", {"auth": {"type": "bearer", "token": "{{ env.MY_VAR }}"}}, {}, "MY_VAR"),
    (
        "two keys",
        {"auth": {"type": "api_key", "name": "DD-API-KEY", "location": "header"}},
        {"headers": {"DD-APPLICATION-KEY": "{{ env.MY_VAR }}", "X-Tenant": "{{ env.TENANT }}"}},
        "MY_VAR and SOURCES__API__API_KEY",
    ),
    (
        "user and password",
        {"auth": {"type": "http_basic", "username": "{{ env.MY_VAR }}"}},
        {},
        "MY_VAR and SOURCES__API__PASSWORD",
    ),
    ("parameter", {}, {"params": {"q": "{{ secrets.mine }}"}}, "SOURCES__API__MINE"),
    ("none", {}, {}, "the secret"),
]


@pytest.mark.matrix(keep=5)
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("client", "endpoint", "names"), [one[1:] for one in KEYS], ids=[one[0] for one in KEYS]
)
def test_a_refused_key_names_its_settings(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    client: dict[str, Any],
    endpoint: dict[str, Any],
    names: str,
    status: int,
) -> None:
    settings = ("TOKEN", "MINE", "API_KEY", "PASSWORD")
    for name in ("MY_VAR", "TENANT", *(f"SOURCES__API__{one}" for one in settings)):
        monkeypatch.setenv(name, "the-long-key")
    with answering(lambda _: Reply({}, status)) as url, pytest.raises(SyncHalted) as caught:
        project.load(defs(url, client=client, **endpoint), "things")
    assert caught.value.reason.endswith(
        f"check {names}" if status == 401 else f"check {names} and its rights"
    )


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("endpoint", "data"), "password={{ env.PW }}&x=1"),
        (("endpoint", "path"), "things?token={{ env.PW }}"),
    ],
    ids=str,
)
def test_a_variable_with_any_name_may_be_a_secret_in_a_form(
    monkeypatch: pytest.MonkeyPatch, place: tuple[Any, ...], value: str
) -> None:
    monkeypatch.setenv("PW", "the-long-key")
    assert "the-long-key" not in str(RestApiSync.rendered(_attributes(place, value)).rest_api)


@pytest.mark.parametrize(("place", "value"), PLAIN, ids=str)
def test_what_is_no_secret_is_not_refused(place: tuple[Any, ...], value: Any) -> None:
    assert RestApiSync.rendered(_attributes(place, value)).resources


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("client", "base_url"), "https://{{ secrets.host }}/v1"),
        (("client", "base_url"), "https://{{ env.USER }}:{{ env.PASSWORD }}@host/v1"),
        (("client", "base_url"), "https://host/v1?api_key={{ env.API_KEY }}"),
    ],
)
def test_a_secret_is_no_part_of_the_name_of_the_server(place: tuple[Any, ...], value: str) -> None:
    with pytest.raises(ValidationError):
        RestApiSync.rendered(_attributes(place, value))


def test_secrets_are_only_for_what_is_sent() -> None:
    attributes = _attributes(("client", "base_url"), "https://host")
    with pytest.raises(ValidationError) as caught:
        RestApiSync.rendered({**attributes, "requests": {"max_retries": "{{ secrets.retries }}"}})
    assert caught.value.errors()[0]["loc"] == ("requests", "max_retries")


TOML = [
    ('token = ["a", "b"]', UnsendableSecretError, "a list"),
    ('[sources.api.token]\nvalue = "abc-secret"', UnsendableSecretError, "a table"),
    ("token = true", UnsendableSecretError, "true or false"),
    ("token = 1.5", UnsendableSecretError, "a number with a point"),
    ("token = 2026-01-01", UnsendableSecretError, "no text"),
    ('token = "abc-secret\\r\\nX-Evil: 1"', UnsendableSecretError, "characters"),
    ('token = "abc-secret\\u0000"', UnsendableSecretError, "characters"),
    ('token = "ä-secret"', UnsendableSecretError, "characters"),
    ('token = "  "', MissingSecretError, "token"),
    ("", MissingSecretError, "token"),
]


@pytest.mark.parametrize(("toml", "kind", "words"), TOML, ids=[one[0][:30] for one in TOML])
@pytest.mark.parametrize(
    "auth", ["bearer", {"type": "bearer", "token": "{{ secrets.token }}"}], ids=["field", "template"]
)
def test_a_secret_that_cannot_be_sent_is_refused_and_not_repeated(
    project: Project, auth: Any, toml: str, kind: type[SyncError], words: str
) -> None:
    with (
        project.secrets_toml(f"[sources.api]\n{toml}\n"),
        answering(lambda _: {"data": []}) as url,
        pytest.raises(kind) as caught,
    ):
        project.load(defs(url, client={"auth": auth}), "things")
    assert words in str(caught.value)
    assert "abc-secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["abc\r\nX-Evil: 1", "abc\n\nd", "ä"])
def test_a_header_with_a_line_break_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("MY_KEY", value)
    with answering(lambda _: {"data": []}) as url, pytest.raises(UnsendableSecretError) as caught:
        project.load(defs(url, client={"headers": {"X-Token": "{{ env.MY_KEY }}"}}), "things")
    assert caught.value.place == "rest_api.client.headers.X-Token"
    assert "Evil" not in str(caught.value)


UMLAUT = "pässwörd-日本"
BASIC = {"type": "http_basic", "username": "me"}
QUERY = {"type": "api_key", "name": "k", "location": "query"}
NOT_ASCII: list[tuple[Any, bool]] = [
    (BASIC, True),
    ({**BASIC, "password": "{{ secrets.password }}"}, True),
    ({**BASIC, "password": "{{ env.MY_KEY }}"}, True),
    ({**BASIC, "username": "{{ env.MY_KEY }}", "password": ""}, True),
    ({"type": "http_basic", "username": "mé", "password": "{{ env.MY_KEY }}"}, True),
    (QUERY, True),
    ({**QUERY, "api_key": "{{ env.MY_KEY }}"}, True),
    ({"type": "api_key", "name": "k", "location": "header"}, False),
    ({"type": "api_key", "name": "k"}, False),
    ("bearer", False),
    ({"type": "bearer", "token": "{{ env.MY_KEY }}"}, False),
]


@pytest.mark.matrix(keep=4)
@pytest.mark.parametrize(("auth", "is_sent"), NOT_ASCII, ids=str)
def test_a_secret_that_is_not_ascii_is_sent_where_it_has_an_encoding(
    project: Project, monkeypatch: pytest.MonkeyPatch, auth: Any, *, is_sent: bool
) -> None:
    """HTTP basic auth is UTF-8 by RFC 7617, and so is a query. A header as it is has no encoding."""
    for name in ("MY_KEY", *(f"SOURCES__API__{one}" for one in ("PASSWORD", "TOKEN", "API_KEY"))):
        monkeypatch.setenv(name, UMLAUT)
    seen: list[Asked] = []

    def reply(asked: Asked) -> Any:
        seen.append(asked)
        return Reply({"message": f"wrong: {UMLAUT} {asked.headers.get('authorization', '')}"}, 400)

    with answering(reply) as url, pytest.raises(SyncError) as caught:
        project.load(defs(url, client={"auth": auth}, paginator="single_page"), "things")
    assert UMLAUT not in str(caught.value)
    if not is_sent:
        assert isinstance(caught.value, UnsendableSecretError)
        assert not seen
        return
    assert caught.value.code == "halted"
    [asked] = seen
    if "authorization" in asked.headers:
        encoded = asked.headers["authorization"].removeprefix("Basic ")
        assert UMLAUT in base64.b64decode(encoded).decode("utf-8").split(":")
        assert encoded not in str(caught.value)
    else:
        assert asked.params["k"] == UMLAUT


def test_a_client_secret_that_is_not_ascii_is_sent_as_utf_8(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__API__CLIENT_SECRET", UMLAUT)
    bodies: list[str] = []

    def reply(asked: Asked) -> Any:
        if asked.path == "/token":
            bodies.append(dict(parse_qsl(asked.body.decode()))["client_secret"])
            return {"access_token": "the-token", "expires_in": 3600}
        return {"data": [{"id": 1}]}

    with answering(reply) as url:
        auth = {**OAUTH2, "access_token_url": f"{url}/token", "client_id": "me"}
        assert project.load(defs(url, client={"auth": auth}, paginator="single_page"), "things").rows_loaded
    assert bodies == [UMLAUT]


def test_a_failing_template_does_not_repeat_the_secret(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "the-long-key")
    headers = {"X-Token": "{{ {'a': 1}[env.MY_KEY] }}"}
    with answering(lambda _: {"data": []}) as url, pytest.raises(FailingTemplateError) as caught:
        project.load(defs(url, client={"headers": headers}), "things")
    assert "the-long-key" not in str(caught.value)


def test_an_empty_auth_template_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "")
    auth = {"type": "bearer", "token": "{{ env.MY_KEY }}"}
    with answering(lambda _: {"data": []}) as url, pytest.raises(FailingTemplateError):
        project.load(defs(url, client={"auth": auth}), "things")


# What an API says in an error, and rows

WORDS: list[tuple[Any, str]] = [
    ({"message": "bad key KEY"}, "application/json"),
    ({"error": {"message": f"{'x ' * 95}KEY"}}, "application/json"),
    ({"detail": "no URL"}, "application/json"),
    ('{"message": "clé KEY"}'.encode("latin-1"), "application/json; charset=latin-1"),
    (b'{"message": "KEY"}', "text/plain"),
    (b'{"message": "s3cr3t\\u002fof the+API\\u0026co=1"}', "application/json"),
    (b'{"message": "s3cr3t\\/of the+API&co=1"}', "application/json"),
]


def _with_key(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.replace(b"KEY", SECRET.encode())
    if isinstance(value, str):
        return value.replace("KEY", SECRET).replace("URL", quote(SECRET, safe=""))
    return {key: _with_key(one) for key, one in value.items()}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(400, *one) for one in WORDS] + [(200, {"error": one}, kind) for one, kind in WORDS[:3]],
    ids=str,
)
def test_the_words_of_an_error_are_redacted(
    project: Project, monkeypatch: pytest.MonkeyPatch, status: int, body: Any, kind: str
) -> None:
    monkeypatch.setenv("SOURCES__API__TOKEN", SECRET)
    answer = Reply(_with_key(body), status, {"Content-Type": kind})
    with answering(lambda _: answer) as url, pytest.raises((SyncHalted, ErrorAnswerError)) as caught:
        project.load(defs(url, client={"auth": "bearer"}, paginator="single_page"), "things")
    text = f"{caught.value} {caught.value.facts()}"
    assert "s3cr3t" not in text
    assert "hidden" in text


WORD = "customer"
ROWS = [
    {"id": 1, "text": "customer service", "mail": "me@customer.com", "json": {"customer": ["customer"]}},
    {"id": 2, "text": "customer", "mail": "x", "json": {"a": 12345678}},
    {"id": 3, "text": "none", "mail": "Y3VzdG9tZXI=", "json": None},
]
COLUMNS = {
    "id": {"data_type": "bigint"}, "text": {"data_type": "text"}, "mail": {"data_type": "text"},
    "json": {"data_type": "json"},
}  # fmt: skip


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("declared", [True, False], ids=["Arrow path", "row path"])
@pytest.mark.parametrize(
    "paginator", ["single_page", {"type": "offset", "limit": 2, "total_path": None}], ids=["dlt", "session"]
)
def test_rows_are_stored_as_they_came_and_a_secret_in_them_is_reported(
    project: Project, monkeypatch: pytest.MonkeyPatch, declared: bool, paginator: Any
) -> None:
    monkeypatch.setenv("SOURCES__API__TOKEN", WORD)

    def reply(asked: Asked) -> Any:
        start = int(asked.params.get("offset", 0))
        return {"data": ROWS[start : start + int(asked.params.get("limit", 99))]}

    columns = COLUMNS if declared else {"id": COLUMNS["id"], "json": COLUMNS["json"]}
    with answering(reply) as url:
        text = defs(url, client={"auth": "bearer"}, paginator=paginator, resource={"columns": columns})
        result = project.run(project.definitions(text), "things", source="api")
    rows = project.query("SELECT id, text, mail, json FROM api.things ORDER BY id")
    assert [(one["text"], one["mail"]) for one in rows] == [(one["text"], one["mail"]) for one in ROWS]
    assert '"customer"' in rows[0]["json"]
    check = check_of(result, "no_secrets")
    assert not check.passed
    found = check.metadata["rows_with_secret"]
    assert isinstance(found, dg.TableMetadataValue)
    assert sorted(str(one.data["field"])[:4] for one in found.records) == ["json", "text"]
    assert WORD not in str(check.description)


def test_rows_with_a_secret_may_go_to_quarantine(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__API__TOKEN", "the-long-key")
    rows = [{"id": 1, "key": "the-long-key"}, {"id": 2, "key": "x the-long-key"}, {"id": 3, "key": "y"}]
    with answering(lambda _: {"data": rows}) as url:
        text = defs(
            url, client={"auth": "bearer"}, paginator="single_page", asset={"quarantine_secrets": True}
        )
        result = project.load(text, "things")
    assert (result.rows_loaded, result.rows_quarantined, dict(result.rows_with_secret)) == (2, 1, {})
    [bad] = project.query("SELECT reason, row, key__id FROM api.things__quarantine")
    assert (bad["reason"], bad["key__id"]) == ("key holds the secret of the API", 1)


@pytest.mark.parametrize(("field", "row"), [("key", {"key": "X"}), ("a.key", {"a": {"key": "X"}})])
def test_too_many_rows_with_a_secret_name_the_field(
    project: Project, monkeypatch: pytest.MonkeyPatch, field: str, row: dict[str, Any]
) -> None:
    monkeypatch.setenv("SOURCES__API__TOKEN", "the-long-key")
    rows = [{"id": number, **row} for number in range(3)]
    text = json.dumps({"data": rows}).replace('"X"', '"the-long-key"')
    asset = {"quarantine_secrets": True}
    with answering(lambda _: Reply(text.encode())) as url, pytest.raises(ContractExceededError) as caught:
        project.load(defs(url, client={"auth": "bearer"}, paginator="single_page", asset=asset), "things")
    assert caught.value.secret_fields == (field,)
    assert f"leave out the secret in `{field}`, or remove assets.things.quarantine_secrets" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("a/{{ secrets.key }}/b", "GET a/{{ secrets.key }}/b"),
        ("a/{{ env.MY_KEY }}", "GET a/{{ env.MY_KEY }}"),
        ("{{ env('MY_KEY') }}/b?x={{ secrets.key }}", "GET {{ env('MY_KEY') }}/b?x={{ secrets.key }}"),
        ("a/{{ env.PART }}", "GET a/x"),
        ("a", "GET a"),
    ],
)
def test_the_description_of_an_endpoint_has_its_templates_as_written(
    project: Project, monkeypatch: pytest.MonkeyPatch, path: str, shown: str
) -> None:
    monkeypatch.setenv("PART", "x")
    monkeypatch.setenv("MY_KEY", "the-long-key")
    graph = project.definitions(defs("https://host", path=path)).resolve_asset_graph()
    for key in ("api/things", "api/api/things"):
        description = graph.get(dg.AssetKey(key.split("/"))).description
        assert f"`{shown}`" in str(description)
        assert "hidden." not in str(description)


def test_a_key_of_digits_leaves_numbers_alone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__API__TOKEN", "12345678")
    with answering(lambda _: {"data": [{"id": 12345678}, {"id": 123456789}]}) as url:
        result = project.load(defs(url, client={"auth": "bearer"}, paginator="single_page"), "things")
    assert [one["id"] for one in project.query("SELECT id FROM api.things ORDER BY 1")] == [
        12345678,
        123456789,
    ]
    assert dict(result.rows_with_secret) == {"id": 1}


def test_a_text_key_that_equals_the_secret_is_merged(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__API__TOKEN", "demo-key-1")
    resource = {
        "write_disposition": "merge",
        "primary_key": "name",
        "columns": {"name": {"data_type": "text"}},
    }
    with answering(lambda _: {"data": [{"name": "demo-key-1"}]}) as url:
        for _ in range(2):
            project.load(
                defs(url, client={"auth": "bearer"}, paginator="single_page", resource=resource), "things"
            )
    assert project.query("SELECT name FROM api.things") == [{"name": "demo-key-1"}]


def test_a_failure_that_names_a_key_is_redacted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__API__TOKEN", "acme-corporation")
    rows = [{"name": "acme-corporation", "v": number} for number in range(3)]
    resource = {
        "write_disposition": "merge",
        "primary_key": "name",
        "columns": {"name": {"data_type": "text"}},
    }
    with answering(lambda _: {"data": rows}) as url:
        text = defs(url, client={"auth": "bearer"}, paginator="single_page", resource=resource)
        with pytest.raises(KeyNotUniqueError) as caught:
            project.load(text, "things")
        assert "acme" not in f"{caught.value} {caught.value.facts()}"
        failure = failure_of(project.run(project.definitions(text), "things", source="api"))
    assert "acme" not in f"{failure.description} {failure.metadata}"


def test_an_unexpected_error_with_a_secret_keeps_its_place_and_loses_the_secret(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__API__TOKEN", "the-long-key")

    def spoil(row: Any) -> Any:
        raise KeyError(row["key"])

    attributes = yaml.safe_load(
        defs("http://127.0.0.1:1", client={"auth": "bearer"}, paginator="single_page")
    )
    with answering(lambda _: {"data": [{"id": 1, "key": "the-long-key"}]}) as url:
        values = attributes["attributes"]
        values["rest_api"]["client"]["base_url"] = url
        values["rest_api"]["resources"][0]["processing_steps"] = [{"map": spoil}]
        monkeypatch.setattr(yaml, "safe_load", lambda _: attributes)
        with pytest.raises(UnexpectedError) as caught:
            project.load("", "things")
    assert "the-long-key" not in str(caught.value)
    assert (caught.value.kind, Path(caught.value.where.split(",")[0]).name) != ("", "")


@contextlib.contextmanager
def _fresh() -> Iterator[tuple[Project, pytest.MonkeyPatch]]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
        patch.syspath_prepend(folder)
        yield Project(Path(folder)), patch


WORDS_OF_ROWS = st.sampled_from(
    ["customer", "acmecorp", "12345678", "2026-01-05", "a b&c", "x/y+z%", "näher", '"quo"ted']
)


@st.composite
def _apis(draw: st.DrawFn) -> tuple[list[dict[str, Any]], str, str]:
    """Rows, a secret that is drawn from them, and where the request has it."""
    text = st.one_of(
        WORDS_OF_ROWS, st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
    )
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {"name": text, "note": st.one_of(text, st.none())}, optional={"more": text}
            ),
            min_size=1,
            max_size=6,
        )
    )
    words = [str(one) for row in rows for one in row.values() if one] or ["customer"]
    whole = draw(st.sampled_from(words))
    secret = draw(
        st.sampled_from([whole, whole[: max(4, len(whole) // 2)], f"{whole}!", whole.upper()])
    ).strip()
    # A shorter secret may be a part of a time or of an id of Dagster.
    usable = secret.isascii() and secret.isprintable() and len(secret) >= (8 if secret.isdigit() else 6)
    place = draw(st.sampled_from(["header", "query", "basic"]))
    return [{"id": number, **row} for number, row in enumerate(rows)], secret if usable else "customer", place


AUTHS: dict[str, Any] = {
    "header": {"type": "api_key", "name": "X-Api-Key", "location": "header", "api_key": "{{ env.MY_KEY }}"},
    "query": {"type": "api_key", "name": "key", "location": "query", "api_key": "{{ env.MY_KEY }}"},
    "basic": {"type": "http_basic", "username": "me", "password": "{{ env.MY_KEY }}"},
}


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("fault", ["none", "400", "duplicate"])
@settings(
    max_examples=examples(100, 5),
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(api=_apis(), declared=st.booleans())
def test_the_warehouse_has_the_rows_of_the_api_and_no_text_of_ours_has_the_secret(
    fault: str, api: tuple[list[dict[str, Any]], str, str], declared: bool
) -> None:
    rows, secret, place = api
    kept: list[str] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = lambda record: kept.append(record.getMessage())  # type: ignore[method-assign]

    def reply(asked: Asked) -> Any:
        if fault == "400":
            return Reply({"message": f"no {asked.params} {dict(asked.headers)}"}, 400)
        return {"data": rows * (2 if fault == "duplicate" else 1)}

    columns = {"id": {"data_type": "bigint"}}
    if declared:
        columns |= {name: {"data_type": "text"} for name in ("name", "note", "more")}
    with answering(reply) as url, _fresh() as (project, patch):
        patch.setenv("MY_KEY", secret)
        for name in ("analytics_assets", "dlt", "urllib3"):
            logging.getLogger(name).addHandler(handler)
        try:
            resource = {"columns": columns, "primary_key": "name" if fault == "duplicate" else "id"}
            text = defs(url, client={"auth": AUTHS[place]}, paginator="single_page", resource=resource)
            result = project.run(project.definitions(text), "things", source="api")
        finally:
            for name in ("analytics_assets", "dlt", "urllib3"):
                logging.getLogger(name).removeHandler(handler)
        if result.success:
            # dlt makes no column of an undeclared field without a value.
            sent = {name for row in rows for name, value in row.items() if value is not None}
            names = [name for name in ("id", "name", "note", "more") if declared or name in sent]
            loaded = project.query(f"SELECT {', '.join(names)} FROM api.things ORDER BY id")
            assert [tuple(one.values()) for one in loaded] == [
                tuple(row.get(name) for name in names) for row in rows
            ]
        else:
            assert fault != "none"
        kept += [str(one) for one in project.instance.all_logs(result.run_id)]
        instance = project.instance
        del project.__dict__["instance"]
        instance.dispose()
    assert [one for one in kept if secret in one] == []

"""Cookies: what the session needs, in bounded size, and only for the servers that the file names."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from analytics_assets.ingestion.http.cookies import MOST_BYTES
from analytics_assets.ingestion.http.origins import Origins
from analytics_assets_tests.answering import api_session
from analytics_assets_tests.raw_server import Got, answer_of, json_answer, raw_server

Set = Callable[[Got], list[str]]
"""The cookies that a response sets."""


def asked(set_cookies: Set, requests: int) -> list[Got]:
    """The requests that a server got, which sets cookies with each response."""
    got: list[Got] = []

    def respond(connection: socket.socket, one: Got) -> None:
        got.append(one)
        connection.sendall(json_answer({}, *(f"Set-Cookie: {cookie}" for cookie in set_cookies(one))))

    with raw_server(respond, keeps_open=True) as url, api_session() as session:
        for _ in range(requests):
            session.get(f"{url}/rows/page")
    return got


def names(got: Got) -> list[str]:
    return list(got.cookies)


def first(got: Got, *cookies: str) -> list[str]:
    return list(cookies) if got.number == 1 else []


def test_a_new_cookie_with_each_page_does_not_grow_the_request() -> None:
    def pages(got: Got) -> list[str]:
        return [*first(got, "session=abc"), f"page_{got.number}={'x' * 200}; Path=/"]

    last = asked(pages, 60)[-1]
    assert sum(len(f"{name}={value}; ") for name, value in last.cookies.items()) <= MOST_BYTES
    assert last.cookies["session"] == "abc", "the first cookie stays"
    assert "page_59" in last.cookies, "the newest cookie stays"


def test_hundreds_of_cookies_in_one_response() -> None:
    last = asked(lambda _: [f"c{number}={'x' * 100}" for number in range(90)], 3)[-1]
    assert 0 < sum(map(len, last.cookies.values())) <= MOST_BYTES
    assert "c0" in last.cookies


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        (["a=1; Path=/rows"], {"a": "1"}),
        (["a=1; Path=/other"], {}),
        (["a=1; Max-Age=0"], {}),
        (["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], {}),
        (["a=1; Max-Age=100"], {"a": "1"}),
        (["a=1; Domain=127.0.0.1"], {"a": "1"}),
        (["a=1; Domain=example.com"], {}),
        (["a=" + "x" * 5000, "b=2"], {"b": "2"}),
        (["a=1; Secure"], {}),
        (["a=1; HttpOnly; SameSite=Strict"], {"a": "1"}),
    ],
)
def test_cookies_are_kept_as_a_browser_keeps_them(cookies: list[str], expected: dict[str, str]) -> None:
    assert asked(lambda got: first(got, *cookies), 2)[-1].cookies == expected


def test_the_newest_value_of_a_name_is_sent_and_a_deleted_cookie_is_not() -> None:
    def values(got: Got) -> list[str]:
        return (
            ["gone=1; Path=/; Max-Age=0"]
            if got.number == 3
            else [f"a={got.number}; Path=/", "gone=1; Path=/"]
        )

    got = asked(values, 4)
    assert [one.cookies for one in got] == [{}, {"a": "1", "gone": "1"}, {"a": "2", "gone": "1"}, {"a": "2"}]


def test_another_port_gets_no_cookies_also_after_a_redirect() -> None:
    here: list[Got] = []
    there: list[Got] = []

    def other(connection: socket.socket, got: Got) -> None:
        there.append(got)
        connection.sendall(json_answer({}, "Set-Cookie: b=2; Path=/"))

    with raw_server(other, keeps_open=True) as elsewhere, api_session() as session:

        def respond(connection: socket.socket, got: Got) -> None:
            here.append(got)
            headers = [f"Location: {elsewhere}/rows", "Content-Length: 0", "Set-Cookie: a=1; Path=/"]
            connection.sendall(answer_of(b"", *headers, status="302 Found"))

        with raw_server(respond, keeps_open=True) as url:
            for one in (url, url, elsewhere):
                session.get(f"{one}/rows", hooks={"response": lambda response, **_: response})
    assert [one.cookies for one in here] == [{}, {"a": "1"}]
    assert [one.cookies for one in there] == [{}, {"b": "2"}, {"b": "2"}]


def test_a_cookie_of_the_file_is_sent_as_it_is() -> None:
    got: list[Got] = []

    def respond(connection: socket.socket, one: Got) -> None:
        got.append(one)
        connection.sendall(json_answer({}, "Set-Cookie: a=1"))

    with raw_server(respond, keeps_open=True) as url, api_session() as session:
        for _ in range(2):
            session.get(f"{url}/rows", headers={"Cookie": "mine=1"})
    assert [one.cookies for one in got] == [{"mine": "1"}, {"mine": "1"}]


SHARED: list[tuple[str, tuple[str, ...], dict[str, bool]]] = [
    # the cookie that `a` sets, the trusted servers, and which servers get it
    ("k=1; Domain=api.test; Path=/", ("a", "b"), {"a": True, "b": True}),
    ("k=1; Domain=.api.test; Path=/", ("a", "b"), {"a": True, "b": True}),
    ("k=1; Domain=API.TEST; Path=/", ("a", "b"), {"a": True, "b": True}),
    ("k=1; Domain=api.test; Path=/", ("a", "b", "c.b"), {"a": True, "b": True, "c.b": True}),
    ("k=1; Domain=api.test; Path=/", ("a",), {"a": True, "b": False}),
    ("k=1; Domain=api.test; Path=/", ("b",), {"a": True, "b": False}),  # `a` may only be downloaded from
    ("k=1; Domain=a.api.test; Path=/", ("a", "b"), {"a": True, "b": False}),
    ("k=1; Domain=b.api.test; Path=/", ("a", "b"), {"a": False, "b": False}),
    ("k=1; Domain=test; Path=/", ("a", "b"), {"a": False, "b": False}),
    ("k=1; Path=/", ("a", "b"), {"a": True, "b": False}),
    ("k=1; Domain=api.test; Path=/; Secure", ("a", "b"), {"a": False, "b": False}),
    ("k=1; Domain=api.test; Path=/; Max-Age=0", ("a", "b"), {"a": False, "b": False}),
]


@pytest.mark.parametrize(("cookie", "trusted", "expected"), SHARED)
def test_a_cookie_of_a_domain_reaches_the_trusted_servers_in_it(
    monkeypatch: pytest.MonkeyPatch, cookie: str, trusted: tuple[str, ...], expected: dict[str, bool]
) -> None:
    look_up = socket.getaddrinfo

    def on_loopback(host: str, *args: Any, **options: Any) -> Any:
        return look_up("127.0.0.1" if host.endswith(".api.test") else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", on_loopback)
    got: dict[str, dict[str, str]] = {}

    def respond(connection: socket.socket, one: Got) -> None:
        host = one.head.split(b"\r\nHost: ")[1].split(b".api.test")[0].decode()
        got[host] = one.cookies
        connection.sendall(json_answer({}, *([f"Set-Cookie: {cookie}"] if one.number == 1 else [])))

    with raw_server(respond, keeps_open=True) as url:
        port = url.rpartition(":")[2]
        servers = {name: f"http://{name}.api.test:{port}" for name in {"a", "b", *expected, *trusted}}
        origins = Origins(servers[trusted[0]], [servers[one] for one in trusted[1:]], list(servers.values()))
        with api_session(origins=origins) as session:
            for name in ("a", *expected):
                session.get(f"{servers[name]}/rows", headers={"Accept": "*/*"})
    assert {name: "k" in got[name] for name in expected} == expected


def test_a_shared_cookie_has_its_newest_value_and_ends_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *args, **more: look_up("127.0.0.1", *args, **more))
    got: list[tuple[str, dict[str, str]]] = []
    by_number = {1: "k=1", 3: "k=2", 5: "own=b", 7: "k=0; Max-Age=0"}

    def respond(connection: socket.socket, one: Got) -> None:
        got.append((one.head.split(b"Host: ")[1][:1].decode(), one.cookies))
        value = by_number.get(one.number)
        domain = "" if value == "own=b" else "; Domain=api.test"
        cookies = [f"Set-Cookie: {value}{domain}; Path=/"] if value else []
        connection.sendall(json_answer({}, *cookies))

    with raw_server(respond, keeps_open=True) as url:
        port = url.rpartition(":")[2]
        a, b = (f"http://{name}.api.test:{port}" for name in "ab")
        with api_session(origins=Origins(a, [b])) as session:
            for server in (a, b, b, a, b, a, a, b):
                session.get(f"{server}/rows")
    assert got == [
        ("a", {}),
        ("b", {"k": "1"}),
        ("b", {"k": "1"}),
        ("a", {"k": "2"}),
        ("b", {"k": "2"}),
        ("a", {"k": "2"}),
        ("a", {"k": "2"}),
        ("b", {"own": "b"}),
    ]

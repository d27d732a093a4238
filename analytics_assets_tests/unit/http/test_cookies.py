"""Cookies: what the session needs, in bounded size, and only for the server that set them."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from analytics_assets.ingestion.http.cookies import MOST_BYTES
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

"""Nonsense on the wire: headers, lengths, chunks and statuses. The servers are real sockets."""

from __future__ import annotations

import socket

import pytest
from dlt.sources.helpers.rest_client.auth import OAuth2ClientCredentials
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import SinglePagePaginator

from analytics_assets.ingestion.errors import NoTokenError, SyncHalted
from analytics_assets.ingestion.http.dlt_paginators import CheckedPaginator
from analytics_assets.ingestion.http.end_hints import Read, contradiction
from analytics_assets.ingestion.http.read_bounds import ReadBounds
from analytics_assets.ingestion.http.response import ResponseReader
from analytics_assets.ingestion.http.row_selection import RowRules
from analytics_assets_tests.answering import Asked, Reply, answering, api_session
from analytics_assets_tests.raw_server import Got, Respond, raw_server

BODY = b'{"a":1}'
MANY_DIGITS = "9" * 5000


def _once(answer: bytes) -> Respond:
    def send(connection: socket.socket, _: Got) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)

    return send


def ask(answer: bytes, waits: list[float] | None = None) -> tuple[str, list[float]]:
    """Returns the body, or the reason of the failure after one retry, and the waits."""
    waits = []
    with (
        raw_server(_once(answer), keeps_open=True) as url,
        api_session(max_retries=1, sleep=waits.append, read_timeout=5) as session,
    ):
        try:
            return session.get(f"{url}/rows").text, waits
        except SyncHalted as halted:
            return halted.reason, waits


@pytest.mark.parametrize("length", ["7", "+7", "-1", "7, 7", "0x7", "abc", "", MANY_DIGITS])
def test_a_length_that_says_nothing_is_as_none(length: str) -> None:
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode() + BODY
    assert ask(answer) == (BODY.decode(), [])


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (f"Content-Length: {10**30}", "the response broke off"),
        ("Content-Length: 7, 8", "the response has two lengths in Content-Length"),
        ("Content-Length: 7\r\nContent-Length: 9", "the response has two lengths in Content-Length"),
        ("Content-Length: 7\r\nConnection: close\r\nContent-Encoding: gzip", "the response broke off"),
        ("Content-Length: 7\r\nX: " + "a" * 70_000, "the response broke off"),
        ("\r\n".join(f"X-{one}: 1" for one in range(200)), "the response broke off"),
    ],
    ids=["10^30", "two in one", "two", "no gzip", "a long header", "many headers"],
)
def test_headers_of_nonsense_are_a_failed_try(headers: str, reason: str) -> None:
    answer = f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode() + BODY
    assert ask(answer) == (reason, [2.0])


HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Total: 2\r\n"


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK",
        "HTTP/1.0 200 OK\r\n",
        HEAD,
        HEAD[:-1],
        HEAD[:-2],
        HEAD[:-12],
        HEAD + "Content-Length: 7\r\n",
        HEAD + "Content-Le",
        HEAD + "Transfer-Encoding: chunked\r\n",
        HEAD + "\r",
        "HTTP/1.1 204 No Content\r\nX: 1\r\n",
        "HTTP/1.1 404 Not Found\r\nX: 1\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nX: 1\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
        HEAD.replace("\r\n", "\n"),
    ],
)
def test_headers_that_are_cut_off_are_a_failed_try(head: str) -> None:
    assert ask(head.encode()) == ("the response broke off", [2.0])


@pytest.mark.parametrize(
    "head",
    [HEAD + "\r\n", HEAD.replace("\r\n", "\n") + "\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 204 X\r\n\r\n"],
)
def test_whole_headers_may_have_no_body(head: str) -> None:
    assert ask(head.encode()) == ("", [])


@pytest.mark.parametrize("size", ["-1", "-2", "-7", "f" * 30, MANY_DIGITS, "zz", "", "7_0", "8" + "0" * 15])
def test_a_chunk_of_an_impossible_size_is_a_failed_try(size: str) -> None:
    chunks = f"{size}\r\n".encode() + BODY + b"\r\n0\r\n\r\n"
    assert ask(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks) == (
        "the response broke off",
        [2.0],
    )


@pytest.mark.parametrize(
    "line",
    ["", "garbage", "<html>", "HTTP/1.1", "HTTP/1.1 abc OK", "HTTP/1.1 99 X", "HTTP/1.1 1000 X", "HTTP/1.1 -200 X",
     "HTTP/9.9 200 OK", "ICY 200 OK", "HTTP/1.1 200 " + "x" * 70_000],
)  # fmt: skip
def test_a_status_line_of_nonsense_is_a_failed_try(line: str) -> None:
    answer = f"{line}\r\nContent-Length: 7\r\n\r\n".encode() + BODY
    assert ask(answer) == ("the response broke off", [2.0])


@pytest.mark.parametrize("status", [600, 999])
def test_an_unknown_status_has_a_sentence(status: int) -> None:
    assert ask(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()) == (
        f"{status} unknown status",
        [],
    )


@pytest.mark.parametrize(
    "value",
    [MANY_DIGITS, "Fri, 31 Dec 99999 23:59:59 GMT", "99999-12-31", "1e400", "nan", "inf", "-5", "abc", "1_0", "\xb2",
     "Fri, 31 Dec 2026 23:59:59 +9999999999999999999999", "[" * 5000],
)  # fmt: skip
def test_a_retry_after_of_nonsense_is_as_none(value: str) -> None:
    answer = (
        f"HTTP/1.1 503 X\r\nConnection: close\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n".encode(
            "latin-1"
        )
    )
    assert ask(answer) == ("503 Service Unavailable", [2.0])


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        (f"X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: {MANY_DIGITS}", 2.0),
        ("X-RateLimit-Remaining: -5\r\nX-RateLimit-Reset: Fri, 31 Dec 99999 23:59:59 GMT", 2.0),
        ("X-RateLimit-Remaining: nan\r\nX-RateLimit-Reset: 5", 5.0),
        (f"RateLimit: limit=1, remaining={MANY_DIGITS}, reset={MANY_DIGITS}", 2.0),
        ("RateLimit: remaining=0, reset=nan", 2.0),
        (f'RateLimit: "hour";r=0;t={MANY_DIGITS}', 2.0),
        ("Date: Fri, 31 Dec 99999 00:00:00 GMT\r\nRetry-After: 5", 5.0),
    ],
    ids=["digits", "year", "nan", "combined", "combined nan", "two parts", "date"],
)
@pytest.mark.parametrize("status", [200, 429])
def test_rate_limit_headers_of_nonsense_are_as_none(headers: str, wait: float, status: int) -> None:
    answer = (
        f"HTTP/1.1 {status} X\r\n{headers}\r\nConnection: close\r\nContent-Length: 7\r\n\r\n".encode() + BODY
    )
    found, waits = ask(answer)
    assert waits == ([] if status == 200 else [wait])
    assert found == BODY.decode() if status == 200 else found.startswith("429 Too Many Requests")


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://[", "InvalidURL"),
        ("/caf\xe9", "InvalidURL"),
        ("http://example.com:99999/", "InvalidURL"),
        ("file:///etc/passwd", "InvalidSchema"),
        ("javascript:alert(1)", "InvalidSchema"),
    ],
)
def test_a_redirect_to_nowhere_has_a_sentence(location: str, reason: str) -> None:
    answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
    paginator = CheckedPaginator(
        SinglePagePaginator(), ResponseReader("rows", RowRules("data")), (), ReadBounds()
    )
    with (
        raw_server(_once(answer), keeps_open=True) as url,
        api_session(max_retries=0) as session,
        pytest.raises(SyncHalted) as caught,
    ):
        list(RESTClient(url, session=session).paginate("/rows", paginator=paginator, data_selector="data"))
    hint = "check base_url, its certificate, and where the API's links lead"
    assert caught.value.reason == f"{reason}: {hint}"


@pytest.mark.parametrize(
    ("response", "headers"),
    [
        ({"total": 10**30}, {}),
        ({"total": 10**4000}, {}),
        ({"total": MANY_DIGITS}, {}),
        ({"total": 1e300}, {}),
        ({"total": -1}, {}),
        ({"total_pages": 10**19}, {}),
        ({}, {"X-Total-Count": MANY_DIGITS}),
        ({}, {"Content-Range": f"items 0-1/{MANY_DIGITS}"}),
    ],
    ids=["10^30", "4,000 digits", "5,000 digits", "1e300", "negative", "pages", "header", "range"],
)
def test_a_total_that_no_api_has_is_as_none(response: object, headers: dict[str, str]) -> None:
    assert not contradiction(response, ("data",), headers, Read(rows=1, pages=1, last_rows=1))


LIFETIMES = ["null", '"abc"', "1" + "0" * 30, "9" * 5000, "-5", "0", "NaN", "Infinity", "1e400", "[3600]", "{}", "true",
             "[" * 5000 + "]" * 5000]  # fmt: skip


@pytest.mark.parametrize("lifetime", LIFETIMES, ids=[one[:20] for one in LIFETIMES])
def test_a_lifetime_of_nonsense_is_as_none(lifetime: str) -> None:
    """The token is used until the API refuses it."""
    asked = _asked_for_rows(b'{"access_token": "t", "expires_in": %s}' % lifetime.encode())
    assert asked == ["/token", "/rows", "/rows"]


TOKENS = [
    (b'{"access_token": null}', "the access_token of its response is null (it has access_token)"),
    (b'{"access_token": 5}', "the access_token of its response is a whole number (it has access_token)"),
    (b'{"access_token": true}', "the access_token of its response is true or false (it has access_token)"),
    (b'{"access_token": ["t"]}', "the access_token of its response is a list (it has access_token)"),
    (b'{"access_token": " "}', "the access_token of its response is an empty text (it has access_token)"),
    (b'{"access_token": "caf\xe9"}', "its token has characters that no HTTP header can carry"),
    (b'{"access_token": "a\nb"}', "its token has characters that no HTTP header can carry"),
    (b'{"access_token": %s}' % (b"[" * 5000 + b"]" * 5000), "the access_token of its response is a list"),
    (b"[" * 5000 + b"]" * 5000, "its response is not a JSON object"),
    (b"[" * 5000, "its response is not JSON"),
    (b"{}", "its response has no access_token (it is empty)"),
]


@pytest.mark.parametrize(("body", "problem"), TOKENS, ids=[str(one[0][:40]) for one in TOKENS])
def test_a_token_of_nonsense_has_a_sentence(body: bytes, problem: str) -> None:
    with pytest.raises(NoTokenError) as caught:
        _asked_for_rows(body)
    assert caught.value.problem.startswith(problem)
    assert len(str(caught.value)) < 400


def _asked_for_rows(token: bytes) -> list[str]:
    """Asks twice for rows with an OAuth2 token, and returns the paths of all requests."""
    paths: list[str] = []

    def answer(asked: Asked) -> Reply:
        paths.append(asked.path)
        return Reply(token if asked.path == "/token" else BODY)

    with answering(answer) as url, api_session(max_retries=0) as session:
        auth = OAuth2ClientCredentials(
            access_token_url=f"{url}/token", client_id="id", client_secret="secret"
        )
        for _ in range(2):
            session.get(f"{url}/rows", auth=auth)
    return paths

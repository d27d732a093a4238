"""An answer that never ends, or is far larger than it seems, ends the sync in bounded time and memory."""

from __future__ import annotations

import gzip
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from analytics_assets_tests.hostile.limited import sync_limited
from analytics_assets_tests.raw_server import Got, Respond, answer_of, raw_server
from analytics_assets_tests.real_api import defs

MiB = 2**20
BOMB = gzip.compress(bytes(512 * MiB))
GZIPPED = answer_of(BOMB, f"Content-Length: {len(BOMB)}", "Content-Encoding: gzip")
TOO_LARGE = "answer_too_large"
SMALL = {"max_answer_bytes": 20 * MiB, "max_retries": 0}
QUICK = {"total_timeout": 0.5, "read_timeout": 10, "max_retries": 0}


def whole(answer: bytes) -> Respond:
    return lambda connection, _: connection.sendall(answer)


def endless(start: bytes, again: bytes, pause: float = 0) -> Respond:
    def respond(connection: socket.socket, _: Got) -> None:
        connection.sendall(start)
        while True:  # until the client closes the connection
            connection.sendall(again)
            time.sleep(pause)

    return respond


CHUNKED = "Transfer-Encoding: chunked"
CHUNK = b"%x\r\n" % MiB + b" " * MiB + b"\r\n"
BUSY = "503 Service Unavailable"

CASES: dict[str, tuple[Respond, dict[str, Any], str]] = {
    "gzip bomb": (whole(GZIPPED), SMALL, TOO_LARGE),
    "endless chunks": (endless(answer_of(b"", CHUNKED), CHUNK), SMALL, TOO_LARGE),
    "endless error": (endless(answer_of(b"", CHUNKED, status=BUSY), CHUNK), SMALL, "halted"),
    "dripped body": (endless(answer_of(b"", "Content-Length: 9999"), b" ", 0.05), QUICK, "halted"),
    "dripped headers": (endless(b"HTTP/1.1 200 OK\r\n", b"X", 0.05), QUICK, "halted"),
    "gzip bomb as an error": (
        whole(answer_of(BOMB, f"Content-Length: {len(BOMB)}", "Content-Encoding: gzip", status=BUSY)),
        SMALL,
        "halted",
    ),
    "endless body without a length": (
        endless(answer_of(b"", "Connection: close"), bytes(MiB)),
        SMALL,
        "answer_too_large",
    ),
    "endless headers": (endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000), QUICK, "halted"),
    "an endless header": (endless(b"HTTP/1.1 200 OK\r\nX: ", b"y" * MiB), QUICK, "halted"),
    "endless 100 continue": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), QUICK, "halted"),
    "endless trailers": (
        endless(answer_of(b"0\r\n", CHUNKED), b"X: y\r\n"),
        QUICK,
        "halted",
    ),
    "a length of 30 digits": (
        endless(answer_of(b"", f"Content-Length: {10**30}"), bytes(MiB)),
        SMALL,
        "answer_too_large",
    ),
    "a chunk of 2^60 bytes": (
        endless(answer_of(b"%x\r\n" % 2**60, CHUNKED), bytes(MiB)),
        SMALL,
        "answer_too_large",
    ),
}


@pytest.mark.matrix(keep=4)
@pytest.mark.parametrize("name", CASES)
def test_an_answer_ends(tmp_path: Path, name: str) -> None:
    respond, requests, code = CASES[name]
    with raw_server(respond) as url:
        outcome = sync_limited(tmp_path, defs(url, requests=requests), megabytes=150, seconds=20)
    assert outcome.code == code, outcome
    assert outcome.megabytes < 150


ROW = b'{"id": %d, "name": "abcdefghijklmnopqrstuvwxyz", "amount": 12.5, "day": "2026-01-05", "note": "a short text"}'
DECLARED = {
    "id": {"data_type": "bigint"},
    "name": {"data_type": "text"},
    "amount": {"data_type": "double"},
    "day": {"data_type": "date"},
    "note": {"data_type": "text"},
}
LARGE_PAGES: dict[str, dict[str, Any]] = {
    "offset": {"paginator": {"type": "offset", "limit": 10_000_000, "total_path": None}},
    "page number": {"paginator": {"type": "page_number", "total_path": None}},
    "single page": {"paginator": "single_page"},
    "link in the body": {"paginator": {"type": "json_link", "next_url_path": "next"}},
    "link in the header": {"paginator": "header_link"},
    "cursor": {"paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}},
    "cursor in a row": {
        "paginator": {"type": "cursor", "cursor_path": "data[-1].no", "cursor_param": "after"}
    },
    "detected": {"paginator": "auto"},
    "not only ASCII": {"paginator": "single_page", "params": {"lang": "de"}},
}


def one_page(body: bytes) -> Respond:
    def respond(connection: socket.socket, got: Got) -> None:
        sent = body if got.number == 1 else b'{"data": []}'
        connection.sendall(answer_of(sent, f"Content-Length: {len(sent)}"))

    return respond


def most_megabytes(body: bytes) -> float:
    """The threads, dlt, DuckDB and one part of the rows take 150 MB, whatever the size of the answer."""
    return 2.6 * len(body) / 1e6 + 150


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("name", LARGE_PAGES)
def test_a_large_answer_needs_less_than_three_times_its_size(tmp_path: Path, name: str) -> None:
    """The rows stay JSON text until Arrow reads them, in parts, and the answer is in memory once."""
    rows = 1_000_000
    row = ROW.replace(b"a short text", "a € 😀".encode()) if name == "not only ASCII" else ROW
    body = b'{"next": null, "data": [%s]}' % b",".join(row % number for number in range(rows))
    with raw_server(one_page(body)) as url:
        text = defs(
            url, **LARGE_PAGES[name], resource={"columns": DECLARED}, requests={"page_overlap": False}
        )
        outcome = sync_limited(tmp_path, text, megabytes=800, seconds=120)
    assert (outcome.code, outcome.rows) == ("", rows), outcome
    assert outcome.megabytes < most_megabytes(body), outcome


FIELDS = b", ".join(b'"field_%d": "some text of field %d"' % (number, number) for number in range(40))
UNDECLARED_ROW = (
    b'{"id": %d, "user": {"id": 7, "plan": {"name": "pro", "seats": 5}}, "tags": [], ' + FIELDS + b"}"
)
UNDECLARED: dict[str, dict[str, Any]] = {
    **{name: {**one, "resource": {"columns": None}} for name, one in LARGE_PAGES.items()},
    "no data_selector": {"paginator": "auto", "data_selector": None, "resource": {"columns": None}},
    "no primary key": {**LARGE_PAGES["page number"], "resource": {"columns": None, "primary_key": None}},
    "one column declared": {"paginator": "single_page", "resource": {}},
    "rules": {
        **LARGE_PAGES["single page"],
        "resource": {"columns": None},
        "requests": {
            "responses": [
                {"status": 200, "body": {"error": "*"}, "action": "retry"},
                {"status": 200, "text": "maintenance", "action": "retry"},
            ]
        },
    },
}


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("name", UNDECLARED)
def test_undeclared_rows_need_no_more(tmp_path: Path, name: str) -> None:
    """The rows stay JSON text until dlt gets them, in parts, and dlt writes each part at once."""
    # With `replace`, DuckDB has the rows in a staging table, too, as far as its memory_limit allows.
    endpoint = {**UNDECLARED[name]}
    resource = {**endpoint.pop("resource"), "write_disposition": "append"}
    rows = 50_000
    row = UNDECLARED_ROW.replace(b"some text", "ein € 😀".encode()) if "ASCII" in name else UNDECLARED_ROW
    body = b'{"next": null, "data": [%s]}' % b",".join(row % number for number in range(rows))
    with raw_server(one_page(body)) as url:
        requests = {"page_overlap": False, **endpoint.pop("requests", {})}
        text = defs(url, **endpoint, resource=resource, requests=requests)
        outcome = sync_limited(tmp_path, text, megabytes=800, seconds=120)
    assert (outcome.code, outcome.rows) == ("", rows), outcome
    assert outcome.megabytes < most_megabytes(body), outcome


PARENTS = {"name": "parents", "endpoint": {"path": "parents", "data_selector": "data"}}
OTHER_CONFIGS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "wildcard": (b'{"cursor": 1, "node": %b}' % ROW, {"data_selector": "data[*].node"}),
    "two wildcards": (b'{"items": [%b]}' % ROW, {"data_selector": "data[*].items[*]"}),
    "fields of the parent": (
        UNDECLARED_ROW,
        {
            "path": "parents/{resources.parents.id}/things",
            "parents": (PARENTS,),
            "resource": {"include_from_parent": ["id"], "columns": None, "write_disposition": "append"},
        },
    ),
}


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("name", OTHER_CONFIGS)
def test_rows_stay_text_with_these_configs(tmp_path: Path, name: str) -> None:
    row, endpoint = OTHER_CONFIGS[name]
    rows = 50_000 if "parents" in endpoint else 1_000_000
    body = b'{"data": [%b]}' % b",".join(row % number for number in range(rows))

    def respond(connection: socket.socket, got: Got) -> None:
        sent = b'{"data": [{"id": 1}]}' if got.head.startswith(b"GET /parents ") else body
        connection.sendall(answer_of(sent, f"Content-Length: {len(sent)}"))

    with raw_server(respond) as url:
        resource = {"columns": DECLARED, **endpoint.get("resource", {})}
        text = defs(url, **{"paginator": "single_page", **endpoint, "resource": resource})
        outcome = sync_limited(tmp_path, text, megabytes=800, seconds=120)
    assert (outcome.code, outcome.rows) == ("", rows), outcome
    # Each list has one row here, so each row of two wildcards takes the memory of three texts.
    assert outcome.megabytes < 3 * len(body) / 1e6 + 150, outcome


@pytest.mark.matrix(keep=0)
def test_a_large_answer_of_parents_is_parsed_in_parts(tmp_path: Path) -> None:
    parts = b", ".join(b'{"sku": "s%d", "qty": %d}' % (number, number) for number in range(5000))
    rows = 1000
    body = b'{"data": [%b]}' % b",".join(
        b'{"id": %d, "parts": [%b]}' % (number, parts) for number in range(rows)
    )

    def respond(connection: socket.socket, got: Got) -> None:
        sent = body if got.head.startswith(b"GET /parents ") else b'{"data": [{"id": %d}]}' % got.number
        connection.sendall(answer_of(sent, f"Content-Length: {len(sent)}"))

    with raw_server(respond) as url:
        path = "parents/{resources.parents.id}/things"
        text = defs(url, path=path, parents=(PARENTS,), paginator="single_page")
        outcome = sync_limited(tmp_path, text, megabytes=800, seconds=120)
    assert (outcome.code, outcome.rows) == ("", rows), outcome
    assert outcome.megabytes < most_megabytes(body), outcome


ODD_VALUES: dict[str, tuple[bytes, bytes, int]] = {
    "NaN": (b"12.5", b"NaN", 1),
    "not UTF-8": (b"short", b"sh\xf6rt", 1),
    "half a pair": (b"short", b"sh\\ud800rt", 1),
    "a control character": (b"short", b"sh\x01rt", 0),
    "5,000 levels": (b"12.5", b"[" * 5000 + b"]" * 5000, 1),
}


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("name", ODD_VALUES)
def test_an_odd_value_costs_one_row_and_no_memory_for_the_others(tmp_path: Path, name: str) -> None:
    """A second text is in memory while the rows are found. The rows are not parsed with the answer."""
    rows, (good, bad, quarantined) = 1_000_000, ODD_VALUES[name]
    body = b'{"data": [%s]}' % b",".join(
        (ROW % number).replace(good, bad) if number == rows // 2 else ROW % number for number in range(rows)
    )
    with raw_server(one_page(body)) as url:
        text = defs(url, paginator="single_page", resource={"columns": DECLARED})
        outcome = sync_limited(tmp_path, text, megabytes=800, seconds=120)
    assert (outcome.code, outcome.rows, outcome.quarantined) == ("", rows - quarantined, quarantined), outcome
    assert outcome.megabytes < 3 * len(body) / 1e6 + 60, outcome


@pytest.mark.matrix(keep=0)
def test_an_answer_that_is_cut_off_is_not_parsed(tmp_path: Path) -> None:
    body = b'{"data": [%s]' % b",".join(ROW % number for number in range(1_000_000))
    with raw_server(one_page(body)) as url:
        text = defs(url, paginator="single_page", resource={"columns": DECLARED})
        outcome = sync_limited(tmp_path, text, megabytes=800, seconds=60)
    assert outcome.code == "not_json", outcome
    assert outcome.megabytes < 2 * len(body) / 1e6, outcome


PAGE_ROWS, LARGE_PAGES_IN_ALL = 80_000, 8
LARGE_ROW = b'{"id": %d, "text": "' + b"x" * 600 + b'"}'
MANY_LARGE_PAGES: dict[str, dict[str, Any]] = {
    "a small first page": {"paginator": {"type": "page_number", "base_page": 0, "total_path": "pages"}},
    "page number": {"paginator": {"type": "page_number", "base_page": 0, "total_path": "pages"}},
    "children": {
        "path": "parents/{resources.parents.id}/things",
        "paginator": "single_page",
        "parents": ({"name": "parents", "endpoint": {"path": "parents", "data_selector": "data"}},),
    },
}


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("name", MANY_LARGE_PAGES)
def test_pages_of_50_mb_are_not_all_read_ahead(tmp_path: Path, name: str) -> None:
    """The last page is refused, so that nothing is loaded: DuckDB would need more memory than the pages."""
    first_is_small = name == "a small first page"
    count = LARGE_PAGES_IN_ALL * (2 if first_is_small else 1)
    pages = b'"pages": %d, ' % count if name != "children" else b""
    rows = b",".join(LARGE_ROW % number for number in range(PAGE_ROWS))
    parents = b'{"data": [%s]}' % b",".join(b'{"id": %d}' % number for number in range(count))

    def respond(connection: socket.socket, got: Got) -> None:
        place = got.params.get("page") or got.head.split(b"/")[2].decode()
        body, status = parents, "200 OK"
        if place.isdigit():
            body = b'{%b"data": [%b, %b]}' % (pages, LARGE_ROW % (PAGE_ROWS + int(place)), rows)
        if place == "0" and first_is_small:
            body = b'{%b"data": [%b]}' % (pages, LARGE_ROW % 0)
        if place.isdigit() and int(place) == count - 1:
            body, status = b"{}", "403 Forbidden"
        connection.sendall(answer_of(body, f"Content-Length: {len(body)}", status=status))

    with raw_server(respond) as url:
        text = defs(
            url,
            **MANY_LARGE_PAGES[name],
            resource={"primary_key": None, "columns": {**DECLARED, "text": {"data_type": "text"}}},
            requests={"max_in_flight": 8, "page_overlap": False},
        )
        outcome = sync_limited(tmp_path, text, megabytes=800, seconds=60)
    assert outcome.code == "halted", outcome
    assert "403" in outcome.text, outcome
    assert outcome.megabytes < (700 if first_is_small else 450), outcome

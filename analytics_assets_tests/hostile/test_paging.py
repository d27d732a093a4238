"""Paging that never ends by itself ends with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analytics_assets_tests.hostile.limited import sync_limited
from analytics_assets_tests.raw_server import Got, json_answer, raw_server
from analytics_assets_tests.real_api import defs

Reply = Callable[[Got], tuple[dict[str, Any], list[str]]]
OFFSET = {"type": "offset", "limit": 100, "total_path": None}
WITH_TOTAL = {"type": "offset", "limit": 100, "total_path": "total"}
PAGE = {"type": "page_number", "base_page": 1, "total_path": None}
PAGE_TOTAL = {"type": "page_number", "base_page": 1, "total_path": "total"}
PATIENT = {"stop_after_empty_page": False, "has_more_path": "more"}
LINK = {"type": "json_link", "next_url_path": "next"}
HEADER = {"type": "header_link"}
CURSOR = {"type": "cursor", "cursor_path": "next", "cursor_param": "c"}
NO_KEY = {"primary_key": None, "columns": None, "write_disposition": "append"}


def row(number: int) -> dict[str, Any]:
    return {"id": number, "name": "a name", "kind": "a kind"}


def ignored(rows: int = 1, **beside: Any) -> Reply:
    """An endpoint that always returns the same rows, each with the time of the response."""
    return lambda got: ({"data": [{**row(n), "now": got.number} for n in range(rows)], **beside}, [])


def ever_new(rows: int = 1, **beside: Any) -> Reply:
    return lambda got: ({"data": [row(got.number * rows + n) for n in range(rows)], **beside}, [])


def ever_next(rows: Callable[[Got], list[Any]]) -> Reply:
    """Each page has a link, a cursor and a `Link` header that no page had before."""
    return lambda got: (
        {"data": rows(got), "next": f"/things?c={got.number}"},
        [f'Link: </things?c={got.number}>; rel="next"'],
    )


def same(_: Got) -> list[Any]:
    return [row(1), row(2)]


def alternating(got: Got) -> list[Any]:
    return [row(got.number % 3)]


def changing(got: Got) -> list[Any]:
    return [{**row(1), "now": got.number}]


def none(_: Got) -> list[Any]:
    return []


def new(got: Got) -> list[Any]:
    return [row(got.number)]


FEW = {"max_pages": 40}
NO_NEW_ROWS, ENDLESS, MOVED, SAME = "no_new_rows", "endless_read", "rows_moved", "same_page"
CASES: dict[str, tuple[Reply, Any, dict[str, Any], str]] = {
    # one row for every offset, with a field that changes
    "one row, offset": (ignored(), OFFSET, {}, NO_NEW_ROWS),
    "one row, a total of 10^12": (ignored(total=10**12), WITH_TOTAL, {}, NO_NEW_ROWS),
    "ever new links to the same rows": (ever_next(same), LINK, {"resource": NO_KEY}, NO_NEW_ROWS),
    "ever new rows and links": (ever_next(new), LINK, {"requests": FEW}, ENDLESS),
    "one row, offset, no key": (ignored(), OFFSET, {"resource": NO_KEY}, NO_NEW_ROWS),
    "one row, offset, no overlap": (ignored(), OFFSET, {"requests": {"page_overlap": False}}, NO_NEW_ROWS),
    "rows, offset, no overlap": (ignored(50), OFFSET, {"requests": {"page_overlap": False}}, NO_NEW_ROWS),
    "rows, offset, overlap": (ignored(50), OFFSET, {}, SAME),
    "rows, offset, overlap, no key": (ignored(50), OFFSET, {"resource": NO_KEY}, SAME),
    "rows, a total of 10^12": (ignored(50, total=10**12), WITH_TOTAL, {}, SAME),
    "rows, page number": (ignored(50), PAGE, {}, SAME),
    "rows, page number, repeated rows": (
        ignored(50),
        PAGE,
        {"asset": {"accept_repeated_rows": True}},
        NO_NEW_ROWS,
    ),
    "one row, 10^12 pages": (ignored(total=10**12), PAGE_TOTAL, {}, SAME),
    "ever new rows, a total of 10^12": (ever_new(total=10**12), WITH_TOTAL, {"requests": FEW}, ENDLESS),
    "ever new rows, offset": (ever_new(5), OFFSET, {"requests": {**FEW, "page_overlap": False}}, ENDLESS),
    "ever new rows, 10^12 pages": (ever_new(total=10**12), PAGE_TOTAL, {"requests": FEW}, ENDLESS),
    "ever new rows, page number": (ever_new(), PAGE, {"requests": FEW}, ENDLESS),
    "empty pages that say more": (
        lambda _: ({"data": [], "more": True}, []),
        PAGE | PATIENT,
        {},
        NO_NEW_ROWS,
    ),
    "empty pages of 10^12": (
        lambda _: ({"data": [], "more": True, "total": 10**12}, []),
        PAGE_TOTAL | PATIENT,
        {},
        NO_NEW_ROWS,
    ),
    "no row of 10^12": (lambda _: ({"data": [], "total": 10**12}, []), WITH_TOTAL, {}, MOVED),
    **{
        f"{kind}: {what}": (ever_next(rows), paginator, settings, code)
        for kind, paginator in (("link", LINK), ("header", HEADER), ("cursor", CURSOR), ("auto", "auto"))
        for what, rows, settings, code in (
            ("the same rows", same, {}, NO_NEW_ROWS),
            ("a field changes", changing, {}, NO_NEW_ROWS),
            ("no rows", none, {}, NO_NEW_ROWS),
            ("pages in a ring", alternating, {"resource": NO_KEY}, NO_NEW_ROWS),
            ("ever new rows", new, {"requests": FEW}, ENDLESS),
            ("a field changes, no key", changing, {"resource": NO_KEY, "requests": FEW}, ENDLESS),
        )
    },
}


@pytest.mark.matrix(keep=4)
@pytest.mark.parametrize("name", CASES)
def test_paging_ends(tmp_path: Path, name: str) -> None:
    reply, paginator, settings, code = CASES[name]
    asked = []

    def respond(connection: Any, got: Got) -> None:
        asked.append(got)
        content, headers = reply(got)
        connection.sendall(json_answer(content, *headers))

    with raw_server(respond, keeps_open=True) as url:
        outcome = sync_limited(tmp_path, defs(url, paginator=paginator, **settings), seconds=20)
    assert outcome.code == code, outcome
    assert len(asked) < 4 * 60, "with the restarts"


def paged(rows: list[dict[str, Any]], size: int, *, linked: bool = False) -> Reply:
    """An honest API with at most `size` rows in a page."""

    def reply(got: Got) -> tuple[dict[str, Any], list[str]]:
        start = int(got.params.get("offset", 0))
        page = rows[start : start + min(size, int(got.params.get("limit", size)))]
        following = f"/things?offset={start + size}" if linked and start + size < len(rows) else None
        return {"data": page, "next": following}, []

    return reply


ALIKE = [{"kind": "a", "site": "b", "day": n} for n in range(8)]
EQUAL = [{"kind": "a", "site": "b"}] * 8
SINGLE = {"type": "offset", "limit": 1, "total_path": None}
TRUTHFUL: dict[str, tuple[Reply, Any, dict[str, Any]]] = {
    "rows that are alike, with a limit of 1": (paged(ALIKE, 1), SINGLE, {"resource": NO_KEY}),
    "rows that are equal, with overlap": (paged(EQUAL, 2), OFFSET, {"resource": NO_KEY}),
    "pages that are equal, accepted": (
        paged(EQUAL, 2, linked=True),
        LINK,
        {"resource": NO_KEY, "asset": {"accept_repeated_rows": True}},
    ),
    "one row a page with a key": (paged([row(n) for n in range(8)], 1), OFFSET, {}),
    "pages that are alike": (paged(ALIKE, 2, linked=True), LINK, {"resource": NO_KEY}),
}


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("name", TRUTHFUL)
def test_honest_paging_is_green(tmp_path: Path, name: str) -> None:
    reply, paginator, settings = TRUTHFUL[name]

    def respond(connection: Any, got: Got) -> None:
        content, headers = reply(got)
        connection.sendall(json_answer(content, *headers))

    with raw_server(respond, keeps_open=True) as url:
        outcome = sync_limited(tmp_path, defs(url, paginator=paginator, **settings))
    assert (outcome.code, outcome.rows) == ("", 8), outcome

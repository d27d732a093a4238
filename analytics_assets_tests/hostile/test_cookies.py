"""Cookies that grow over the pages never make a request too large for the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analytics_assets_tests.hostile.limited import sync_limited
from analytics_assets_tests.raw_server import Got, answer_of, json_answer, raw_server
from analytics_assets_tests.real_api import defs

PAGES = 60
PAGINATORS: dict[str, Any] = {
    "link": {"type": "json_link", "next_url_path": "next"},
    "header": {"type": "header_link"},
    "cursor": {"type": "cursor", "cursor_path": "next_cursor", "cursor_param": "page"},
    "offset": {"type": "offset", "limit": 1, "total_path": None},
}


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("kind", PAGINATORS)
def test_cookies_stay_small(tmp_path: Path, kind: str) -> None:
    def respond(connection: Any, got: Got) -> None:
        page = int(got.params.get("page", got.params.get("offset", 0)))
        if len(got.head) > 8192 or (page and kind != "offset" and got.cookies.get("session") != "abc"):
            connection.sendall(answer_of(b"", "Content-Length: 0", status="431 Too Large"))
            return
        cookies = [f"Set-Cookie: p{page}_{n}={'x' * 100}; Path=/" for n in range(5)]
        cookies += ["Set-Cookie: session=abc; Path=/"] if not page else []
        content: dict[str, Any] = {"data": [{"id": page}] if page < PAGES else []}
        if page < PAGES - 1:
            content |= {"next": f"/things?page={page + 1}", "next_cursor": str(page + 1)}
            cookies.append(f'Link: </things?page={page + 1}>; rel="next"')
        connection.sendall(json_answer(content, *cookies[::-1]))

    with raw_server(respond, keeps_open=True) as url:
        outcome = sync_limited(tmp_path, defs(url, paginator=PAGINATORS[kind]))
    assert (outcome.code, outcome.rows) == ("", PAGES), outcome

"""Redirects: one page is one request at its own path, and one at the target of the redirect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    JSONLinkPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    RangePaginator,
)

from analytics_assets.ingestion.http.dlt_paginators import CheckedPaginator, PagingBySession
from analytics_assets.ingestion.http.page_reader import Paging
from analytics_assets.ingestion.http.read_bounds import ReadBounds
from analytics_assets.ingestion.http.response import PagingFields, ResponseReader
from analytics_assets.ingestion.http.row_selection import RowRules
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets_tests.answering import Asked, Reply, answering, api_session

PAGE = 10
ROWS = [{"id": number} for number in range(45)]


class Moved:
    """An API whose rows are behind a redirect. It records each request."""

    def __init__(self, status: int, hops: int = 1) -> None:
        self.status, self.hops, self.asked = status, hops, list[tuple[str, str, str]]()

    def __call__(self, asked: Asked) -> Any:
        numbers = {**asked.params, **(json.loads(asked.body) if asked.body else {})}
        start = int(numbers.get("offset") or int(numbers.get("page") or 0) * PAGE)
        self.asked.append((asked.method, asked.path, str(start)))
        if int(asked.path.rpartition("/")[2]) < self.hops:
            query = "&".join(f"{name}={value}" for name, value in asked.params.items())
            target = f"/rows/{int(asked.path.rpartition('/')[2]) + 1}?{query}"
            return Reply({}, self.status, {"Location": target})
        end = start + int(numbers.get("limit") or PAGE)
        more = f"/rows/0?offset={end}" if end < len(ROWS) else None
        return {"rows": ROWS[start:end], "total": len(ROWS), "next": more}


def paginator_for(kind: BasePaginator) -> BasePaginator:
    rules = RowRules("rows", paged=isinstance(kind, RangePaginator))
    if not isinstance(kind, RangePaginator):
        return CheckedPaginator(kind, ResponseReader("rows", rules, PagingFields()), ("id",), ReadBounds())
    reader = ResponseReader("rows", rules, PagingFields("total"))
    return PagingBySession(Paging(kind, reader, ("id",), overlap=False))


@pytest.mark.matrix(keep=10)
@pytest.mark.parametrize("hops", [1, 2])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "kind",
    [OffsetPaginator(PAGE), PageNumberPaginator(), JSONLinkPaginator()],
    ids=["offset", "page", "link"],
)
def test_a_redirected_page_is_one_request_at_each_path(kind: BasePaginator, status: int, hops: int) -> None:
    api, telemetry = Moved(status, hops), Telemetry("rows")
    ranged = isinstance(kind, RangePaginator)
    with answering(api) as url, api_session(telemetry=telemetry) as session:
        pages = RESTClient(url, session=session).paginate(
            "/rows/0", paginator=paginator_for(kind), data_selector="$" if ranged else "rows"
        )
        assert [row["id"] for page in pages for row in page] == [row["id"] for row in ROWS]
    assert len(api.asked) == len(set(api.asked))
    # A page that is requested ahead may be cancelled between two hops.
    of_rows = {one for one in api.asked if int(one[2]) < len(ROWS)}
    assert of_rows == {("GET", f"/rows/{hop}", start) for _, _, start in of_rows for hop in range(hops + 1)}
    assert telemetry.requests >= len(api.asked)


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirected_post_keeps_the_body_of_its_page(status: int) -> None:
    api = Moved(status)
    paginator = OffsetPaginator(PAGE, offset_body_path="offset", limit_body_path="limit")
    with answering(api) as url, api_session() as session:
        pages = RESTClient(url, session=session).paginate(
            "/rows/0", method="POST", json={}, paginator=paginator_for(paginator), data_selector="$"
        )
        assert [row["id"] for page in pages for row in page] == [row["id"] for row in ROWS]
    assert len(api.asked) == len(set(api.asked))
    assert {method for method, _, _ in api.asked} == {"POST"}


def test_a_redirected_page_with_hooks_of_the_user_is_requested_once() -> None:
    api, seen = Moved(302), list[int]()
    # dlt adds a hook of its own after those of the user.
    hooks: Any = {
        "response": [lambda response, **_: seen.append(response.status_code), lambda *_, **__: None]
    }
    with answering(api) as url, api_session() as session:
        pages = RESTClient(url, session=session).paginate(
            "/rows/0", paginator=paginator_for(OffsetPaginator(PAGE)), data_selector="$", hooks=hooks
        )
        assert [row["id"] for page in pages for row in page] == [row["id"] for row in ROWS]
    assert len(api.asked) == len(set(api.asked))
    assert {302, 200} == set(seen)


def test_a_redirect_without_a_target_is_requested_once() -> None:
    asked: list[str] = []

    def reply(one: Asked) -> Reply:
        asked.append(one.path)
        return Reply({"rows": ROWS[:3], "total": 3}, 300)

    with answering(reply) as url, api_session() as session:
        pages = RESTClient(url, session=session).paginate(
            "/rows", paginator=paginator_for(OffsetPaginator(PAGE)), data_selector="$"
        )
        assert [row["id"] for page in pages for row in page] == [0, 1, 2]
    assert asked == ["/rows"]

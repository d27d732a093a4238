"""The end of a read: our page readers and dlt's paginators judge it alike, by its first page and its last ones."""

from __future__ import annotations

from typing import Any

import pytest
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
)

from analytics_assets.ingestion.errors import MorePagesError
from analytics_assets.ingestion.http.dlt_paginators import CheckedPaginator, PagingBySession
from analytics_assets.ingestion.http.page_reader import Paging
from analytics_assets.ingestion.http.read_bounds import ReadBounds
from analytics_assets.ingestion.http.response import ResponseReader
from analytics_assets.ingestion.http.row_selection import RowRules
from analytics_assets_tests.answering import Asked, Reply, answering, api_session

ROWS = [{"id": number} for number in range(25)]
TOTAL, HEADER = {"total": 40}, {"X-Total-Count": "40"}
KINDS = ["offset", "page number", "cursor"]

CASES: list[tuple[dict[str, Any], dict[str, str], dict[str, Any], bool]] = [
    # the fields and the headers of the first page, the fields of the later pages, whether there is more
    (TOTAL, {}, {}, True),
    ({"meta": TOTAL}, {}, {}, True),
    ({"last_page": 9}, {}, {}, True),
    ({}, HEADER, {}, True),
    (TOTAL, {}, TOTAL, True),
    (TOTAL, {}, {"total": 25}, False),
    (TOTAL, {}, {"has_more": False}, False),
    ({"total": 25}, {}, {}, False),
    ({"total": 7}, {}, {}, False),
    ({"has_more": True}, {}, {}, False),
    ({}, {}, {}, False),
]


def paginator_of(kind: str, reader: ResponseReader, **settings: Any) -> BasePaginator:
    if kind == "cursor":
        return CheckedPaginator(JSONResponseCursorPaginator("at", "at"), reader, ("id",), ReadBounds())
    paginator = OffsetPaginator(10, **settings) if kind == "offset" else PageNumberPaginator(**settings)
    return PagingBySession(Paging(paginator, reader, ("id",), overlap=False))


def rows_of(url: str, kind: str, **settings: Any) -> list[Any]:
    """The rows of all pages of 10 rows."""
    reader = ResponseReader("rows", RowRules("data", paged=kind != "cursor"))
    with api_session() as session:
        paginator = paginator_of(kind, reader, **settings)
        selector = "data" if kind == "cursor" else "$"
        pages = RESTClient(url, session=session).paginate(
            "/rows", paginator=paginator, data_selector=selector
        )
        return [row for page in pages for row in page]


def start_of(kind: str, asked: Asked) -> int:
    if kind == "page number":
        return 10 * int(asked.params.get("page", 0))
    return int(asked.params.get("offset" if kind == "offset" else "at", 0))


@pytest.mark.matrix(keep=20)
@pytest.mark.parametrize("after_end", [200, 404])
@pytest.mark.parametrize(("first", "headers", "later", "is_more"), CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_page_may_have_the_only_total(
    kind: str, first: Any, headers: Any, later: Any, is_more: bool, after_end: int
) -> None:
    def reply(asked: Asked) -> Any:
        start = start_of(kind, asked)
        if start >= len(ROWS) and after_end != 200:
            return Reply({}, after_end)
        following = {"at": start + 10} if kind == "cursor" and start + 10 < len(ROWS) else {}
        page = {"data": ROWS[start : start + 10], **(later if start else first), **following}
        return Reply(page, headers={} if start else headers)

    settings = {} if kind == "cursor" else {"total_path": None}
    with answering(reply) as url:
        if is_more:
            with pytest.raises(MorePagesError) as caught:
                rows_of(url, kind, **settings)
            assert caught.value.rows == 25
        else:
            assert rows_of(url, kind, **settings) == ROWS


@pytest.mark.parametrize(
    ("kind", "settings", "count"),
    [
        ("offset", {"offset": 10}, 15),
        ("offset", {"maximum_offset": 20}, 20),
        ("page number", {"page": 1}, 15),
        ("page number", {"maximum_page": 2}, 20),
    ],
)
def test_a_total_counts_rows_that_the_file_leaves_out(kind: str, settings: Any, count: int) -> None:
    def reply(asked: Asked) -> Any:
        start = start_of(kind, asked)
        return {"data": ROWS[start : start + 10], "total": 25, "last_page": 3}

    with answering(reply) as url:
        assert len(rows_of(url, kind, total_path=None, **settings)) == count

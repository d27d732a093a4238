"""Paging by offset or page number: either every row is read once and in order, or the sync fails.

The API of these tests is a real server that changes rows between requests, caps pages, and fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Barrier, Lock
from typing import Any

import pytest
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator, PageNumberPaginator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics_assets.ingestion.errors import (
    RestartError,
    RowsMovedError,
    SamePageError,
    SyncHalted,
    TotalOfPageError,
    UnreadableResponseError,
)
from analytics_assets.ingestion.http import page_group, page_reader, pagination, wire
from analytics_assets.ingestion.http.bytes_ahead import BytesAhead
from analytics_assets.ingestion.http.dlt_paginators import PagingBySession
from analytics_assets.ingestion.http.page_reader import Paging
from analytics_assets.ingestion.http.response import PagingFields, ResponseReader
from analytics_assets.ingestion.http.row_selection import RowRules
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets_tests.answering import Asked, Reply, answering, api_session
from analytics_assets_tests.examples import examples

RESTARTS = 3


@dataclass
class Shop:
    """An API whose rows change. `changes` are tuples of request number, kind, and place between 0 and 1."""

    size: int = 0
    cap: int = 1000
    changes: list[tuple[int, str, float]] = field(default_factory=list)
    failures: dict[int, str] = field(default_factory=dict)
    says: tuple[str, ...] = ("total",)
    limit: int = 100
    requests: int = 0

    def __post_init__(self) -> None:
        self.ids = list(range(self.size))
        self.always = set(self.ids)
        self.asked: list[Asked] = []
        self._next = self.size
        self._lock = Lock()

    def begin(self) -> None:
        """Starts a new sync: it must return all rows that are not deleted from now on."""
        with self._lock:
            self.always = set(self.ids)

    def __call__(self, asked: Asked) -> Any:
        with self._lock:
            self.requests += 1
            self.asked.append(asked)
            for number, kind, place in self.changes:
                if number == self.requests:
                    self._change(kind, place)
            failure = self.failures.get(self.requests)
            if failure == "503":
                return Reply({"error": "busy"}, 503)
            if failure == "short":
                return Reply(b'{"rows": [', headers={"Content-Length": "99"})
            return self._page(asked.params)

    def _change(self, kind: str, place: float) -> None:
        if kind == "insert":
            self.ids.insert(round(place * len(self.ids)), self._next)
            self._next += 1
        elif kind == "append":
            self.ids.append(self._next)
            self._next += 1
        elif self.ids:
            self.always.discard(self.ids.pop(min(int(place * len(self.ids)), len(self.ids) - 1)))

    def _page(self, params: dict[str, str]) -> dict[str, Any]:
        size = min(int(params.get("limit", self.limit)), self.cap)
        start = int(params["offset"]) if "offset" in params else int(params["page"]) * size
        page = self.ids[start : start + size]
        more = start + size < len(self.ids)
        pages = -(-len(self.ids) // size)
        said = {"total": len(self.ids), "has_more": more, "pages": pages}
        return {"rows": [{"id": one} for one in page], **{name: said[name] for name in self.says}}


class Server:
    """One server for all examples. Each example has its own path, because a request ahead may arrive after its sync."""

    url = ""

    def __init__(self) -> None:
        self.shops: list[Shop] = []

    def open(self, shop: Shop) -> str:
        self.shops.append(shop)
        return f"/{len(self.shops) - 1}"

    def __call__(self, asked: Asked) -> Any:
        return self.shops[int(asked.path[1:])](asked)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    with answering(server) as server.url:
        yield server


def synced_rows(server: Server, shop: Shop, paginator: Any, **config: Any) -> list[int]:
    """Returns the rows of one sync, which starts over a few times if rows moved.

    Raises:
        RestartError: they moved each time.
        SyncHalted: the API would not answer.
    """
    path = server.open(shop)
    for restart in range(RESTARTS + 1):
        shop.begin()
        reader = ResponseReader(
            "rows",
            RowRules(config.pop("selector", "rows"), paged=True),
            PagingFields(paginator.total_path, paginator.has_more_path),
        )
        telemetry = Telemetry("rows")
        with api_session(telemetry=telemetry, **config) as session:
            client = RESTClient(server.url, session=session)
            session_paginator = PagingBySession(Paging(paginator, reader, ("id",)))
            try:
                rows = [
                    row["id"]
                    for page in client.paginate(path, paginator=session_paginator, data_selector="$")
                    for row in page
                ]
            except RestartError:
                if restart == RESTARTS:
                    raise
                continue
        assert telemetry.rows_fetched == len(rows)
        return rows
    raise AssertionError


apis = st.fixed_dictionaries(
    {
        "size": st.integers(0, 60),
        "changes": st.lists(
            st.tuples(
                st.integers(1, 14), st.sampled_from(["insert", "delete", "delete", "append"]), st.floats(0, 1)
            ),
            max_size=6,
        ),
        "failures": st.dictionaries(st.integers(1, 14), st.sampled_from(["503", "short"]), max_size=6),
    }
)
in_flight_numbers = st.integers(1, 8)
group_rows = st.sampled_from([1, 7, 25_000])
many_examples = settings(
    max_examples=examples(250),
    deadline=None,
    derandomize=True,  # the examples are the same on every machine, but thread timing differs
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@many_examples
@given(
    api=apis,
    answer=st.tuples(
        st.sampled_from([("total",), ("has_more",), ("total", "has_more"), ()]), st.integers(2, 30)
    ),
    limit=st.integers(2, 25),
    in_flight=in_flight_numbers,
    group=group_rows,
)
def test_a_green_sync_by_offset_is_complete(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    api: dict[str, Any],
    answer: tuple[tuple[str, ...], int],
    limit: int,
    in_flight: int,
    group: int,
) -> None:
    says, cap = answer
    shop = Shop(**api, says=says, cap=cap)
    monkeypatch.setattr(page_group, "_GROUP_ROWS", group)
    paginator = OffsetPaginator(
        limit,
        total_path="total" if "total" in says else None,
        has_more_path="has_more" if "has_more" in says else None,
    )
    try:
        rows = synced_rows(server, shop, paginator, max_in_flight=in_flight)
    except (RestartError, SyncHalted):
        assert shop.changes or len(shop.failures) >= 4, "it failed for no reason"
        return
    assert len(rows) == len(set(rows)), "a row came twice"
    assert shop.always <= set(rows), "a row that was there all the time is missing"
    if not shop.changes:
        assert rows == shop.ids
        step = min(limit, cap)
        least = 1 + -(-max(0, shop.size - step) // (step - 1)) + 1  # plus one request for the empty last page
        assert shop.requests - len(shop.failures) <= least + in_flight


@many_examples
@given(
    api=apis,
    answer=st.tuples(
        st.sampled_from([("pages",), ("total",), ("has_more",), ("pages", "has_more"), ()]),
        st.integers(1, 25),
    ),
    in_flight=in_flight_numbers,
    group=group_rows,
    packed_from=st.sampled_from([0, 10, 100_000]),
)
def test_a_sync_by_page_number_is_complete_and_never_doubles_a_row(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    api: dict[str, Any],
    answer: tuple[tuple[str, ...], int],
    in_flight: int,
    group: int,
    packed_from: int,
) -> None:
    """Pages that cannot overlap do not show every change, so no row is missing only if rows stay."""
    says, size = answer
    shop = Shop(**api, says=says, limit=size)
    monkeypatch.setattr(page_group, "_GROUP_ROWS", group)
    monkeypatch.setattr(pagination, "PACKED_FROM", packed_from)
    paginator = PageNumberPaginator(
        total_path=next((one for one in ("pages", "total") if one in says), None),
        has_more_path="has_more" if "has_more" in says else None,
    )
    try:
        rows = synced_rows(server, shop, paginator, max_in_flight=in_flight)
    except (RestartError, SyncHalted):
        assert shop.changes or len(shop.failures) >= 4, "it failed for no reason"
        return
    assert len(rows) == len(set(rows)), "a row came twice"
    if not shop.changes:
        assert rows == shop.ids
        # A total of rows, where dlt expects a total of pages, promises many more pages.
        ahead = 2 * in_flight if "total" in says else in_flight
        assert shop.requests - len(shop.failures) <= -(-shop.size // size) + 1 + ahead


@many_examples
@given(api=apis, in_flight=in_flight_numbers, most=st.integers(1, 200))
def test_pages_without_room_are_requested_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, api: dict[str, Any], in_flight: int, most: int
) -> None:
    monkeypatch.setattr(wire, "_PIECE", 7)
    monkeypatch.setattr(page_reader, "BytesAhead", lambda _: BytesAhead(most))
    shop = Shop(**api, says=("pages",), limit=3)
    try:
        rows = synced_rows(server, shop, PageNumberPaginator(total_path="pages"), max_in_flight=in_flight)
    except (RestartError, SyncHalted):
        assert shop.changes or len(shop.failures) >= 4, "it failed for no reason"
        return
    assert shop.changes or rows == shop.ids


@pytest.mark.parametrize("kind", [OffsetPaginator, PageNumberPaginator])
def test_an_empty_page_without_total_is_requested_once(server: Server, kind: Any) -> None:
    """This also holds with `stop_after_empty_page: false`, because otherwise the paging would never end."""
    shop = Shop(size=0, says=())
    settings = {"limit": 10} if kind is OffsetPaginator else {}
    assert synced_rows(server, shop, kind(stop_after_empty_page=False, **settings)) == []
    assert shop.requests == 1


@pytest.mark.parametrize("ignored", ["offset", "page"])
def test_an_api_that_ignores_the_page_number_is_reported(server: Server, ignored: str) -> None:
    class Deaf(Shop):
        def _page(self, params: dict[str, str]) -> dict[str, Any]:
            return super()._page({**params, ignored: "0"})

    paginator: Any = OffsetPaginator(10) if ignored == "offset" else PageNumberPaginator()
    with pytest.raises(SamePageError, match=f"`{ignored}` does not lead to another page"):
        synced_rows(server, Deaf(size=40, limit=10), paginator)


def test_a_total_that_is_the_size_of_the_page_is_named(server: Server) -> None:
    """dlt alone would stop after the first page."""

    class Counting(Shop):
        def _page(self, params: dict[str, str]) -> dict[str, Any]:
            page = super()._page(params)
            return {**page, "total": len(page["rows"])}

    with pytest.raises(TotalOfPageError) as caught:
        synced_rows(server, Counting(size=43), OffsetPaginator(10))
    assert caught.value.path == "total"


def test_a_cap_below_the_limit_and_a_maximum(server: Server) -> None:
    assert synced_rows(server, Shop(size=250, cap=50), OffsetPaginator(100)) == list(range(250))
    # dlt requests no page that starts at the maximum
    assert synced_rows(server, Shop(size=250), OffsetPaginator(100, maximum_offset=150)) == list(range(200))
    assert synced_rows(
        server, Shop(size=250, says=("pages",)), PageNumberPaginator(total_path="pages", maximum_page=2)
    ) == list(range(200))


def test_pages_are_requested_ahead_in_parallel(server: Server) -> None:
    """A barrier in the server opens only when the allowed number of requests is in flight."""
    barrier = Barrier(4)

    class Slow(Shop):
        def __call__(self, asked: Asked) -> Any:
            if asked.params["offset"] != "0":
                barrier.wait(10)
            return super().__call__(asked)

    # after the first page: offsets 9, 18, … 72, which are twice four pages
    assert synced_rows(server, Slow(size=81), OffsetPaginator(10), max_in_flight=4) == list(range(81))


def test_numbers_go_into_a_json_body(server: Server) -> None:
    class Posted(Shop):
        def __call__(self, asked: Asked) -> Any:
            page = json.loads(asked.body)["page"]
            return super().__call__(Asked("POST", asked.path, {k: str(v) for k, v in page.items()}, {}, b""))

    shop = Posted(size=45)
    path = server.open(shop)
    paginator = OffsetPaginator(10, offset_body_path="page.offset", limit_body_path="page.limit")
    reader = ResponseReader("rows", RowRules("rows", paged=True), PagingFields("total"))
    session_paginator = PagingBySession(Paging(paginator, reader, ("id",)))
    with api_session() as session:
        client = RESTClient(server.url, session=session)
        pages = client.paginate(
            path, method="POST", json={"page": {"offset": 0}}, paginator=session_paginator, data_selector="$"
        )
        assert [row["id"] for page in pages for row in page] == shop.ids


TRUTHS = [
    (
        "data_selector finds null",
        b'{"rows": null, "total": 3}',
        "data_selector `rows` finds null in the response",
    ),
    ("null and a total of none", b'{"rows": null, "total": 0}', None),
    ("no key", b'{"items": [], "total": 3}', "finds nothing in the response of GET /0 .it has items, total."),
    ("no key and a total of none", b'{"total": 0}', None),
    ("no list", b'{"rows": {"id": 1}, "total": 1}', "finds an object and no list"),
    ("no total", b'{"rows": [{"id": 1}]}', "has no `total` .it has rows.. Set the paginator's total_path"),
    ("a total of text", b'{"rows": [{"id": 1}], "total": "many"}', "`total` is text in the response"),
    ("a total as text", b'{"rows": [{"id": 1}], "total": "1"}', None),
    ("a total that is true", b'{"rows": [{"id": 1}], "total": true}', "`total` is true or false"),
    ("HTML", b"<html>down for maintenance</html>", "is not JSON"),
    ("cut short", b'{"rows": [{"id": 1}', "is not JSON"),
    ("empty", b"", "is not JSON"),
    ("too few rows", b'{"rows": [], "total": 3}', "rows end at 0 of 3"),
    ("a number beyond 64 bits", b'{"rows": [{"id": 123456789012345678901234567890}], "total": 1}', None),
    ("NaN", b'{"rows": [{"id": 1, "x": NaN}], "total": 1}', None),
]


@pytest.mark.parametrize(("body", "sentence"), [one[1:] for one in TRUTHS], ids=[one[0] for one in TRUTHS])
def test_the_truth_of_a_200(body: bytes, sentence: str | None) -> None:
    with answering(lambda _: Reply(body)) as url, api_session() as session:
        reader = ResponseReader("rows", RowRules("rows", paged=True), PagingFields("total"))
        session_paginator = PagingBySession(Paging(OffsetPaginator(10), reader, ("id",)))
        pages = RESTClient(url, session=session).paginate(
            "/0", paginator=session_paginator, data_selector="$"
        )
        if sentence is None:
            rows = [row for page in pages for row in page]
            assert "123456789012345678901234567890" not in body.decode() or rows == [
                {"id": 123456789012345678901234567890}
            ]
            return
        with pytest.raises((UnreadableResponseError, RowsMovedError), match=sentence):
            list(pages)

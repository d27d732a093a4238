"""Ranges of a window, and the children of several parents, are read side by side where paging is sequential."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from analytics_assets.ingestion.errors import ContractExceededError, SyncHalted
from analytics_assets.ingestion.plan import batch_targets
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.source import page_sizes
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project, check_of, failure_of
from analytics_assets_tests.integration.test_batches import materialized
from analytics_assets_tests.integration.test_reconcile import defs
from analytics_assets_tests.real_api import defs as api_defs

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = [f"{START + timedelta(days=day):%Y-%m-%d}" for day in range(12)]
SIZE = 4
CURSOR = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}


def rows_of(days: int = 12, hours: int = 24) -> list[dict[str, Any]]:
    moments = [START + timedelta(days=day, hours=hour) for day in range(days) for hour in range(hours)]
    return [
        {"id": number, "name": "a", "at": f"{one:%Y-%m-%dT%H:%M:%SZ}"} for number, one in enumerate(moments)
    ]


@dataclass
class Cursored:
    """An API that pages by a cursor, with a row each hour of twelve days.

    Attributes:
        includes_end: whether the API also returns the rows at the end of a range.
        by_day: whether the API returns all rows of the days of a range.
        most: the most requests that were in flight at once.
        asked: the ranges that requests asked for.
        meet: waits for so many requests in flight, from the second batch on.
    """

    rows: list[dict[str, Any]] = field(default_factory=rows_of)
    includes_end: bool = False
    by_day: bool = False
    fails_at: str | None = None
    most: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    meet: int = 0
    _in_flight: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def reply(self, asked: Asked) -> Any:
        since, until = asked.params["since"], asked.params["until"]
        with self._changed:
            self.asked.append((since, until))
            self._in_flight += 1
            self.most = max(self.most, self._in_flight)
            self._changed.notify_all()
            if self.meet and since[:10] not in (DAYS[0], DAYS[1]):
                self._changed.wait_for(lambda: self.most >= self.meet, timeout=20)
        try:
            return self._page(since, until, int(asked.params.get("after") or 0))
        finally:
            with self._changed:
                self._in_flight -= 1

    def _page(self, since: str, until: str, offset: int) -> Any:
        if self.fails_at and since <= self.fails_at < until:
            return Reply({"message": "no"}, status=400)
        if self.by_day:
            since, until = since[:10], until[:10] + "T23:59:59Z"
        found = [
            one
            for one in self.rows
            if since <= str(one["at"]) < until or (self.includes_end and one["at"] == until)
        ]
        more = offset + SIZE < len(found)
        return {"data": found[offset : offset + SIZE], "next": str(offset + SIZE) if more else None}


@pytest.fixture
def cursored(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cursored, str]]:
    """The API. The size of a batch does not depend on the speed of the machine."""
    monkeypatch.setattr(batch_targets, "TARGET_SECONDS", 1e9)
    api = Cursored()
    with answering(api.reply) as url:
        yield api, url


def text_of(url: str, **asset: Any) -> str:
    document = yaml.safe_load(defs(url, **asset))
    [things] = document["attributes"]["rest_api"]["resources"]
    things["endpoint"]["paginator"] = CURSOR
    return str(yaml.safe_dump(document))


def run(project: Project, text: str, first: str = DAYS[0], last: str = DAYS[-1]) -> Any:
    return project.run(project.definitions(text), "things", first, last, source="api")


def ids(project: Project) -> list[int]:
    return [one["id"] for one in project.query("SELECT id FROM api.things ORDER BY id")]


def test_ranges_of_a_batch_are_in_flight_together(project: Project, cursored: tuple[Cursored, str]) -> None:
    api, url = cursored
    api.meet = 7  # the first range may end before the others begin
    result = run(project, text_of(url))
    assert result.success
    assert 7 <= api.most <= 8, "requests.max_in_flight"
    assert ids(project) == [one["id"] for one in api.rows]
    assert materialized(project.instance) == DAYS
    pages = {
        one.partition: one.step_materialization_data.materialization.metadata
        for one in result.get_asset_materialization_events()
    }
    assert {day: pages[day]["dagster/partition_row_count"].value for day in DAYS} == dict.fromkeys(DAYS, 24)
    assert "rows_outside_window" not in pages[DAYS[5]]
    assert check_of(result, "complete").passed


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("kind", ["includes_end", "by_day"])
def test_a_row_of_two_ranges_is_loaded_once(
    project: Project, cursored: tuple[Cursored, str], kind: str
) -> None:
    """Many APIs return the rows at the end of a range, or all rows of its days."""
    api, url = cursored
    setattr(api, kind, True)
    assert run(project, text_of(url)).success
    assert len({one for one in api.asked if one[0] > DAYS[1]}) > 2
    assert ids(project) == [one["id"] for one in api.rows]


def test_an_api_that_filters_by_another_time_is_read_at_once(
    project: Project, cursored: tuple[Cursored, str]
) -> None:
    """The cursor is the time of the last update, and the API filters by the time of creation."""
    api, url = cursored
    page = api._page

    def by_creation(since: str, until: str, offset: int) -> Any:
        answer = page(since, until, offset)
        answer["data"] = [
            {**one, "at": one["at"].replace("-04T", "-06T") if one["id"] % 2 else one["at"]}
            for one in answer["data"]
        ]
        return answer

    api._page = by_creation  # type: ignore[method-assign]
    assert run(project, text_of(url)).success
    assert ids(project) == [one["id"] for one in api.rows]
    assert (DAYS[1] + "T00:00:00Z", DAYS[9] + "T00:00:00Z") in api.asked
    assert len({one for one in api.asked if one[0] >= DAYS[9]}) == 1, "no ranges in the batch after it"


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("joined", [5, 1, 25_000])
def test_a_bad_row_of_two_ranges_is_quarantined_once(
    project: Project, cursored: tuple[Cursored, str], monkeypatch: pytest.MonkeyPatch, joined: int
) -> None:
    monkeypatch.setattr(page_sizes, "JOINED_ROWS", joined)
    api, url = cursored
    api.includes_end = True
    bad = [one for one in api.rows if one["at"].endswith("T00:00:00Z")]
    for one in bad:
        one["name"] = {"no": "text"}
    assert run(project, text_of(url, max_quarantined=100)).success
    found = project.query("SELECT key__id AS id, partition FROM api.things__quarantine ORDER BY id")
    assert [(one["id"], one["partition"]) for one in found] == [(one["id"], one["at"][:10]) for one in bad]
    assert ids(project) == [one["id"] for one in api.rows if one not in bad]


@pytest.mark.matrix(keep=0)
def test_a_row_with_an_undeclared_field_is_in_its_range_too(
    project: Project, cursored: tuple[Cursored, str]
) -> None:
    """Such rows are Python objects in the pipe, and all others are Arrow tables."""
    api, url = cursored
    api.includes_end = True
    for one in api.rows[::7]:
        one["extra"] = one["id"]
    assert run(project, text_of(url)).success
    assert ids(project) == [one["id"] for one in api.rows]
    extra = project.query("SELECT id FROM api.things WHERE extra = id ORDER BY id")
    assert [one["id"] for one in extra] == [one["id"] for one in api.rows[::7]]


def test_a_refused_range_loads_nothing_of_its_batch(project: Project, cursored: tuple[Cursored, str]) -> None:
    api, url = cursored
    api.fails_at = DAYS[6]
    result = run(project, text_of(url))
    assert str(failure_of(result).metadata["code"].value) == SyncHalted.code
    assert materialized(project.instance) == DAYS[:1]
    assert ids(project) == [one["id"] for one in api.rows[:24]]


def test_too_many_bad_rows_end_all_ranges(project: Project, cursored: tuple[Cursored, str]) -> None:
    api, url = cursored
    for one in api.rows[30:]:
        one["name"] = {"no": "text"}
    result = run(project, text_of(url, max_quarantined=3))
    assert str(failure_of(result).metadata["code"].value) == ContractExceededError.code
    assert not [one.name for one in threading.enumerate() if "things-read" in one.name]


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("change", "ranges"),
    [
        ({}, True),
        ({"requests": {"max_in_flight": 1}}, False),
        ({"endpoint": {"row_order": "asc"}}, False),
        ({"endpoint": {"on_cursor_value_missing": "include"}}, False),
        ({"endpoint": {"end_param": None}}, False),
        ({"filter": {"format": "date"}}, True),
    ],
    ids=["plain", "one in flight", "row_order", "rows without a time", "no end", "an end that may be a day"],
)
def test_where_a_range_cannot_be_read_alone_the_batch_is_one_read(
    project: Project, cursored: tuple[Cursored, str], change: dict[str, Any], ranges: bool
) -> None:
    api, url = cursored
    document = yaml.safe_load(text_of(url))
    attributes = document["attributes"]
    [things] = attributes["rest_api"]["resources"]
    incremental = {**things["endpoint"]["incremental"], **change.get("endpoint", {})}
    things["endpoint"]["incremental"] = {name: one for name, one in incremental.items() if one}
    attributes["requests"] = change.get("requests", {})
    if "filter" in change:
        attributes["assets"]["things"]["filter"] = change["filter"]
        api.by_day = True
    if "end_param" in change.get("endpoint", {}):
        api.reply = lambda asked, reply=api.reply: reply(  # type: ignore[method-assign, misc]
            Asked(asked.method, asked.path, {"until": "2027", **asked.params}, asked.headers, asked.body)
        )
        with answering(api.reply) as other:
            attributes["rest_api"]["client"]["base_url"] = other
            assert run(project, str(yaml.safe_dump(document)), DAYS[0], DAYS[8]).success
    else:
        assert run(project, str(yaml.safe_dump(document)), DAYS[0], DAYS[8]).success
    assert ids(project) == [one["id"] for one in api.rows[: 9 * 24]]
    second = {one for one in api.asked if one[0][:10] >= DAYS[1]}
    assert (len(second) > 1) == ranges


def test_small_partitions_cost_as_few_requests_as_one_window(
    project: Project, cursored: tuple[Cursored, str]
) -> None:
    """A range of its own costs a request of its own, so only ranges of several pages are read alone."""
    api, url = cursored
    api.rows = [one for one in api.rows if one["at"][11:13] == "05"]
    assert run(project, text_of(url)).success
    assert [len(api.asked), len({*api.asked})] == [1 + 2 + 1, 3]


@pytest.mark.matrix(keep=0)
def test_rows_that_move_within_a_range_start_the_sync_over(
    project: Project, cursored: tuple[Cursored, str]
) -> None:
    """A row came twice within a range."""
    api, url = cursored
    doubled = threading.Event()
    page = api._page

    def moved(since: str, until: str, offset: int) -> Any:
        answer = page(since, until, offset)
        if since.startswith(DAYS[3]) and offset == SIZE and not doubled.is_set():
            doubled.set()
            answer["data"][0] = page(since, until, 0)["data"][0]
        return answer

    api._page = moved  # type: ignore[method-assign]
    assert run(project, text_of(url)).success
    assert doubled.is_set()
    assert ids(project) == [one["id"] for one in api.rows]


def test_a_plan_joins_partitions_into_ranges(project: Project) -> None:
    plan: list[LoadPlan] = []
    with answering(lambda _: {"data": []}) as url:
        plan.append(project.plan(text_of(url), "things", *DAYS))
        days = [f"{START + timedelta(days=day):%Y-%m-%d}" for day in range(12)]
        batch = plan[0].batch(days[1:9], 3)
    assert [f"{one.start:%d}...{one.end:%d}" for one in batch.ranges] == ["02...04", "04...07", "07...10"]
    assert plan[0].batch(days[:1], 8).ranges == []
    assert plan[0].ranges == []


PARENTS = {"name": "shops", "endpoint": {"path": "shops", "paginator": "single_page"}}


@dataclass
class Shops:
    """An API with items for each of many shops. Items are paged in one of several ways."""

    count: int = 30
    meet: int = 8
    most: int = 0
    in_flight: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    sessions: set[str] = field(default_factory=set)

    def reply(self, asked: Asked) -> Any:
        if asked.path == "/shops":
            return [{"id": number} for number in range(self.count)]
        with self.changed:
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            self.changed.notify_all()
            if asked.path != "/shops/0/items":
                self.changed.wait_for(lambda: self.most >= self.meet, timeout=20)
        try:
            return self._items(asked)
        finally:
            with self.changed:
                self.in_flight -= 1

    def _items(self, asked: Asked) -> Any:
        shop = int(asked.path.split("/")[2])
        self.sessions.add(asked.headers.get("cookie", ""))
        offset = int(asked.params.get("after") or asked.params.get("offset") or 0)
        count = shop % 5
        found = [{"id": shop * 10 + one, "n": one} for one in range(offset, min(offset + 2, count))]
        more = offset + 2 < count
        body = {"data": found, "next": str(offset + 2) if more else None, "total": count}
        return Reply(body, headers={"Set-Cookie": f"session{shop}=x"})

    @property
    def expected(self) -> list[int]:
        return [shop * 10 + one for shop in range(self.count) for one in range(shop % 5)]


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("paginator", [CURSOR, {"type": "offset", "limit": 2}], ids=["cursor", "offset"])
@pytest.mark.parametrize("disposition", ["replace", "merge"])
def test_the_children_of_many_parents_are_in_flight_together(
    project: Project, paginator: dict[str, Any], disposition: str
) -> None:
    api = Shops()
    with answering(api.reply) as url:
        text = api_defs(
            url,
            parents=(PARENTS,),
            path="shops/{resources.shops.id}/items",
            paginator=paginator,
            resource={"include_from_parent": ["id"], "write_disposition": disposition},
            requests={"page_overlap": False},
        )
        assert project.load(text, "things").rows_loaded == len(api.expected)
    assert api.most == 8
    rows = project.query("SELECT id, _shops_id AS shop FROM api.things ORDER BY id")
    assert [one["id"] for one in rows] == api.expected
    assert all(int(one["shop"]) == one["id"] // 10 for one in rows)


@pytest.mark.matrix(keep=0)
def test_the_children_of_a_failed_parent_load_nothing(project: Project) -> None:
    api = Shops(meet=1)
    items: Callable[[Asked], Any] = api._items
    api._items = lambda asked: (  # type: ignore[method-assign]
        Reply({}, status=400) if asked.path == "/shops/17/items" else items(asked)
    )
    with answering(api.reply) as url:
        text = api_defs(url, parents=(PARENTS,), path="shops/{resources.shops.id}/items", paginator=CURSOR)
        with pytest.raises(SyncHalted) as caught:
            project.load(text, "things")
    assert caught.value.endpoint.endswith("/shops/17/items")
    assert not [one.name for one in threading.enumerate() if "things-read" in one.name]

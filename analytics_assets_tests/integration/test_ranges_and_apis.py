"""A batch in ranges has exactly the rows of the API, however the API pages, answers and tells time."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import yaml

from analytics_assets import RestApiSync
from analytics_assets.ingestion.batches import run_batches
from analytics_assets.ingestion.errors import SyncError
from analytics_assets.ingestion.plan import batch_targets
from analytics_assets.ingestion.plan.load_plan import plan_load
from analytics_assets.ingestion.sync_result import SyncResult
from analytics_assets.orchestration.partitions import partitions_def, windows_of
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project, circuit_of
from analytics_assets_tests.integration.test_reconcile import defs

START = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = 4
Row = dict[str, Any]


def rows_of(start: datetime = START, hours: int = 12 * 24, step: float = 1) -> list[Row]:
    moments = [start + timedelta(hours=step * one) for one in range(int(hours / step))]
    return [{"id": n, "name": f"n{n}", "at": f"{one:%Y-%m-%dT%H:%M:%SZ}"} for n, one in enumerate(moments)]


def _no_fault(*_: Any) -> None:
    """The reply of an API without faults."""


@dataclass
class AnyApi:
    """An API that pages by a cursor or a link, as `kind` says.

    Attributes:
        kind: the type of the paginator, or where the API gets its cursor.
        time_of: returns the value of the API's filter for a row.
        read: reads a bound of a request.
        includes_end: whether the API returns the rows at the end of a range.
        fault: called with the start of the range and the offset; its reply takes the place of the page.
        asked: the ranges and offsets that requests asked for.
    """

    kind: str = "cursor"
    rows: list[Row] = field(default_factory=rows_of)
    time_of: Callable[[Row], Any] = lambda row: row["at"]
    read: Callable[[str], Any] = str
    includes_end: bool = False
    fault: Callable[[str, int], Any] = _no_fault
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    url: str = ""
    lock: Any = field(default_factory=threading.Lock)

    def reply(self, asked: Asked) -> Any:
        body = json.loads(asked.body) if asked.body else {}
        params = {**asked.params, **body.get("range", {})}
        since, until = params["since"], params["until"]
        offset = int(params.get("after") or (body.get("page") or {}).get("after") or 0)
        with self.lock:
            self.asked.append((since, until, offset))
        found = self.fault(since, offset)
        return self.page(asked, since, until, offset) if found is None else found

    def within(self, since: str, until: str) -> list[Row]:
        first, end = self.read(since), self.read(until)
        return [
            one
            for one in self.rows
            if first <= self.time_of(one) < end or (self.includes_end and self.time_of(one) == end)
        ]

    def page(self, asked: Asked, since: str, until: str, offset: int) -> Any:
        found = self.within(since, until)
        rows = found[offset : offset + SIZE]
        more = str(offset + SIZE) if offset + SIZE < len(found) else None
        query = f"since={since}&until={until}&after={more}".replace("+", "%2B")
        link = f"{asked.path}?{query}" if more else None
        match self.kind:
            case "header_cursor":
                return Reply({"data": rows}, headers={"X-Next": more} if more else {})
            case "header_link":
                return Reply(
                    {"data": rows}, headers={"Link": f'<{self.url}{link}>; rel="next"'} if link else {}
                )
            case "json_link" | "jsonapi":
                return {"data": rows, "links": {"next": link and self.url + link}}
            case "relative":
                return {"data": rows, "links": {"next": link}}
            case "auto":
                return {"data": rows, "next": link and self.url + link}
        return {"data": rows, "next": more}


PAGINATORS: dict[str, Any] = {
    "cursor": {"type": "cursor", "cursor_path": "next", "cursor_param": "after"},
    "body": {"type": "cursor", "cursor_path": "next", "cursor_body_path": "page.after"},
    "body placeholders": {"type": "cursor", "cursor_path": "next", "cursor_body_path": "page.after"},
    "header_cursor": {"type": "header_cursor", "cursor_key": "X-Next", "cursor_param": "after"},
    "header_link": "header_link",
    "json_link": {"type": "json_link", "next_url_path": "links.next"},
    "relative": {"type": "json_link", "next_url_path": "links.next"},
    "jsonapi": {"type": "json_link", "next_url_path": "links.next"},
    "auto": "auto",
}


def document(api: AnyApi, **asset: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The file, and the resource in it."""
    found = yaml.safe_load(defs(api.url, **asset))
    [things] = found["attributes"]["rest_api"]["resources"]
    endpoint = things["endpoint"]
    endpoint["paginator"] = PAGINATORS[api.kind]
    if api.kind.startswith("body"):
        endpoint["method"] = "POST"
        endpoint["json"] = {"sort": ["at"], "page": {"size": 4}}
    if api.kind == "body placeholders":
        endpoint["json"]["range"] = {
            "since": "{incremental.start_value}",
            "until": "{incremental.end_value}",
        }
        for one in ("start_param", "end_param"):
            del endpoint["incremental"][one]
    found["attributes"]["requests"] = {"backoff_factor": 0.001}
    return found, things


def load(doc: dict[str, Any], first: str = "2026-01-01", last: str = "2026-01-12") -> list[SyncResult]:
    config = RestApiSync.rendered(doc["attributes"])
    definition = partitions_def(config.asset("things").partitions)
    assert definition is not None
    keys = definition.get_partition_keys_in_range(dg.PartitionKeyRange(first, last))
    plan = plan_load(config, config.resources["things"], windows_of(definition, keys))
    return [one.result for one in run_batches(plan, circuit_of(plan))]


def table(project: Project, columns: str = "id, name") -> Counter[tuple[Any, ...]]:
    return Counter(tuple(one.values()) for one in project.query(f"SELECT {columns} FROM api.things"))


def truth(rows: list[Row]) -> Counter[tuple[Any, ...]]:
    return Counter((one["id"], one["name"]) for one in rows)


def ranges(api: AnyApi) -> int:
    """The number of ranges that requests asked for."""
    return len({one[:2] for one in api.asked})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnyApi]:
    monkeypatch.setattr(batch_targets, "TARGET_SECONDS", 1e9)
    found = AnyApi()
    with answering(found.reply) as url:
        found.url = url
        yield found


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("includes_end", [False, True])
@pytest.mark.parametrize("kind", [*PAGINATORS])
def test_each_way_of_paging(project: Project, api: AnyApi, kind: str, includes_end: bool) -> None:
    api.kind, api.includes_end = kind, includes_end
    results = load(document(api)[0])
    assert table(project) == truth(api.rows)
    assert ranges(api) > 5
    assert sum(one.requests.restarts for one in results) == 0


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("strategy", ["upsert", "scd2", "insert-only"])
@pytest.mark.parametrize("again", [False, True])
def test_each_merge_strategy(project: Project, api: AnyApi, strategy: str, again: bool) -> None:
    """An API that includes the end brings each row at a seam twice."""
    api.includes_end = True
    for one in api.rows:
        one["day"] = one["at"][:10]
    doc, things = document(api)
    things["columns"]["day"] = {"data_type": "text", "nullable": False}
    things["write_disposition"] = {"disposition": "merge", "strategy": strategy}
    if strategy == "scd2":
        things["merge_key"] = "day"
    for _ in range(1 + again):
        load(doc)
    valid = "WHERE _dlt_valid_to IS NULL" if strategy == "scd2" else ""
    assert Counter(
        tuple(one.values()) for one in project.query(f"SELECT id, name FROM api.things {valid}")
    ) == truth(api.rows)
    assert ranges(api) > 5


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("answer", ["429", "503", "500", "dropped", "cut off", "not JSON"])
def test_an_answer_that_recovers(project: Project, api: AnyApi, answer: str) -> None:
    """Each page after the first of each range fails once."""
    failed: set[tuple[str, int]] = set()

    def fault(since: str, offset: int) -> Any:
        if (since, offset) in failed or offset != SIZE:
            return None
        failed.add((since, offset))
        match answer:
            case "dropped":
                raise ConnectionAbortedError
            case "cut off":
                return Reply(b'{"data": [', headers={"Content-Length": "100"})
            case "not JSON":
                return Reply(b"<html>", status=502)
        return Reply({}, status=int(answer), headers={"Retry-After": "0"})

    api.fault = fault
    load(document(api)[0])
    assert table(project) == truth(api.rows)
    assert ranges(api) > 5
    assert len(failed) > 5


def bad_answer(api: AnyApi, kind: str, offset: int) -> Any:
    return {
        "500 that stays": Reply({}, status=500),
        "a next that loops": {"data": api.rows[96:100], "next": "4"},
        "no rows and no end": {"data": [], "next": str(offset + SIZE)},
        "refused": Reply({}, status=403),
        "rows missing": {"next": None},
        "error in a success": {"error": "backend timed out", "data": []},
    }[kind]


BAD = (
    "500 that stays",
    "a next that loops",
    "no rows and no end",
    "refused",
    "rows missing",
    "error in a success",
)


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("answer", BAD)
def test_a_bad_answer_in_one_range_loads_nothing_of_the_batch(
    project: Project, api: AnyApi, answer: str
) -> None:
    """Then the next run loads all."""
    bad = threading.Event()

    def fault(since: str, offset: int) -> Any:
        if not since.startswith("2026-01-05") or offset < SIZE:
            return None
        bad.set()
        return bad_answer(api, answer, offset)

    api.fault = fault
    doc, _ = document(api)
    with pytest.raises(SyncError):
        load(doc)
    assert bad.is_set()
    assert table(project) == truth(api.within("2026-01-01", "2026-01-02"))
    assert not [one.name for one in threading.enumerate() if "-read" in one.name]
    api.fault = _no_fault
    load(doc, "2026-01-02")
    assert table(project) == truth(api.rows)


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("empty", ["first", "in the middle", "whole range"])
def test_empty_pages(project: Project, api: AnyApi, empty: str) -> None:
    """An API may filter the rows of a page after it has cut the page."""
    offsets = {"first": [0], "in the middle": [SIZE, 2 * SIZE], "whole range": []}[empty]
    gone = api.within("2026-01-04", "2026-01-07") if empty == "whole range" else []
    api.rows = [one for one in api.rows if one not in gone]
    left_out: list[Row] = []

    def fault(since: str, offset: int) -> Any:
        if not since.startswith("2026-01-05") or offset not in offsets:
            return None
        left_out.extend(api.within(since, "2026-01-06")[offset : offset + SIZE])
        return {"data": [], "next": str(offset + SIZE)}

    api.fault = fault
    load(document(api)[0])
    assert table(project) == truth([one for one in api.rows if one not in left_out])
    assert ranges(api) > 5


def _epoch(moment: datetime, unit: int) -> int:
    return round(moment.timestamp() * unit)


FORMATS: dict[str, Any] = {
    "seconds": ("bigint", lambda one: _epoch(one, 1), int, {}),
    "milliseconds": ("bigint", lambda one: _epoch(one, 1000), int, {}),
    "offset": (
        "timestamp",
        lambda one: one.astimezone(ZoneInfo("Asia/Kolkata")).isoformat(),
        lambda text: datetime.fromisoformat(text).astimezone(ZoneInfo("Asia/Kolkata")).isoformat(),
        {},
    ),
    "days asked": ("timestamp", lambda one: f"{one:%Y-%m-%dT%H:%M:%SZ}", str, {"format": "date"}),
    "epoch asked": (
        "timestamp",
        lambda one: f"{one:%Y-%m-%dT%H:%M:%SZ}",
        lambda text: f"{datetime.fromtimestamp(int(text) / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
        {"format": "epoch_milliseconds"},
    ),
    "day": ("date", lambda one: f"{one:%Y-%m-%d}", str, {}),
    "local": (
        "timestamp",
        lambda one: f"{one:%Y-%m-%dT%H:%M:%SZ}",
        lambda text: (
            datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
            .replace(tzinfo=ZoneInfo("America/New_York"))
            .astimezone(UTC)
            .strftime("%Y-%m-%dT%H:%M:%SZ")
        ),
        {"format": "%Y-%m-%d %H:%M:%S", "timezone": "America/New_York"},
    ),
}


PARTITIONS: dict[str, Any] = {
    "New York": ({"type": "daily", "timezone": "America/New_York"}, "2026-03-03", "2026-03-14"),
    "hourly": ({"type": "hourly"}, "2026-03-03-00:00", "2026-03-05-11:00"),
    "hourly New York": (
        {"type": "hourly", "timezone": "America/New_York"},
        "2026-03-07-00:00",
        "2026-03-09-11:00",
    ),
    "autumn": (
        {"type": "hourly", "timezone": "America/New_York", "start_date": "2025-11-01"},
        "2025-11-01-12:00",
        "2025-11-03-12:00",
    ),
    "days of autumn": (
        {"type": "daily", "timezone": "America/New_York", "start_date": "2025-10-01"},
        "2025-10-28",
        "2025-11-09",
    ),
    "weekly": ({"type": "weekly", "start_date": "2026-01-04"}, "2026-01-04", "2026-03-22"),
    "monthly": ({"type": "monthly"}, "2026-01-01", "2026-10-01"),
    "daily": ({"type": "daily"}, "2026-03-03", "2026-03-14"),
}
TIMES = [
    (kind, one)
    for kind in FORMATS
    for one in PARTITIONS
    if kind != "day" or PARTITIONS[one][0]["type"] != "hourly"
]


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("includes_end", [True, False])
@pytest.mark.parametrize(("kind", "partitioned"), TIMES)
def test_each_kind_of_time(
    project: Project,
    api: AnyApi,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    partitioned: str,
    includes_end: bool,
) -> None:
    """There are rows exactly at each seam, and a second before it.

    New York has a day of 23 hours in March, and one of 25 in November.
    """
    monkeypatch.setattr(batch_targets, "TARGET_ROWS", 1_000_000)
    data_type, write, read, settings = FORMATS[kind]
    partitions, first, last = PARTITIONS[partitioned]
    of_asset = {"start_date": "2026-01-01", **partitions}
    if data_type == "bigint":
        of_asset["cursor_unit"] = kind
    doc, things = document(api, partitions=of_asset, **({"filter": settings} if settings else {}))
    things["columns"]["at"]["data_type"] = data_type
    definition = partitions_def(RestApiSync.rendered(doc["attributes"]).asset("things").partitions)
    assert definition is not None
    keys = definition.get_partition_keys_in_range(dg.PartitionKeyRange(first, last))
    windows = [*windows_of(definition, keys).values()]
    moments = [one.start + one.length / 16 * part for one in windows for part in range(16)]
    moments += [one.end - timedelta(seconds=1) for one in windows]
    inside = len(moments)
    moments.append(windows[-1].end)
    if kind == "day":
        zone = ZoneInfo(str(partitions.get("timezone", "UTC")))
        moments = [one.astimezone(zone) for one in moments]
    api.rows = [{"id": n, "name": f"n{n}", "at": write(one)} for n, one in enumerate(moments)]
    api.read, api.includes_end = read, includes_end
    load(doc, first, last)
    assert table(project) == truth(api.rows[:inside])
    if kind != "days asked":  # an API that is asked by days is not asked by hours
        assert ranges(api) > 3


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("end", ["exclusive", "inclusive"])
@pytest.mark.parametrize("convert", ["seconds", "days"])
def test_a_convert_of_the_user(project: Project, api: AnyApi, convert: str, end: str) -> None:
    api.includes_end = end == "inclusive"
    doc, things = document(api)
    if convert == "seconds":
        things["endpoint"]["incremental"]["convert"] = lambda moment: str(_epoch(moment, 1))
        api.read = lambda text: f"{datetime.fromtimestamp(int(text), UTC):%Y-%m-%dT%H:%M:%SZ}"
    else:
        things["endpoint"]["incremental"]["convert"] = lambda moment: f"{moment:%Y-%m-%d}"
        api.read = lambda text: f"{text}T00:00:00Z"
    load(doc)
    assert table(project) == truth(api.rows)
    assert ranges(api) > 5


@pytest.mark.matrix(keep=0)
def test_a_convert_that_asks_for_whole_days_loads_hours(project: Project, api: AnyApi) -> None:
    """Nobody knows how far such a function reaches, so rows of other ranges come with a range."""
    doc, things = document(api, partitions={"type": "hourly", "start_date": "2026-01-01"})
    api.rows = rows_of(hours=48, step=0.125)
    things["endpoint"]["incremental"]["convert"] = lambda moment: f"{moment:%Y-%m-%d}"
    api.read = lambda text: text
    api.time_of = lambda row: row["at"][:10]
    api.includes_end = True
    load(doc, "2026-01-01-00:00", "2026-01-02-23:00")
    assert table(project) == truth(api.rows)


@pytest.mark.matrix(keep=0)
def test_ignored_responses_are_no_failure(project: Project, api: AnyApi) -> None:
    api.fault = lambda since, _: Reply({}, status=404) if since.startswith("2026-01-05") else None
    doc, things = document(api)
    things["endpoint"]["response_actions"] = [{"status_code": 404, "action": "ignore"}]
    api.rows = api.within("2026-01-01", "2026-01-05")
    load(doc)
    assert table(project) == truth(api.rows)


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("paging", ["cursor", "json_link", "header_link", "header_cursor"])
@pytest.mark.parametrize("fails", [False, True])
def test_children_of_children(project: Project, paging: str, fails: bool) -> None:
    """Three levels, each with several pages. Requests fail once, or one fails for good."""
    seen: set[str] = set()
    base: list[str] = []

    def reply(asked: Asked) -> Any:
        offset = int(asked.params.get("after") or 0)
        place = f"{asked.path}?{offset}"
        if place not in seen and offset:
            seen.add(place)
            return Reply({}, status=503, headers={"Retry-After": "0"})
        if fails and asked.path == "/shops/3/items/31/parts":
            return Reply({}, status=400)
        parts = asked.path.split("/")
        whole = [
            {"id": (int(parts[-2]) * 10 if len(parts) > 2 else 0) + one, "name": "a"} for one in range(1, 6)
        ]
        more = str(offset + 2) if offset + 2 < len(whole) else None
        link = f"{base[0]}{asked.path}?after={more}" if more else None
        body = {"data": whole[offset : offset + 2], "next": more, "links": {"next": link}}
        headers = {"X-Next": more, "Link": f'<{link}>; rel="next"'} if more else {}
        return Reply(body, headers=headers if "header" in paging else {})

    with answering(reply) as url:
        base.append(url)
        found = AnyApi(paging, url=url)
        doc, things = document(found)
        doc["attributes"]["assets"] = {}
        del things["endpoint"]["incremental"], things["columns"]["at"]
        paginator = things["endpoint"]["paginator"]
        parents = [
            {"name": "shops", "endpoint": {"path": "shops", "data_selector": "data", "paginator": paginator}},
            {
                "name": "items",
                "include_from_parent": ["id"],
                "endpoint": {
                    "path": "shops/{resources.shops.id}/items",
                    "data_selector": "data",
                    "paginator": paginator,
                },
            },
        ]
        things["endpoint"]["path"] = "shops/{resources.items._shops_id}/items/{resources.items.id}/parts"
        doc["attributes"]["rest_api"]["resources"] += parents
        text = str(yaml.safe_dump(doc))
        if fails:
            with pytest.raises(SyncError):
                project.load(text, "things")
            assert not project.database.exists() or not project.query(
                "SELECT 1 FROM information_schema.tables WHERE table_name = 'things'"
            )
        else:
            project.load(text, "things")
            assert Counter(one["id"] for one in project.query("SELECT id FROM api.things")) == Counter(
                (shop * 10 + item) * 10 + part
                for shop in range(1, 6)
                for item in range(1, 6)
                for part in range(1, 6)
            )
    assert not [one.name for one in threading.enumerate() if "-read" in one.name]

"""Reads side by side have the rows, counts and errors of one read, whatever the API does."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import yaml

from analytics_assets import RestApiSync
from analytics_assets.ingestion.batches import run_batches
from analytics_assets.ingestion.errors import ContractExceededError, SyncHalted
from analytics_assets.ingestion.plan import batch_targets as batches
from analytics_assets.ingestion.plan.load_plan import RunOptions, plan_load
from analytics_assets.ingestion.source import page_sizes
from analytics_assets.ingestion.sync_result import SyncResult
from analytics_assets.orchestration.partitions import partitions_def, windows_of
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project, circuit_of
from analytics_assets_tests.integration.test_reconcile import defs

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = [f"{START + timedelta(days=day):%Y-%m-%d}" for day in range(12)]
SIZE = 4
CURSOR = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}
Row = dict[str, Any]


def rows_of(days: int = 12, hours: int = 24) -> list[Row]:
    moments = [START + timedelta(days=day, hours=hour) for day in range(days) for hour in range(hours)]
    return [{"id": n, "name": "a", "at": f"{one:%Y-%m-%dT%H:%M:%SZ}"} for n, one in enumerate(moments)]


def page(found: list[Row], offset: int) -> Any:
    more = offset + SIZE < len(found)
    return {"data": found[offset : offset + SIZE], "next": str(offset + SIZE) if more else None}


def between(rows: list[Row], asked: Asked) -> list[Row]:
    since, until = asked.params["since"], asked.params["until"]
    return [one for one in rows if since <= str(one["at"]) < until]


def offset_of(asked: Asked) -> int:
    return int(asked.params.get("after") or 0)


def document(url: str, **asset: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The file, and the resource in it."""
    found = yaml.safe_load(defs(url, **asset))
    [things] = found["attributes"]["rest_api"]["resources"]
    things["endpoint"]["paginator"] = dict(CURSOR)
    return found, things


def load(doc: dict[str, Any], first: str = DAYS[0], last: str = DAYS[-1], **options: Any) -> list[SyncResult]:
    config = RestApiSync.rendered(doc["attributes"])
    definition = partitions_def(config.asset("things").partitions)
    windows = {}
    if definition:
        keys = definition.get_partition_keys_in_range(dg.PartitionKeyRange(first, last))
        windows = windows_of(definition, keys)
    plan = plan_load(config, config.resources["things"], windows, RunOptions(**options))
    return [one.result for one in run_batches(plan, circuit_of(plan))]


def ids(project: Project) -> list[int]:
    return [one["id"] for one in project.query("SELECT id FROM api.things ORDER BY id")]


@pytest.fixture(autouse=True)
def _sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "TARGET_SECONDS", 1e9)


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("size", [1, 25_000])
def test_a_step_that_yields_several_rows_loses_none(
    project: Project, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(page_sizes, "JOINED_ROWS", size)
    rows = rows_of()

    def twice(row: Row) -> Any:
        yield row
        yield {**row, "id": row["id"] + 10_000}

    with answering(lambda asked: page(between(rows, asked), offset_of(asked))) as url:
        doc, things = document(url)
        things["processing_steps"] = [{"yield_map": twice}]
        load(doc)
    assert ids(project) == [one["id"] for one in rows] + [one["id"] + 10_000 for one in rows]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("bad", ["null", "missing", "no time"])
def test_a_row_without_a_time_is_quarantined_once_in_a_batch(project: Project, bad: str) -> None:
    rows = rows_of()
    odd: Row = {"id": -1, "name": "odd", "at": None if bad == "null" else "soon"}
    if bad == "missing":
        del odd["at"]
    with answering(lambda asked: page([*between(rows, asked), odd], offset_of(asked))) as url:
        doc, _ = document(url, max_quarantined=100)
        results = load(doc)
    assert ids(project) == [one["id"] for one in rows]
    found = project.query("SELECT count(*) AS n FROM api.things__quarantine")
    assert [one.rows_quarantined for one in results] == [1] * len(results)
    assert found[0]["n"] == 1


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("extra", [False, True])
def test_a_range_with_only_a_row_of_the_next_range(project: Project, extra: bool) -> None:
    """The API includes the end, and the days before that end have no rows."""
    rows = [one for one in rows_of() if one["at"][8:10] in ("01", "02", "03", "05", "07", "09", "11")]
    if extra:
        rows = [{**one, "extra": 1} for one in rows]

    def reply(asked: Asked) -> Any:
        since, until = asked.params["since"], asked.params["until"]
        return page([one for one in rows if since <= one["at"] <= until], offset_of(asked))

    with answering(reply) as url:
        load(document(url)[0])
    assert ids(project) == [one["id"] for one in rows]


@pytest.mark.matrix(keep=0)
def test_a_request_may_name_the_cursor(project: Project) -> None:
    rows = rows_of()
    with answering(lambda asked: page(between(rows, asked), offset_of(asked))) as url:
        doc, things = document(url)
        things["endpoint"]["params"] = {"sort": "{incremental.cursor_path}"}
        load(doc)
    assert ids(project) == [one["id"] for one in rows]


@pytest.mark.matrix(keep=0)
def test_paging_by_offset_is_not_divided(project: Project) -> None:
    rows = rows_of()

    def reply(asked: Asked) -> Any:
        found = between(rows, asked)
        offset, limit = int(asked.params["offset"]), int(asked.params["limit"])
        return {"data": found[offset : offset + limit], "total": len(found)}

    with answering(reply) as url:
        doc, things = document(url)
        things["endpoint"]["paginator"] = {"type": "offset", "limit": 4}
        results = load(doc)
    assert ids(project) == [one["id"] for one in rows]
    assert [one.requests.rows_fetched for one in results] == [
        one.requests.rows_reported_by_api for one in results
    ]


class Halting:
    """An API with a row every six minutes, which refuses a page.

    Attributes:
        halted: whether the API has refused a page.
        later: the number of requests that came after that.
    """

    def __init__(self) -> None:
        self.halted = threading.Event()
        self.later = 0
        self._lock = threading.Lock()
        moments = [START + timedelta(minutes=6 * number) for number in range(12 * 240)]
        self._rows = [
            {"id": n, "name": "a", "at": f"{one:%Y-%m-%dT%H:%M:%SZ}"} for n, one in enumerate(moments)
        ]

    def reply(self, asked: Asked) -> Any:
        with self._lock:
            self.later += self.halted.is_set()
        if asked.params["since"][:10] == DAYS[5] and offset_of(asked) >= 20:
            self.halted.set()
            return Reply({}, status=400)
        return page(between(self._rows, asked), offset_of(asked))


@pytest.mark.usefixtures("project")
def test_no_request_follows_a_halt() -> None:
    """After the response of the request that ends the sync, reads end with the page they wait for."""
    api = Halting()
    with answering(api.reply) as url:
        doc, _ = document(url)
        with pytest.raises(SyncHalted):
            load(doc)
    assert api.later <= 16, "those in flight, and one more of each until the client has read the answer"


@pytest.mark.matrix(keep=0)
@pytest.mark.usefixtures("project")
def test_no_request_follows_a_halt_while_a_step_is_slow() -> None:
    api = Halting()

    def slow(row: Row) -> Row:
        if row["at"][:10] > DAYS[1] and api.halted.wait(5):
            time.sleep(0.02)
        return row

    with answering(api.reply) as url:
        doc, things = document(url)
        things["processing_steps"] = [{"map": slow}]
        with pytest.raises(SyncHalted):
            load(doc)
    assert api.later <= 16


@pytest.mark.usefixtures("project")
def test_few_requests_follow_too_many_bad_rows() -> None:
    rows = [
        {
            "id": n,
            "name": "a" if n < 240 else {"no": "text"},
            "at": f"{START + timedelta(minutes=6 * n):%Y-%m-%dT%H:%M:%SZ}",
        }
        for n in range(12 * 240)
    ]
    count, ended = [0], threading.Event()

    def reply(asked: Asked) -> Any:
        if asked.params["since"] >= DAYS[1]:
            count[0] += 1
            if offset_of(asked) > 2 * SIZE:
                ended.wait(10)  # the sync ends before there is an answer
        return page(between(rows, asked), offset_of(asked))

    with answering(reply) as url:
        doc, _ = document(url, max_quarantined=0)
        with pytest.raises(ContractExceededError):
            load(doc)
        ended.set()
    assert count[0] < 60


@pytest.mark.usefixtures("project")
def test_bad_rows_before_a_failure_end_the_sync_first() -> None:
    """Bad rows on page 3 and a failure on page 6: the bad rows end the sync first."""
    rows = rows_of(1)
    for one in rows[8:]:
        one["name"] = {"no": "text"}

    def reply(asked: Asked) -> Any:
        if offset_of(asked) >= 20:
            return Reply({}, status=400)
        return page(between(rows, asked), offset_of(asked))

    with answering(reply) as url:
        doc, _ = document(url, max_quarantined=0)
        with pytest.raises(ContractExceededError):
            load(doc, last=DAYS[0])

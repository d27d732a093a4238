"""An API that sorts its rows by the cursor is loaded batch by batch, and a later run continues from the last batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from analytics_assets.ingestion.plan import batch_targets
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project, check_of, failure_of
from analytics_assets_tests.integration.test_reconcile import defs

START = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = 4
CURSOR = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}


def row(number: int, hour: int) -> dict[str, Any]:
    return {"id": number, "name": "a", "at": f"{START + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}"}


@dataclass
class Sorted:
    """An API that returns its rows from a time on, in order of time.

    Attributes:
        rows: the rows, in the order of the API.
        fails_from: the number of the first row whose page the API refuses; None for no such row.
        total: whether the API reports a total.
        excludes_start: whether the API leaves out the rows at exactly the start.
        ignores_start: whether the API always returns all rows.
        asked: the start and the offset of each request.
    """

    rows: list[dict[str, Any]] = field(default_factory=lambda: [row(hour, hour) for hour in range(40)])
    fails_from: int | None = None
    total: bool = False
    excludes_start: bool = False
    ignores_start: bool = False
    asked: list[tuple[str, int]] = field(default_factory=list)

    def reply(self, asked: Asked) -> Any:
        since, offset = asked.params.get("since", ""), int(asked.params.get("after") or 0)
        offset = int(asked.params.get("offset") or offset)
        self.asked.append((since, offset))
        found = [
            one
            for one in self.rows
            if self.ignores_start or one["at"] > since or (one["at"] == since and not self.excludes_start)
        ]
        page = found[offset : offset + SIZE]
        if self.fails_from is not None and any(one["id"] >= self.fails_from for one in page):
            return Reply({"message": "no"}, status=400)
        more = str(offset + SIZE) if offset + SIZE < len(found) else None
        return {"data": page, "next": more, **({"total": len(found)} if self.total else {})}


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Sorted, str]]:
    monkeypatch.setattr(batch_targets, "TARGET_SECONDS", 1e9)
    monkeypatch.setattr(batch_targets, "TARGET_ROWS", 10)
    found = Sorted()
    with answering(found.reply) as url:
        yield found, url


def text_of(
    url: str, *, resource: dict[str, Any] | None = None, paginator: Any = CURSOR, **incremental: Any
) -> str:
    document = yaml.safe_load(defs(url))
    [things] = document["attributes"]["rest_api"]["resources"]
    things |= resource or {}
    endpoint = things["endpoint"]
    endpoint["paginator"] = paginator
    endpoint["incremental"] = {
        "cursor_path": "at",
        "start_param": "since",
        "row_order": "asc",
        **incremental,
    }
    document["attributes"]["assets"] = {}
    return str(yaml.safe_dump(document))


def run(project: Project, text: str, **asked: Any) -> Any:
    return project.run(project.definitions(text), "things", source="api", asked=asked)


def ids(project: Project) -> list[int]:
    return [one["id"] for one in project.query("SELECT id FROM api.things ORDER BY id")]


def loads(project: Project) -> int:
    return int(project.query("SELECT count(DISTINCT _dlt_load_id) AS n FROM api.things")[0]["n"])


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("paginator", [CURSOR, {"type": "offset", "limit": SIZE}], ids=["cursor", "offset"])
def test_rows_in_order_are_loaded_in_batches(
    project: Project,
    ordered: tuple[Sorted, str],
    monkeypatch: pytest.MonkeyPatch,
    paginator: dict[str, Any],
) -> None:
    monkeypatch.setattr("analytics_assets.ingestion.http.page_group._GROUP_ROWS", SIZE)
    source, url = ordered
    source.total = paginator != CURSOR
    text = text_of(url, paginator=paginator)
    result = run(project, text)
    assert result.success
    assert ids(project) == list(range(40))
    assert loads(project) > 3
    [event] = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert metadata["dagster/row_count"].value == 40
    assert metadata["rows_fetched"].value >= 40
    assert check_of(result, "complete").passed
    before = len(source.asked)
    assert run(project, text).success
    assert ids(project) == list(range(40))
    assert len(source.asked) == before + 1, "the second run asks only for the last row"


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    "params", [{}, {"since": "{incremental.initial_value}"}, {"until": "{incremental.end_value}"}]
)
def test_a_request_that_does_not_follow_the_cursor_brings_all_rows_in_one_load(
    project: Project, ordered: tuple[Sorted, str], params: dict[str, str]
) -> None:
    source, url = ordered
    source.ignores_start = True
    document = yaml.safe_load(text_of(url, end_param="until", initial_value="2026-01-01T00:00:00Z"))
    [things] = document["attributes"]["rest_api"]["resources"]
    del things["endpoint"]["incremental"]["start_param"]
    things["endpoint"]["params"] = params
    assert run(project, yaml.safe_dump(document)).success
    assert (ids(project), loads(project)) == (list(range(40)), 1)
    assert len(source.asked) == 10, "each page once"


def test_a_failed_run_keeps_its_batches_and_the_next_one_goes_on(
    project: Project, ordered: tuple[Sorted, str]
) -> None:
    source, url = ordered
    source.fails_from = 30
    text = text_of(url)
    result = run(project, text)
    description = str(failure_of(result).description)
    assert "Kept " in description
    assert description.endswith("which are loaded. The next run goes on from there.")
    assert not result.get_asset_materialization_events()
    kept = ids(project)
    assert kept == list(range(len(kept)))
    assert 12 <= len(kept) < 30
    source.fails_from = None
    source.asked.clear()
    assert run(project, text).success
    assert source.asked[0] == (row(0, kept[-2])["at"], 0), "one before the last, whose group may be larger"
    assert ids(project) == list(range(40))


def test_many_rows_with_one_cursor_value_are_one_batch(project: Project, ordered: tuple[Sorted, str]) -> None:
    """A batch that ended within them would begin again at the same row for good."""
    source, url = ordered
    source.rows = [row(number, 0 if number < 30 else number) for number in range(40)]
    assert run(project, text_of(url)).success
    assert ids(project) == list(range(40))
    source.rows += [row(number, 39) for number in range(40, 75)]
    assert run(project, text_of(url)).success
    assert ids(project) == list(range(75))
    assert len(source.asked) < 60


def test_an_api_that_ignores_the_start_is_read_to_its_end(
    project: Project, ordered: tuple[Sorted, str]
) -> None:
    """Each batch would read all rows of the batches before again."""
    source, url = ordered
    source.ignores_start = True
    source.rows = [row(number, number) for number in range(100)]
    assert run(project, text_of(url)).success
    assert ids(project) == list(range(100))
    assert loads(project) == 2
    assert len(source.asked) <= 3 + 25


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("excludes_start", [True, False])
@pytest.mark.parametrize("group", [3, 15, 1, 2, 4, 7])
def test_a_batch_that_ends_within_equal_cursor_values_loses_no_row(
    project: Project, ordered: tuple[Sorted, str], group: int, excludes_start: bool
) -> None:
    """Also where the API leaves out the rows at exactly the start."""
    source, url = ordered
    source.rows = [row(number, number // group) for number in range(60)]
    source.excludes_start = excludes_start
    assert run(project, text_of(url)).success
    assert ids(project) == list(range(60))
    assert loads(project) > 1


def test_rows_that_are_not_in_order_are_one_batch(project: Project, ordered: tuple[Sorted, str]) -> None:
    source, url = ordered
    source.rows = [row(number, (number * 7) % 40) for number in range(40)]
    assert run(project, text_of(url)).success
    assert ids(project) == list(range(40))
    assert loads(project) == 1


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("resource", "incremental", "asked"),
    [
        ({}, {"row_order": None}, {}),
        ({}, {"row_order": "desc"}, {}),
        ({}, {"start_param": None}, {}),
        ({}, {"end_value": "2027-01-01T00:00:00Z", "initial_value": "2026-01-01T00:00:00Z"}, {}),
        ({}, {}, {"full_refresh": True}),
        ({"write_disposition": "replace"}, {}, {}),
        ({"write_disposition": "append"}, {}, {}),
    ],
    ids=["no order", "backwards", "no start in the request", "an end", "full refresh", "replace", "append"],
)
def test_where_a_sync_cannot_continue_it_is_one_batch(
    project: Project,
    ordered: tuple[Sorted, str],
    resource: dict[str, Any],
    incremental: dict[str, Any],
    asked: dict[str, Any],
) -> None:
    source, url = ordered
    if incremental.get("row_order") == "desc":
        source.rows.reverse()
    text = text_of(url, resource=resource, **incremental)
    document = yaml.safe_load(text)
    found = document["attributes"]["rest_api"]["resources"][0]["endpoint"]["incremental"]
    document["attributes"]["rest_api"]["resources"][0]["endpoint"]["incremental"] = {
        name: one for name, one in found.items() if one is not None
    }
    assert run(project, str(yaml.safe_dump(document)), **asked).success
    assert ids(project) == list(range(40))
    assert loads(project) == 1


def test_a_row_that_is_cut_off_by_a_limit_of_pages_is_in_no_batch(
    project: Project, ordered: tuple[Sorted, str]
) -> None:
    _, url = ordered
    result = run(project, text_of(url), max_pages=5)
    assert not result.success
    assert not project.query("SELECT 1 FROM information_schema.tables WHERE table_name = 'things'")


OFFSET = {"type": "offset", "limit": SIZE}
PAGE_NUMBER = {"type": "page_number", "base_page": 0, "page_param": "page", "total_path": None}
LIMIT = 4 * SIZE


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("paginator", "total", "requests"),
    [
        (OFFSET, "capped", {}),
        (OFFSET, "true", {}),
        (OFFSET, "true", {"max_offset": LIMIT}),
        ({**OFFSET, "total_path": None}, "none", {}),
        ({**OFFSET, "total_path": None}, "none", {"max_offset": LIMIT}),
        (PAGE_NUMBER, "none", {"max_offset": LIMIT}),
        (PAGE_NUMBER, "none", {}),
        (CURSOR, "none", {}),
        (CURSOR, "none", {"max_offset": LIMIT}),
    ],
    ids=str,
)
@pytest.mark.parametrize("excludes_start", [True, False], ids=["exclusive", "inclusive"])
def test_an_api_that_pages_only_so_far_is_read_on_from_there(
    project: Project,
    ordered: tuple[Sorted, str],
    monkeypatch: pytest.MonkeyPatch,
    paginator: dict[str, Any],
    total: str,
    requests: dict[str, Any],
    *,
    excludes_start: bool,
) -> None:
    """The table has each row, where a limit falls between rows with the same cursor value, too."""
    monkeypatch.setattr(batch_targets, "TARGET_ROWS", 1_000_000)
    monkeypatch.setattr("analytics_assets.ingestion.source.build.CAPPED_TOTAL", LIMIT)
    monkeypatch.setattr("analytics_assets.ingestion.http.read_bounds._LEAST_OFFSET", LIMIT)
    source, _ = ordered
    source.rows = [row(number, number // 3) for number in range(100)]
    source.excludes_start, source.total = excludes_start, True

    def reply(asked: Asked) -> Any:
        params = asked.params
        offset = int(params.get("after") or params.get("offset") or int(params.get("page") or 0) * SIZE)
        if offset >= LIMIT:
            return Reply({"message": "result window is too large"}, status=400)
        found = source.reply(replace(asked, params={**params, "offset": str(offset)}))
        of_all = found.pop("total")
        totals = {"capped": {"total": min(of_all, LIMIT)}, "true": {"total": of_all}, "none": {}}
        return {**found, **totals[total]}

    with answering(reply) as url:
        document = yaml.safe_load(text_of(url, paginator=paginator))
        document["attributes"]["requests"] = {"page_overlap": False, **requests}
        result = run(project, str(yaml.safe_dump(document)))
    assert result.success, failure_of(result).description
    assert ids(project) == list(range(100))
    assert loads(project) > 5


def test_more_rows_with_one_cursor_value_than_the_api_pages_through(
    project: Project, ordered: tuple[Sorted, str]
) -> None:
    source, url = ordered
    source.rows = [row(number, 1 if number > 4 else 0) for number in range(60)]
    document = yaml.safe_load(text_of(url))
    document["attributes"]["requests"] = {"max_offset": LIMIT}
    failure = failure_of(run(project, str(yaml.safe_dump(document))))
    assert failure.metadata["code"].value == "range_too_large"
    assert len(source.asked) < 20


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("excludes_start", [True, False])
@pytest.mark.parametrize("kind", ["seconds", "milliseconds", "day", "offset"])
def test_each_kind_of_time(
    project: Project, ordered: tuple[Sorted, str], kind: str, excludes_start: bool, group: int
) -> None:
    source, url = ordered
    source.excludes_start = excludes_start
    source.rows = [row(number, number // group * (24 if kind == "day" else 1)) for number in range(40)]
    moments = [datetime.fromisoformat(one["at"]) for one in source.rows]
    text = text_of(url)
    document = yaml.safe_load(text)
    [things] = document["attributes"]["rest_api"]["resources"]
    times: list[Any] = [one["at"] for one in source.rows]
    if kind.endswith("seconds"):
        unit = 1 if kind == "seconds" else 1000
        times = [int(one.timestamp()) * unit for one in moments]
        things["columns"]["at"]["data_type"] = "bigint"
        document["attributes"]["assets"] = {"things": {"filter": {"cursor_unit": kind}}}
    elif kind == "day":
        times = [f"{one:%Y-%m-%d}" for one in moments]
        things["columns"]["at"]["data_type"] = "date"
    elif kind == "offset":
        times = [one.astimezone(ZoneInfo("Asia/Kolkata")).isoformat() for one in moments]
    for one, moment in zip(source.rows, times, strict=True):
        one["at"] = moment

    def reply(asked: Asked) -> Any:
        since = asked.params.get("since") or "0001-01-01T00:00:00Z"
        offset = int(asked.params.get("after") or 0)
        source.asked.append((since, offset))
        number = int(since) if since.isdigit() else 0
        values = times if kind.endswith("seconds") else [f"{one:%Y-%m-%dT%H:%M:%S}" for one in moments]
        start = number if kind.endswith("seconds") else f"{datetime.fromisoformat(since):%Y-%m-%dT%H:%M:%S}"
        found = [
            one
            for one, value in zip(source.rows, values, strict=True)
            if value > start or (value == start and not excludes_start)
        ]
        more = str(offset + SIZE) if offset + SIZE < len(found) else None
        return {"data": found[offset : offset + SIZE], "next": more}

    with answering(reply) as other:
        document["attributes"]["rest_api"]["client"]["base_url"] = other
        assert run(project, str(yaml.safe_dump(document))).success
    assert ids(project) == list(range(40))
    assert loads(project) > 1

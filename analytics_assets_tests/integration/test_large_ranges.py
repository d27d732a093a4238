"""An API that pages only through so many rows: a partition with more is read in smaller ranges of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from analytics_assets.ingestion.plan import batch_targets
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.time_window import Cursor, Window, halves
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project, failure_of
from analytics_assets_tests.integration.test_batches import materialized
from analytics_assets_tests.integration.test_reconcile import defs

START = datetime(2026, 1, 5, tzinfo=UTC)
LIMIT = 500


@dataclass
class Limited:
    """An API that pages through `most` rows of a range. It has a row every minute of three days.

    Attributes:
        most: the most rows of a range.
        total: what the API says of a total: the true number, at most `most`, or nothing.
        status: the status of a page beyond the limit.
        pages: the ranges and offsets of the requests, in order.
    """

    most: int = 1000
    total: str = "true"
    status: int = 400
    pages: list[tuple[str, str, int]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"id": minute, "name": "a", "at": f"{START + timedelta(minutes=minute):%Y-%m-%dT%H:%M:%SZ}"}
            for minute in range(3 * 24 * 60)
        ]
    )

    def reply(self, asked: Asked) -> Any:
        since, until = asked.params["since"], asked.params["until"]
        offset = int(asked.params.get("after") or asked.params.get("offset") or "0")
        self.pages.append((since, until, offset))
        if offset + LIMIT > self.most:
            return Reply({"message": "result window is too large"}, status=self.status)
        found = [one for one in self.rows if since <= one["at"] < until]
        more = offset + LIMIT < len(found)
        return {
            "data": found[offset : offset + LIMIT],
            "next": str(offset + LIMIT) if more else None,
            **{
                "true": {"total": len(found)},
                "capped": {"total": min(len(found), self.most)},
                "none": {},
            }[self.total],
        }


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Limited, str]]:
    monkeypatch.setattr(batch_targets, "TARGET_SECONDS", 1e9)
    api = Limited()
    with answering(api.reply) as url:
        yield api, url


def paged(url: str, paginator: dict[str, Any], **requests: Any) -> str:
    document = yaml.safe_load(defs(url))
    [resource] = document["attributes"]["rest_api"]["resources"]
    resource["endpoint"]["paginator"] = paginator
    document["attributes"]["requests"] = {"page_overlap": False, **requests}
    return str(yaml.safe_dump(document))


OFFSET = {"type": "offset", "limit": LIMIT}
CURSOR = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}


def ids(project: Project) -> list[int]:
    return [one["id"] for one in project.query("SELECT id FROM api.things ORDER BY id")]


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("paginator", "total", "requests"),
    [
        (OFFSET, "true", {"max_offset": 1000}),
        (OFFSET, "true", {}),
        ({**OFFSET, "total_path": None}, "none", {}),
        (OFFSET, "capped", {}),
        (CURSOR, "none", {}),
        (CURSOR, "none", {"max_offset": 1000}),
    ],
    ids=["max_offset", "refused", "no total", "total that sticks", "cursor", "cursor with max_offset"],
)
def test_a_range_that_is_too_large_is_halved_until_it_fits(
    project: Project,
    limited: tuple[Limited, str],
    monkeypatch: pytest.MonkeyPatch,
    paginator: dict[str, Any],
    total: str,
    requests: dict[str, Any],
) -> None:
    """Each row comes once, also at the seams. The partitions have their own counts."""
    api, url = limited
    api.total = total
    monkeypatch.setattr("analytics_assets.ingestion.source.build.CAPPED_TOTAL", api.most)
    definitions = project.definitions(paged(url, paginator, **requests))
    result = project.run(definitions, "things", "2026-01-05", "2026-01-07", source="api")
    assert result.success
    assert ids(project) == [one["id"] for one in api.rows]
    pages = {
        one.partition: one.step_materialization_data.materialization.metadata
        for one in result.get_asset_materialization_events()
    }
    assert {day: page["dagster/partition_row_count"].value for day, page in pages.items()} == {
        f"2026-01-0{day}": 1440 for day in (5, 6, 7)
    }
    assert materialized(project.instance) == ["2026-01-05", "2026-01-06", "2026-01-07"], "each once"
    assert all(one.passed for one in result.get_asset_check_evaluations())


def test_a_known_limit_costs_one_request_for_each_range_that_is_too_large(
    project: Project, limited: tuple[Limited, str]
) -> None:
    api, url = limited
    assert project.run(
        project.definitions(paged(url, OFFSET, max_offset=1000)), "things", "2026-01-05", source="api"
    ).success
    assert [(since, until) for since, until, offset in api.pages if not offset] == [
        ("2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z"),
        ("2026-01-05T00:00:00Z", "2026-01-05T12:00:00Z"),
        ("2026-01-05T12:00:00Z", "2026-01-06T00:00:00Z"),
    ]
    assert len(api.pages) == 5


def test_a_limit_that_was_seen_is_known_for_the_rest_of_the_run(
    project: Project, limited: tuple[Limited, str]
) -> None:
    api, url = limited
    definitions = project.definitions(paged(url, OFFSET))
    assert project.run(definitions, "things", "2026-01-05", "2026-01-07", source="api").success
    refused = [one for one in api.pages if one[2] + LIMIT > api.most]
    assert len(refused) == 1, "later ranges are seen to be too large by their total"


def test_a_range_that_cannot_be_made_smaller_fails_and_says_what_to_do(
    project: Project, limited: tuple[Limited, str]
) -> None:
    api, url = limited
    for one in api.rows:
        one["at"] = "2026-01-05T12:00:00Z"
    definitions = project.definitions(paged(url, OFFSET, max_offset=1000))
    failure = failure_of(project.run(definitions, "things", "2026-01-05", source="api"))
    assert failure.metadata["code"].value == "range_too_large"
    assert str(failure.description) == (
        "things: GET /things has more rows than the API pages through: it has 4,320 rows or more, and ends at 1,000. "
        "Read smaller parts, with partitions or shorter ones, or set `row_order: asc` if the API sorts by the cursor. "
        "If the API pages further, correct requests.max_offset."
    )
    assert len(api.pages) < 40
    assert materialized(project.instance) == []


def test_a_half_that_fails_leaves_the_partition_missing(
    project: Project, limited: tuple[Limited, str]
) -> None:
    api, url = limited
    definitions = project.definitions(paged(url, OFFSET, max_offset=1000))

    def second_half_fails(asked: Asked) -> Any:
        return Reply({}, status=404) if asked.params["since"].endswith("T12:00:00Z") else api.reply(asked)

    with answering(second_half_fails) as failing:
        fails = project.definitions(paged(failing, OFFSET, max_offset=1000))
        failed = project.run(fails, "things", "2026-01-05", source="api")
    assert failure_of(failed).metadata["status"].value == 404
    assert materialized(project.instance) == []
    assert project.run(definitions, "things", "2026-01-05", source="api").success
    assert ids(project) == list(range(1440))


@pytest.mark.parametrize(
    ("cursor", "hours", "expected"),
    [
        (Cursor("at", "at", "timestamp"), 24, 12.0),
        (Cursor("at", "at", "timestamp"), 1 / 3600, None),
        (Cursor("at", "at", "date"), 24, None),
        (Cursor("at", "at", "date"), 72, 24.0),
        (Cursor("at", "at", "date", timezone="America/New_York"), 24, None),
        (Cursor("at", "at", "bigint", unit="seconds"), 2, 1.0),
        (Cursor("at", "at", "bigint", unit="milliseconds"), 1 / 3600, None),
    ],
)
def test_a_window_is_split_at_a_value_of_its_cursor(
    cursor: Cursor, hours: float, expected: float | None
) -> None:
    start = START.astimezone(UTC) if cursor.timezone == "UTC" else START + timedelta(hours=5)
    window = Window(start, start + timedelta(hours=hours))
    found = halves(window, cursor)
    if expected is None:
        assert found is None
        return
    assert found is not None
    first, second = found
    assert (first.start, first.end, second.end) == (window.start, second.start, window.end)
    assert first.length == timedelta(hours=expected)


def test_the_parts_of_a_partition_take_the_lock_of_the_partition(
    project: Project, limited: tuple[Limited, str]
) -> None:
    _, url = limited
    plan: LoadPlan = project.plan(paged(url, OFFSET), "things", "2026-01-05")
    halved = plan.halves()
    assert halved is not None
    for half in halved:
        assert list(half.locked_windows) == list(plan.windows.values())
        quarter = half.halves()
        assert quarter is not None
        assert list(quarter[1].locked_windows) == list(plan.windows.values())

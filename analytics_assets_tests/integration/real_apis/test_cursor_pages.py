"""Pages of an ordered or a mixed read: rows without a cursor value, and pages that take different ways to the table.

Both ways, Arrow tables and rows, load the same. dlt itself loses rows in each test here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.real_api import defs

WAYS = pytest.mark.parametrize("extra", [{}, {"note": "undeclared"}], ids=["arrow", "rows"])
DAYS: dict[str, list[list[int | None]]] = {
    "null on the first page": [[None, None], [4, 4], [5, None], [6, 9]],
    "null in the middle": [[3, None], [None, None], [4, 5], [None, None], [6, 9]],
    "null throughout": [[None, None], [None, None]],
    "null on the last page": [[3, 4], [5, 6], [None, None]],
}
"""The pages of an API in ascending order: the day of each row in January, or None for a row without a cursor value."""


def rows_of(pages: list[list[int | None]], extra: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The rows of the pages. The ids are counted up, and a row without a cursor value has null or no field."""
    found: list[list[dict[str, Any]]] = []
    number = 0
    for page in pages:
        found.append([])
        for day in page:
            number += 1
            at = {"at": f"2026-01-{day:02}T00:00:00Z"} if day else {"at": None} if number % 2 else {}
            found[-1].append({"id": number, **at, **extra})
    return found


def in_pages(pages: list[list[dict[str, Any]]], asked: list[int] | None = None) -> Any:
    def reply(request: Asked) -> Any:
        number = int(request.params.get("cursor") or 0)
        if asked is not None:
            asked.append(number)
        return {"data": pages[number], "next": str(number + 1) if number + 1 < len(pages) else None}

    return reply


def things(
    url: str, incremental: Any, disposition: str = "merge", asset: Any = None, key: str | None = "id"
) -> str:
    return defs(
        url,
        paginator={"type": "cursor", "cursor_path": "next"},
        resource={
            "write_disposition": disposition,
            "primary_key": key,
            "columns": {"id": {"data_type": "bigint"}, "at": {"data_type": "timestamp"}},
        },
        asset={"max_quarantined": "100%", **(asset or {})},
        incremental={"cursor_path": "at", **incremental},
    )


RANGES: dict[str, tuple[Any, Any, tuple[str, ...], range]] = {
    "partitions": (
        {},
        {"partitions": {"type": "daily", "start_date": "2026-01-01"}},
        ("2026-01-04", "2026-01-06"),
        range(4, 7),
    ),
    "end_value": ({"initial_value": "2026-01-04", "end_value": "2026-01-07"}, {}, (), range(4, 7)),
    "open": ({"initial_value": "2026-01-04"}, {}, (), range(4, 99)),
    "first sync": ({}, {}, (), range(99)),
}


@pytest.mark.matrix(keep=2)
@WAYS
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("pages", DAYS.values(), ids=DAYS)
@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("partitions", "exclude"),
        ("end_value", "include"),
        ("end_value", "raise"),
        ("open", "include"),
        ("first sync", "exclude"),
    ],
)
def test_rows_without_a_cursor_value_end_no_read(
    project: Project, kind: str, missing: str, pages: Any, order: str, extra: dict[str, Any]
) -> None:
    incremental, asset, partitions, days = RANGES[kind]
    written = rows_of(pages if order == "asc" else [page[::-1] for page in pages[::-1]], extra)
    expected = {
        row["id"]
        for page in written
        for row in page
        if (int(row["at"][8:10]) in days if row.get("at") else missing == "include")
    }
    with answering(in_pages(written)) as url:
        text = things(
            url, {**incremental, "row_order": order, "on_cursor_value_missing": missing}, asset=asset
        )
        result = project.load(text, "things", *partitions)
    assert result.rows_quarantined == (
        sum(not row.get("at") for page in written for row in page) if missing == "raise" else 0
    )
    assert result.rows_loaded == len(expected)
    if expected:
        assert {row["id"] for row in project.query("SELECT id FROM api.things")} == expected


@pytest.mark.matrix(keep=1)
@WAYS
@pytest.mark.parametrize(
    ("order", "pages"), [("asc", [[3, 4], [5, 9], [10, 11]]), ("desc", [[6, 5], [4, 2], [2, 1]])]
)
def test_an_ordered_read_still_ends_beyond_its_range(
    project: Project, order: str, pages: Any, extra: dict[str, Any]
) -> None:
    asked: list[int] = []
    incremental = {"initial_value": "2026-01-04", "end_value": "2026-01-07", "row_order": order}
    with answering(in_pages(rows_of(pages, extra), asked)) as url:
        assert project.load(things(url, incremental), "things").rows_loaded == {"asc": 2, "desc": 3}[order]
    assert asked == [0, 1]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("key", ["id", None], ids=["key", "no key"])
@pytest.mark.parametrize("undeclared", [(1, 2), (0,), (0, 2), (1,), ()], ids=str)
@pytest.mark.parametrize("days", [[[5], [3], [4]], [[3, 5], [5], [5, 2]], [[2], [5], [1]]], ids=str)
def test_pages_of_both_kinds_share_one_cursor(
    project: Project, days: Any, undeclared: tuple[int, ...], key: str | None
) -> None:
    """Whichever page comes last, the next sync starts at the newest row, and appends no row again."""
    pages = rows_of(days, {})
    for number in undeclared:
        pages[number] = [{**row, "note": "undeclared"} for row in pages[number]]
    with answering(in_pages(pages)) as url:
        text = things(url, {"initial_value": "2026-01-02"}, "append", key=key)
        first = project.load(text, "things")
        assert first.cursor_to == datetime(2026, 1, 5, tzinfo=UTC)
        pages[-1].append({"id": 99, "at": "2026-01-05T00:00:00Z", "note": "late"})
        second = project.load(text, "things")
    assert second.cursor_from == first.cursor_to
    assert second.rows_loaded == 1
    assert project.query("SELECT id FROM api.things GROUP BY id HAVING count(*) > 1") == []


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("undeclared", [(), (0,), (1,), (0, 1)], ids=str)
def test_a_row_in_the_future_does_not_move_the_cursor_after_an_old_page(
    project: Project, undeclared: tuple[int, ...]
) -> None:
    pages: list[list[dict[str, Any]]] = [
        [{"id": 1, "at": "2026-01-05T00:00:00Z"}, {"id": 2, "at": "2099-01-01T00:00:00Z"}],
        [{"id": 3, "at": "2025-01-01T00:00:00Z"}],
    ]
    for number in undeclared:
        pages[number] = [{**row, "note": "undeclared"} for row in pages[number]]
    asked: list[str | None] = []

    def reply(request: Asked) -> Any:
        asked.append(request.params.get("since"))
        return in_pages(pages)(request)

    with answering(reply) as url:
        text = things(url, {"initial_value": "2026-01-02", "start_param": "since"})
        project.load(text, "things")
        project.load(text, "things")
    assert asked[-1] == "2026-01-05T00:00:00Z"


@pytest.mark.matrix(keep=1)
@WAYS
@pytest.mark.parametrize("disposition", ["append", "merge"])
@pytest.mark.parametrize(
    "initial", [{"initial_value": "2026-01-01"}, {}], ids=["initial value", "first sync"]
)
def test_the_children_of_each_parent_have_the_same_start(
    project: Project, initial: Any, disposition: str, extra: dict[str, Any]
) -> None:
    """The parents come on several pages, each with older children than the one before."""
    asked: list[str | None] = []
    older = {1: 7, 2: 6, 3: 5}

    def reply(request: Asked) -> Any:
        if request.path == "/shops":
            return in_pages([[{"id": 1}], [{"id": 2}], [{"id": 3}]])(request)
        asked.append(request.params.get("since"))
        shop = int(request.path.split("/")[2])
        return {"data": [{"id": shop, "at": f"2026-01-0{older[shop]}T00:00:00Z", **extra}]}

    shops = {"path": "shops", "data_selector": "data", "paginator": {"type": "cursor", "cursor_path": "next"}}
    with answering(reply) as url:
        text = defs(
            url,
            path="shops/{resources.shops.id}/things",
            paginator="single_page",
            parents=({"name": "shops", "endpoint": shops},),
            resource={
                "write_disposition": disposition,
                "columns": {"id": {"data_type": "bigint"}, "at": {"data_type": "timestamp"}},
            },
            incremental={"cursor_path": "at", "start_param": "since", **initial},
        )
        first = project.load(text, "things")
        older |= {1: 8, 3: 9}
        second = project.load(text, "things")
    start = "2026-01-01T00:00:00Z" if initial else None
    assert asked == [start] * 3 + ["2026-01-07T00:00:00Z"] * 3
    assert (first.rows_loaded, second.rows_loaded) == (3, 2)

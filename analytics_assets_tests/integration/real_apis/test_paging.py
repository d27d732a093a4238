"""Paging as real APIs do it: the names of parameters, totals, and ends."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from analytics_assets.ingestion.errors import RowsMovedError, SamePageError, SyncError, SyncHalted
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project, check_of
from analytics_assets_tests.real_api import defs

ROWS = [{"id": number} for number in range(25)]


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize(
    ("offset", "limit"),
    [
        ("page[offset]", "page[limit]"),
        ("$skip", "$top"),
        ("page:start", "page:size"),
        ("from here", "at most"),
        ("début", "größe"),
        ("a&b=c#d", "100%"),
    ],
)
def test_offsets_in_a_parameter_of_any_name(project: Project, offset: str, limit: str) -> None:
    def reply(asked: Asked) -> Any:
        start = int(asked.params[offset])
        return {"data": ROWS[start : start + int(asked.params[limit])], "total": len(ROWS)}

    paginator = {"type": "offset", "limit": 10, "offset_param": offset, "limit_param": limit}
    with answering(reply) as url:
        project.load(defs(url, paginator=paginator), "things")
    assert project.query("SELECT id FROM api.things ORDER BY id") == ROWS


@pytest.mark.parametrize("name", ["page[number]", "page:number", "Seite №"])
def test_page_numbers_in_a_parameter_of_any_name(project: Project, name: str) -> None:
    def reply(asked: Asked) -> Any:
        page = int(asked.params[name])
        return {"data": ROWS[10 * page : 10 * page + 10], "pages": 3}

    paginator = {"type": "page_number", "page_param": name, "base_page": 0, "total_path": "pages"}
    with answering(reply) as url:
        project.load(defs(url, paginator=paginator), "things")
    assert project.query("SELECT id FROM api.things ORDER BY id") == ROWS


def test_a_total_that_is_a_lower_bound_is_no_failure(project: Project) -> None:
    """Elasticsearch reports 10,000 hits at most, and has more."""

    def reply(asked: Asked) -> Any:
        start = int(asked.params["offset"])
        return {"data": ROWS[start : start + 5], "total": 10}

    with answering(reply) as url:
        definitions = project.definitions(defs(url, paginator={"type": "offset", "limit": 5}))
        result = project.run(definitions, "things", source="api")
    assert result.success
    assert project.query("SELECT id FROM api.things ORDER BY id") == ROWS
    complete = check_of(result, "complete")
    assert complete.passed
    assert complete.description == (
        "25 rows fetched (25 loaded, 0 in quarantine), more than the 10 that the API reports."
    )


@pytest.mark.parametrize(
    "after_the_end",
    [
        {"data": []},
        {"data": ROWS[20:30]},
        Reply({"message": "no such page"}, 400),
        Reply({"message": "no such page"}, 404),
        Reply(b"", 416),
        Reply(b"", 204),
    ],
    ids=["empty", "the last page again", "400", "404", "416", "204"],
)
@pytest.mark.parametrize("pages", [3, 2, 1], ids=["exact", "too small by one", "too small by two"])
@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.matrix(keep=2)
def test_a_full_page_is_not_the_last_because_of_a_total(
    project: Project, after_the_end: Any, pages: int, base: int
) -> None:
    """Some totals are the index of the last page, or the number of pages of yesterday."""
    rows = [{"id": number} for number in range(30)]

    def reply(asked: Asked) -> Any:
        page = int(asked.params["page"]) - base
        if page < 3:
            return {"data": rows[10 * page : 10 * page + 10], "pages": pages}
        if isinstance(after_the_end, Reply):
            return after_the_end
        return {"data": rows[20:30] if after_the_end["data"] else [], "pages": pages}

    paginator = {"type": "page_number", "base_page": base, "total_path": "pages"}
    with answering(reply) as url:
        assert project.load(defs(url, paginator=paginator), "things").rows_loaded == 30


def numbered(number: int, beyond: Reply, /, **fields: int) -> Callable[[Asked], Any]:
    """An API with `number` pages of at most ten rows, each with `fields`; it answers `beyond` to requests for more."""

    def reply(asked: Asked) -> Any:
        page = int(asked.params["page"])
        return {"data": ROWS[10 * page : 10 * page + 10], **fields} if page < number else beyond

    return reply


def test_an_extra_page_that_brings_down_the_api_is_no_end(project: Project) -> None:
    with answering(numbered(2, Reply({}, 500), pages=2)) as url, pytest.raises(SyncHalted) as caught:
        project.load(defs(url, paginator={"type": "page_number", "total_path": "pages"}), "things")
    assert (caught.value.status, caught.value.outage) == (500, True)


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("status", [403, 404, 429, 500])
@pytest.mark.parametrize("kind", ["offset", "page_number"])
def test_a_page_requested_ahead_counts_once_the_reading_reaches_it(
    project: Project, kind: str, status: int
) -> None:
    """The API refuses every page after the last one, which its has-more flag names."""
    rows = [{"id": number} for number in range(200)]

    def reply(asked: Asked) -> Any:
        if kind == "offset":
            start, size = int(asked.params["offset"]), int(asked.params["limit"])
        else:
            start, size = 10 * int(asked.params["page"]), 10
        if start >= 200:
            return Reply({"message": "too far"}, status)
        return {"data": rows[start : start + size], "more": start + size < 200}

    paginator: dict[str, Any] = {"type": kind, "total_path": None, "has_more_path": "more"}
    with answering(reply) as url:
        result = project.load(
            defs(url, paginator={**paginator, **({"limit": 10} if kind == "offset" else {})}), "things"
        )
    assert (result.rows_loaded, result.requests.retries) == (200, 0)


def test_a_404_after_the_last_page_is_the_end(project: Project) -> None:
    with answering(numbered(3, Reply({}, 404))) as url:
        paginator = {"type": "page_number", "total_path": None}
        assert project.load(defs(url, paginator=paginator), "things").rows_loaded == 25


def test_a_404_for_a_promised_page_is_no_missing_endpoint(project: Project) -> None:
    with answering(numbered(2, Reply({}, 404), pages=5)) as url, pytest.raises(SyncHalted) as caught:
        project.load(defs(url, paginator={"type": "page_number", "total_path": "pages"}), "things")
    assert caught.value.reason == "404 Not Found for a page that the total promises, after 20 rows"


@pytest.mark.parametrize("status", [400, 422])
def test_a_cap_of_the_offset_is_named(project: Project, status: int) -> None:
    """Elasticsearch and HubSpot refuse offsets after 10,000."""
    rows = [{"id": number} for number in range(200)]

    def reply(asked: Asked) -> Any:
        start, size = int(asked.params["offset"]), int(asked.params["limit"])
        if start + size > 100:
            return Reply({"message": "Result window is too large"}, status)
        return {"data": rows[start : start + size], "total": len(rows)}

    with answering(reply) as url, pytest.raises(SyncHalted) as caught:
        project.load(defs(url, paginator={"type": "offset", "limit": 20}), "things")
    reason = caught.value.reason
    assert "the API says: Result window is too large; the API refuses `offset` " in reason
    assert "read smaller parts with partitions" in reason


@pytest.mark.parametrize("limit", [10, 1000])
def test_an_overlap_that_the_api_refuses_is_named(project: Project, limit: int) -> None:
    rows = [{"id": number} for number in range(limit * 5 // 2)]

    def reply(asked: Asked) -> Any:
        start, size = int(asked.params["offset"]), int(asked.params["limit"])
        if start % size:
            return Reply({"message": "offset must be a multiple of limit"}, 400)
        return {"data": rows[start : start + size], "total": len(rows)}

    with answering(reply) as url:
        paginator = {"type": "offset", "limit": limit}
        with pytest.raises(SyncHalted) as caught:
            project.load(defs(url, paginator=paginator), "things")
        assert "set requests.page_overlap: false" in caught.value.reason
        config = defs(url, paginator=paginator, requests={"page_overlap": False})
        assert project.load(config, "things").rows_loaded == len(rows)


def test_an_offset_that_the_api_rounds_down_is_named(project: Project) -> None:
    def reply(asked: Asked) -> Any:
        size = int(asked.params["limit"])
        start = int(asked.params["offset"]) // size * size
        return {"data": ROWS[start : start + size], "total": len(ROWS)}

    with answering(reply) as url, pytest.raises(SamePageError) as caught:
        project.load(defs(url, paginator={"type": "offset", "limit": 10}), "things")
    assert "set requests.page_overlap: false" in caught.value.way_out
    assert caught.value.attempts == 2


@pytest.mark.parametrize("kind", ["offset", "page_number"])
def test_a_total_of_other_rows_is_named_after_few_requests(project: Project, kind: str) -> None:
    """The total counts the rows of all customers, and the API returns those of one."""
    asked: list[Asked] = []

    def reply(request: Asked) -> Any:
        asked.append(request)
        start = int(request.params.get("offset", 10 * int(request.params.get("page", "0"))))
        return {"data": ROWS[start : start + 10], "total": 9000}

    paginator = {"type": kind, "total_path": "total", **({"limit": 10} if kind == "offset" else {})}
    with answering(reply) as url, pytest.raises(SyncError) as caught:
        project.load(defs(url, paginator=paginator, requests={"max_in_flight": 1}), "things")
    assert "set the paginator's total_path to null" in str(caught.value)
    assert len(asked) <= 16


@pytest.mark.parametrize(
    "limits", [{"maximum_offset": 10}, {"offset": 5}, {"offset": 5, "maximum_offset": 20}]
)
def test_a_part_that_the_file_asks_for_is_complete(project: Project, limits: dict[str, int]) -> None:
    def reply(asked: Asked) -> Any:
        start = int(asked.params["offset"])
        return {"data": ROWS[start : start + int(asked.params["limit"])], "total": len(ROWS)}

    with answering(reply) as url:
        config = defs(url, paginator={"type": "offset", "limit": 5, **limits})
        result = project.run(project.definitions(config), "things", source="api")
    assert result.success
    expected = ROWS[limits.get("offset", 0) : limits.get("maximum_offset", 25)]
    assert project.query("SELECT id FROM api.things ORDER BY id") == expected
    assert check_of(result, "complete").passed


CHANGING = {"type": "offset", "limit": 10}


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("row", "key", "rename"),
    [
        ({"orderId": 0}, "order_id", {}),
        ({"meta": {"orderId": 0}}, "meta__order_id", {}),
        ({"orderId": 0}, "nr", {"orderId": "nr"}),
        ({"meta": {"orderId": 0}}, "nr", {"meta.orderId": "nr"}),
    ],
    ids=["snake case", "nested", "renamed", "nested and renamed"],
)
def test_a_key_by_the_name_of_its_column_recognises_a_row(
    project: Project, row: dict[str, Any], key: str, rename: dict[str, str]
) -> None:
    """The other values of a row change with each request, as a rank or a signed link does."""
    requests = count()

    def reply(asked: Asked) -> Any:
        start, rank = int(asked.params["offset"]), next(requests)
        rows = [
            {name: {"orderId": one} if name == "meta" else one for name in row} | {"rank": rank}
            for one in range(25)
        ]
        return {"data": rows[start : start + 10], "total": 25}

    with answering(reply) as url:
        resource = {"primary_key": key, "columns": {key: {"data_type": "bigint"}}}
        config = defs(
            url, paginator=CHANGING, resource=resource, asset={"rename": rename} if rename else None
        )
        assert project.load(config, "things").rows_loaded == 25


def test_rows_without_a_key_whose_values_change_have_a_way_out(project: Project) -> None:
    requests = count()

    def reply(asked: Asked) -> Any:
        start, rank = int(asked.params["offset"]), next(requests)
        return {"data": [{**one, "shop": 1, "rank": rank} for one in ROWS[start : start + 10]], "total": 25}

    with answering(reply) as url:
        keyless = {"primary_key": None, "columns": None}
        with pytest.raises(RowsMovedError) as caught:
            project.load(defs(url, paginator=CHANGING, resource=keyless), "things")
        assert "set `primary_key`, or requests.page_overlap: false" in str(caught.value)
        config = defs(url, paginator=CHANGING, resource=keyless, requests={"page_overlap": False})
        assert project.load(config, "things").rows_loaded == 25


def test_a_row_on_two_numbered_pages_has_a_way_out(project: Project) -> None:
    pages = [[{"id": 1}, {"id": 2}], [{"id": 2}, {"id": 3}], []]
    with answering(lambda asked: {"data": pages[int(asked.params["page"])]}) as url:
        paginator = {"type": "page_number", "total_path": None}
        with pytest.raises(RowsMovedError) as caught:
            project.load(defs(url, paginator=paginator), "things")
        assert "set assets.things.accept_repeated_rows: true" in str(caught.value)
        assert caught.value.attempts == 4
        merged = {"write_disposition": "merge"}
        asset = {"accept_repeated_rows": True}
        assert (
            project.load(defs(url, paginator=paginator, resource=merged, asset=asset), "things").row_count
            == 3
        )

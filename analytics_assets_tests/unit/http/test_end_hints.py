"""Which fields contradict the end of paging. The cases are those of the tests over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from analytics_assets.ingestion.http.end_hints import Read, contradiction
from analytics_assets_tests.integration.real_apis.test_ends import ENDS, HEADERS, MORE

READ = Read(rows=50, pages=1, last_rows=50)


@pytest.mark.parametrize(("page", "clause"), MORE, ids=[clause for _, clause in MORE])
def test_a_field_says_that_there_is_more(page: dict[str, Any], clause: str) -> None:
    assert clause in contradiction(page, ("data",), {}, READ)
    nested = {"response": page}
    assert clause.strip("`").split("`")[0] in contradiction(nested, ("response", "data"), {}, READ)


@pytest.mark.parametrize(("headers", "clause"), HEADERS)
def test_a_header_says_that_there_is_more(headers: dict[str, str], clause: str) -> None:
    assert clause in contradiction([], (), headers, READ)


@pytest.mark.parametrize("page", ENDS, ids=str)
def test_a_known_good_end(page: dict[str, Any]) -> None:
    assert contradiction(page, ("data",), {}, READ) == ""


@pytest.mark.parametrize("name", ["X-Next-Page", "X-Next-Cursor", "X-Has-More"])
@pytest.mark.parametrize("value", ["", " ", "0", "null", "None", "false"])
def test_a_header_that_says_that_there_is_no_more(name: str, value: str) -> None:
    assert contradiction([], (), {name: value}, READ) == ""


@pytest.mark.parametrize("value", ["true", "True", "1", "yes"])
@pytest.mark.parametrize("name", ["X-Has-More", "x-has-next-page"])
def test_a_header_flag_says_that_there_is_more(name: str, value: str) -> None:
    assert contradiction([], (), {name: value}, READ) == f"has the header `{name.lower()}` true"


@pytest.mark.parametrize("rows", [50, 0])
@pytest.mark.parametrize("field", ["incomplete_results", "timed_out"])
def test_a_search_that_broke_off_has_more_also_without_rows(field: str, rows: int) -> None:
    """A search of GitHub that takes too long returns the rows that it found until then."""
    read = Read(rows=rows, pages=1, last_rows=rows)
    assert contradiction({field: True, "items": []}, ("items",), {}, read) == f"has `{field}` true"
    assert contradiction({field: True, "has_more": False}, ("items",), {}, read) == f"has `{field}` true"
    assert contradiction({field: False, "items": []}, ("items",), {}, read) == ""


def test_a_total_is_judged_once() -> None:
    """The page reader has compared the rows with the total that the file names."""
    checked = Read(rows=50, pages=1, last_rows=50, checks_total=True)
    assert contradiction({"data": [], "total": 250}, ("data",), {"X-Total-Count": "250"}, checked) == ""
    assert contradiction({"data": [], "has_more": True}, ("data",), {}, checked) == "has `has_more` true"


def test_a_cursor_beside_an_empty_page_proves_nothing() -> None:
    empty = Read(rows=50, pages=2, last_rows=0)
    assert contradiction({"data": [], "next": "x", "has_more": True}, ("data",), {}, empty) == ""
    assert contradiction({"data": [], "total": 60}, ("data",), {}, empty) == "has `total` 60"


def test_the_fields_of_a_row_are_data() -> None:
    assert contradiction({"data": [{"total": 250, "next": "x"}]}, ("data",), {}, READ) == ""
    assert contradiction([{"total": 250, "next": "x"}], (), {}, READ) == ""

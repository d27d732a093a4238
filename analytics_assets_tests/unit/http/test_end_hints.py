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

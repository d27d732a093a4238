"""Paging as real APIs do it: the names of parameters, totals, and ends."""

from __future__ import annotations

from typing import Any

import pytest

from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Project, check_of
from analytics_assets_tests.real_api import defs

ROWS = [{"id": number} for number in range(25)]


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

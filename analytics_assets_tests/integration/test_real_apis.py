"""What real APIs do, one case each: the request on the wire, the rows in the table, or the error."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Project


def defs(url: str, **endpoint: Any) -> str:
    resource = {
        "name": "things",
        "primary_key": "id",
        "write_disposition": "replace",
        "endpoint": {"path": "things", "data_selector": "data", **endpoint},
        "columns": {"id": {"data_type": "bigint"}},
    }
    attributes = {"name": "api", "rest_api": {"client": {"base_url": url}, "resources": [resource]}}
    return yaml.safe_dump({"type": "analytics_assets.RestApiSync", "attributes": attributes})


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

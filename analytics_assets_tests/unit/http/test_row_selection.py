"""Without a `data_selector`, an object is the only row just if it has a declared field."""

from __future__ import annotations

from typing import Any

import pytest

from analytics_assets.ingestion.errors import NoListError
from analytics_assets.ingestion.http.row_selection import RowRules, RowSelector


@pytest.mark.parametrize(
    ("declared", "response"),
    [
        ({"order_id"}, {"order_id": 1}),
        ({"order_id"}, {"orderId": 1}),
        ({"Order-Id"}, {"order_id": None}),
        ({"user__name"}, {"user": {"name": "a"}}),
        (set(), {"anything": 1}),
    ],
)
def test_an_object_with_a_declared_field_is_a_row(declared: set[str], response: dict[str, Any]) -> None:
    assert RowSelector("things", RowRules(row_fields=declared)).rows(response, "GET /things") == [response]


@pytest.mark.parametrize("response", [{"has_more": False}, {"result": "ok"}, {"meta": {"total": 0}}, {}])
def test_an_object_without_a_declared_field_is_no_row(response: dict[str, Any]) -> None:
    with pytest.raises(NoListError) as caught:
        RowSelector("things", RowRules(row_fields={"order_id"})).rows(response, "GET /things")
    assert "or to `$` if the response is the only row" in str(caught.value)
    chosen = RowSelector("things", RowRules("$", row_fields={"order_id"}))
    assert chosen.rows(response, "GET /things") == [response]

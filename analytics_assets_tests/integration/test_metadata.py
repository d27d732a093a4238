"""The metadata of an asset's page: the order of the keys, and the names that version 0.1.0 gave them."""

from __future__ import annotations

from analytics_assets.orchestration.metadata import (
    PARTITION_ROW_COUNT,
    RESPONSES_429,
    ROW_COUNT,
    ROWS_REPORTED_BY_API,
    for_page,
    read,
)
from analytics_assets_tests.conftest import DemoApi, Project

DAYS = ("2026-01-05", "2026-01-06")


def test_each_partition_has_its_metadata_in_the_order_of_the_page(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    result = project.run(project.definitions(shipped_yaml), "transactions", *DAYS)
    events = [
        event.step_materialization_data.materialization for event in result.get_asset_materialization_events()
    ]
    assert [event.partition for event in events] == list(DAYS)
    for event, following in zip(events, ("2026-01-06", "2026-01-07"), strict=True):
        shown = list(event.metadata)
        assert event.metadata[PARTITION_ROW_COUNT].value == len(
            api.rows("transactions", str(event.partition), following)
        )
        assert shown == list(for_page(event.metadata)), "Dagster keeps the order"
        assert shown[0] == PARTITION_ROW_COUNT
        assert shown.index("rows_loaded") < shown.index("rows_quarantined") < shown.index("requests")
        assert "undeclared_fields" not in shown, "there are none"
        assert event.metadata["retries"].value == 0, "a count stays, so that the UI plots it"


def test_an_unpartitioned_asset_starts_with_its_row_count(project: Project, shipped_yaml: str) -> None:
    result = project.run(project.definitions(shipped_yaml), "products")
    [event] = result.get_asset_materialization_events()
    shown = event.step_materialization_data.materialization.metadata
    assert next(iter(shown)) == ROW_COUNT


def test_old_names_are_read_after_the_new_ones() -> None:
    old = {"rows_promised": 41, "too_many_requests": 2}
    assert (read(old, ROWS_REPORTED_BY_API), read(old, RESPONSES_429)) == (41, 2)
    assert read({RESPONSES_429: 0, **old}, RESPONSES_429) == 0
    assert read({}, RESPONSES_429, "absent") == "absent"

"""The table has the API's data, value by value, in every write mode and in any order of runs."""

from __future__ import annotations

from datetime import date, datetime
from itertools import pairwise

import dagster as dg
import pytest
import yaml

from analytics_assets.demo_api.server import serve
from analytics_assets_tests.conftest import DemoApi, Project, check_of
from analytics_assets_tests.truth import as_loaded, truth

DAYS = ("2026-01-05", "2026-01-06", "2026-01-07")


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("resource", ["customers", "products", "events"])
def test_whole_collections(project: Project, api: DemoApi, shipped_yaml: str, resource: str) -> None:
    definitions = project.definitions(shipped_yaml)
    for _ in range(2):
        assert project.run(definitions, resource).success
        assert project.table(resource) == truth(api.rows(resource))


def test_partitions_one_by_one_and_as_a_range(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    definitions = project.definitions(shipped_yaml)
    expected = truth(api.rows("transactions", DAYS[0], "2026-01-08"))
    for day in (DAYS[2], DAYS[0], DAYS[1]):
        assert project.run(definitions, "transactions", day).success
    assert project.table("transactions") == expected
    result = project.run(definitions, "transactions", DAYS[0], DAYS[-1])
    assert result.success
    assert project.table("transactions") == expected
    materializations = (
        event.step_materialization_data.materialization for event in result.get_asset_materialization_events()
    )
    per_partition = {
        one.partition: one.metadata["dagster/partition_row_count"].value for one in materializations
    }
    days = [*DAYS, "2026-01-08"]
    assert per_partition == {day: len(api.rows("transactions", day, after)) for day, after in pairwise(days)}


def test_the_edges_of_a_window_are_half_open(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    """The demo has a sale at 00:00:00 and one in the last microsecond of every day."""
    project.load(shipped_yaml, "transactions", DAYS[0])
    moments = {row["created_at"] for row in api.rows("transactions", DAYS[0], DAYS[1])}
    assert {"2026-01-05T00:00:00Z", "2026-01-05T23:59:59.999999Z"} <= moments
    assert len(project.table("transactions")) == len(api.rows("transactions", DAYS[0], DAYS[1]))


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("kind", ["hourly", "weekly", "monthly"])
def test_other_partition_lengths(project: Project, api: DemoApi, shipped_yaml: str, kind: str) -> None:
    document = yaml.safe_load(shipped_yaml)
    start = "2026-01-04" if kind == "weekly" else "2026-01-01"
    document["attributes"]["assets"]["transactions"]["partitions"] = {"type": kind, "start_date": start}
    text = yaml.safe_dump(document)
    key, since, until = {
        "hourly": ("2026-01-05-07:00", "2026-01-05T07:00", "2026-01-05T08:00"),
        "weekly": ("2026-01-04", "2026-01-04", "2026-01-11"),
        "monthly": ("2026-01-01", "2026-01-01", "2026-02-01"),
    }[kind]
    project.load(text, "transactions", key)
    assert project.table("transactions") == truth(api.rows("transactions", since, until))


def test_an_empty_partition_is_green_and_empty(project: Project, shipped_yaml: str) -> None:
    result = project.run(project.definitions(shipped_yaml), "transactions", "2026-08-01")
    assert result.success
    failed = {one.check_name: one.severity for one in result.get_asset_check_evaluations() if not one.passed}
    assert failed == {"complete": dg.AssetCheckSeverity.WARN}, "no row has ever come"
    assert "does not exist yet" in str(check_of(result).description)


def test_a_late_update_replaces_the_row_it_updates(
    project: Project, shipped_yaml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changed rows have the values of the later day, and each row is in the table once."""
    versions = []
    for today in (date(2026, 1, 6), date(2026, 1, 12)):
        with serve(today=today) as url:
            monkeypatch.setenv("ANALYTICS_API_BASE_URL", url)
            project.load(shipped_yaml, "transactions", "2026-01-05", "2026-01-11")
            versions.append(
                {row["id"]: row for row in DemoApi(url, today).rows("transactions", "2026-01-05")}
            )
    loaded = {row["id"]: row for row in project.table("transactions")}
    changed = [key for key, row in versions[1].items() if key in versions[0] and versions[0][key] != row]
    assert changed, "the demo data no longer has late updates"
    for key in versions[1]:
        assert loaded[key] == as_loaded(versions[1][key])


def test_incremental_remembers_its_cursor_in_the_destination(
    project: Project, api: DemoApi, shipped_yaml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No local state survives a run, but the second run fetches only new rows."""
    project.load(shipped_yaml, "events")
    pages = -(-len(api.rows("events")) // 100)
    assert api.request_counts()["/v1/events"] == pages
    api.set_faults()
    project.load(shipped_yaml, "events")
    assert api.request_counts()["/v1/events"] == 1
    with serve(today=date(2026, 2, 3)) as url:
        monkeypatch.setenv("ANALYTICS_API_BASE_URL", url)
        later = DemoApi(url, date(2026, 2, 3))
        project.load(shipped_yaml, "events")
        assert later.request_counts()["/v1/events"] == 1
        assert project.table("events") == truth(later.rows("events"))


def test_nested_lists_become_child_tables(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    for _ in range(2):
        project.load(shipped_yaml, "events")
    loaded = project.query(
        "SELECT e.id, i.product_id, i.quantity FROM analytics_api.events e "
        "JOIN analytics_api.events__items i ON i._dlt_parent_id = e._dlt_id ORDER BY e.id, i._dlt_list_idx"
    )
    expected = [
        {"id": row["id"], **item}
        for row in sorted(api.rows("events"), key=lambda row: str(row["id"]))
        for item in row["items"]
    ]
    assert loaded == expected


def test_of_two_versions_of_a_row_the_newest_wins(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    """When the API's list moves, one load has a row twice. dlt alone keeps the first version."""
    rows = api.rows("transactions", DAYS[0], DAYS[1])
    older, spoiled = rows[1], rows[50]
    api.set_faults(
        {
            "path": "/v1/transactions",
            "row": rows.index(spoiled),
            "set_fields": {**older, "status": "newest", "updated_at": spoiled["updated_at"]},
        }
    )
    assert project.run(project.definitions(shipped_yaml), "transactions", DAYS[0]).success
    [row] = [row for row in project.table("transactions") if row["id"] == older["id"]]
    assert row["status"] == "newest"
    assert row["updated_at"] == datetime.fromisoformat(spoiled["updated_at"])

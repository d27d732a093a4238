"""The nullability check: it fails on what the schema forbids, names it, and works at any time."""

from __future__ import annotations

from typing import Any

import dagster as dg

from analytics_assets_tests.conftest import DemoApi, Project

PATH = "/v1/transactions"
DAY, NEXT_DAY = "2026-01-05", "2026-01-06"


def check_of(result: dg.ExecuteInProcessResult) -> Any:
    [evaluation] = result.get_asset_check_evaluations()
    assert evaluation.check_name == "schema_nullability"
    return evaluation


def spoil(api: DemoApi, row: int, **what: Any) -> int:
    """Spoils one row of the first page of a day's sales; its primary key."""
    api.set_faults({"path": PATH, "requests": [1], "row": row, **what})
    return int(api.rows("transactions", DAY, NEXT_DAY)[row]["id"])


def test_a_null_and_a_missing_field_fail_the_check_and_not_the_load(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    definitions = project.definitions(shipped_yaml)
    key = spoil(api, 4, set_fields={"currency": None}, drop_fields=["transaction_amount"])
    result = project.run(definitions, "transactions", DAY)
    assert result.success
    check = check_of(result)
    rows = len(api.rows("transactions", DAY, NEXT_DAY))
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert check.description == (
        f"transaction_amount is NULL in 1 of {rows} rows (primary key {key}); "
        f"currency is NULL in 1 of {rows} rows (primary key {key})."
    )
    assert check.metadata["window"].value == "2026-01-05T00:00Z to 2026-01-06T00:00Z"
    query = check.metadata["query"].value.strip("`").removeprefix("sql\n")
    assert [row["id"] for row in project.query(query)] == [key]
    assert project.query("SELECT count(*) AS n FROM analytics_api.transactions") == [{"n": rows}]


def test_a_wrong_type_is_a_null_that_fails_the_check(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    """dlt keeps the text in a column of its own and leaves the declared one NULL."""
    key = spoil(api, 4, set_fields={"transaction_amount": "twelve"})
    check = check_of(project.run(project.definitions(shipped_yaml), "transactions", DAY))
    assert not check.passed
    assert f"(primary key {key})" in check.description


def test_a_nullable_column_may_be_null(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    spoil(api, 4, set_fields={"note": None, "refunded_amount": None})
    assert check_of(project.run(project.definitions(shipped_yaml), "transactions", DAY)).passed


def test_a_sync_checks_its_own_partitions_and_a_check_alone_the_whole_table(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    definitions = project.definitions(shipped_yaml)
    spoil(api, 4, set_fields={"status": None})
    assert not check_of(project.run(definitions, "transactions", DAY)).passed
    api.set_faults()
    assert check_of(project.run(definitions, "transactions", NEXT_DAY)).passed
    alone = project.run(definitions, "transactions", checks_only=True)
    assert alone.success
    assert not alone.get_asset_materialization_events()
    assert not check_of(alone).passed
    assert api.request_counts()[PATH] == 1, "a check asks nothing of the API"
    assert project.run(definitions, "transactions", DAY).success
    assert check_of(project.run(definitions, "transactions", checks_only=True)).passed, "mended"


def test_in_a_range_each_partition_has_its_result_and_the_last_word_is_of_them_all(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    """Dagster's UI shows the last evaluation: a later partition that passes must not hide one that fails."""
    days = [DAY, NEXT_DAY, "2026-01-07"]
    key = spoil(api, 4, set_fields={"status": None})
    result = project.run(project.definitions(shipped_yaml), "transactions", days[0], days[-1])
    evaluations = result.get_asset_check_evaluations()
    assert [(one.partition, one.passed) for one in evaluations] == [
        (days[0], False),
        (days[1], True),
        (days[2], True),
        (None, False),
    ]
    assert f"(primary key {key})" in str(evaluations[-1].description)
    materialized = {
        event.step_materialization_data.materialization.partition
        for event in result.get_asset_materialization_events()
    }
    assert materialized == set(days)
    assert all(one.target_materialization_data for one in evaluations)
    history = project.instance.event_log_storage.get_asset_check_execution_history(
        evaluations[0].asset_check_key, limit=10
    )
    assert {record.status.value for record in history} == {"SUCCEEDED", "FAILED"}, "none left as planned"


def test_a_check_alone_works_before_the_first_load_and_without_a_secret(
    project: Project, shipped_yaml: str, monkeypatch: Any
) -> None:
    monkeypatch.delenv("SOURCES__ANALYTICS_API__API_KEY")
    check = check_of(project.run(project.definitions(shipped_yaml), "customers", checks_only=True))
    assert check.passed
    assert "does not exist yet: no load has brought a row" in check.description


def test_a_column_declared_later_is_told_until_it_is_loaded(project: Project, shipped_yaml: str) -> None:
    assert project.run(project.definitions(shipped_yaml), "products").success
    declared = shipped_yaml.replace(
        "sku: {data_type: text", "origin: {data_type: text, nullable: false}\n          sku: {data_type: text"
    )
    definitions = project.definitions(declared)
    check = check_of(project.run(definitions, "products", checks_only=True))
    assert not check.passed
    assert "origin declared but not in the table: materialize the asset" in check.description
    check = check_of(project.run(definitions, "products"))
    assert not check.passed
    assert "origin is NULL in 40 of 40 rows" in check.description

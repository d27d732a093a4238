"""Each check fails on its own problem, reports the details, and works at any time."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster.components.core.component_tree import ComponentTreeException
from pydantic import ValidationError

from analytics_assets import RestApiSync
from analytics_assets.config.validation_errors import InvalidFileError
from analytics_assets.orchestration.checks.registry import CHECKS
from analytics_assets_tests.answering import answering
from analytics_assets_tests.conftest import DemoApi, Project, check_of, failure_of, metadata_of
from analytics_assets_tests.integration import test_reconcile as reconcile

PATH = "/v1/transactions"
DAY, NEXT_DAY = "2026-01-05", "2026-01-06"
NAMES = set(CHECKS)


def spoil(api: DemoApi, row: int, **what: Any) -> int:
    """Spoils one row of the first page of a day's sales. Returns the primary key of the row."""
    api.set_faults({"path": PATH, "requests": [1], "row": row, **what})
    return int(api.rows("transactions", DAY, NEXT_DAY)[row]["id"])


def asset_of(text: str, resource: str, **settings: Any) -> str:
    """A defs.yaml with more settings of one asset."""
    document = yaml.safe_load(text)
    document["attributes"]["assets"][resource] |= settings
    return yaml.safe_dump(document)


def query_of(check: dg.AssetCheckEvaluation) -> str:
    """The SQL query in the metadata of a check."""
    return str(check.metadata["query"].value).strip("`").removeprefix("sql\n")


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
        f"1 row in quarantine: transaction_amount is absent; currency is null in 1 row (primary key {key})."
    )
    assert check.metadata["window"].value == "2026-01-05T00:00Z to 2026-01-06T00:00Z"
    [kept] = project.query(query_of(check))
    assert (kept["key__id"], kept["column_name"], kept["value"], kept["partition"]) == (
        key, "transaction_amount", None, DAY,
    )  # fmt: skip
    raw = json.loads(kept["row"])
    assert (raw["id"], raw["currency"], "transaction_amount" in raw) == (key, None, False)
    assert project.query("SELECT count(*) AS n FROM analytics_api.transactions") == [{"n": rows - 1}]
    loads = project.query("SELECT DISTINCT _dlt_load_id AS l FROM analytics_api.transactions")
    assert loads == [{"l": kept["_dlt_load_id"]}], "both are of one load"


def test_a_nullable_column_may_be_null(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    spoil(api, 4, set_fields={"note": None, "refunded_amount": None})
    result = project.run(project.definitions(shipped_yaml), "transactions", DAY)
    assert {one.check_name for one in result.get_asset_check_evaluations()} == NAMES
    assert all(one.passed for one in result.get_asset_check_evaluations())


def test_nulls_that_are_in_the_table_already_are_found(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    """The NULLs were loaded while the column was nullable."""
    key = spoil(api, 4, set_fields={"status": None})
    loose = shipped_yaml.replace(
        "status: {data_type: text, nullable: false", "status: {data_type: text, nullable: true"
    )
    assert project.run(project.definitions(loose), "transactions", DAY).success
    check = check_of(project.run(project.definitions(shipped_yaml), "transactions", checks_only=True))
    assert not check.passed
    rows = len(api.rows("transactions", DAY, NEXT_DAY))
    assert check.description == f"status is NULL in 1 of {rows} rows (primary key {key})."
    assert [row["id"] for row in project.query(query_of(check))] == [key]


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
    assert {one.check_name for one in alone.get_asset_check_evaluations()} == NAMES
    assert api.request_counts()[PATH] == 1, "a check asks nothing of the API"
    assert project.run(definitions, "transactions", DAY).success
    assert check_of(project.run(definitions, "transactions", checks_only=True)).passed, "mended"


def test_in_a_range_each_partition_has_its_result_and_the_summary_is_last(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    """Dagster's UI shows only the last evaluation, so a passing partition must not hide a failed partition."""
    days = [DAY, NEXT_DAY, "2026-01-07"]
    key = spoil(api, 4, set_fields={"status": None})
    result = project.run(project.definitions(shipped_yaml), "transactions", days[0], days[-1])
    for name in NAMES:
        evaluations = [one for one in result.get_asset_check_evaluations() if one.check_name == name]
        bad = name == "schema_nullability"
        assert [(one.partition, one.passed) for one in evaluations] == [
            (days[0], not bad),
            (days[1], True),
            (days[2], True),
            (None, not bad),
        ]
        history = project.instance.event_log_storage.get_asset_check_execution_history(
            evaluations[0].asset_check_key, limit=10
        )
        assert {record.status.value for record in history} <= {"SUCCEEDED", "FAILED"}, "none left as planned"
    assert f"(primary key {key})" in str(check_of(result).description)
    materialized = {
        event.step_materialization_data.materialization.partition
        for event in result.get_asset_materialization_events()
    }
    assert materialized == set(days)
    assert all(one.target_materialization_data for one in result.get_asset_check_evaluations())


def test_a_check_alone_works_before_the_first_load_and_without_a_secret(
    project: Project, shipped_yaml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCES__ANALYTICS_API__API_KEY")
    result = project.run(project.definitions(shipped_yaml), "customers", checks_only=True)
    assert {one.check_name: one.passed for one in result.get_asset_check_evaluations()} == dict.fromkeys(
        NAMES, True
    )
    assert "does not exist yet: no load has brought a row" in str(check_of(result).description)
    assert check_of(result, "complete").description == "No sync has run yet."


def test_a_key_that_is_there_twice(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    definitions = project.definitions(shipped_yaml)
    assert project.run(definitions, "products").success
    project.execute("UPDATE analytics_api.products SET id = 1 WHERE id = 4")
    check = check_of(project.run(definitions, "products", checks_only=True), "primary_key_unique")
    assert (check.passed, check.description) == (False, "1 primary key in more than one row: 1.")
    assert [row["id"] for row in project.query(query_of(check))] == [1, 1]
    api.set_faults({"path": "/v1/products", "row": 3, "set_fields": {"id": 1}})
    failure = failure_of(project.run(definitions, "products"))
    assert ("code", "key_not_unique") in metadata_of(failure)


def test_complete_counts_what_the_api_has(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    definitions = project.definitions(shipped_yaml)
    result = project.run(definitions, "products")
    assert check_of(result, "complete").description == (
        "All 40 rows that the API has were fetched; 40 loaded, 0 in quarantine."
    )
    less = yaml.safe_load(shipped_yaml)
    less["attributes"]["rest_api"]["resources"][0]["endpoint"]["paginator"] = {
        "type": "offset", "limit": 100, "maximum_offset": 100,
    }  # fmt: skip
    check = check_of(project.run(project.definitions(yaml.safe_dump(less)), "customers"), "complete")
    assert len(api.rows("customers")) > 100
    assert check.passed, "the file asks for no more"
    assert check.description == "All 100 rows that the API has were fetched; 100 loaded, 0 in quarantine."


def test_complete_names_the_range_that_was_asked_for(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    definitions = project.definitions(shipped_yaml)
    found = [check_of(project.run(definitions, "events"), "complete") for _ in range(2)]
    rows = len(api.rows("events"))
    assert f"{rows:,} rows that the API has were fetched" in str(found[0].description)
    since = found[1].metadata["cursor_from"].value
    assert f" that the API has since {since} were fetched" in str(found[1].description)
    day = check_of(project.run(definitions, "transactions", DAY), "complete")
    assert "rows that the API has in the range that was asked for were fetched" in str(day.description)


SINCE, RANGE, UNTIL = (
    " since 2026-01-03 00:00:00+00:00",
    " in the range that was asked for",
    " up to 2026-01-05 00:00:00+00:00",
)
WINDOW = {"end_value": "2026-01-05T00:00:00Z"}
BY_DAY = {"partitions": {"type": "daily", "start_date": "2026-01-01"}}


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize(
    ("asked", "asset", "text"),
    [
        ({"end_param": "until", **WINDOW}, {}, UNTIL),
        ({"start_param": "since", "end_param": "until"}, {}, SINCE),
        ({"end_param": "until"}, {}, ""),
        ({}, {}, ""),
        (WINDOW, {}, ""),
        ({"start_param": "since"}, {}, SINCE),
        ({"start_param": "since", **WINDOW}, {}, SINCE),
        ({"start_param": "since", "end_param": "until", **WINDOW}, {}, RANGE),
        ({"start_param": "since", "last_value_func": "min"}, {}, RANGE),
        ({}, BY_DAY, ""),
        ({"placeholder": "{incremental.start_value}"}, {}, SINCE),
        ({"placeholder": "{incremental.initial_value}"}, {}, " since the `initial_value`"),
        ({"start_param": "since"}, BY_DAY, SINCE),
        ({"end_param": "until"}, BY_DAY, UNTIL.replace("05", "04")),
        ({"start_param": "since", "end_param": "until"}, BY_DAY, RANGE),
    ],
)
def test_complete_names_only_the_range_that_the_request_had(
    project: Project, asked: dict[str, Any], asset: dict[str, Any], text: str
) -> None:
    rows = [{"id": 1, "at": "2026-01-03T01:00:00Z"}]
    with answering(lambda _: {"data": rows, "total": 1}) as url:
        document = yaml.safe_load(reconcile.defs(url))
        attributes = document["attributes"]
        attributes["assets"]["things"] = asset
        start = {} if asset else {"initial_value": "2026-01-03T00:00:00Z"}
        [things] = attributes["rest_api"]["resources"]
        things["columns"].pop("name")
        if placeholder := asked.get("placeholder"):
            things["endpoint"]["params"] = {"since": placeholder}
            asked = {}
        things["endpoint"]["incremental"] = {"cursor_path": "at", **start, **asked}
        definitions = project.definitions(yaml.safe_dump(document))
        days = ["2026-01-03"] if asset else []
        check = check_of(project.run(definitions, "things", *days, source="api"), "complete")
    assert f"All 1 row that the API has{text} were fetched; " in str(check.description)


def test_complete_alone_finds_rows_that_went_missing_since(project: Project, shipped_yaml: str) -> None:
    definitions = project.definitions(shipped_yaml)
    assert project.run(definitions, "products").success
    project.execute("DELETE FROM analytics_api.products WHERE id < 4")
    check = check_of(project.run(definitions, "products", checks_only=True), "complete")
    assert check.description == "The table has 37 rows, and the latest sync loaded 40."
    assert not check.passed


def test_drift_reports_what_is_new_gone_and_different(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    definitions = project.definitions(shipped_yaml)
    first = check_of(project.run(definitions, "products"), "schema_drift")
    assert (first.passed, first.severity) == (True, dg.AssetCheckSeverity.WARN)
    assert "no previous sync" in str(first.description)
    assert check_of(project.run(definitions, "products"), "schema_drift").description == (
        "No change since the previous sync: 7 columns."
    )
    api.set_faults(
        {
            "path": "/v1/products",
            "row": None,
            "set_fields": {"colour": "red"},
            "drop_fields": ["discontinued_at"],
        }
    )
    check = check_of(project.run(definitions, "products"), "schema_drift")
    assert not check.passed
    assert check.description == (
        "`colour` is new (text); `discontinued_at` is declared and no longer sent. "
        "Not declared (loaded as dlt finds them): colour."
    )
    assert project.query("SELECT DISTINCT colour FROM analytics_api.products") == [{"colour": "red"}]
    assert check_of(project.run(definitions, "products"), "schema_drift").passed, "reported once"
    changed = project.definitions(
        shipped_yaml.replace(
            "category: {data_type: text, nullable: false", "category: {data_type: text, nullable: true"
        )
    )
    alone = check_of(project.run(changed, "products", checks_only=True), "schema_drift")
    assert "`category` was declared not nullable and is now declared nullable" in str(alone.description)


def test_severity_and_blocking_are_the_users(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    text = asset_of(
        shipped_yaml, "transactions", checks={"schema_nullability": {"severity": "warn", "blocking": True}}
    )
    definitions = project.definitions(text)
    spoil(api, 4, set_fields={"status": None})
    result = project.run(definitions, "transactions", DAY)
    assert check_of(result).severity == dg.AssetCheckSeverity.WARN
    [asset] = [
        one
        for one in definitions.assets or ()
        if isinstance(one, dg.AssetsDefinition) and "transactions" in str(one.keys)
    ]
    assert {one.name: one.blocking for one in asset.check_specs} == {
        "schema_nullability": True, "primary_key_unique": True, "complete": True, "schema_drift": False,
        "no_secrets": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("schema_drif", "unknown check `schema_drif`. Did you mean `schema_drift`?"),
        (
            "freshness",
            "unknown check `freshness`. The keys here are schema_nullability, primary_key_unique, ",
        ),
    ],
)
def test_an_unknown_check_is_refused_with_file_and_line(
    project: Project, shipped_yaml: str, written: str, sentence: str
) -> None:
    block = f"    transactions:\n      checks:\n        {written}: {{severity: warn}}\n"
    spoiled = shipped_yaml.replace("    transactions:\n", block, 1)
    with pytest.raises(ComponentTreeException) as caught:
        project.definitions(spoiled)
    error = caught.value.__cause__
    assert isinstance(error, InvalidFileError)
    line = spoiled.splitlines().index(f"        {written}: {{severity: warn}}") + 1
    assert f"attributes.assets.transactions.checks.{written} at {project.defs_yaml}:{line}`" in str(error)
    assert sentence in str(error)


def test_a_check_that_a_resource_cannot_have_is_refused(shipped_yaml: str) -> None:
    attributes = yaml.safe_load(shipped_yaml)["attributes"]
    attributes["assets"]["log"] = {"checks": {"primary_key_unique": {"severity": "warn"}}}
    attributes["rest_api"]["resources"].append(
        {"name": "log", "primary_key": "", "write_disposition": "append"}
    )
    with pytest.raises(ValidationError) as caught:
        RestApiSync(**attributes)
    [error] = caught.value.errors()
    assert error["loc"] == ("assets", "log", "checks", "primary_key_unique")
    assert "`log` cannot have this check: it needs a `primary_key`" in error["msg"]


def test_a_template_may_stand_for_the_settings_of_a_check(
    shipped_yaml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHECK", '{"severity": "warn"}')
    monkeypatch.setenv("CHECKS", "{'complete': {'severity': 'warn'}}")
    attributes = yaml.safe_load(shipped_yaml)["attributes"]
    for template in ({"complete": "{{ env.CHECK }}"}, "{{ env.CHECKS }}"):
        attributes["assets"]["transactions"]["checks"] = template
        sync = RestApiSync.rendered(attributes)
        assert sync.asset("transactions").checks["complete"].severity == "warn"


def test_the_json_schema_names_and_describes_each_check() -> None:
    checks = RestApiSync.model_json_schema()["$defs"]["AssetConfig"]["properties"]["checks"]["else"]
    assert {name: one["description"] for name, one in checks["properties"].items()} == {
        name: check.description for name, check in CHECKS.items()
    }
    assert checks["additionalProperties"] is False


def test_a_materialization_reported_by_hand_is_not_judged_and_the_next_sync_is(
    project: Project, shipped_yaml: str
) -> None:
    definitions = project.definitions(shipped_yaml)
    customers = dg.AssetKey(["analytics_api", "customers"])
    for known in (False, True):
        for number in range(101):  # a page of events and one more
            project.instance.report_runless_asset_event(
                dg.AssetMaterialization(customers, metadata={"note": number})
            )
        alone = project.run(definitions, "customers", checks_only=True)
        assert alone.success
        for name in ("schema_drift", "complete", "no_secrets"):
            judged = check_of(alone, name)
            assert (judged.passed, judged.severity) == (False, dg.AssetCheckSeverity.WARN)
            assert judged.description is not None
            assert judged.description.startswith(
                "Not judged: the latest materialization was reported by hand"
            )
        result = project.run(definitions, "customers")
        sentence = check_of(result, "schema_drift").description or ""
        assert ("No change since the previous sync" if known else "no previous sync") in sentence
        assert all(one.passed for one in result.get_asset_check_evaluations())


def test_after_a_wipe_the_next_sync_is_right(project: Project, shipped_yaml: str) -> None:
    definitions = project.definitions(shipped_yaml)
    for _ in range(2):
        result = project.run(definitions, "customers")
        assert all(one.passed for one in result.get_asset_check_evaluations())
        rows = project.query("SELECT count(*) AS n FROM analytics_api.customers")
        project.instance.wipe_assets([dg.AssetKey(["analytics_api", "customers"])])
    assert rows == project.query("SELECT count(DISTINCT id) AS n FROM analytics_api.customers")


def test_metadata_that_version_0_1_0_stored_is_still_read(project: Project, shipped_yaml: str) -> None:
    project.load(shipped_yaml, "customers")
    old = {"rows_promised": 41, "rows_fetched": 40, "rows_loaded": 40}
    project.instance.report_runless_asset_event(
        dg.AssetMaterialization(dg.AssetKey(["analytics_api", "customers"]), metadata=old)
    )
    check = check_of(
        project.run(project.definitions(shipped_yaml), "customers", checks_only=True), "complete"
    )
    assert check.description == (
        "40 of the 41 rows that the API has were fetched; 40 loaded, 0 in quarantine."
    )


def test_a_not_null_column_declared_later_is_a_load_that_halts(project: Project, shipped_yaml: str) -> None:
    """If all rows break the contract, the contract is probably wrong, so the table stays unchanged."""
    assert project.run(project.definitions(shipped_yaml), "products").success
    declared = shipped_yaml.replace(
        "sku: {data_type: text", "origin: {data_type: text, nullable: false}\n          sku: {data_type: text"
    )
    definitions = project.definitions(declared)
    check = check_of(project.run(definitions, "products", checks_only=True))
    assert not check.passed
    assert "origin declared but not in the table: materialize the asset" in str(check.description)
    failure = failure_of(project.run(definitions, "products"))
    assert str(failure.description).startswith(
        "products: 40 of 40 rows break the contract (max_quarantined is 50%). Nothing was loaded. "
        "origin is absent (40 rows, primary key "
    )
    assert project.query("SELECT count(*) AS n FROM analytics_api.products") == [{"n": 40}]

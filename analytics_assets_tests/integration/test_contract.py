"""Every row of an API is in the table or in quarantine after a sync, for any values."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from analytics_assets.ingestion.sync_result import SyncResult
from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import DemoApi, Project, check_of, failure_of, metadata_of
from analytics_assets_tests.examples import examples
from analytics_assets_tests.postgres import WAREHOUSE
from analytics_assets_tests.unit.contract.test_coercion import FITS, HUGE, JSON, UNFIT

COLUMNS: dict[str, Any] = {
    "id": {"data_type": "bigint", "nullable": False},
    "name": {"data_type": "text", "nullable": False},
    "amount": {"data_type": "decimal", "precision": 18, "scale": 2},
    "ratio": {"data_type": "double"},
    "is_new": {"data_type": "bool"},
    "at": {"data_type": "timestamp"},
    "day": {"data_type": "date"},
    "hour": {"data_type": "time"},
    "blob": {"data_type": "binary"},
    "address__city": {"data_type": "text"},
    "more": {"data_type": "json"},
}
WHOLE = {
    "id": 1, "name": "Ada", "amount": "19.99", "ratio": 0.1, "is_new": True, "at": "2026-01-05T00:00:00.5Z",
    "day": "2026-01-05", "hour": "12:34:56", "blob": "aGVsbG8=", "address": {"city": "Zürich"},
    "more": {"b": [1, None, "ü"]},
}  # fmt: skip


class Api:
    """An API with one list of rows, which a test can change."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def reply(self, asked: Asked) -> Any:
        offset, limit = int(asked.params["offset"]), int(asked.params["limit"])
        return {"data": self.rows[offset : offset + limit], "total": len(self.rows)}


@pytest.fixture
def lists() -> Iterator[tuple[Api, str]]:
    api = Api()
    with answering(api.reply) as url:
        yield api, url


def defs(url: str, *, asset: dict[str, Any] | None = None, **resource: Any) -> str:
    resource = {
        "name": "things",
        "primary_key": "id",
        "write_disposition": "merge",
        "endpoint": {
            "path": "/things",
            "data_selector": "data",
            "paginator": {"type": "offset", "limit": 100},
        },
        "columns": COLUMNS,
        **resource,
    }
    attributes = {
        "name": "api",
        "rest_api": {"client": {"base_url": url}, "resources": [resource]},
        "assets": {"things": {"max_quarantined": "100%", **(asset or {})}},
    }
    return yaml.safe_dump({"type": "analytics_assets.RestApiSync", "attributes": attributes})


def sync(project: Project, text: str) -> Any:
    return project.run(project.definitions(text), "things", source="api")


def load(project: Project, text: str) -> SyncResult:
    """Loads without Dagster."""
    return project.load(text, "things")


def count(project: Project, table: str) -> int:
    tables = {
        row["name"] for row in project.query("SELECT table_name AS name FROM information_schema.tables")
    }
    return int(project.query(f"SELECT count(*) AS n FROM api.{table}")[0]["n"]) if table in tables else 0


def test_each_odd_value_of_each_type_ends_in_the_table_or_in_quarantine(
    project: Project, lists: tuple[Api, str]
) -> None:
    """All values are in one load: bad rows of a page do not stop its good ones."""
    api, url = lists
    names = {"text": "name", "bigint": "id", "double": "ratio", "bool": "is_new", "decimal(18, 2)": "amount",
             "timestamp": "at", "date": "day", "time": "hour", "binary": "blob", "json": "more"}  # fmt: skip
    numbers = itertools.count(1000)
    good: list[Any] = []
    bad: list[Any] = []
    for values, rows in ((FITS, good), (UNFIT, bad)):
        for kind, value, _ in values:
            if kind in names and value not in (math.inf, -math.inf) and value == value:  # noqa: PLR0124  NaN
                has_nul = kind == "text" and "\0" in str(value)  # PostgreSQL stores none
                chosen = bad if has_nul and WAREHOUSE else rows
                chosen.append({**WHOLE, "id": next(numbers), names[kind]: value})
    bad += [{**WHOLE, "id": None}, {name: value for name, value in WHOLE.items() if name != "id"}]
    bad += [{**WHOLE, "id": next(numbers), "name": None}, "no object", None, 5, [1]]
    api.rows = [*good, *bad]
    result = sync(project, defs(url, asset={"accept_repeated_rows": True}))  # 5 and "5" are one id
    assert result.success
    check = check_of(result)
    assert str(check.description).startswith(f"{len(bad)} rows in quarantine: ")
    kept = project.query("SELECT * FROM api.things__quarantine")
    assert len(kept) == len(bad)
    assert sorted(json.dumps(json.loads(row["row"])) for row in kept) == sorted(
        json.dumps(row) for row in bad
    )
    assert count(project, "things") == len(
        {row["id"] if isinstance(row["id"], int) else int(row["id"]) for row in good}
    )
    assert check_of(result, "complete").passed


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=JSON.map(lambda value: {"anything": value}) | JSON, others=JSON)
def test_nothing_an_api_sends_kills_a_load(
    project: Project, lists: tuple[Api, str], data: Any, others: Any
) -> None:
    api, url = lists
    odd = [data, {**WHOLE, "id": 2, "amount": data}, {**WHOLE, "id": 3, "more": data, "extra": others}]
    odd += [{**WHOLE, "id": 4, **(others if isinstance(others, dict) else {"name": others})}]
    api.rows = [{**WHOLE, "id": 1}, *odd]
    load(project, defs(url, write_disposition="replace"))
    assert count(project, "things") + count(project, "things__quarantine") == len(api.rows)


def test_a_page_that_is_not_strict_json_among_others(project: Project, lists: tuple[Api, str]) -> None:
    """A page with NaN, which is not valid JSON, is read row by row. Other pages are read as a whole."""
    api, url = lists
    columns = {name: COLUMNS[name] for name in ("id", "name", "ratio")}
    api.rows = [{"id": number, "name": "x", "ratio": 0.5} for number in range(350)]
    api.rows[250]["ratio"] = math.nan
    result = sync(project, defs(url, columns=columns))
    assert result.success
    assert (count(project, "things"), count(project, "things__quarantine")) == (349, 1)
    description = str(check_of(result).description)
    assert "ratio is NaN or infinite, not a valid double in 1 row (primary key 250)" in description


VALUES: list[tuple[str, Any]] = [
    ("name", "☕ 𝄞"), ("name", ""), ("name", 17), ("name", HUGE), ("amount", None), ("amount", 7), ("amount", 19.99),
    ("ratio", 3), ("ratio", 1e300), ("is_new", "true"), ("at", "2026-01-05T01:00:00+02:00"), ("at", "2026-01-05"),
    ("at", 1767225600), ("day", "2026-01-05T00:00:00Z"), ("hour", "00:00"), ("address", {}), ("address", None),
    ("more", []), ("more", "text"), ("more", 5), ("more", {"n": {"m": [True]}}),
]  # fmt: skip
VALID = [{**WHOLE, "id": number, column: value} for number, (column, value) in enumerate(VALUES)]


def test_both_paths_give_the_same_table(project: Project, lists: tuple[Api, str]) -> None:
    """An additional undeclared field makes the same rows take the row path."""
    api, url = lists
    tables = []
    for extra in ({}, {"extra": "x"}):
        api.rows = [{**row, **extra} for row in VALID]
        load(project, defs(url, write_disposition="replace"))
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        tables.append(project.query(f"SELECT {names} FROM api.things ORDER BY id"))
        described = project.columns("api.things")
    assert tables[0] == tables[1]
    assert [row["name"] for row in tables[0]][:3] == ["☕ 𝄞", "", "17"]
    types = [described[name] for name in ("amount", "at", "more")]
    assert types == ["NUMERIC" if WAREHOUSE else "DECIMAL(18,2)", "TIMESTAMP WITH TIME ZONE", "JSON"]


def test_both_paths_can_load_one_table(project: Project, lists: tuple[Api, str]) -> None:
    """The first load has no declared columns, the second has them, and the third also has undeclared fields."""
    api, url = lists
    api.rows = [{"id": 1, "name": "Ada", "ratio": 0.5}, {"id": 2, "name": "Bo", "ratio": 1.5}]
    load(project, defs(url, columns={}))
    declared = {name: COLUMNS[name] for name in ("id", "name", "ratio", "day")}
    api.rows = [{"id": 2, "name": "Bo", "ratio": 2.5, "day": "2026-01-05"}, {"id": 3, "name": "Cy"}]
    load(project, defs(url, columns=declared))
    api.rows = [{"id": 3, "name": "Cy", "ratio": 3.5, "tags": [{"t": 1}]}, {"id": 4, "name": "Di"}]
    load(project, defs(url, columns=declared))
    assert project.query("SELECT id, ratio, day::VARCHAR AS day FROM api.things ORDER BY id") == [
        {"id": 1, "ratio": 0.5, "day": None},
        {"id": 2, "ratio": 2.5, "day": "2026-01-05"},
        {"id": 3, "ratio": 3.5, "day": None},
        {"id": 4, "ratio": None, "day": None},
    ]
    assert count(project, "things__tags") == 1


def test_a_row_that_becomes_bad_or_good_moves_between_table_and_quarantine(
    project: Project, lists: tuple[Api, str]
) -> None:
    api, url = lists
    incremental = {"cursor_path": "at", "start_param": "since", "end_param": "until"}
    endpoint = {
        "path": "/things",
        "data_selector": "data",
        "paginator": {"type": "offset", "limit": 100},
        "incremental": incremental,
    }
    text = defs(url, endpoint=endpoint)
    api.rows = [{**WHOLE, "id": 1}, {**WHOLE, "id": 2, "name": None}]
    load(project, text)
    assert (count(project, "things"), count(project, "things__quarantine")) == (1, 1)
    load(project, text)
    assert (count(project, "things"), count(project, "things__quarantine")) == (1, 1), "the same row, once"
    api.rows = [{**WHOLE, "id": 1, "name": None}, {**WHOLE, "id": 2}]
    load(project, text)
    assert [row["id"] for row in project.query("SELECT id FROM api.things")] == [2]
    assert [row["key__id"] for row in project.query("SELECT key__id FROM api.things__quarantine")] == [1]


def test_re_materialising_a_window_replaces_its_quarantine(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    days = ("2026-01-05", "2026-01-06")
    for day, row in zip(days, (4, 7), strict=True):
        api.set_faults(
            {"path": "/v1/transactions", "requests": [1], "row": row, "set_fields": {"quantity": "many"}}
        )
        project.load(shipped_yaml, "transactions", day)
    query = "SELECT partition, reason FROM analytics_api.transactions__quarantine ORDER BY 1"
    why = "quantity is text, not a valid bigint"
    assert project.query(query) == [{"partition": day, "reason": why} for day in days]
    api.set_faults()
    project.load(shipped_yaml, "transactions", days[0])
    assert project.query(query) == [{"partition": days[1], "reason": why}], "the other window's stays"
    project.load(shipped_yaml, "transactions", *days)
    assert project.query(query) == []


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("limit", [2, "3%"])
def test_too_many_bad_rows_halt_the_load_before_anything_is_written(
    project: Project, lists: tuple[Api, str], limit: int | str
) -> None:
    api, url = lists
    text = defs(url, asset={"max_quarantined": limit})
    api.rows = [{**WHOLE, "id": number} for number in range(100)]
    load(project, text)
    for number in (3, 5, 7, 9):
        api.rows[number] = {**WHOLE, "id": number, "name": "new", "amount": "12,50 $"}
    failure = failure_of(sync(project, text))
    assert failure.description == (
        f"things: 4 of 100 rows break the contract (max_quarantined is {limit}). Nothing was loaded. "
        "amount is text, not a valid decimal(18, 2) (4 rows, such as `99,99 $`, primary key 3; 5; 7). Fix the rows at "
        "the API, correct the declared columns, or raise assets.things.max_quarantined."
    )
    assert project.query("SELECT count(*) AS n FROM api.things WHERE name = 'Ada'") == [{"n": 100}]
    assert count(project, "things__quarantine") == 0
    del api.rows[3], api.rows[4]
    load(project, text)


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("mode", ["evolve", "discard_row", "discard_value", "freeze"])
def test_a_field_that_is_not_declared(project: Project, lists: tuple[Api, str], mode: str) -> None:
    api, url = lists
    text = defs(url, schema_contract={"columns": mode})
    api.rows = [{**WHOLE, "id": 1}]
    assert sync(project, text).success
    api.rows = [
        {**WHOLE, "id": 1},
        {**WHOLE, "id": 2, "vip": True, "address": {"city": "Bern", "zip": "3000"}},
    ]
    result = sync(project, text)
    if mode == "freeze":
        assert metadata_of(failure_of(result)) >= {("code", "undeclared_field"), ("field", "address__zip")}
        return
    check = check_of(result, "schema_drift")
    assert not check.passed
    columns = set(project.columns("api.things"))
    assert ({"vip", "address__zip"} <= columns) == (mode == "evolve")
    assert "vip" in str(check.description)
    assert "address__zip" in str(check.description)
    ids = [row["id"] for row in project.query("SELECT id FROM api.things ORDER BY id")]
    assert ids == ([1] if mode == "discard_row" else [1, 2])
    assert check_of(sync(project, text), "schema_drift").passed, "reported once"


def test_the_error_about_a_changed_type_names_the_statement_that_helps(
    project: Project, lists: tuple[Api, str]
) -> None:
    api, url = lists
    api.rows = [WHOLE]
    load(project, defs(url))
    finer = defs(url, columns={**COLUMNS, "amount": {"data_type": "decimal", "precision": 18, "scale": 4}})
    failure = failure_of(sync(project, finer))
    assert "`amount` is decimal(18, 2), declared as decimal(18, 4)" in str(failure.description)
    statement = str(failure.description).partition("run `")[2].partition("`")[0]
    project.execute(statement)
    load(project, finer)
    assert project.columns("api.things")["amount"] in ("DECIMAL(18,4)", "NUMERIC")


def test_a_dropped_table_is_created_again_beside_its_quarantine(
    project: Project, lists: tuple[Api, str]
) -> None:
    api, url = lists
    api.rows = [WHOLE, {**WHOLE, "id": 2, "ratio": "high"}]
    load(project, defs(url))
    project.execute("DROP TABLE api.things")
    api.rows = [{**WHOLE, "ratio": "high"}]
    load(project, defs(url, columns={**COLUMNS, "ratio": {"data_type": "text"}}))
    assert project.query("SELECT ratio FROM api.things") == [{"ratio": "high"}]


def test_a_first_load_of_nothing_but_bad_rows(project: Project, lists: tuple[Api, str]) -> None:
    api, url = lists
    api.rows = [{**WHOLE, "id": "x"}]
    result = sync(project, defs(url))
    assert result.success
    assert not check_of(result).passed
    assert count(project, "things__quarantine") == 1
    project.execute("DROP TABLE api.things__quarantine")
    api.rows = [WHOLE]
    load(project, defs(url))


ODD: list[dict[str, Any]] = [
    {"_dlt_id": "mine"},
    {"a": {"_dlt_load_id": 5}},
    {"quarantine": [{"a": 1}]},
    {"Quarantine": [{"a": 1}]},
    {"x": 2**70},
    {"x": "\ud800"},
    {"": 1},
    {"x": [{"": 1}]},
    {"Ratio": 0.2},
    {"newName": 1, "new_name": 2},
    {"x": [{"newName": 1, "new_name": 2}]},
]


@pytest.mark.parametrize("declared", [COLUMNS, {}], ids=["declared", "nothing declared"])
def test_what_dlt_cannot_store_is_quarantined(
    project: Project, lists: tuple[Api, str], declared: dict[str, Any]
) -> None:
    api, url = lists
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    api.rows = [
        {**WHOLE, "id": number, **odd} for number, odd in enumerate([{}, {"x": 1}, *ODD, {"x": deep}])
    ]
    load(project, defs(url, columns=declared))
    assert count(project, "things") == 2
    assert count(project, "things__quarantine") == len(api.rows) - 2


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("key", ["id", ["id", "name"]])
def test_a_key_gets_a_type_or_a_second_column_while_there_is_a_quarantine(
    project: Project, lists: tuple[Api, str], key: str | list[str]
) -> None:
    """The quarantine gets a column for the key only with the next bad row."""
    api, url = lists
    columns = {name: hints for name, hints in COLUMNS.items() if name != "id" or key != "id"}
    api.rows = [WHOLE, {**WHOLE, "id": 2, "ratio": "high"}]
    load(project, defs(url, columns=columns))
    api.rows[1]["ratio"] = 0.2
    wider = defs(url, primary_key=key)
    load(project, wider)
    assert check_of(project.run(project.definitions(wider), "things", checks_only=True, source="api")).passed
    assert (count(project, "things"), count(project, "things__quarantine")) == (2, 0)


def test_two_fields_that_are_one_column(project: Project, lists: tuple[Api, str]) -> None:
    api, url = lists
    api.rows = [{**WHOLE, "Ratio": 0.1}, {**WHOLE, "id": 2, "Ratio": None}, {**WHOLE, "id": 3, "Ratio": 0.3}]
    result = sync(project, defs(url))
    assert "ratio comes in two fields with different values" in str(check_of(result).description)
    assert project.query("SELECT id, ratio FROM api.things ORDER BY id") == [
        {"id": 1, "ratio": 0.1},
        {"id": 2, "ratio": 0.1},
    ]


def test_a_key_without_a_declaration_that_no_row_has(project: Project, lists: tuple[Api, str]) -> None:
    """All fields are declared and good, but without the key no row can be loaded."""
    api, url = lists
    api.rows = [WHOLE, {**WHOLE, "code": "a"}]
    assert "code is absent" in str(check_of(sync(project, defs(url, primary_key="code"))).description)
    assert (count(project, "things"), count(project, "things__quarantine")) == (1, 1)
    api.rows = [WHOLE, {**WHOLE, "id": 2}]
    assert "code is absent" in str(check_of(sync(project, defs(url, primary_key="code"))).description)
    assert (count(project, "things"), count(project, "things__quarantine")) == (1, 2)


def test_a_key_without_a_type_is_of_one_kind(project: Project, lists: tuple[Api, str]) -> None:
    api, url = lists
    api.rows = [{"id": 1}, {"id": "abc"}]
    result = sync(project, defs(url, columns={}))
    assert result.success
    description = str(check_of(result).description)
    assert "id is text, but was a whole number in an earlier row: declare its data_type" in description


def test_history_keeps_the_earlier_version_of_a_row_that_became_bad(
    project: Project, lists: tuple[Api, str]
) -> None:
    api, url = lists
    text = defs(url, write_disposition={"disposition": "merge", "strategy": "scd2"})
    for ratio in (1, "high"):
        api.rows = [{**WHOLE, "ratio": ratio}, {**WHOLE, "id": 2, "ratio": 0 if ratio == 1 else 7}]
        load(project, text)
    assert project.query("SELECT count(*) AS n FROM api.things WHERE id = 1") == [{"n": 1}]


def test_a_column_added_to_the_contract_of_a_table_that_has_rows(
    project: Project, lists: tuple[Api, str]
) -> None:
    api, url = lists
    api.rows = [WHOLE]
    load(project, defs(url))
    api.rows = [{**WHOLE, "id": 2, "score": 5}]
    assert sync(
        project, defs(url, columns={**COLUMNS, "score": {"data_type": "bigint", "nullable": False}})
    ).success
    assert project.query("SELECT id, score FROM api.things ORDER BY id") == [
        {"id": 1, "score": None},
        {"id": 2, "score": 5},
    ]


def test_child_tables_are_assets_downstream(project: Project, lists: tuple[Api, str]) -> None:
    api, url = lists
    definitions = project.definitions(defs(url, asset={"child_tables": ["lines"]}))
    api.rows = [{**WHOLE, "id": number, "lines": [{"n": 1}, {"n": 2}]} for number in (1, 2)]
    result = project.run(definitions, "things", source="api")
    children = {
        event.step_materialization_data.materialization.asset_key.to_user_string(): event.step_materialization_data
        for event in result.get_asset_materialization_events()
    }
    assert children["api/things__lines"].materialization.metadata["dagster/row_count"].value == 4
    node = definitions.resolve_asset_graph().get(children["api/things__lines"].materialization.asset_key)
    assert {key.to_user_string() for key in node.parent_keys} == {"api/things"}
    api.rows[0]["name"] = None
    assert project.run(definitions, "things", source="api").success
    assert (count(project, "things"), count(project, "things__lines")) == (1, 2), "its children leave with it"

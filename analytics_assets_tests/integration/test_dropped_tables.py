"""A table that somebody drops by hand, to have another column type or by mistake, comes back whole.

A table of another API in the same dataset is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml

from analytics_assets.ingestion.errors import (
    LostStateError,
    OlderStateError,
    TakenTableError,
    ViewInPlaceOfTableError,
)
from analytics_assets.ingestion.warehouse.pipeline import LoadPipeline
from analytics_assets.orchestration.checks.context import CheckContext
from analytics_assets.orchestration.checks.results import complete
from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Project, check_of

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04")


class Api:
    """An API of one row a day, each with a list."""

    def __init__(self) -> None:
        self.rows = [
            {"id": day, "at": f"2026-01-0{day}T12:00:00Z", "n": f"{day}", "items": [{"sku": day}]}
            for day in range(1, 5)
        ]

    def reply(self, asked: Asked) -> Any:
        since, until = asked.params.get("since", ""), asked.params.get("until", "9")
        found = [one for one in self.rows if since <= str(one["at"]) < until]
        return {"data": found, "total": len(found)}


@pytest.fixture
def lists() -> Iterator[tuple[Api, str]]:
    api = Api()
    with answering(api.reply) as url:
        yield api, url


KINDS: dict[str, dict[str, Any]] = {
    "replace": {"write_disposition": "replace"},
    "merge": {"write_disposition": "merge"},
    "append": {"write_disposition": "append"},
    "delete-insert": {"write_disposition": {"disposition": "merge", "strategy": "delete-insert"}},
    "upsert": {"write_disposition": {"disposition": "merge", "strategy": "upsert"}},
    "partitions": {"write_disposition": "merge"},
}


def defs(url: str, kind: str, n: str = "text") -> str:
    endpoint: dict[str, Any] = {"path": "/things", "data_selector": "data"}
    asset: dict[str, Any] = {"child_tables": ["items"]}
    if kind in ("partitions", "append"):
        endpoint["incremental"] = {"cursor_path": "at", "start_param": "since", "end_param": "until"}
    if kind == "partitions":
        asset["partitions"] = {"type": "daily", "start_date": "2026-01-01"}
    resource = {
        "name": "things",
        "primary_key": "id",
        "endpoint": endpoint,
        "columns": {
            "id": {"data_type": "bigint", "nullable": False},
            "at": {"data_type": "timestamp"},
            "n": {"data_type": n},
        },
        **KINDS[kind],
    }
    attributes = {
        "name": "api",
        "rest_api": {"client": {"base_url": url, "paginator": "single_page"}, "resources": [resource]},
        "assets": {"things": asset},
    }
    return yaml.safe_dump({"type": "analytics_assets.RestApiSync", "attributes": attributes})


def sync(project: Project, text: str, kind: str, *days: str, **asked: Any) -> dg.ExecuteInProcessResult:
    wanted = (days or (DAYS[0], DAYS[-1])) if kind == "partitions" else ()
    return project.run(project.definitions(text), "things", *wanted, source="api", asked=asked or None)


def rows(project: Project, table: str = "things") -> list[dict[str, Any]]:
    return project.query(f"SELECT count(*) AS n FROM api.{table}")


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize("retyped", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_dropped_table_comes_back_whole(
    project: Project, lists: tuple[Api, str], kind: str, *, retyped: bool
) -> None:
    _, url = lists
    assert sync(project, defs(url, kind), kind).success
    project.execute("DROP TABLE api.things")
    text = defs(url, kind, "bigint" if retyped else "text")
    asked = {"full_refresh": True} if kind == "append" else {}
    for _ in range(2):
        result = sync(project, text, kind, **asked)
        assert result.success
        assert rows(project) == [{"n": 4}]
        assert rows(project, "things__items") == [{"n": 4}]
        assert all(
            one.passed for one in result.get_asset_check_evaluations() if one.check_name != "schema_drift"
        )
    types = project.columns("api.things")
    assert types["n"] == ("BIGINT" if retyped else "VARCHAR")


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("retyped", [True, False])
def test_partitions_of_a_dropped_table_come_back_one_after_the_other(
    project: Project, lists: tuple[Api, str], *, retyped: bool
) -> None:
    _, url = lists
    assert sync(project, defs(url, "partitions"), "partitions").success
    project.execute("DROP TABLE api.things")
    text = defs(url, "partitions", "bigint" if retyped else "text")
    assert "dropped after the latest sync" in str(lost(project, text))
    for number, day in enumerate(DAYS, 1):
        result = sync(project, text, "partitions", day)
        assert rows(project) == [{"n": number}]
        judged = check_of(result, "complete")
        left = len(DAYS) - number
        counted = f"lacks the rows of {left} partition{'s' if left > 1 else ''} loaded before, such as"
        assert (counted in str(judged.description)) is (left > 0)
        assert judged.passed is (left == 0)
        assert result.success
    assert lost(project, text) is None


def lost(project: Project, text: str) -> str | None:
    """What the check `complete` says in a run without a sync; None if it passes."""
    result = project.run(project.definitions(text), "things", source="api", checks_only=True)
    judged = check_of(result, "complete")
    return None if judged.passed else str(judged.description)


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("kind", ["replace", "merge", "append"])
def test_the_check_says_that_a_table_is_gone(project: Project, lists: tuple[Api, str], kind: str) -> None:
    _, url = lists
    text = defs(url, kind)
    assert sync(project, text, kind).success
    assert lost(project, text) is None
    project.execute("DROP TABLE api.things")
    assert lost(project, text) is not None
    assert sync(project, text, kind).success  # an append starts from the beginning
    assert lost(project, text) is None
    assert rows(project) == [{"n": 4}]


@pytest.mark.duckdb
def test_a_deleted_warehouse_is_noticed(project: Project, lists: tuple[Api, str]) -> None:
    _, url = lists
    text = defs(url, "partitions")
    assert sync(project, text, "partitions").success
    project.database.unlink()
    assert not check_of(sync(project, text, "partitions", DAYS[2]), "complete").passed
    assert sync(project, text, "partitions").success
    assert lost(project, text) is None


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE api.things__items",
        "ALTER TABLE api.things DROP COLUMN n",
        "DROP TABLE api.things__items; ALTER TABLE api.things DROP COLUMN n",
    ],
)
def test_a_dropped_child_table_or_column_is_made_again(
    project: Project, lists: tuple[Api, str], kind: str, sql: str
) -> None:
    _, url = lists
    text = defs(url, kind)
    assert sync(project, text, kind).success
    project.execute(sql)
    result = sync(project, text, kind, **({"full_refresh": True} if kind == "append" else {}))
    assert result.success
    assert rows(project) == [{"n": 4}]
    assert rows(project, "things__items") == [{"n": 4}]
    assert project.query("SELECT count(n) AS n FROM api.things") == [{"n": 4}]


@pytest.mark.matrix(keep=4)
@pytest.mark.parametrize("kind", ["merge", "append", "partitions", "replace", "upsert"])
@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE api.things; DROP TABLE api._dlt_version",
        "DROP TABLE api.things; DROP TABLE api._dlt_pipeline_state",
        "DROP TABLE api.things; DROP TABLE api._dlt_loads",
        "DROP TABLE api.things; DELETE FROM api._dlt_pipeline_state",
        "DROP TABLE api.things; DELETE FROM api._dlt_version",
    ],
)
def test_a_table_dropped_with_one_of_dlt_comes_back_whole(
    project: Project, lists: tuple[Api, str], kind: str, sql: str
) -> None:
    _, url = lists
    text = defs(url, kind)
    assert sync(project, text, kind).success
    project.execute(sql)
    for _ in range(2):
        assert sync(project, text, kind).success
        assert rows(project) == [{"n": 4}]
        assert rows(project, "things__items") == [{"n": 4}]
    assert lost(project, text) is None


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("kind", ["merge", "partitions"])
@pytest.mark.parametrize("table", ["_dlt_version", "_dlt_pipeline_state", "_dlt_loads"])
def test_a_dropped_table_of_dlt_is_made_again(
    project: Project, lists: tuple[Api, str], kind: str, table: str
) -> None:
    _, url = lists
    text = defs(url, kind)
    assert sync(project, text, kind).success
    project.execute(f"DROP TABLE api.{table}")
    for _ in range(2):
        assert sync(project, text, kind).success
        assert rows(project) == [{"n": 4}]
    assert project.query(f"SELECT count(*) > 0 AS n FROM api.{table}") == [{"n": True}]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("kind", ["replace", "append", "partitions"])
def test_a_kill_after_the_warehouse_forgot_the_table_loses_nothing(
    project: Project, lists: tuple[Api, str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, url = lists
    text = defs(url, kind)
    assert sync(project, text, kind).success
    project.execute("DROP TABLE api.things")
    for step in ("extract", "normalize", "load"):
        with monkeypatch.context() as patch:
            patch.setattr(LoadPipeline, step, killed)
            with pytest.raises(KeyboardInterrupt):
                project.load(text, "things", *((DAYS[0], DAYS[-1]) if kind == "partitions" else ()))
    assert sync(project, text, kind).success
    assert rows(project) == [{"n": 4}]
    assert rows(project, "things__items") == [{"n": 4}]


def killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_a_table_of_which_no_load_brought_a_row_is_not_gone(project: Project, lists: tuple[Api, str]) -> None:
    api, url = lists
    text = defs(url, "append")
    kept, api.rows = api.rows, []
    assert sync(project, text, "append").success
    api.rows = kept
    for _ in range(2):
        assert sync(project, text, "append").success
        assert rows(project) == [{"n": 4}]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("table", ["things", "others"])
def test_two_apis_may_share_a_dataset_but_no_table(
    project: Project, lists: tuple[Api, str], table: str
) -> None:
    _, url = lists

    def shared(name: str, table: str) -> str:
        document = yaml.safe_load(defs(url, "replace"))
        attributes = document["attributes"]
        attributes |= {"name": name, "dataset_name": "raw"}
        attributes["rest_api"]["resources"][0]["table_name"] = table
        attributes["assets"] = {}
        return yaml.safe_dump(document)

    assert project.load(shared("one", "things"), "things").dataset_name == "raw"
    if table == "things":
        with pytest.raises(TakenTableError) as taken:
            project.load(shared("two", table), "things")
        assert taken.value.owner == "one__things"
        project.execute("DROP TABLE raw.things")
    for _ in range(2):
        assert project.load(shared("two", table), "things").row_count == 4
    assert project.query(f"SELECT count(*) AS n FROM raw.{table}") == [{"n": 4}]
    result = project.run(project.definitions(shared("two", table)), "things", source="two")
    assert all(one.passed for one in result.get_asset_check_evaluations())


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("kind", ["replace", "append", "partitions"])
@pytest.mark.parametrize("good", [True, False])
def test_a_dropped_quarantine_is_made_again(
    project: Project, lists: tuple[Api, str], kind: str, *, good: bool
) -> None:
    api, url = lists
    document = yaml.safe_load(defs(url, kind))
    document["attributes"]["assets"]["things"]["max_quarantined"] = "100%"
    text = yaml.safe_dump(document)
    for row in api.rows[: None if not good else 1]:
        row["id"] = None
    asked = {"full_refresh": True} if kind == "append" else {}
    assert sync(project, text, kind).success
    bad = rows(project, "things__quarantine")
    project.execute("DROP TABLE api.things__quarantine")
    for _ in range(2):
        assert sync(project, text, kind, **asked).success
        assert rows(project, "things__quarantine") == bad
        assert not good or rows(project) == [{"n": 3}]


def test_a_table_of_another_api_with_the_name_of_a_child_table_is_not_dropped(
    project: Project, lists: tuple[Api, str]
) -> None:
    _, url = lists
    text = defs(url, "merge")
    assert project.load(text, "things").row_count == 4
    project.execute(
        "DROP TABLE api.things; DROP TABLE api.things__items; CREATE TABLE api.things__items AS SELECT 1 AS mine"
    )
    with pytest.raises(TakenTableError, match="another program"):
        project.load(text, "things")
    assert project.query("SELECT mine FROM api.things__items") == [{"mine": 1}]


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("syncs", [2, 1])
@pytest.mark.parametrize("table", ["_dlt_pipeline_state", "_dlt_loads"])
def test_an_append_whose_memory_is_gone_is_refused_and_doubles_no_row(
    project: Project, lists: tuple[Api, str], table: str, syncs: int
) -> None:
    api, url = lists
    text = defs(url, "append")
    late = api.rows.pop()
    assert sync(project, text, "append").success
    api.rows.append(late)
    if syncs == 2:
        assert sync(project, text, "append").success
    project.execute(f"DELETE FROM api.{table}")
    if (table, syncs) == ("_dlt_loads", 1):
        # Like the rows of a first load that was killed: they are loaded again.
        assert project.load(text, "things").row_count == 4
        return
    before = rows(project)
    with pytest.raises(LostStateError, match="full_refresh"):
        project.load(text, "things")
    assert rows(project) == before
    assert sync(project, text, "append", full_refresh=True).success
    assert sync(project, text, "append").success
    assert rows(project) == [{"n": 4}]


CURSORS: dict[str, dict[str, Any]] = {
    "timestamp": {"at": {"data_type": "timestamp"}},
    "date": {"at": {"data_type": "date"}},
    "text": {"at": {"data_type": "text"}},
    "undeclared": {},
    "number": {"at": {"data_type": "bigint"}},
}


def appended(url: str, cursor: str = "timestamp", **incremental: Any) -> str:
    document = yaml.safe_load(defs(url, "append"))
    [things] = document["attributes"]["rest_api"]["resources"]
    things["columns"] = {"id": {"data_type": "bigint", "nullable": False}, **CURSORS[cursor]}
    things["endpoint"]["incremental"] |= incremental
    return str(yaml.safe_dump(document))


def delete_newest_state(project: Project, count: int = 1) -> None:
    project.execute(
        "DELETE FROM api._dlt_pipeline_state WHERE version IN "
        f"(SELECT version FROM api._dlt_pipeline_state ORDER BY version DESC LIMIT {count})"
    )


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("lost", [1, 2])
@pytest.mark.parametrize("cursor", CURSORS)
def test_an_append_from_an_older_cursor_is_refused_and_doubles_no_row(
    project: Project, lists: tuple[Api, str], cursor: str, lost: int
) -> None:
    api, url = lists
    for row in api.rows:
        if cursor in ("date", "number"):
            row["at"] = str(row["at"])[:10] if cursor == "date" else row["id"]
    text, every = appended(url, cursor), api.rows
    for count in (1, 2, 3):
        api.rows = every[:count]
        assert project.load(text, "things").row_count == count
    newest = project.query("SELECT load_id FROM api._dlt_loads ORDER BY load_id")[-lost:]
    delete_newest_state(project, lost)
    api.rows = every
    with pytest.raises(OlderStateError) as refused:
        project.load(text, "things")
    loads = [one["load_id"] for one in newest]
    assert list(refused.value.loads) == loads
    assert rows(project) == [{"n": 3}]
    # Without these rows, the older state is the state of the table.
    for load in loads:
        project.execute(
            "DELETE FROM api.things__items WHERE _dlt_parent_id IN "
            f"(SELECT _dlt_id FROM api.things WHERE _dlt_load_id = '{load}');"
            f"DELETE FROM api.things WHERE _dlt_load_id = '{load}'"
        )
    assert project.load(text, "things").row_count == 4
    assert project.query("SELECT id FROM api.things ORDER BY id") == [{"id": id_} for id_ in (1, 2, 3, 4)]


def test_a_full_refresh_is_not_refused_for_an_older_cursor(project: Project, lists: tuple[Api, str]) -> None:
    api, url = lists
    late = api.rows.pop()
    project.load(appended(url), "things")
    api.rows.append(late)
    project.load(appended(url), "things")
    delete_newest_state(project)
    assert project.load(appended(url), "things", full_refresh=True).row_count == 4
    assert project.load(appended(url), "things").row_count == 4


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("cursor", ["timestamp", "undeclared"])
def test_loads_that_store_no_state_are_no_reason_to_refuse_an_append(
    project: Project, lists: tuple[Api, str], cursor: str
) -> None:
    """Rows at the last cursor value, rows in the future and loads without rows leave dlt's state as it is."""
    api, url = lists
    text = appended(url, cursor, primary_key=[])
    assert project.load(text, "things").row_count == 4
    assert project.load(text, "things").row_count == 5, "the row with the last value comes again"
    states = project.query("SELECT count(*) AS n FROM api._dlt_pipeline_state")
    api.rows = [] if cursor == "undeclared" else [{"id": 9, "at": "2999-01-01T00:00:00Z", "items": []}]
    for _ in range(3):
        project.load(text, "things")
    assert project.query("SELECT count(*) AS n FROM api._dlt_pipeline_state") == states
    assert rows(project) == [{"n": 5 if cursor == "undeclared" else 8}]


@pytest.mark.parametrize("kind", ["append", "merge"])
@pytest.mark.parametrize("table", ["things", "things__items"])
def test_a_view_in_place_of_a_table_is_named(
    project: Project, lists: tuple[Api, str], kind: str, table: str
) -> None:
    _, url = lists
    text = defs(url, kind)
    assert project.load(text, "things").row_count == 4
    project.execute(
        f"ALTER TABLE api.{table} RENAME TO old; CREATE VIEW api.{table} AS SELECT * FROM api.old"
    )
    with pytest.raises(ViewInPlaceOfTableError, match=f"{table}.* is a view"):
        project.load(text, "things")
    project.execute(f"DROP VIEW api.{table}; ALTER TABLE api.old RENAME TO {table}")
    assert project.load(text, "things").row_count == 4


@pytest.mark.duckdb
@pytest.mark.parametrize("kind", ["merge", "replace"])
@pytest.mark.parametrize(
    "sql", ["DROP TABLE _api_staging.things", "ALTER TABLE _api_staging.things__items DROP COLUMN sku"]
)
def test_a_staging_table_that_was_dropped_alone_is_made_again(
    project: Project, lists: tuple[Api, str], kind: str, sql: str
) -> None:
    _, url = lists
    text = defs(url, kind)
    assert project.load(text, "things").row_count == 4
    project.execute(sql)
    for _ in range(2):
        assert project.load(text, "things").row_count == 4
        assert rows(project, "things__items") == [{"n": 4}]


@pytest.mark.parametrize("reported", [4, 5])
def test_lost_partitions_hide_no_fault_of_the_sync(
    project: Project, lists: tuple[Api, str], reported: int
) -> None:
    _, url = lists
    resource = project.plan(defs(url, "partitions"), "things", DAYS[0], DAYS[-1]).resource
    table: Any = SimpleNamespace(exists=True, row_count=lambda: 4)
    sync = {"rows_fetched": 4, "rows_reported_by_api": reported, "rows_loaded": 4}
    outcome = complete(CheckContext(table, resource, None, None, sync, lost_partitions=(DAYS[0],)))
    assert not outcome.passed
    assert outcome.is_warning is (reported == 4)
    assert ("lacks the rows of 1 partition" in outcome.sentence) is (reported == 4)

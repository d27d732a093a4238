"""Forms of dlt's REST config, and of API responses, that once failed. A sync accepts what dlt accepts."""

from __future__ import annotations

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import dagster as dg
import dlt
import pytest
import yaml
from dlt.sources.helpers.rest_client.auth import APIKeyAuth

from analytics_assets import RestApiSync
from analytics_assets_tests.conftest import DemoApi, Project, check_of

A, B = "/v1/products", "/v1/customers"


def defs(*resources: dict[str, Any], assets: dict[str, Any] | None = None) -> str:
    attributes = {
        "name": "docs",
        "rest_api": {
            "client": {
                "base_url": "{{ env.ANALYTICS_API_BASE_URL }}",
                "auth": {"type": "api_key", "name": "api_key", "location": "query"},
                "paginator": "single_page",
            },
            "resource_defaults": {"primary_key": "id", "endpoint": {"data_selector": "data"}},
            "resources": list(resources),
        },
        "assets": assets or {},
    }
    return yaml.safe_dump({"type": "analytics_assets.RestApiSync", "attributes": attributes})


def answer(api: DemoApi, path: str, *rows: dict[str, Any]) -> None:
    api.set_faults({"path": path, "body": json.dumps({"data": rows, "total": len(rows)})})


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__DOCS__API_KEY", "demo-key")


def run(project: Project, definitions: dg.Definitions, resource: str, *partitions: str) -> Any:
    result = project.run(definitions, resource, *partitions, source="docs")
    assert result.success
    return result


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("disposition", ["merge", "replace"])
def test_a_run_of_one_resource_keeps_the_schema_of_another(
    project: Project, api: DemoApi, disposition: str
) -> None:
    """dlt stores one document per schema name. With a shared name, the run of `b` would drop the columns of `a`."""
    a = {"name": "a", "endpoint": {"path": A}, "write_disposition": disposition}
    b = {"name": "b", "endpoint": {"path": B}, "write_disposition": disposition}
    text = defs(a, b)
    answer(api, A, {"id": 1, "v": 1, "items": [{"n": 1}, {"n": 2}]})
    project.load(text, "a")
    answer(api, B, {"id": 1})
    project.load(text, "b")
    answer(api, A, {"id": 1, "v": 1.6, "items": []})
    project.load(text, "a")
    assert project.query("SELECT v, v__v_double FROM docs.a") == [{"v": None, "v__v_double": 1.6}]
    assert project.query("SELECT * FROM docs.a__items") == []


def test_runs_of_one_resource_wait_for_each_other(project: Project, api: DemoApi) -> None:
    """Two runs at once would start from the same cursor and append the same rows twice."""
    incremental = {"cursor_path": "u", "start_param": "since"}
    columns = {"u": {"data_type": "timestamp"}}
    resource = {"name": "a", "write_disposition": "append", "columns": columns}
    definitions = project.definitions(defs({**resource, "endpoint": {"path": A, "incremental": incremental}}))
    body = json.dumps({"data": [{"id": n, "u": f"2026-01-0{n}T00:00:00Z"} for n in range(1, 9)], "total": 8})
    api.set_faults({"path": A, "body": body, "delay": 0.3})
    other = copy.copy(project)
    with dg.DagsterInstance.ephemeral() as other.instance, ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run, one, definitions, "a") for one in (project, other)]:
            done.result()
    assert project.query("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM docs.a") == [
        {"n": 8, "ids": 8}
    ]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("disposition", "cursor_path"),
    [
        ("merge", "u"),
        ({"disposition": "merge", "strategy": "delete-insert"}, "u"),
        ("merge", "$.u"),
    ],
)
def test_the_newest_version_wins_however_it_is_written(
    project: Project, api: DemoApi, disposition: Any, cursor_path: str
) -> None:
    endpoint = {"path": A, "incremental": {"cursor_path": cursor_path}}
    text = defs(
        {
            "name": "a",
            "write_disposition": disposition,
            "endpoint": endpoint,
            "columns": {"u": {"data_type": "timestamp"}},
        }
    )
    older, newer = (
        {"id": 1, "u": "2026-01-01T00:00:00Z", "v": "old"},
        {"id": 1, "u": "2026-01-02T00:00:00Z", "v": "new"},
    )
    for rows in ((older, newer), (newer, older)):
        answer(api, A, *rows)
        project.load(text, "a")
        assert project.query("SELECT v FROM docs.a") == [{"v": "new"}]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("declared", [{"u": {"data_type": "timestamp"}}, {"u": {"data_type": "date"}}, {}])
def test_a_row_that_changes_at_the_last_cursor_value_is_merged(
    project: Project, api: DemoApi, declared: dict[str, Any]
) -> None:
    """dlt alone would skip the row, because dlt has already loaded its key and cursor value."""
    endpoint = {"path": A, "incremental": {"cursor_path": "u", "start_param": "since"}}
    resource = {"name": "a", "write_disposition": "merge", "endpoint": endpoint, "columns": declared}
    config = defs(resource)
    for text in ("old", "new", "newest"):
        answer(api, A, {"id": 1, "u": "2026-01-02", "v": text}, {"id": 2, "u": "2026-01-01", "v": "old"})
        project.load(config, "a")
        assert project.query("SELECT v FROM docs.a WHERE id = 1") == [{"v": text}]


def test_a_dedup_sort_from_the_user_is_kept(project: Project, api: DemoApi) -> None:
    endpoint = {"path": A, "incremental": {"cursor_path": "u"}}
    columns = {"version": {"data_type": "bigint", "dedup_sort": "desc"}}
    text = defs({"name": "a", "write_disposition": "merge", "endpoint": endpoint, "columns": columns})
    answer(api, A, {"id": 1, "u": "2", "version": 1}, {"id": 1, "u": "1", "version": 2})
    project.load(text, "a")
    assert project.query("SELECT version FROM docs.a") == [{"version": 2}]


def test_nullable_false_applies_without_a_data_type(project: Project, api: DemoApi) -> None:
    definitions = project.definitions(
        defs({"name": "a", "endpoint": {"path": A}, "columns": {"v": {"nullable": False}}})
    )
    answer(api, A, {"id": 1, "v": None}, {"id": 2, "v": 5})
    check = check_of(run(project, definitions, "a"))
    assert check.description == "1 row in quarantine: v is null in 1 row."
    assert project.query("SELECT id, v FROM docs.a") == [{"id": 2, "v": 5}]


def test_columns_may_be_a_list_and_a_cursor_may_be_an_epoch(project: Project, api: DemoApi) -> None:
    endpoint = {"path": A, "incremental": {"cursor_path": "u", "start_param": "since"}}
    columns = [{"name": "u", "data_type": "timestamp"}, {"name": "v", "data_type": "text", "nullable": False}]
    definitions = project.definitions(defs({"name": "a", "endpoint": endpoint, "columns": columns}))
    answer(api, A, {"id": 1, "u": 1767225600, "v": "x"})
    run(project, definitions, "a")
    [row] = project.query("SELECT u FROM docs.a")
    assert row["u"] == datetime.fromisoformat("2026-01-01T00:00:00Z")


def test_a_resource_that_is_not_selected_is_not_an_asset(project: Project) -> None:
    posts = {"name": "posts", "selected": False, "endpoint": {"path": A}}
    comments = {"name": "comments", "endpoint": {"path": "/v1/{resources.posts.id}"}}
    graph = project.definitions(defs(posts, comments)).resolve_asset_graph()
    assert [key.to_user_string() for key in graph.materializable_asset_keys] == ["docs/comments"]
    node = graph.get(dg.AssetKey(["docs", "comments"]))
    assert {key.to_user_string() for key in node.parent_keys} == {"docs/api/posts", "docs/api/comments"}


def test_the_python_form_accepts_python_objects(project: Project, api: DemoApi) -> None:
    """A dlt resource and an auth object are used as they are. The user's map may create the cursor."""

    @dlt.resource(name="constants")
    def constants() -> Any:
        yield {"id": 1}

    def make_cursor(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "u": f"{row['day']}T00:00:00Z"}

    sync = RestApiSync(
        name="docs",
        rest_api={
            "client": {
                "base_url": api.url,
                "auth": APIKeyAuth(name="api_key", api_key="demo-key", location="query"),
                "paginator": "single_page",
            },
            "resources": [
                constants(),
                {
                    "name": "a",
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "endpoint": {"path": A, "data_selector": "data", "incremental": {"cursor_path": "u"}},
                    "columns": {"u": {"data_type": "timestamp"}},
                    "processing_steps": [{"map": make_cursor}],
                },
            ],
        },
        assets={"a": {"partitions": {"type": "daily", "start_date": "2026-01-01"}}},
    )
    definitions = dg.build_defs_for_component(sync)
    answer(api, A, {"id": 1, "day": "2026-01-05"}, {"id": 2, "day": "2026-01-06"})
    run(project, definitions, "a", "2026-01-05")
    run(project, definitions, "constants")
    assert project.query("SELECT id FROM docs.a") == [{"id": 1}]
    assert project.query("SELECT id FROM docs.constants") == [{"id": 1}]

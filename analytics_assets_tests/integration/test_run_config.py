"""The run config of the launchpad: dry run, page limit and full refresh."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from filelock import FileLock

from analytics_assets.ingestion.warehouse.locks import WAREHOUSE
from analytics_assets.orchestration.automation.catch_up import was_missed
from analytics_assets.orchestration.metadata import plain
from analytics_assets.orchestration.runs import RESOURCE_KEY
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import DemoApi, Project, failure_of, metadata_of

A = "/v1/products"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__DOCS__API_KEY", "demo-key")


def defs(
    *resources: dict[str, Any],
    url: str = "{{ env.ANALYTICS_API_BASE_URL }}",
    paginator: Any = "single_page",
    assets: Any = None,
) -> str:
    attributes = {
        "name": "docs",
        "rest_api": {
            "client": {
                "base_url": url,
                "auth": {"type": "api_key", "name": "api_key", "location": "query"},
                "paginator": paginator,
            },
            "resource_defaults": {"primary_key": "id", "endpoint": {"data_selector": "data"}},
            "resources": list(resources),
        },
        "assets": assets or {},
    }
    return yaml.safe_dump({"type": "analytics_assets.RestApiSync", "attributes": attributes})


def incremental(disposition: Any, **more: Any) -> dict[str, Any]:
    endpoint = {"path": A, "incremental": {"cursor_path": "u", "start_param": "since"}}
    columns = {"id": {"data_type": "bigint", "nullable": False}, "u": {"data_type": "timestamp"}}
    return {"name": "a", "write_disposition": disposition, "endpoint": endpoint, "columns": columns, **more}


def row(number: int, day: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "u": f"2026-01-{day:02}T00:00:00Z", **more}


def answer(api: DemoApi, *rows: dict[str, Any]) -> None:
    api.set_faults({"path": A, "body": json.dumps({"data": rows, "total": len(rows)})})


def observed(result: dg.ExecuteInProcessResult) -> tuple[str, dict[str, Any]]:
    """The description and the metadata of the observation, which is the only record of a dry run."""
    assert result.success
    assert not result.get_asset_materialization_events()
    assert not result.get_asset_check_evaluations()
    (event,) = result.get_asset_observation_events()
    observation = event.asset_observation_data.asset_observation
    return str(observation.description), plain(observation.metadata)


def loaded(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    assert result.success
    (event,) = [
        one
        for one in result.get_asset_materialization_events()
        if one.asset_key == dg.AssetKey(["docs", "a"])
    ]
    return plain(event.materialization.metadata)


def paged(kind: str, pages: int, size: int = 3) -> Callable[[Asked], Any]:
    """An API of `pages` pages, which records the requests."""

    def reply(asked: Asked) -> Any:
        reply.asked.append(asked)  # type: ignore[attr-defined]
        number = int(asked.params.get("page" if kind != "offset" else "offset", 0))
        start = number if kind == "offset" else number * size
        rows = [{"id": one} for one in range(start, min(start + size, pages * size))]
        more = start + size < pages * size
        body: dict[str, Any] = {"data": rows}
        if kind in ("offset", "page_number"):
            body["total"] = pages * size if kind == "offset" else pages
        if kind == "cursor":
            body["next"] = str(number + 1) if more else None
        link = (
            {"Link": f'<{asked.path}?page={number + 1}>; rel="next"'}
            if kind == "header_link" and more
            else {}
        )
        return Reply(body, headers=link)

    reply.asked = []  # type: ignore[attr-defined]
    return reply


PAGINATORS: dict[str, Any] = {
    "offset": {"type": "offset", "limit": 3},
    "page_number": {"type": "page_number", "total_path": "total", "base_page": 0},
    "cursor": {"type": "cursor", "cursor_path": "next", "cursor_param": "page"},
    "header_link": "header_link",
}


def test_the_launchpad_says_what_may_be_asked(shipped_yaml: str, project: Project) -> None:
    job = project.definitions(shipped_yaml).resolve_implicit_global_asset_job_def()
    fields = {}
    for resource in ("customers", "transactions", "events"):
        definition: Any = job.get_node_named(f"analytics_api__{resource}").definition
        fields[resource] = definition.config_schema.config_type.fields
        for name, field in fields[resource].items():
            assert field.description, name
            assert not field.is_required
    assert list(fields["customers"]) == ["dry_run", "max_pages"]
    assert list(fields["transactions"]) == ["dry_run", "max_pages", "lookback"]
    assert list(fields["events"]) == ["dry_run", "max_pages", "full_refresh"]


@pytest.mark.parametrize("strategy", ["upsert", "insert-only", "scd2"])
def test_what_keeps_rows_of_older_loads_cannot_be_refreshed_in_full(project: Project, strategy: str) -> None:
    resource = incremental({"disposition": "merge", "strategy": strategy})
    definitions = project.definitions(defs({**resource, "merge_key": "id"}))
    job = definitions.resolve_implicit_global_asset_job_def()
    definition: Any = job.get_node_named("docs__a").definition
    assert "full_refresh" not in definition.config_schema.config_type.fields


def test_a_value_out_of_range_is_reported_in_a_sentence(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    result = project.run(project.definitions(shipped_yaml), "customers", asked={"max_pages": 0})
    failure = failure_of(result)
    assert "customers: the config of this run: max_pages: Input should be greater" in str(failure.description)
    assert ("code", "unfit_run_config") in metadata_of(failure)
    assert not api.request_counts()


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize(
    "asked", [None, {"lookback": 2}, {"dry_run": True}], ids=["sync", "lookback", "dry run"]
)
@pytest.mark.parametrize("partitions", [(), ("2026-01-05", "2026-01-03")], ids=["none", "a reversed range"])
def test_a_run_without_a_partition_of_a_partitioned_asset_fails_before_a_request(
    project: Project,
    api: DemoApi,
    shipped_yaml: str,
    partitions: tuple[str, ...],
    asked: dict[str, Any] | None,
) -> None:
    before = api.request_counts()
    result = project.run(project.definitions(shipped_yaml), "transactions", *partitions, asked=asked)
    failure = failure_of(result)
    named = {("code", "no_partition"), ("fault", "config"), (RESOURCE_KEY, "transactions")}
    assert named <= metadata_of(failure)
    assert "with a range from an earlier partition to a later one" in str(failure.description)
    assert api.request_counts() == before


def test_a_misspelled_op_drops_no_option(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    """Dagster drops the config of an op that does not exist. The dry run would have written."""
    before = api.request_counts()
    job = project.definitions(shipped_yaml).resolve_implicit_global_asset_job_def()

    def run(op: str) -> dg.ExecuteInProcessResult:
        return job.execute_in_process(
            asset_selection=[dg.AssetKey(["analytics_api", "customers"])],
            instance=project.instance,
            run_config={"ops": {op: {"config": {"dry_run": True}}}},
            raise_on_error=False,
        )

    failure = failure_of(run("analytics_api__custmers"))
    assert ("code", "unknown_op") in metadata_of(failure)
    assert ("op", "analytics_api__custmers") in metadata_of(failure)
    assert "the op of this asset is `analytics_api__customers`." in str(failure.description)
    assert api.request_counts() == before
    observed(run("analytics_api__customers"))


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize(
    ("tags", "asked", "code", "says"),
    [
        ({"dry_runn": "true"}, {}, "unknown_tag", "Write `analytics_assets/dry_run`."),
        (
            {"x": "1"},
            {},
            "unknown_tag",
            "The tags are `analytics_assets/dry_run`, `analytics_assets/full_refresh`",
        ),
        (
            {"dry_run": "false"},
            {"dry_run": True},
            "contradicting_options",
            "says False, and its config says True",
        ),
        ({"max_pages": "3"}, {"max_pages": 4}, "contradicting_options", "Remove one of them"),
        ({"lookback": "1"}, {}, "option_does_not_apply", "which has `dry_run`, `max_pages`"),
        (
            {"dry_run": "yess"},
            {},
            None,
            "the tag `analytics_assets/dry_run`: Input should be a valid boolean",
        ),
        ({"max_pages": "0"}, {}, None, "the tag `analytics_assets/max_pages`: Input should be greater than"),
        (
            {"max_pages": "true"},
            {},
            None,
            "the tag `analytics_assets/max_pages`: Input should be a valid integer",
        ),
        (
            {"max_pages": "False"},
            {},
            None,
            "the tag `analytics_assets/max_pages`: Input should be a valid integer",
        ),
        (
            {"max_pages": "1.5"},
            {},
            None,
            "the tag `analytics_assets/max_pages`: Input should be a valid integer",
        ),
    ],
)
def test_a_wrong_tag_is_refused_before_a_request(
    project: Project,
    api: DemoApi,
    shipped_yaml: str,
    tags: dict[str, str],
    asked: dict[str, Any],
    code: str | None,
    says: str,
) -> None:
    before = api.request_counts()
    ours = {f"analytics_assets/{name}": value for name, value in tags.items()}
    result = project.run(project.definitions(shipped_yaml), "customers", asked=asked, tags=ours)
    failure = failure_of(result)
    assert says in str(failure.description)
    assert code is None or ("code", code) in metadata_of(failure)
    assert api.request_counts() == before


def test_a_tag_that_is_almost_ours_is_refused_and_others_are_not(project: Project, shipped_yaml: str) -> None:
    definitions = project.definitions(shipped_yaml)
    failure = failure_of(project.run(definitions, "customers", tags={"analytics_asset/dry_run": "true"}))
    assert ("code", "unknown_tag") in metadata_of(failure)
    tags = {"team": "x", "analytics_assets/circuit": "1", "analytics_assets/dry_run": "True"}
    observed(project.run(definitions, "customers", tags=tags, asked={"dry_run": True}))


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("way", ["config", "tag"])
@pytest.mark.parametrize(("option", "value"), [("dry_run", True), ("lookback", 2)])
def test_a_run_of_a_backfill_claims_each_of_its_partitions_and_no_others(
    project: Project, api: DemoApi, shipped_yaml: str, option: str, value: Any, way: str
) -> None:
    definitions = project.definitions(shipped_yaml)
    tags = {"dagster/backfill": "abc", "dagster/partition": "2026-01-05"}
    asked = {option: value} if way == "config" else None
    if way == "tag":
        tags[f"analytics_assets/{option}"] = str(value).lower()
    result = project.run(definitions, "transactions", "2026-01-05", asked=asked, tags=tags)
    assert ("code", "option_in_backfill") in metadata_of(failure_of(result))
    assert api.request_counts() == {}


def test_options_also_work_as_tags(project: Project, api: DemoApi) -> None:
    definitions = project.definitions(defs(incremental("append")))
    answer(api, row(1, 1), row(2, 2))
    observed(project.run(definitions, "a", source="docs", tags={"analytics_assets/dry_run": "true"}))
    assert not project.database.exists()
    for _ in range(2):
        result = project.run(definitions, "a", source="docs", tags={"analytics_assets/full_refresh": "true"})
        assert loaded(result)["full_refresh"]
    assert len(project.query("SELECT id FROM docs.a")) == 2


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("tags", "asked"),
    [
        ({"dry_run": "true"}, {"dry_run": False}),
        ({"dry_run": "true"}, {"dry_run": False, "max_pages": 2}),
        ({"dry_run": "true", "max_pages": "2"}, {"dry_run": False, "max_pages": 2}),
        ({"max_pages": "1"}, {"dry_run": True}),
        ({"dry_run": "1"}, {}),
    ],
)
def test_a_default_in_the_launchpad_contradicts_no_tag(
    project: Project, shipped_yaml: str, tags: dict[str, str], asked: dict[str, Any]
) -> None:
    """Dagster's launchpad fills in every default, such as `dry_run: false`."""
    ours = {f"analytics_assets/{name}": value for name, value in tags.items()}
    result = project.run(project.definitions(shipped_yaml), "customers", asked=asked, tags=ours)
    sentence, _ = observed(result)
    pages = "at most 2 pages" if "2" in str((tags, asked)) else "the first page"
    assert f"rows of {pages} " in sentence


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("value", ["true", "1.5", "-1"])
def test_a_tag_that_is_no_number_of_partitions_is_refused(
    project: Project, shipped_yaml: str, value: str
) -> None:
    tags = {"analytics_assets/lookback": value}
    failure = failure_of(
        project.run(project.definitions(shipped_yaml), "transactions", "2026-01-01", tags=tags)
    )
    assert "the tag `analytics_assets/lookback`" in str(failure.description)


def test_a_dry_run_looks_at_one_page_and_writes_nothing(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    definitions = project.definitions(shipped_yaml)
    api.set_faults(
        {"path": "/v1/customers", "row": 0, "set_fields": {"credit_limit": "secret words", "new": 1}}
    )
    sentence, metadata = observed(project.run(definitions, "customers", asked={"dry_run": True}))
    first = api.rows("customers")[0]
    assert sentence.startswith(
        "Dry run, nothing was written: of 100 rows of the first page 99 would load, 1 would go to quarantine. "
        "In quarantine: credit_limit is text, not a valid decimal(18, 2) (1 row, such as"
    )
    assert "secret" not in sentence
    assert f"`xxxxxx xxxxx`, primary key {first['id']}" in sentence
    assert "Not declared: new." in sentence
    expected = {"rows_read": 100, "rows_to_load": 99, "rows_to_quarantine": 1, "requests": 1, "pages": 1}
    assert expected.items() <= metadata.items()
    assert metadata["undeclared_fields"] == {"new": 1}
    assert metadata["max_quarantined_exceeded"] is False
    assert api.request_counts() == {"/v1/customers": 1}
    assert not project.database.parent.exists(), "neither a warehouse nor a lock beside it"
    assert (
        project.instance.get_latest_materialization_event(dg.AssetKey(["analytics_api", "customers"])) is None
    )


@pytest.mark.duckdb
def test_a_dry_run_leaves_the_warehouse_as_it_is(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    """A dry run does not take the lock, which another run may hold."""
    definitions = project.definitions(shipped_yaml)
    assert project.run(definitions, "events").success

    def files() -> dict[Path, tuple[int, bytes]]:
        found = [one for one in project.database.parent.iterdir() if one.is_file()]
        return {one: (one.stat().st_mtime_ns, one.read_bytes()) for one in found}

    before = files()
    api.set_faults()
    locks = [FileLock(f"{project.database}.locks/{one}") for one in (WAREHOUSE, "analytics_api__events")]
    assert all(Path(one.lock_file).exists() for one in locks)
    with locks[0], locks[1]:
        _, metadata = observed(project.run(definitions, "events", asked={"dry_run": True, "max_pages": 2}))
    assert metadata["rows_read"] == metadata["rows_to_load"] == 199, "a second page begins with the last row"
    assert api.request_counts() == {"/v1/events": 2}
    assert before == files()


def test_a_dry_run_of_partitions_is_of_their_window(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    definitions = project.definitions(shipped_yaml)
    result = project.run(definitions, "transactions", "2026-01-05", asked={"dry_run": True})
    _, metadata = observed(result)
    rows = len(api.rows("transactions", "2026-01-05", "2026-01-06"))
    assert metadata["rows_to_load"] == min(rows, 100)
    assert metadata["partitions"] == "2026-01-05"
    (event,) = result.get_asset_observation_events()
    assert event.partition == "2026-01-05"
    spanning = project.run(definitions, "transactions", "2026-01-05", "2026-01-07", asked={"dry_run": True})
    assert observed(spanning)[1]["partitions"] == "2026-01-05...2026-01-07"


def test_a_dry_run_says_that_a_sync_would_have_too_many_bad_rows(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    for limit in (None, 3):
        document = yaml.safe_load(shipped_yaml)
        if limit:
            document["attributes"]["assets"]["customers"]["max_quarantined"] = limit
        api.set_faults({"path": "/v1/customers", "row": None, "set_fields": {"name": None}})
        definitions = project.definitions(yaml.safe_dump(document))
        sentence, metadata = observed(project.run(definitions, "customers", asked={"dry_run": True}))
        assert metadata["rows_to_quarantine"] == 100
        assert metadata["max_quarantined_exceeded"] is True
        assert f"more than max_quarantined ({limit or '50%'}) allows" in sentence


def test_a_dry_run_fails_as_a_sync_does(project: Project, api: DemoApi, impatient_yaml: str) -> None:
    """An outage opens the circuit, and an open circuit refuses a dry run."""
    definitions = project.definitions(impatient_yaml)
    api.set_faults({"path": "/v1/customers", "status": 503})
    halted = project.run(definitions, "customers", asked={"dry_run": True})
    assert "halted after 4 attempts of GET /v1/customers" in str(failure_of(halted).description)
    api.set_faults()
    refused = project.run(definitions, "customers", asked={"dry_run": True})
    assert "circuit" in str(failure_of(refused).description)
    assert not api.request_counts()
    assert not project.database.parent.exists()


@pytest.mark.parametrize("as_tag", [True, False])
@pytest.mark.parametrize("looks_only", [True, False])
def test_a_dry_run_under_way_is_no_sync_under_way(
    project: Project, *, looks_only: bool, as_tag: bool
) -> None:
    asset = dg.AssetKey(["docs", "a"])
    config = {"ops": {"docs__a": {"config": {"dry_run": looks_only}}}}
    run = dg.DagsterRun(
        "docs__a__sync",
        status=dg.DagsterRunStatus.STARTED,
        run_config={} if as_tag else config,
        tags={"analytics_assets/dry_run": str(looks_only).lower()} if as_tag else {},
        asset_selection=frozenset({asset}),
    )
    project.instance.add_run(run)
    assert was_missed(project.instance, asset, "docs__a", "0 * * * *", "UTC") is looks_only


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("kind", PAGINATORS)
def test_a_dry_run_ends_at_its_pages(project: Project, kind: str) -> None:
    reply = paged(kind, pages=9)
    resource = {"name": "a", "write_disposition": "replace", "endpoint": {"path": "/rows"}}
    with answering(reply) as url:
        definitions = project.definitions(defs(resource, url=url, paginator=PAGINATORS[kind]))
        for pages, rows in ((1, 3), (4, 12 if kind != "offset" else 9)):
            reply.asked.clear()  # type: ignore[attr-defined]
            result = project.run(definitions, "a", source="docs", asked={"dry_run": True, "max_pages": pages})
            assert observed(result)[1]["rows_to_load"] == rows
            assert len(reply.asked) == pages  # type: ignore[attr-defined]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("kind", PAGINATORS)
def test_a_sync_within_its_pages_has_them_all_and_one_beyond_loads_nothing(
    project: Project, kind: str
) -> None:
    reply = paged(kind, pages=5)
    asked: list[Asked] = reply.asked  # type: ignore[attr-defined]
    resource = {"name": "a", "write_disposition": "replace", "endpoint": {"path": "/rows"}}
    with answering(reply) as url:
        definitions = project.definitions(defs(resource, url=url, paginator=PAGINATORS[kind]))
        loaded(project.run(definitions, "a", source="docs"))
        needed = len(asked)
        asked.clear()
        assert (
            loaded(project.run(definitions, "a", source="docs", asked={"max_pages": needed}))["rows_loaded"]
            == 15
        )
        asked.clear()
        before = content(project)
        for pages in range(1, needed):
            result = project.run(definitions, "a", source="docs", asked={"max_pages": pages})
            assert metadata_of(failure_of(result)) >= {
                ("code", "max_pages_exceeded"),
                ("endpoint", "GET /rows"),
                ("max_pages", pages),
            }
            assert len(asked) == pages
            asked.clear()
            run = project.instance.get_run_by_id(result.run_id)
            assert run is not None
            assert run.tags["dagster/retry_on_asset_or_op_failure"] == "false"
        assert content(project) == before
    assert project.instance.get_latest_materialization_event(dg.AssetKey(["docs", "circuit"])) is None


def content(project: Project) -> Any:
    """The bytes of the DuckDB file, or the rows in PostgreSQL."""
    return (
        project.query("SELECT * FROM docs.a ORDER BY _dlt_id")
        if project.postgres
        else project.database.read_bytes()
    )


def test_each_attempt_counts_its_pages_from_zero(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    """If rows move between pages, the sync starts over."""
    definitions = project.definitions(shipped_yaml)
    api.set_faults({"path": "/v1/customers", "requests": [2], "shift": 3})
    result = project.run(definitions, "customers", asked={"max_pages": 3})
    assert result.success
    (event,) = result.get_asset_materialization_events()
    metadata = plain(event.materialization.metadata)
    assert metadata["restarts"] == 1
    assert metadata["requests"] > 3


def test_pages_are_counted_by_resource_and_children_need_few(project: Project) -> None:
    def reply(asked: Asked) -> Any:
        reply.asked.append(asked.path)  # type: ignore[attr-defined]
        offset = int(asked.params["offset"])
        size = 6 if asked.path == "/parents" else 2
        start = 0 if asked.path == "/parents" else 10 * int(asked.path.split("/")[2])
        rows = [{"id": start + one} for one in range(offset, min(offset + 3, size))]
        return {"data": rows, "total": size}

    reply.asked = []  # type: ignore[attr-defined]
    parents = {"name": "parents", "endpoint": {"path": "/parents"}, "selected": False}
    path = "/parents/{resources.parents.id}/children"
    children = {"name": "a", "write_disposition": "replace", "endpoint": {"path": path}}
    with answering(reply) as url:
        text = defs(parents, children, url=url, paginator=PAGINATORS["offset"])
        definitions = project.definitions(text)
        _, metadata = observed(project.run(definitions, "a", source="docs", asked={"dry_run": True}))
        assert (metadata["rows_read"], metadata["rows_to_load"], metadata["requests"]) == (2, 2, 2)
        result = project.run(definitions, "a", source="docs", asked={"max_pages": 4})
        assert ("code", "max_pages_exceeded") in metadata_of(failure_of(result))
        assert (
            loaded(project.run(definitions, "a", source="docs", asked={"max_pages": 6}))["rows_loaded"] == 12
        )
        result = project.run(definitions, "a", source="docs", asked={"max_pages": 1})
        assert ("endpoint", "GET /parents") in metadata_of(failure_of(result))


DISPOSITIONS = ["merge", "append", {"disposition": "merge", "strategy": "delete-insert"}]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("disposition", "more"),
    [(one, more) for more in ({"tags": [{"n": 1}, {"n": 2}]}, {}) for one in DISPOSITIONS],
)
def test_a_full_refresh_leaves_what_the_api_has_and_its_cursor(
    project: Project, api: DemoApi, disposition: Any, more: dict[str, Any]
) -> None:
    text = defs(incremental(disposition))
    answer(api, row(1, 1, **more), row(2, 2, **more), row(3, 9, **more))
    project.load(text, "a")
    answer(api, row(1, 1, **more), row(4, 5, **more))  # 2 and 3 are gone, and 4 is older than the cursor
    metadata = project.load(text, "a", full_refresh=True).to_metadata()
    assert metadata["full_refresh"] is True
    assert metadata["cursor_to"] == "2026-01-05 00:00:00+00:00"
    assert "cursor_from" not in metadata
    assert project.query("SELECT id FROM docs.a ORDER BY id") == [{"id": 1}, {"id": 4}]
    if more:
        assert project.query(
            "SELECT a.id, t.n FROM docs.a__tags t LEFT JOIN docs.a ON a._dlt_id = t._dlt_parent_id ORDER BY 1, 2"
        ) == [{"id": one, "n": n} for one in (1, 4) for n in (1, 2)]
    # The next run continues from this cursor, and rows that it does not fetch stay.
    answer(api, row(5, 7, **more))
    metadata = project.load(text, "a").to_metadata()
    assert metadata["cursor_from"] == "2026-01-05 00:00:00+00:00"
    assert "full_refresh" not in metadata
    assert project.query("SELECT id FROM docs.a ORDER BY id") == [{"id": 1}, {"id": 4}, {"id": 5}]
    answer(api)
    metadata = project.load(text, "a").to_metadata()
    assert metadata["cursor_from"] == metadata["cursor_to"] == "2026-01-07 00:00:00+00:00", (
        "it stays in sight"
    )


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("disposition", ["merge", "append"])
def test_a_full_refresh_of_an_api_without_rows_empties_the_table(
    project: Project, api: DemoApi, disposition: str
) -> None:
    text = defs(incremental(disposition), assets={"a": {"allow_empty": True}})
    answer(api)
    project.load(text, "a", full_refresh=True)  # there is no table to empty
    answer(api, row(1, 1, tags=[{"n": 1}]))
    project.load(text, "a")
    answer(api)
    metadata = project.load(text, "a", full_refresh=True).to_metadata()
    assert metadata["dagster/row_count"] == 0
    assert project.query("SELECT id FROM docs.a") == []
    assert project.query("SELECT n FROM docs.a__tags") == []
    answer(api, row(2, 1))
    assert "cursor_from" not in project.load(text, "a").to_metadata()
    assert project.query("SELECT id FROM docs.a") == [{"id": 2}]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("disposition", ["merge", "append"])
def test_a_full_refresh_settles_the_quarantine(project: Project, api: DemoApi, disposition: str) -> None:
    """Rows that are now bad leave the table. Rows that are now good leave the quarantine. Deleted rows leave both."""
    definitions = project.definitions(defs(incremental(disposition)))
    answer(api, row(1, 1), row(2, 2), {"id": "x"}, row(3, 3), {"id": None})
    loaded(project.run(definitions, "a", source="docs"))
    assert len(project.query("SELECT * FROM docs.a__quarantine")) == 2
    answer(api, {"id": 1, "u": "nonsense"}, row(2, 2))
    loaded(project.run(definitions, "a", source="docs", asked={"full_refresh": True}))
    assert project.query("SELECT id FROM docs.a") == [{"id": 2}]
    assert project.query("SELECT key__id FROM docs.a__quarantine") == [{"key__id": 1}]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("disposition", ["merge", "append"])
def test_a_full_refresh_that_is_halted_leaves_table_and_cursor(
    project: Project, api: DemoApi, disposition: str
) -> None:
    definitions = project.definitions(defs(incremental(disposition)))
    answer(api, row(1, 1), row(2, 9))
    loaded(project.run(definitions, "a", source="docs"))
    api.set_faults({"path": A, "status": 404})
    assert failure_of(project.run(definitions, "a", source="docs", asked={"full_refresh": True}))
    assert project.query("SELECT id FROM docs.a ORDER BY id") == [{"id": 1}, {"id": 2}]
    answer(api, row(3, 10))
    metadata = loaded(project.run(definitions, "a", source="docs"))
    assert metadata["cursor_from"] == "2026-01-09 00:00:00+00:00"
    assert project.query("SELECT id FROM docs.a ORDER BY id") == [{"id": 1}, {"id": 2}, {"id": 3}]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("days", [["2026-01-05"], ["2026-01-05", "2026-01-06"]], ids=["one", "range"])
def test_assets_with_and_without_partitions_run_together(
    project: Project, api: DemoApi, shipped_yaml: str, days: list[str]
) -> None:
    """The run that the UI launches if both assets are selected and a partition is chosen."""
    ends = {"dagster/asset_partition_range_start": days[0], "dagster/asset_partition_range_end": days[-1]}
    result = (
        project.definitions(shipped_yaml)
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(
            asset_selection=[dg.AssetKey(["analytics_api", one]) for one in ("products", "transactions")],
            instance=project.instance,
            partition_key=days[0] if len(days) == 1 else None,
            tags=ends if len(days) > 1 else {},
        )
    )
    assert result.success
    until = datetime.fromisoformat(days[-1]) + timedelta(days=1)
    expected = {
        "products": len(api.rows("products")),
        "transactions": len(api.rows("transactions", days[0], f"{until:%Y-%m-%d}")),
    }
    for table, rows in expected.items():
        assert project.query(f"SELECT count(*) AS n FROM analytics_api.{table}") == [{"n": rows}]

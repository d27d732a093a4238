"""When the API fails, the run reports the reason in one sentence, and the table stays unchanged."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml

from analytics_assets_tests.conftest import DemoApi, Project, failure_of

PATH = "/v1/transactions"
DAY = "2026-01-05"


def test_a_halted_sync_fails_with_its_facts_and_is_not_retried(
    project: Project, api: DemoApi, impatient_yaml: str
) -> None:
    api.set_faults({"path": PATH, "status": 503})
    result = project.run(project.definitions(impatient_yaml), "transactions", DAY)
    assert not result.success
    failure = failure_of(result)
    assert failure.description == (
        "transactions: halted after 4 attempts of GET /v1/transactions: 503 Service Unavailable"
    )
    facts = {name: value.value for name, value in failure.metadata.items()}
    assert facts == {
        "analytics_assets/source": "analytics_api",
        "analytics_assets/resource": "transactions",
        "analytics_assets/circuit": "open",
        "endpoint": "GET /v1/transactions",
        "status": 503,
        "attempts": 4,
        "reason": "503 Service Unavailable",
        "code": "halted",
        "fault": "transient",
        "outage": True,
    }
    assert api.request_counts()[PATH] == 4


def test_a_failure_midway_leaves_the_table_as_it_was(
    project: Project, api: DemoApi, impatient_yaml: str
) -> None:
    definitions = project.definitions(impatient_yaml)
    assert project.run(definitions, "events").success
    before = project.query("SELECT * FROM analytics_api.events ORDER BY id")
    api.set_faults({"path": "/v1/customers", "requests": list(range(2, 99)), "reset": True})
    assert not project.run(definitions, "customers").success
    assert project.query("SELECT * FROM analytics_api.events ORDER BY id") == before
    assert (
        project.query("SELECT table_name FROM information_schema.tables WHERE table_name = 'customers'") == []
    )


@pytest.mark.parametrize(
    "fault", [{"status": 429, "retry_after": "0"}, {"reset": True}, {"truncate": True}, {"status": 500}]
)
def test_a_hiccup_costs_retries_and_no_rows(
    project: Project, api: DemoApi, impatient_yaml: str, fault: dict[str, Any]
) -> None:
    api.set_faults({"path": PATH, "requests": [1, 3], **fault})
    result = project.run(project.definitions(impatient_yaml), "transactions", DAY)
    assert result.success
    [event] = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert metadata["retries"].value != 0
    assert metadata["rows_loaded"].value == len(api.rows("transactions", DAY, "2026-01-06"))


def test_a_missing_secret_fails_the_run_and_names_the_setting(
    project: Project, api: DemoApi, shipped_yaml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCES__ANALYTICS_API__API_KEY")
    result = project.run(project.definitions(shipped_yaml), "customers")
    assert "Export SOURCES__ANALYTICS_API__API_KEY" in str(failure_of(result).description)
    assert api.request_counts() == {}
    assert not project.database.exists() or project.query("SHOW ALL TABLES") == []


def test_a_secret_in_dlts_secrets_file_is_found(
    project: Project, shipped_yaml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCES__ANALYTICS_API__API_KEY")
    with project.secrets_toml('[sources.analytics_api]\napi_key = "demo-key"\n'):
        assert project.run(project.definitions(shipped_yaml), "products").success


def test_a_wrong_key_is_reported_as_a_wrong_key(
    project: Project, shipped_yaml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__ANALYTICS_API__API_KEY", "wr0ng-key")
    failure = failure_of(project.run(project.definitions(shipped_yaml), "customers"))
    assert "401 Unauthorized; the API does not accept the key: check SOURCES__ANALYTICS_API__API_KEY" in str(
        failure.description
    )
    assert "wr0ng-key" not in str(failure.description) + str(failure.metadata)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "<html>maintenance</html>",
            "products: the response of GET /v1/products is not JSON. Check base_url and path",
        ),
        (
            '{"data": [{"id": 1, "name": "secret row"}]}',
            "products: the response of GET /v1/products has no `total` (it has data). Set the paginator's total_path",
        ),
    ],
)
def test_an_unreadable_response_is_reported_without_its_rows(
    project: Project, api: DemoApi, shipped_yaml: str, body: str, sentence: str
) -> None:
    api.set_faults({"path": "/v1/products", "body": body})
    failure = failure_of(project.run(project.definitions(shipped_yaml), "products"))
    assert sentence in str(failure.description)
    assert "secret row" not in str(failure.description)


def test_a_data_selector_that_finds_nothing_leaves_the_table_as_it_was(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    """dlt alone reads the response as empty, and would empty the table."""
    assert project.run(project.definitions(shipped_yaml), "products").success
    wrong = shipped_yaml.replace("data_selector: data", "data_selector: rows")
    failure = failure_of(project.run(project.definitions(wrong), "products"))
    assert str(failure.description) == (
        "products: data_selector `rows` finds nothing in the response of GET /v1/products (it has data, total). "
        "Correct it. If the API means no rows by it, set assets.products.empty_answer: absent. If it means something "
        "else, set requests.responses."
    )
    assert project.query("SELECT count(*) AS n FROM analytics_api.products") == [
        {"n": len(api.rows("products"))}
    ]


def test_paging_that_repeats_a_page_is_stopped(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    """The API ignores the page parameter, and returns the first page forever."""
    document = yaml.safe_load(shipped_yaml)
    circling = {
        "name": "products",
        "endpoint": {
            "path": "/v1/events",
            "paginator": {"type": "cursor", "cursor_path": "total", "cursor_param": "cursor"},
        },
    }
    document["attributes"]["rest_api"]["resources"][1] = circling
    failure = failure_of(project.run(project.definitions(yaml.safe_dump(document)), "products"))
    assert "the paginator asks for the same page again" in str(failure.description)
    assert api.request_counts()["/v1/events"] == 2


def test_rows_that_are_not_objects_are_reported(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    api.set_faults({"path": "/v1/events", "body": '{"data": [7], "total": 1}'})
    failure = failure_of(project.run(project.definitions(shipped_yaml), "events"))
    assert (
        "the row is a whole number, not an object (check data_selector, or declare a column `value`)"
        in str(failure.description)
    )


def test_the_token_requests_of_oauth2_use_the_same_retries(
    project: Project, api: DemoApi, impatient_yaml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing token endpoint gets no more requests than any other endpoint."""
    monkeypatch.setenv("SOURCES__ANALYTICS_API__CLIENT_ID", "me")
    monkeypatch.setenv("SOURCES__ANALYTICS_API__CLIENT_SECRET", "s3cr3t")
    token_url = f"{api.url}/_health"  # the server answers 405 to a POST
    auth = f"{{type: oauth2_client_credentials, access_token_url: '{token_url}'}}"
    document = yaml.safe_load(impatient_yaml)
    document["attributes"]["rest_api"]["client"]["auth"] = yaml.safe_load(auth)
    failure = failure_of(project.run(project.definitions(yaml.safe_dump(document)), "products"))
    assert "halted after 1 attempt of POST /_health: 405 Method Not Allowed" in str(failure.description)


def test_a_destination_without_sql_is_refused_before_anything_is_asked(
    project: Project, api: DemoApi, shipped_yaml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION_TYPE", "filesystem")
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", str(project.folder / "bucket"))
    failure = failure_of(project.run(project.definitions(shipped_yaml), "products"))
    assert "Set destination_type to a SQL destination of dlt" in str(failure.description)
    assert api.request_counts() == {}


@pytest.mark.duckdb
def test_a_database_that_is_open_elsewhere_is_reported_in_a_sentence(
    project: Project, shipped_yaml: str
) -> None:
    """A DuckDB shell without the lock keeps the file open. After the shell is closed, the sync succeeds."""
    document = yaml.safe_load(shipped_yaml)
    document["attributes"]["destination"] = {"lock_timeout": 0}
    definitions = project.definitions(yaml.safe_dump(document))
    project.database.parent.mkdir()
    connect = f"held = duckdb.connect({str(project.database)!r})"
    hold = f"import duckdb, sys; {connect}; print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"open\n"
        failure = failure_of(project.run(definitions, "products"))
        shell.terminate()
    assert f"{project.database} is open in another program. Close it there" in str(failure.description)
    assert project.run(definitions, "products").success


def test_rows_without_a_cursor_fail_the_run_and_are_named(
    project: Project, api: DemoApi, shipped_yaml: str
) -> None:
    api.set_faults({"path": PATH, "row": None, "set_fields": {"updated_at": "soon"}})
    failure = failure_of(project.run(project.definitions(shipped_yaml), "transactions", DAY))
    assert "updated_at is text, not a valid timestamp" in str(failure.description)
    assert "Nothing was loaded" in str(failure.description)
    assert "such as `xxxx`" in str(failure.description), "the value is masked"

"""Builds the dlt source from the config: facts before a run, and changes at the start of a run."""

from __future__ import annotations

import copy
import socket
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import yaml
from dlt.common.destination import DestinationCapabilitiesContext

from analytics_assets.config.models import SyncConfig
from analytics_assets.config.secret_reference import secret_reference
from analytics_assets.ingestion.contract.pipe_steps import AddDltIdsStep, ValidateStep
from analytics_assets.ingestion.errors import (
    MissingBaseUrlError,
    MissingSecretError,
    UnfitResourceError,
    UnsendableSecretError,
)
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.session import ApiSession
from analytics_assets.ingestion.plan.load_plan import plan_load
from analytics_assets.ingestion.plan.resource_info import describe
from analytics_assets.ingestion.source.build import BuiltSource, build_source
from analytics_assets.ingestion.source.settings import read_secrets
from analytics_assets.ingestion.time_window import Window
from analytics_assets_tests.answering import Asked, answering, api_session
from analytics_assets_tests.conftest import SHIPPED_DEFS

CAPABILITIES = DestinationCapabilitiesContext.generic_capabilities()
JANUARY_5 = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC))


@pytest.fixture
def config() -> SyncConfig:
    attributes = yaml.safe_load(SHIPPED_DEFS.read_text())["attributes"]
    attributes["rest_api"]["client"]["base_url"] = "http://127.0.0.1:1"
    return SyncConfig(**attributes)


def resource_of(attributes: dict[str, Any]) -> SyncConfig:
    return SyncConfig(name="api", **attributes)


def test_describing_needs_no_network_no_secret_and_no_base_url(
    config: SyncConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCES__ANALYTICS_API__API_KEY", raising=False)
    monkeypatch.setattr(socket, "socket", None)
    rest_api = copy.deepcopy(config.rest_api)
    rest_api["client"]["base_url"] = None
    infos = describe(config.model_copy(update={"rest_api": rest_api}))
    assert {name: (info.method, info.path, info.write_disposition) for name, info in infos.items()} == {
        "customers": ("GET", "/v1/customers", "replace"),
        "products": ("GET", "/v1/products", "replace"),
        "transactions": ("GET", "/v1/transactions", "merge"),
        "events": ("GET", "/v1/events", "merge"),
    }


def test_the_contract_is_what_the_columns_say(config: SyncConfig) -> None:
    contract = describe(config)["transactions"].contract
    assert contract.primary_key == ("id",)
    assert set(contract.not_null) == {
        "id", "customer_id", "product_id", "quantity", "transaction_amount", "currency", "status",
        "created_at", "updated_at",
    }  # fmt: skip
    amount = contract.column("transaction_amount")
    assert amount is not None
    assert (amount.data_type, amount.nullable, amount.description) == (
        "decimal(18, 2)",
        False,
        "In `currency`.",
    )


def test_only_the_primary_key_is_enforced_by_the_warehouse(
    config: SyncConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__ANALYTICS_API__API_KEY", "k")
    columns = built(config, "customers").source.resources["customers"].compute_table_schema()["columns"]
    enforced = {name for name, hints in columns.items() if hints.get("nullable") is False}
    assert enforced == {"id", "_dlt_id", "_dlt_load_id"}, "dlt's own are never NULL"


def test_a_dependent_resource_knows_its_parent() -> None:
    config = resource_of(
        {
            "rest_api": {
                "client": {"base_url": "http://127.0.0.1:1"},
                "resources": [
                    "posts",
                    {"name": "comments", "endpoint": {"path": "posts/{resources.posts.id}/comments"}},
                ],
            }
        }
    )
    infos = describe(config)
    assert (infos["posts"].parent, infos["comments"].parent) == (None, "posts")
    assert list(built(config, "comments").source.selected_resources) == ["comments"]


@pytest.mark.parametrize(
    ("auth", "field"),
    [
        ({"type": "api_key", "name": "key", "location": "header"}, "api_key"),
        ({"type": "bearer"}, "token"),
        ("bearer", "token"),
        ({"type": "http_basic", "username": "me"}, "password"),
    ],
)
def test_a_missing_secret_is_reported_in_one_sentence_and_a_present_one_is_used(
    auth: Any, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = resource_of(
        {"rest_api": {"client": {"base_url": "http://127.0.0.1:1", "auth": auth}, "resources": ["posts"]}}
    )
    with pytest.raises(MissingSecretError) as caught:
        read_secrets(config, describe(config)["posts"])
    assert (caught.value.code, caught.value.source, caught.value.field) == ("missing_secret", "api", field)
    monkeypatch.setenv(f"SOURCES__API__{field.upper()}", "value\n")  # a file ends with a newline
    assert (
        read_secrets(config, describe(config)["posts"]).in_url(f"/?key={secret_reference(field)}")
        == "/?key=value"
    )
    monkeypatch.setenv(f"SOURCES__API__{field.upper()}", "two\nlines")
    with pytest.raises(UnsendableSecretError) as caught:
        read_secrets(config, describe(config)["posts"])
    assert "lines" not in str(caught.value)


def test_an_empty_base_url_is_reported_when_a_run_starts(config: SyncConfig) -> None:
    rest_api = {**config.rest_api, "client": {**config.rest_api["client"], "base_url": None}}
    with pytest.raises(MissingBaseUrlError):
        built(config.model_copy(update={"rest_api": rest_api}), "customers")


def built(
    config: SyncConfig,
    resource: str,
    session: ApiSession | None = None,
    windows: dict[str, Window] | None = None,
) -> BuiltSource:
    plan = plan_load(config, describe(config)[resource], windows)
    return build_source(
        plan, plan.new_quarantine(), session or api_session(resource), Secrets(), CAPABILITIES
    )


def loaded(
    config: SyncConfig, resource: str, rows: list[dict[str, Any]], window: Window | None = None
) -> tuple[list[dict[str, Any]], list[str], Asked]:
    """Returns the rows that dlt gets, the reasons of rejected rows, and the first request of the API."""
    asked: list[Asked] = []

    def reply(request: Asked) -> Any:
        asked.append(request)
        return {"data": rows[int(request.params.get("offset", 0)) :], "total": len(rows)}

    with answering(reply) as url, api_session(resource) as session:
        client = {**config.rest_api["client"], "base_url": url}
        here = config.model_copy(update={"rest_api": {**config.rest_api, "client": client}})
        windows = {"2026-01-05": window} if window else None
        sync = built(here, resource, session, windows)
        rejected: list[str] = []
        validate_step = next(
            one for one in sync.source.resources[resource]._pipe.steps if isinstance(one, ValidateStep)
        )
        validate_step._quarantine = SimpleNamespace(
            add=lambda bad, *_: rejected.extend(one.reason for one in bad)
        )  # type: ignore[assignment]
        sync.source.resources[resource]._pipe.remove_by_type(
            AddDltIdsStep
        )  # the load id exists only in a load
        got = [
            row
            for page in sync.source
            for row in (page.to_pylist() if isinstance(page, pa.Table) else [page])
        ]
    return got, rejected, asked[0]


def test_the_window_is_the_filter_of_the_api(config: SyncConfig) -> None:
    _, _, asked = loaded(config, "transactions", [], window=JANUARY_5)
    assert asked.params["updated_since"] == "2026-01-05T00:00:00Z"
    assert asked.params["updated_until"] == "2026-01-06T00:00:00Z"


def test_cursors_are_compared_as_time_and_not_as_text(config: SyncConfig) -> None:
    """As text, half a second after midnight sorts before midnight, and time zones cannot be compared."""
    names = describe(config)["transactions"].contract.not_null
    sale = dict.fromkeys(names, "1") | {"created_at": "2026-01-01"}
    rows = [
        {**sale, "id": 1, "updated_at": "2026-01-05T00:00:00.500Z"},
        {**sale, "id": 2, "updated_at": "2026-01-05T00:00:00Z"},
        {**sale, "id": 3, "updated_at": "2026-01-06T01:30:00+02:00"},
        {**sale, "id": 4, "updated_at": "2026-01-05T23:59:59.999999+00:00"},
        {**sale, "id": 5, "updated_at": "2026-01-05T12:00:00"},
        {**sale, "id": 90, "updated_at": "2026-01-06T00:00:00Z"},
        {**sale, "id": 91, "updated_at": "2026-01-05T01:59:59+02:00"},
    ]
    got, _, _ = loaded(config, "transactions", rows, window=JANUARY_5)
    assert sorted(row["id"] for row in got) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"id": 7, "updated_at": "yesterday"}, "is text, not a valid timestamp"),
        ({"id": 7, "updated_at": None}, "is null, so its window is unknown"),
        ({"id": 7}, "is absent, so its window is unknown"),
        ({"id": 7, "updated_at": True}, "is true or false, not a valid timestamp"),
    ],
)
def test_a_row_whose_window_is_unknown_is_rejected(
    config: SyncConfig, row: dict[str, Any], found: str
) -> None:
    got, rejected, _ = loaded(config, "transactions", [row], window=JANUARY_5)
    assert got == []
    assert f"updated_at {found}" in rejected[0]


def test_a_date_cursor_of_a_nested_field(monkeypatch: pytest.MonkeyPatch) -> None:
    incremental = {"cursor_path": "meta.day", "start_param": "from", "end_param": "to"}
    config = resource_of(
        {
            "rest_api": {
                "client": {"base_url": "http://127.0.0.1:1"},
                "resources": [
                    {
                        "name": "days",
                        "primary_key": "id",
                        "write_disposition": "merge",
                        "endpoint": {
                            "path": "days",
                            "data_selector": "data",
                            "paginator": "single_page",
                            "incremental": incremental,
                        },
                        "columns": {"meta__day": {"data_type": "date"}},
                    }
                ],
            },
            "assets": {"days": {"partitions": {"type": "daily", "start_date": "2026-01-01"}}},
        }
    )
    info = describe(config)["days"]
    assert info.cursor is not None
    assert (info.cursor.column, info.cursor.data_type) == ("meta__day", "date")
    rows = [{"id": n, "meta": {"day": f"2026-01-{n:02d}"}} for n in (4, 5, 6)]
    monkeypatch.setenv("RUNTIME__LOG_LEVEL", "ERROR")
    got, _, asked = loaded(config, "days", rows, window=JANUARY_5)
    assert [row["id"] for row in got] == [5]
    assert (asked.params["from"], asked.params["to"]) == ("2026-01-05", "2026-01-06")


@pytest.mark.parametrize(
    ("written", "asked"),
    [("2026-01-05", "2026-01-05T00:00:00Z"), ("2026-01-05T02:00:00+02:00", "2026-01-05T00:00:00Z")],
)
def test_an_initial_value_may_be_written_as_yaml_likes(config: SyncConfig, written: str, asked: str) -> None:
    for value in (written, yaml.safe_load(written)):
        rest_api = copy.deepcopy(config.rest_api)
        rest_api["resources"][3]["endpoint"]["incremental"]["initial_value"] = value
        changed = config.model_copy(update={"rest_api": rest_api})
        _, _, request = loaded(changed, "events", [])
        assert request.params["updated_since"] == asked


def test_an_initial_value_that_is_no_time_is_reported(config: SyncConfig) -> None:
    rest_api = copy.deepcopy(config.rest_api)
    rest_api["resources"][3]["endpoint"]["incremental"]["initial_value"] = "1704067200"
    with pytest.raises(
        UnfitResourceError, match=r"initial_value `1704067200` is no timestamp\. Write it as the cursor is"
    ):
        describe(config.model_copy(update={"rest_api": rest_api}))

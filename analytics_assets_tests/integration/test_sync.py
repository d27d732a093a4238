"""A whole sync without Dagster, on DuckDB and on a destination with missing guarantees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from analytics_assets import RestApiSync
from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.errors import ContractExceededError, MissingGuaranteesError
from analytics_assets.ingestion.http.circuit_breaker import policy_of
from analytics_assets.ingestion.plan.load_plan import LoadPlan, RunOptions, plan_load
from analytics_assets.ingestion.plan.resource_info import describe
from analytics_assets.ingestion.plan.write_mode import WriteMode
from analytics_assets.ingestion.sync import run_sync
from analytics_assets.ingestion.sync_result import SyncResult
from analytics_assets.ingestion.time_window import Window
from analytics_assets.ingestion.warehouse import destination
from analytics_assets.ingestion.warehouse.generic import MISSING
from analytics_assets.orchestration.translator import SyncTranslator
from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.memory_circuit import MemoryCircuit
from analytics_assets_tests.truth import query

DAY = {"2026-01-05": Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC))}


def row(number: int, name: str | None = "a", parts: int = 0) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "at": f"2026-01-05T00:00:{number:02}Z",
        "parts": [{"n": n} for n in range(parts)],
    }


@dataclass
class Things:
    """An API of one endpoint, with methods that sync it."""

    url: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def config(self, columns: Mapping[str, Any] | None = None, **attributes: Any) -> SyncConfig:
        resource = {
            "name": "things",
            "primary_key": "id",
            "write_disposition": "merge",
            "endpoint": {
                "path": "things",
                "data_selector": "data",
                "paginator": {"type": "offset", "limit": 100, "total_path": "total"},
                "incremental": {"cursor_path": "at"},
            },
            "columns": {
                "id": {"data_type": "bigint"},
                "name": {"data_type": "text", "nullable": False},
                "at": {"data_type": "timestamp"},
                **(columns or {}),
            },
        }
        partitions = {"type": "daily", "start_date": "2026-01-01"}
        return SyncConfig(
            name="api",
            rest_api={"client": {"base_url": self.url}, "resources": [resource]},
            assets={"things": {"partitions": partitions}},
            **attributes,
        )

    def plan(self, **attributes: Any) -> LoadPlan:
        config = self.config(**attributes)
        return plan_load(config, describe(config)["things"], DAY)

    def sync(self, **attributes: Any) -> SyncResult:
        plan = self.plan(**attributes)
        return run_sync(plan, MemoryCircuit(policy_of(plan.config), "api"))


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Things]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    served = Things("")

    def reply(request: Asked) -> Any:
        served.asked.append(request)
        offset = int(request.params["offset"])
        return {"data": served.rows[offset:], "total": len(served.rows)}

    with answering(reply) as url:
        served.url = url
        yield served


def test_a_sync_leaves_in_its_window_what_the_api_has(things: Things, tmp_path: Path) -> None:
    database = tmp_path / "data/analytics.duckdb"
    things.rows = [row(1, parts=2), row(2, parts=1), row(3)]
    first = things.sync()
    assert (first.rows_loaded, first.rows_removed, dict(first.rows_by_partition)) == (3, 0, {"2026-01-05": 3})
    assert first.table_name == "analytics.api.things"
    things.rows = [row(1, "newer", parts=1), row(3, None), row(4)]
    second = things.sync()
    assert (second.rows_loaded, second.rows_quarantined, second.rows_removed) == (2, 1, 1)
    assert query(database, "SELECT id, name FROM api.things ORDER BY id") == [
        {"id": 1, "name": "newer"},
        {"id": 4, "name": "a"},
    ], "2 is gone from the API, and 3 has become bad"
    assert query(database, "SELECT n FROM api.things__parts") == [{"n": 0}], "child rows go with their parent"
    assert query(database, "SELECT key__id AS id FROM api.things__quarantine") == [{"id": 3}]
    things.rows = [row(3, "good")]
    third = things.sync()
    assert (third.rows_loaded, third.rows_removed) == (1, 2)
    assert query(database, "SELECT id, name FROM api.things") == [{"id": 3, "name": "good"}]
    assert query(database, "SELECT * FROM api.things__quarantine") == []


def test_a_plan_is_decided_once(things: Things) -> None:
    plan = things.plan()
    assert (plan.write_mode, plan.replaces_windows, plan.window) == (
        WriteMode.MERGE,
        True,
        DAY["2026-01-05"],
    )
    with pytest.raises(FrozenInstanceError):
        plan.full_refresh = True  # type: ignore[misc]
    with pytest.raises(TypeError):
        plan.windows["2026-01-06"] = DAY["2026-01-05"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("disposition", "key", "mode"),
    [
        ("merge", "id", WriteMode.MERGE),
        ("merge", None, WriteMode.REPLACE),
        ("append", "id", WriteMode.REPLACE),
        ("replace", "id", WriteMode.REPLACE),
    ],
)
def test_a_full_refresh_merges_only_rows_that_have_a_key(
    things: Things, disposition: str, key: str | None, mode: WriteMode
) -> None:
    config = things.config()
    resource = {
        "name": "things",
        "write_disposition": disposition,
        "endpoint": {"path": "things", "incremental": {"cursor_path": "at"}},
    }
    rest_api = {**config.rest_api, "resources": [resource | ({"primary_key": key} if key else {})]}
    config = SyncConfig(name="api", rest_api=rest_api)
    plan = plan_load(config, describe(config)["things"], options=RunOptions(full_refresh=True))
    assert (plan.write_mode, plan.reads_everything) == (mode, True)


def test_rows_that_break_the_contract_halt_it_and_nothing_is_loaded(things: Things, tmp_path: Path) -> None:
    things.rows = [row(1, None), row(2, None), row(3)]
    with pytest.raises(ContractExceededError) as caught:
        things.sync()
    assert (caught.value.resource, caught.value.rejected, caught.value.rows) == ("things", 2, 3)
    assert query(tmp_path / "data/analytics.duckdb", "SHOW ALL TABLES") == []


def test_a_destination_that_lacks_guarantees_is_refused_unless_the_file_accepts_it(
    things: Things, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destination, "INEXACT", {})  # SQLite is the only other one that needs no server
    monkeypatch.setenv("DESTINATION_TYPE", "sqlalchemy")
    monkeypatch.setenv("DESTINATION__SQLALCHEMY__CREDENTIALS", f"sqlite:///{tmp_path / 'warehouse.db'}")
    things.rows = [row(1), row(2)]
    with pytest.raises(MissingGuaranteesError) as caught:
        things.sync()
    assert (caught.value.destination, caught.value.missing) == ("sqlalchemy", MISSING)
    assert things.asked == [], "it is refused before the API is asked"
    accepted = {"accept_missing_guarantees": True}
    assert things.sync(destination=accepted).rows_loaded == 2
    things.rows = [row(1)]
    result = things.sync(destination=accepted)
    assert (result.rows_removed, dict(result.rows_by_partition)) == (1, {"2026-01-05": 1})
    assert result.to_metadata()["missing_guarantees"] == list(MISSING)


def test_an_asset_lists_what_its_destination_cannot_promise(
    things: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    def description(**attributes: Any) -> str:
        config = things.config(**attributes)
        written = config.model_dump(mode="python", exclude_unset=True)
        component = RestApiSync(**written)
        return str(
            SyncTranslator(component, component.resources).spec(component.resources["things"]).description
        )

    assert "guarantees" not in description()
    monkeypatch.setenv("DESTINATION_TYPE", "sqlalchemy")
    assert "Runs fail until the file accepts this." in description()
    assert all(one in description() for one in MISSING)
    assert "The file accepts this." in description(destination={"accept_missing_guarantees": True})


def test_a_declared_json_column_brings_no_warning(things: Things, capfd: pytest.CaptureFixture[str]) -> None:
    """Arrow has JSON as text. dlt warns of the difference in each page, as if something were wrong."""
    things.rows = [row(1) | {"tags": {"a": 1}}]
    things.rows[0].pop("parts")
    result = things.sync(columns={"tags": {"data_type": "json"}})
    assert (result.rows_loaded, dict(result.undeclared)) == (1, {})
    assert "arrow schema" not in capfd.readouterr().err


def test_names_that_are_too_long_for_dlt_are_refused_at_load(things: Things) -> None:
    """dlt itself fails only in the run, because the names of source and resource make the name of its schema."""

    def load(length: int) -> None:
        attributes = things.config().model_dump(mode="python", exclude_unset=True)
        RestApiSync.rendered({**attributes, "name": "a" * length})

    load(56)
    with pytest.raises(
        ValueError, match=r"have 63 characters together, and dlt takes 62\. Shorten one of them"
    ):
        load(57)

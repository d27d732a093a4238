"""The code of today on the warehouse and the DAGSTER_HOME of a user of 0.1.0, a day later.

`make_fixture_0_1_0.py` made them, and `v0_1_0.json` says what they hold. Only public surfaces are used.
It is longer than 300 lines because all its tests share one fixture, which is unpacked and loaded once.
"""

from __future__ import annotations

import json
import shutil
import tarfile
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from analytics_assets import read_warehouse
from analytics_assets.demo_api.server import DEFAULT_KEY, serve
from analytics_assets_tests.conftest import Clock, DemoApi, Project, check_of
from analytics_assets_tests.ticking import ranges, tick
from analytics_assets_tests.truth import table, truth

HERE = Path(__file__).parent
HELD: dict[str, Any] = json.loads((HERE / "v0_1_0.json").read_text())
SOURCES = ("analytics_api", "visits_api")
TRANSACTIONS = dg.AssetKey(["analytics_api", "transactions"])
MISSING = [
    "2026-01-10...2026-01-11",
    "2026-01-17...2026-01-19",
    "2026-01-21...2026-01-24",
    "2026-01-25",  # has failed by itself
    "2026-01-26...2026-01-27",  # the second was ended by an outage
    "2026-01-29",
]


@pytest.fixture(scope="module")
def api() -> Iterator[DemoApi]:
    """The demo API, a day after the fixture was made."""
    today = date(2026, 2, 2)
    with serve(today=today) as url:
        yield DemoApi(url, today)


@pytest.fixture(scope="module")
def definitions(api: DemoApi, tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    """What the same two files define today."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANALYTICS_API_BASE_URL", api.url)
        patch.syspath_prepend(str(folder))
        project = Project(folder)
        other = project.defs_yaml.parent.parent / "visits_api/defs.yaml"
        other.parent.mkdir()
        shutil.copy(HERE / "visits_api.yaml", other)
        return project.definitions((HERE / "analytics_api.yaml").read_text())


class UpgradedProject(Project):
    """A project whose home and warehouse are there already; its files are loaded once for all tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.instance = dg.DagsterInstance.from_config(str(folder / "home"))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(HERE / "v0_1_0.tar.xz") as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = staticmethod(tarfile.data_filter)
        archive.extractall(folder)  # noqa: S202  it is our own; Python 3.11.2, as in Debian, takes no filter here
    return folder


@pytest.fixture
def project(
    unpacked: Path, api: DemoApi, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """The project of the user on the next morning."""
    shutil.copytree(unpacked, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    for source in SOURCES:
        monkeypatch.setenv(f"SOURCES__{source.upper()}__API_KEY", DEFAULT_KEY)
    clock.move_to("2026-02-02T02:30")
    api.set_faults()
    project = UpgradedProject(tmp_path)
    yield project
    project.instance.dispose()


class Daemon:
    """Evaluates sensors with the cursors that are stored in the home, and goes on from them."""

    def __init__(self, project: Project, definitions: dg.Definitions, clock: Clock) -> None:
        self._project, self._definitions, self._clock = project, definitions, clock
        self.cursors = stored_cursors(project.instance)

    def look(self, name: str) -> list[dg.RunRequest]:
        """One tick."""
        self._clock.pass_minutes(1)  # a failed run is read when Dagster has decided whether it is retried
        sensor = next(
            one
            for one in self._definitions.sensors or ()
            if isinstance(one, dg.SensorDefinition) and one.name == name
        )
        data = sensor.evaluate_tick(
            dg.build_sensor_context(
                instance=self._project.instance,
                cursor=self.cursors[name],
                repository_def=self._definitions.get_repository_def(),
            )
        )
        assert data.cursor
        self.cursors[name] = data.cursor
        return list(data.run_requests or ())


@pytest.fixture
def daemon(project: Project, definitions: dg.Definitions, clock: Clock) -> Daemon:
    return Daemon(project, definitions, clock)


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """What a webhook has got: type and title of each message."""
    got: list[tuple[str, str]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((message["type"], message["title"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("SOURCES__ALERTS", f"json://127.0.0.1:{server.server_port}")
        yield got
        server.shutdown()
        thread.join()


def stored_cursors(instance: dg.DagsterInstance) -> dict[str, str]:
    """By the name of the sensor; a schedule has none."""
    cursors = {
        one.instigator_name: getattr(one.instigator_data, "cursor", None)
        for one in instance.all_instigator_state()
    }
    return {name: cursor for name, cursor in cursors.items() if cursor}


def statuses(project: Project, definitions: dg.Definitions) -> dict[str, str]:
    partitions = definitions.resolve_asset_graph().get(TRANSACTIONS).partitions_def
    assert partitions is not None
    keys = partitions.get_partition_keys()
    found = project.instance.get_status_by_partition(TRANSACTIONS, keys, partitions) or {}
    return {key: status.value for key, status in found.items() if status}


def circuit_events(project: Project, source: str) -> list[str]:
    records = project.instance.fetch_materializations(
        dg.AssetKey([source, "circuit"]), limit=100, ascending=True
    ).records
    found = [record.asset_materialization for record in records]
    kinds = [one.metadata.get("analytics_assets/event") for one in found if one]
    return [str(kind.value) if kind else "reported by hand" for kind in kinds]


def rows_in_tables() -> dict[str, int]:
    with read_warehouse() as warehouse:
        return {
            name: warehouse.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in HELD["rows"]
        }


def sales(project: Project, since: str, until: str) -> list[dict[str, Any]]:
    """What the table has of some days."""
    rows = table(project.database, "transactions")
    return [row for row in rows if since <= row["updated_at"].isoformat() < until]


def quarantined(project: Project) -> dict[str, int]:
    rows = project.query("SELECT partition, key__id FROM analytics_api.transactions__quarantine")
    return {row["partition"]: row["key__id"] for row in rows}


# The fixture.


def test_the_fixture_has_all_that_a_user_has(project: Project) -> None:
    """Nothing below passes because there is nothing to upgrade."""
    instance = project.instance
    assert all(HELD["rows"].values())
    assert rows_in_tables() == HELD["rows"]
    assert set(HELD["partitions"].values()) == {"MATERIALIZED", "FAILED"}
    assert quarantined(project) == HELD["quarantine"]
    assert len(HELD["quarantine"]) == 2
    assert HELD["circuits"] == {source: circuit_events(project, source) for source in SOURCES}
    assert HELD["circuits"] == {
        "analytics_api": [
            "held", "reset", "reported by hand", "opened", "probe", "opened", "probe", "closed",
        ],
        "visits_api": ["opened"],
    }  # fmt: skip
    cursors = {name: json.loads(cursor) for name, cursor in stored_cursors(instance).items()}
    assert sorted(cursors) == HELD["cursors"] == HELD["names"]["sensors"]
    [unresolved] = cursors["analytics_api__sync_failure"]["memory"]["told"]
    assert (unresolved["resource"], [*unresolved["failures"]]) == (
        "transactions",
        ["2026-01-25 to 2026-01-25"],
    )
    assert len(cursors["visits_api__sync_failure"]["outbox"]) == 1
    assert sorted(cursors["analytics_api__recovery"]["requested"]) == HELD["requested"]
    assert len(HELD["requested"]) == len(MISSING)
    failed = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    assert len(failed) == HELD["failed_runs"]
    outages = [run for run in failed if run.tags.get("analytics_assets/circuit") == run.run_id]
    assert len(outages) == HELD["runs_ended_by_an_outage"]
    assert 0 < len(outages) < len(failed)
    on = {one.instigator_name for one in instance.all_instigator_state() if one.status.value == "RUNNING"}
    assert sorted(on) == HELD["schedules_on"]
    checks = [dg.AssetCheckKey(TRANSACTIONS, name) for name in ("schema_nullability", "schema_drift")]
    for key in checks:
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        assert record.event is not None


# What is there, under its old name.


def test_all_names_are_still_there(definitions: dg.Definitions) -> None:
    graph, repository = definitions.resolve_asset_graph(), definitions.get_repository_def()
    names = {
        "assets": {key.to_user_string() for key in graph.get_all_asset_keys()},
        "checks": {key.to_user_string() for key in graph.asset_check_keys},
        "jobs": {*repository.job_names},
        "schedules": {one.name for one in repository.schedule_defs},
        "sensors": {one.name for one in repository.sensor_defs},
    }
    assert {kind: {*HELD["names"][kind]} - found for kind, found in names.items()} == {
        kind: set() for kind in names
    }


def test_partitions_are_as_they_were(project: Project, definitions: dg.Definitions) -> None:
    assert statuses(project, definitions) == HELD["partitions"]


# Rows.


def test_a_partition_is_loaded_again_with_what_the_api_has_now(
    project: Project, api: DemoApi, definitions: dg.Definitions
) -> None:
    before = sales(project, "2026-01-30", "2026-01-31")
    result = project.run(definitions, "transactions", "2026-01-30")
    assert all(check.passed for check in result.get_asset_check_evaluations())
    now = sales(project, "2026-01-30", "2026-01-31")
    assert now == truth(api.rows("transactions", "2026-01-30", "2026-01-31"))
    assert {row["id"] for row in now} != {row["id"] for row in before}
    assert project.run(definitions, "transactions", "2026-01-15", "2026-01-17").success
    assert sales(project, "2026-01-12", "2026-01-18") == truth(
        api.rows("transactions", "2026-01-12", "2026-01-18")
    )
    ids = [row["id"] for row in table(project.database, "transactions")]
    assert len(ids) == len({*ids})


def test_an_incremental_sync_goes_on_from_its_cursor(
    project: Project, api: DemoApi, definitions: dg.Definitions
) -> None:
    result = project.run(definitions, "events")
    assert all(check.passed for check in result.get_asset_check_evaluations())
    new = api.rows("events", HELD["events_cursor"].removesuffix("+00:00"))
    [loaded] = [
        event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
        if event.step_materialization_data.materialization.asset_key.path[-1] == "events"
    ]
    assert loaded.metadata["rows_fetched"].value == len(new)
    assert len(new) < 50 < HELD["rows"]["analytics_api.events"]
    assert api.request_counts() == {"/v1/events": 1}
    assert table(project.database, "events") == truth(api.rows("events"))
    items = [item for row in api.rows("events") for item in row["items"]]
    assert rows_in_tables()["analytics_api.events__items"] == len(items)


def test_a_full_refresh_leaves_what_the_api_has_now(
    project: Project, api: DemoApi, definitions: dg.Definitions
) -> None:
    result = project.run(definitions, "customers")
    assert check_of(result, "schema_drift").passed
    assert table(project.database, "customers") == truth(api.rows("customers"))


def test_rows_in_quarantine_are_reported_until_they_are_good(
    project: Project, definitions: dg.Definitions
) -> None:
    bad, still_bad = HELD["quarantine"]["2026-01-28"], HELD["quarantine"]["2026-01-30"]
    check = check_of(project.run(definitions, "transactions", checks_only=True))
    assert not check.passed
    assert check.metadata["rows_in_quarantine"].value == 2
    assert all(str(key) in str(check.description) for key in (bad, still_bad))
    assert check_of(project.run(definitions, "transactions", "2026-01-28")).passed
    assert quarantined(project) == {"2026-01-30": still_bad}
    assert bad in {row["id"] for row in table(project.database, "transactions")}
    check = check_of(project.run(definitions, "transactions", checks_only=True))
    assert (check.passed, check.metadata["rows_in_quarantine"].value) == (False, 1)


def test_schema_drift_compares_with_the_sync_before_the_upgrade(
    project: Project, api: DemoApi, definitions: dg.Definitions
) -> None:
    """Without that sync there is nothing to compare with, and the check passes."""
    api.set_faults({"path": "/v1/products", "row": None, "set_fields": {"colour": "red"}})
    check = check_of(project.run(definitions, "products"), "schema_drift")
    assert not check.passed
    assert "colour" in str(check.description)
    assert "sku" not in str(check.description)
    # This source had an outage, which was over: no probe was needed.
    assert circuit_events(project, "analytics_api") == HELD["circuits"]["analytics_api"]


@pytest.mark.matrix(keep=0)
def test_an_open_circuit_stays_open_until_it_is_reset_and_then_no_row_is_doubled(
    project: Project, api: DemoApi, definitions: dg.Definitions
) -> None:
    refused = project.run(definitions, "visits", source="visits_api")
    assert not refused.success
    assert api.request_counts() == {}
    run = project.instance.get_run_by_id(refused.run_id)
    assert run is not None
    assert run.tags["analytics_assets/circuit"] == run.run_id
    assert tick(project, definitions, "visits_api__visits__schedule", "2026-02-02T01:00").run_requests == []

    reset = definitions.resolve_job_def("visits_api__circuit_reset")
    assert reset.execute_in_process(instance=project.instance).success
    assert circuit_events(project, "visits_api") == ["opened", "reset"]
    for resource in ("visits", "prices", "clicks"):
        result = project.run(definitions, resource, source="visits_api")
        assert result.success
        assert check_of(result, "schema_drift").passed
    events, found = api.rows("events"), rows_in_tables()
    assert found["visits_api.visits"] == len(events)
    assert found["visits_api.visits__items"] == sum(len(row["items"]) for row in events)
    [clicks] = project.query("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM visits_api.clicks")
    assert (clicks["n"], clicks["ids"]) == (len(events), len(events))
    current = "SELECT id, unit_price FROM visits_api.prices WHERE _dlt_valid_to IS NULL ORDER BY id"
    assert [(row["id"], str(row["unit_price"])) for row in project.query(current)] == sorted(
        (row["id"], row["unit_price"]) for row in api.rows("products")
    )
    assert found["visits_api.prices"] == HELD["rows"]["visits_api.prices"] + 1, "one price has changed"


# What is asked for, and what is reported, without a person.


def test_a_tick_requests_missing_partitions(project: Project, definitions: dg.Definitions) -> None:
    data = tick(project, definitions, "analytics_api__transactions__schedule", "2026-02-02T02:00")
    assert ranges(data) == [*MISSING, "2026-02-01"]


def test_recovery_requests_nothing_twice(daemon: Daemon) -> None:
    requests = daemon.look("analytics_api__recovery")
    assert {(one.job_name, one.partition_key) for one in requests} == {
        ("analytics_api__transactions__sync", "2026-02-01"),
        ("analytics_api__customers__sync", None),
    }
    assert daemon.look("analytics_api__recovery") == []
    assert daemon.look("visits_api__recovery") == [], "its circuit is open"


def test_an_incident_is_reported_once_across_the_upgrade(
    project: Project, definitions: dg.Definitions, daemon: Daemon, alerts: list[tuple[str, str]]
) -> None:
    def look() -> list[tuple[str, str]]:
        alerts.clear()
        for source in SOURCES:
            daemon.look(f"{source}__sync_failure")
        return [*alerts]

    [kept] = look()  # what no channel had taken before the upgrade
    assert kept == ("failure", "visits_api: halted, 503 Service Unavailable")
    assert look() == []
    assert project.run(definitions, "transactions", "2026-01-25").success
    [(kind, title)] = look()
    assert kind == "success"
    assert title.startswith("analytics_api: ")
    assert "transactions" in title
    assert look() == []
    reset = definitions.resolve_job_def("visits_api__circuit_reset")
    assert reset.execute_in_process(instance=project.instance).success
    [(kind, title)] = look()
    assert kind == "success"
    assert title.startswith("visits_api: ")
    assert look() == []

"""The circuit in Dagster: its history in the event log, runs that end at once, and manual changes."""

from __future__ import annotations

import resource
import time
from typing import Any

import dagster as dg
import pytest
import yaml

from analytics_assets.config.models import SyncConfig
from analytics_assets.demo_api.server import DEFAULT_KEY
from analytics_assets.ingestion.http.circuit_breaker import Phase
from analytics_assets.orchestration.circuit.event_log import CLOCK_NOTE, EventLogCircuit
from analytics_assets_tests.conftest import Clock, DemoApi, Project, failure_of

EVENT = "analytics_assets/event"
CIRCUIT = dg.AssetKey(["analytics_api", "circuit"])


def records(project: Project) -> list[dg.AssetMaterialization]:
    found = project.instance.fetch_materializations(CIRCUIT, limit=100, ascending=True).records
    return [record.asset_materialization for record in found if record.asset_materialization]


def kinds(project: Project) -> list[str]:
    return [str(one.metadata[EVENT].value) for one in records(project)]


def requests(api: DemoApi) -> int:
    return sum(api.request_counts().values())


def store(project: Project, text: str) -> EventLogCircuit:
    return EventLogCircuit(project.instance, SyncConfig(**yaml.safe_load(text)["attributes"]))


def by_hand(project: Project, definitions: dg.Definitions, job: str, reason: str = "") -> None:
    run_config = {"ops": {f"analytics_api__circuit_{job}_by_hand": {"config": {"reason": reason}}}}
    found = definitions.resolve_job_def(f"analytics_api__circuit_{job}")
    assert found.execute_in_process(run_config=run_config, instance=project.instance).success


def report(project: Project, description: str | None) -> None:
    """Reports a materialization, as the button `Report materialization` of the UI does."""
    project.instance.report_runless_asset_event(dg.AssetMaterialization(CIRCUIT, description=description))


def test_an_outage_from_end_to_end(project: Project, api: DemoApi, clock: Clock, impatient_yaml: str) -> None:
    definitions = project.definitions(impatient_yaml)
    api.set_faults({"path": "/v1/customers", "status": 503})
    halted = project.run(definitions, "customers")
    assert requests(api) == 4

    # Every run of the source fails at once, without a request, and its error says why.
    refused = project.run(definitions, "transactions", "2026-01-05")
    said = str(failure_of(refused).description)
    assert "transactions: no request was sent, because the circuit of analytics_api is open since " in said
    assert (
        "halted after 4 attempts of GET /v1/customers: 503 Service Unavailable; it may be asked again after "
        in said
    )
    run = project.instance.get_run_by_id(refused.run_id)
    assert run is not None
    assert run.tags["dagster/retry_on_asset_or_op_failure"] == "false"
    assert requests(api) == 4

    # One probe is sent, and its failure doubles the cool-down.
    clock.pass_minutes(5.1)
    failure_of(project.run(definitions, "customers"))
    assert requests(api) == 5
    opened = [one for one in records(project) if one.metadata[EVENT].value == "opened"]
    assert [one.metadata["cooldown_minutes"].value for one in opened] == [5, 10]

    # The API is back. The first run probes and continues, and then all other runs may start.
    api.set_faults()
    clock.pass_minutes(10.1)
    assert project.run(definitions, "products").success
    assert project.run(definitions, "customers").success
    assert kinds(project) == ["opened", "probe", "opened", "probe", "closed"]

    first = records(project)[0]
    assert {
        name: first.metadata[name].value for name in ("resource", "endpoint", "status", "attempts", "cause")
    } == {
        "resource": "customers",
        "endpoint": "GET /v1/customers",
        "status": 503,
        "attempts": 4,
        "cause": "503 Service Unavailable",
    }
    assert first.metadata["run"] == dg.MetadataValue.dagster_run(halted.run_id)
    assert isinstance(first.metadata["next_probe"], dg.TimestampMetadataValue)
    assert str(first.description).startswith(
        "Opened: customers: halted after 4 attempts of GET /v1/customers: 503 Service Unavailable; next probe after "
    )


def test_a_circuit_that_a_wrong_clock_opened_closes_after_the_cool_down(
    project: Project, api: DemoApi, clock: Clock, impatient_yaml: str
) -> None:
    definitions = project.definitions(impatient_yaml)
    api.set_faults({"path": "/v1/customers", "status": 503})
    clock.pass_minutes(30 * 24 * 60)
    assert not project.run(definitions, "customers").success
    clock.pass_minutes(-30 * 24 * 60)
    assert "no request was sent" in str(failure_of(project.run(definitions, "products")).description)
    assert [one.description for one in records(project)][-1] == f"{CLOCK_NOTE}."
    api.set_faults()
    clock.pass_minutes(5.1)
    assert project.run(definitions, "products").success
    assert kinds(project) == ["opened", "note", "probe", "closed"]


def test_a_check_alone_runs_while_it_is_open(project: Project, shipped_yaml: str) -> None:
    definitions = project.definitions(shipped_yaml)
    assert project.run(definitions, "customers").success
    by_hand(project, definitions, "open")
    assert project.run(definitions, "customers", checks_only=True).success


def test_a_range_is_refused_as_a_whole_without_a_request(
    project: Project, api: DemoApi, impatient_yaml: str
) -> None:
    definitions = project.definitions(impatient_yaml)
    by_hand(project, definitions, "open")
    failure_of(project.run(definitions, "transactions", "2026-01-01", "2026-01-30"))
    assert requests(api) == 0


def test_a_run_that_finds_it_open_ends_before_anything_else(
    project: Project, shipped_yaml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with an open circuit waits for no lock, opens no database, and needs no secret."""
    definitions = project.definitions(shipped_yaml)
    by_hand(project, definitions, "open")
    monkeypatch.delenv("SOURCES__ANALYTICS_API__API_KEY")
    said = str(failure_of(project.run(definitions, "products")).description)
    assert "no request was sent, because the circuit of analytics_api is held open by hand" in said
    assert not project.database.exists()


def test_siblings_in_one_run_ask_nothing(project: Project, api: DemoApi, impatient_yaml: str) -> None:
    api.set_faults(*({"path": f"/v1/{name}", "status": 503} for name in ("customers", "products", "events")))
    definitions = project.definitions(impatient_yaml)
    keys = [dg.AssetKey(["analytics_api", name]) for name in ("customers", "products", "events")]
    dg.materialize(
        [one for one in definitions.assets or () if isinstance(one, dg.AssetsDefinition)],
        selection=dg.AssetSelection.assets(*keys),
        instance=project.instance,
        resources=definitions.resources,
        raise_on_error=False,
    )
    assert requests(api) == 4
    assert kinds(project) == ["opened"]


def test_a_key_that_expires_opens_it_and_says_so(
    project: Project, api: DemoApi, impatient_yaml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__ANALYTICS_API__API_KEY", "expired-long-ago")
    definitions = project.definitions(impatient_yaml)
    failure_of(project.run(definitions, "products"))
    said = str(failure_of(project.run(definitions, "customers")).description)
    assert (
        "401 Unauthorized; the API does not accept the key: check SOURCES__ANALYTICS_API__API_KEY; "
        "it may be asked again after" in said
    )
    assert api.request_counts() == {"/v1/products": 1}


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize(
    ("fault", "patched", "secret"),
    [
        pytest.param({}, None, None, id="no secret"),
        pytest.param({"status": 404}, None, DEFAULT_KEY, id="no such endpoint"),
        pytest.param({"body": "<html>"}, None, DEFAULT_KEY, id="no JSON"),
        pytest.param({"body": '{"data": [{}], "total": 1}'}, None, DEFAULT_KEY, id="rows that do not fit"),
        pytest.param({}, "build_source", DEFAULT_KEY, id="a bug"),
    ],
)
def test_what_is_no_outage_never_opens_it(
    project: Project,
    api: DemoApi,
    impatient_yaml: str,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
    patched: str | None,
    secret: str | None,
) -> None:
    api.set_faults({"path": "/v1/products", **fault})
    monkeypatch.setenv("SOURCES__ANALYTICS_API__API_KEY", secret or "")
    if patched:
        monkeypatch.setattr(f"analytics_assets.ingestion.sync.{patched}", lambda *_: 1 / 0)
    assert not project.run(project.definitions(impatient_yaml), "products").success
    assert records(project) == []


@pytest.mark.matrix(keep=0)
def test_a_full_disk_never_opens_it(project: Project, impatient_yaml: str) -> None:
    """Limits each file to 64 KB, so that a write fails as on a full disk."""
    definitions = project.definitions(impatient_yaml)
    assert project.run(definitions, "products").success
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    try:
        result = project.run(definitions, "customers")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not result.success
    assert records(project) == []
    assert project.run(definitions, "customers").success


def test_a_person_opens_and_resets_it_by_a_job(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    definitions = project.definitions(shipped_yaml)
    by_hand(project, definitions, "open", "their maintenance window")
    said = str(failure_of(project.run(definitions, "products")).description)
    assert "is held open by hand since" in said
    assert "(their maintenance window); the job analytics_api__circuit_reset closes it" in said
    assert requests(api) == 0
    by_hand(project, definitions, "reset", "they are done")
    assert project.run(definitions, "products").success
    assert [str(one.description) for one in records(project)] == [
        "Opened by hand, until it is reset: their maintenance window",
        "Closed by hand: they are done",
    ]


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("description", "phase"),
    [
        ("open", Phase.FORCED_OPEN),
        ("Open: the vendor asked us to", Phase.FORCED_OPEN),
        ("opened a ticket with them", Phase.CLOSED),
        (None, Phase.CLOSED),
    ],
)
def test_a_person_opens_it_by_reporting_a_materialization(
    project: Project, shipped_yaml: str, description: str | None, phase: Phase
) -> None:
    report(project, description)
    assert store(project, shipped_yaml).circuit().phase(time.time()) is phase


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("description", "phase"),
    [
        ("reset", Phase.CLOSED),
        ("", Phase.CLOSED),
        (None, Phase.CLOSED),
        ("Closed - it was us", Phase.CLOSED),
        ("looks fine to me", Phase.FORCED_OPEN),
    ],
)
def test_a_person_resets_it_by_reporting_a_materialization(
    project: Project, shipped_yaml: str, description: str | None, phase: Phase
) -> None:
    report(project, "open")
    report(project, description)
    assert store(project, shipped_yaml).circuit().phase(time.time()) is phase


def test_a_log_that_has_been_read_is_read_no_more_and_one_that_was_wiped_is_empty(
    project: Project, shipped_yaml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics_assets.orchestration.circuit.event_log._OLDER_PAGE", 30)
    one = store(project, shipped_yaml)
    for number in range(90):
        report(project, f"note {number}")
    assert [event.reason for event in one.events()] == [f"note {number}" for number in range(90)]
    report(project, "open: at last")
    assert one.events() == store(project, shipped_yaml).events()
    assert one.circuit().phase(time.time()) is Phase.FORCED_OPEN
    project.instance.wipe_assets([CIRCUIT])
    report(project, "a note")
    assert one.circuit().phase(time.time()) is Phase.CLOSED
    assert [event.reason for event in one.events()] == ["a note"]


def test_a_report_with_metadata_of_its_own_is_a_persons(project: Project, shipped_yaml: str) -> None:
    event = dg.AssetMaterialization(CIRCUIT, description="open", metadata={"event": "lunch"})
    project.instance.report_runless_asset_event(event)
    assert store(project, shipped_yaml).circuit().phase(time.time()) is Phase.FORCED_OPEN


@pytest.mark.parametrize(
    ("stopped", "again"),
    [
        ({"analytics_assets/circuit": "the-run-before"}, "true"),  # as version 0.1.0 marked it
        ({"analytics_assets/no_retry": "the-run-before"}, "true"),
        ({"analytics_assets/no_retry": "the-run-before true"}, "true"),
        ({"analytics_assets/no_retry": "the-run-before false"}, "false"),
        ({}, "false"),  # a person has set it
    ],
)
def test_a_reexecuted_run_does_not_inherit_the_halt(
    project: Project, api: DemoApi, impatient_yaml: str, stopped: dict[str, str], again: str
) -> None:
    """Dagster copies the tags of a run to its re-execution. But the re-execution may be retried."""
    definitions = project.definitions(impatient_yaml)
    inherited = {**stopped, "dagster/retry_on_asset_or_op_failure": "false"}
    [products] = [
        one
        for one in definitions.assets or ()
        if isinstance(one, dg.AssetsDefinition) and one.key.path[-1] == "products"
    ]
    api.set_faults({"path": "/v1/products", "body": "<html>"})
    result = dg.materialize(
        [products],
        instance=project.instance,
        resources=definitions.resources,
        tags=inherited,
        raise_on_error=False,
    )
    run = project.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags["dagster/retry_on_asset_or_op_failure"] == again
    assert run.tags.get("analytics_assets/circuit") != run.run_id


def test_two_sources_have_circuits_of_their_own(project: Project, api: DemoApi, impatient_yaml: str) -> None:
    other = project.defs_yaml.parent.parent / "other/defs.yaml"
    other.parent.mkdir()
    document = yaml.safe_load(impatient_yaml)
    document["attributes"]["name"] = "other_api"
    other.write_text(yaml.safe_dump(document))
    definitions = project.definitions(impatient_yaml)
    api.set_faults({"path": "/v1/customers", "status": 503})
    failure_of(project.run(definitions, "customers"))
    said = failure_of(project.run(definitions, "products", source="other_api"))
    assert "SOURCES__OTHER_API__API_KEY" in str(said.description), "it was not refused"

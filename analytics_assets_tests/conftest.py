"""Fixtures with real parts: the demo API over loopback, a DuckDB file, and a Dagster instance."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import secrets
import shutil
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import time_machine
import yaml
from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster.components.core import snapshot as descriptions
from dagster_shared.serdes.objects.package_entry import json_for_all_components
from dlt.common.runtime.run_context import active
from dlt.common.time import increasing_precise_time
from hypothesis import settings

import analytics_assets
from analytics_assets import RestApiSync
from analytics_assets.demo_api.data import Row, snapshot
from analytics_assets.demo_api.server import DEFAULT_KEY, serve
from analytics_assets.ingestion.http.circuit_breaker import policy_of
from analytics_assets.ingestion.plan.load_plan import LoadPlan, RunOptions, plan_load
from analytics_assets.ingestion.sync import run_sync
from analytics_assets.ingestion.sync_result import SyncResult
from analytics_assets.orchestration.partitions import partitions_def, windows_of
from analytics_assets_tests.examples import EVERYTHING
from analytics_assets_tests.memory_circuit import MemoryCircuit
from analytics_assets_tests.postgres import SERVER, WAREHOUSE, PostgresWarehouse, instance_on_postgres
from analytics_assets_tests.truth import comparable, query

TODAY = date(2026, 2, 1)
SHIPPED_DEFS = Path(str(analytics_assets.__file__)).parent / "defs/analytics_api/defs.yaml"
PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True)
class DemoApi:
    """A running demo API, with the data at the start of `today`."""

    url: str
    today: date

    def set_faults(self, *faults: dict[str, Any]) -> None:
        request = urllib.request.Request(f"{self.url}/_faults", json.dumps(faults).encode(), method="POST")  # noqa: S310
        urllib.request.urlopen(request).close()  # noqa: S310  loopback

    def request_counts(self) -> dict[str, int]:
        with urllib.request.urlopen(f"{self.url}/_requests") as response:  # noqa: S310  loopback
            counts: dict[str, int] = json.load(response)
            return counts

    def rows(self, collection: str, since: str | None = None, until: str | None = None) -> list[Row]:
        """The API's rows with `since <= updated_at < until`, where both are days or timestamps in UTC."""
        return snapshot(self.today).rows(collection, _utc(since), _utc(until))


def _utc(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None


# On a machine with other work, an example may take any time.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps the first cases of each test marked `matrix`. With `EXAMPLES=all`, as in `make e2e`, all cases run."""
    if WAREHOUSE:
        config.hook.pytest_deselected(items=[one for one in items if one.get_closest_marker("duckdb")])
        items[:] = [one for one in items if not one.get_closest_marker("duckdb")]
    if EVERYTHING:
        return
    cases: Counter[tuple[Path, str]] = Counter()
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        matrix = item.get_closest_marker("matrix")
        test = (item.path, getattr(item, "originalname", item.name))
        cases[test] += 1
        (left if matrix and cases[test] > matrix.kwargs["keep"] else kept).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


@pytest.fixture(scope="session", autouse=True)
def _dagster_repeats_less() -> Iterator[None]:
    """Spares the tests what Dagster does again and again with the same result.

    At each load of definitions it describes every installed component type, and for the database of each run alembic
    reads all migrations.
    """
    with pytest.MonkeyPatch.context() as patch:
        scripts: dict[str | None, ScriptDirectory] = {}
        read_scripts = ScriptDirectory.from_config

        def read_scripts_once(config: Config) -> ScriptDirectory:
            place = config.get_main_option("script_location")
            if place not in scripts:
                scripts[place] = read_scripts(config)
            return scripts[place]

        patch.setattr(ScriptDirectory, "from_config", read_scripts_once)
        describe, as_json = descriptions.get_package_entry_snap, json_for_all_components
        written: list[Any] = []

        def as_json_once(described: Any) -> Any:
            written[:] = written or [as_json(described)]
            return written[0]

        patch.setattr(descriptions, "get_package_entry_snap", functools.cache(describe))
        patch.setattr("dagster.components.core.load_defs.json_for_all_components", as_json_once)
        yield


@functools.cache
def _empty_home() -> Path:
    """A folder with the databases of a Dagster instance, which take most of a second to make."""
    home = Path(tempfile.mkdtemp(prefix="dagster-home-"))
    atexit.register(shutil.rmtree, home)
    dg.DagsterInstance.local_temp(str(home)).dispose()
    return home


@pytest.fixture(scope="session")
def _running_api() -> Iterator[DemoApi]:
    with serve(today=TODAY) as url:
        yield DemoApi(url, TODAY)


@pytest.fixture
def api(_running_api: DemoApi) -> Iterator[DemoApi]:
    """The demo API without faults, with request counts at zero."""
    _running_api.set_faults()
    yield _running_api
    _running_api.set_faults()


_loaded: dict[Any, dg.Definitions] = {}


class Project:
    """A user's project folder, with one defs.yaml, one Dagster instance and one DuckDB file or PostgreSQL database."""

    postgres: PostgresWarehouse | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root_module = f"user_project_{secrets.token_hex(4)}"
        (folder / "pyproject.toml").write_text(
            f"""[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "{self._root_module}"\n"""
        )
        self.defs_yaml = folder / self._root_module / "defs/an_api/defs.yaml"
        self.defs_yaml.parent.mkdir(parents=True)
        (folder / self._root_module / "__init__.py").touch()

    @functools.cached_property
    def instance(self) -> dg.DagsterInstance:
        """The instance of the project's runs: in memory or on PostgreSQL, unless `keep_on_disk` was called first."""
        return instance_on_postgres(self.folder / "home") if SERVER else dg.DagsterInstance.ephemeral()

    @contextlib.contextmanager
    def secrets_toml(self, text: str) -> Iterator[None]:
        """Writes dlt's file of secrets. dlt reads it once per process, so it reads it again before and after."""
        file = self.folder / ".dlt/secrets.toml"
        file.parent.mkdir()
        file.write_text(text)
        active().reload()
        try:
            yield
        finally:
            file.unlink()
            active().reload()

    def definitions(self, text: str) -> dg.Definitions:
        """The project with this defs.yaml, loaded as Dagster does; once for all projects that are the same."""
        self.defs_yaml.write_text(text)
        files = [*self.defs_yaml.parents[1].rglob("*.yaml"), *(self.folder / ".dlt").glob("*.toml")]
        contents = frozenset(
            (file.name, file.parent.name if file == self.defs_yaml else file, file.read_text())
            for file in files
        )
        settings = frozenset(item for item in os.environ.items() if not item[0].startswith("PYTEST"))
        if (contents, settings) not in _loaded:
            _loaded[contents, settings] = dg.load_from_defs_folder(path_within_project=self.folder)
        return _loaded[contents, settings]

    def run(
        self,
        definitions: dg.Definitions,
        resource: str,
        *partitions: str,
        checks_only: bool = False,
        source: str = "analytics_api",
        asked: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Materializes one asset, or the partitions from the first to the last. The method never raises.

        `asked` is the config of the asset's op, and `tags` are tags of the run, as in the launchpad.
        """
        key = dg.AssetKey([source, resource])
        tags = dict(tags or {})
        if len(partitions) > 1:
            tags["dagster/asset_partition_range_start"] = partitions[0]
            tags["dagster/asset_partition_range_end"] = partitions[-1]
        if checks_only:
            assets = [one for one in definitions.assets or () if isinstance(one, dg.AssetsDefinition)]
            return dg.materialize(
                assets,
                selection=dg.AssetSelection.checks_for_assets(key),
                instance=self.instance,
                resources=definitions.resources,
                raise_on_error=False,
            )
        return definitions.resolve_implicit_global_asset_job_def().execute_in_process(  # the UI sets these tags too
            asset_selection=[key],
            instance=self.instance,
            partition_key=partitions[0] if len(partitions) == 1 else None,
            tags=tags,
            run_config={"ops": {f"{source}__{resource}": {"config": asked}}} if asked else None,
            raise_on_error=False,
        )

    def load(self, text: str, resource: str, *partitions: str, **options: Any) -> SyncResult:
        """Loads a resource without Dagster, in half the time. The arguments are those of `plan`."""
        plan = self.plan(text, resource, *partitions, **options)
        return run_sync(plan, circuit_of(plan))

    def plan(self, text: str, resource: str, *partitions: str, **options: Any) -> LoadPlan:
        """The plan of a sync, as `plan_of` makes it."""
        return plan_of(text, resource, *partitions, **options)

    def keep_on_disk(self) -> dg.DagsterInstance:
        """A Dagster instance in a folder, which sensors and schedules need, or on PostgreSQL."""
        if SERVER:
            return self.instance
        home = self.folder / "home"
        shutil.copytree(_empty_home(), home)
        self.instance = dg.DagsterInstance.local_temp(str(home))
        return self.instance

    def query(self, sql: str) -> list[dict[str, Any]]:
        return self.postgres.query(sql) if self.postgres else query(self.database, sql)

    def table(self, name: str) -> list[dict[str, Any]]:
        """All rows of a table of the demo source."""
        return comparable(self.query(f"SELECT * FROM analytics_api.{name} ORDER BY id"))

    def columns(self, table: str) -> dict[str, str]:
        """The types of the columns of a table such as `api.things`, by name."""
        schema, _, name = table.partition(".")
        found = self.query(
            "SELECT column_name, data_type FROM information_schema.columns "
            f"WHERE table_schema = '{schema}' AND table_name = '{name}' ORDER BY ordinal_position"
        )
        kinds = {one["column_name"]: str(one["data_type"]).upper() for one in found}
        return {name: "VARCHAR" if kind == "CHARACTER VARYING" else kind for name, kind in kinds.items()}

    def execute(self, sql: str) -> None:
        """Changes the warehouse directly, as another program may do."""
        if self.postgres:
            self.postgres.execute(sql)
            return
        with duckdb.connect(str(self.database)) as connection:
            connection.execute(sql)

    @property
    def database(self) -> Path:
        return self.folder / "data/analytics.duckdb"


def plan_of(text: str, resource: str, *partitions: str, **options: Any) -> LoadPlan:
    """The plan of a sync. The partitions are one, or the first and the last."""
    config = RestApiSync.rendered(yaml.safe_load(text)["attributes"])
    definition = partitions_def(config.asset(resource).partitions)
    windows = {}
    if definition:
        keys = definition.get_partition_keys_in_range(dg.PartitionKeyRange(partitions[0], partitions[-1]))
        windows = windows_of(definition, keys)
    return plan_load(config, config.resources[resource], windows, RunOptions(**options))


def circuit_of(plan: LoadPlan) -> MemoryCircuit:
    """A closed circuit for a sync without Dagster."""
    return MemoryCircuit(policy_of(plan.config), plan.config.name)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: DemoApi) -> Iterator[Project]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("ANALYTICS_API_BASE_URL", api.url)
    monkeypatch.setenv("SOURCES__ANALYTICS_API__API_KEY", DEFAULT_KEY)
    monkeypatch.syspath_prepend(str(tmp_path))
    project = Project(tmp_path)
    if WAREHOUSE:
        project.postgres = PostgresWarehouse()
        for name, value in project.postgres.settings.items():
            monkeypatch.setenv(name, value)
    yield project
    if project.postgres:
        project.postgres.drop()
    if "instance" in vars(project):
        project.instance.dispose()


class Clock:
    """The clock of this process, which runs on and can be set."""

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self._traveller = traveller

    def pass_minutes(self, minutes: float) -> None:
        self._traveller.shift(minutes * 60)

    def move_to(self, moment: str) -> None:
        """Sets the clock to a moment in ISO 8601, UTC."""
        self._traveller.move_to(datetime.fromisoformat(moment).replace(tzinfo=UTC))

    def jump(self, minutes: float) -> None:
        """Sets the clock to that of another machine, where dlt has made no load id yet."""
        self.pass_minutes(minutes)
        increasing_precise_time._last = time.time()


@pytest.fixture
def clock() -> Iterator[Clock]:
    with time_machine.travel(datetime.now(UTC)) as traveller:
        yield Clock(traveller)
    increasing_precise_time._last = (
        time.time()
    )  # dlt's load ids never go back, so later loads would be in the future


@pytest.fixture
def shipped_yaml() -> str:
    """The defs.yaml of the demo source, as shipped."""
    return SHIPPED_DEFS.read_text()


@pytest.fixture
def impatient_yaml(shipped_yaml: str) -> str:
    """The defs.yaml of the demo source with waits of milliseconds, for tests in which the API fails."""
    document = yaml.safe_load(shipped_yaml)
    document["attributes"]["requests"]["backoff_factor"] = 0.001
    return yaml.safe_dump(document)


def failure_of(result: dg.ExecuteInProcessResult) -> dg.Failure:
    """The `dg.Failure` of a failed run."""
    events = [event for event in result.all_events if event.is_step_failure]
    assert len(events) == 1, events
    failure = events[0].step_failure_data.user_failure_data
    assert failure is not None, events[0].step_failure_data.error
    return dg.Failure(description=failure.description, metadata=dict(failure.metadata))


def metadata_of(failure: dg.Failure) -> set[tuple[str, Any]]:
    """The metadata of a failed sync: its code, and its fields."""
    return {(name, value.value) for name, value in failure.metadata.items()}


def check_of(
    result: dg.ExecuteInProcessResult, name: str = "schema_nullability", partition: str | None = None
) -> dg.AssetCheckEvaluation:
    """The latest evaluation of a check, or the evaluation for one partition."""
    found = [one for one in result.get_asset_check_evaluations() if one.check_name == name]
    return next(one for one in reversed(found) if partition in (None, one.partition))

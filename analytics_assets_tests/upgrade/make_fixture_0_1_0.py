"""Makes `v0_1_0.tar.xz`: a warehouse and a DAGSTER_HOME as a user of 0.1.0 has them, and `v0_1_0.json`, what they hold.

Runs with the code of 0.1.0, which is commit 798ee7e:

    git worktree add /tmp/v0_1_0 798ee7e
    PYTHONPATH=/tmp/v0_1_0 .venv/bin/python analytics_assets_tests/upgrade/make_fixture_0_1_0.py

The clock stands at 2026-02-01, the day whose data the demo API serves. Paths of this machine are replaced.
It is longer than 300 lines because it imports nothing of the tests, which change: it runs with the code of 0.1.0 alone.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import time_machine

# Not in Dagster's public names: the records of its daemon, which hold a sensor's cursor and a schedule's state.
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.definitions.sensor_definition import SensorType
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

import analytics_assets
from analytics_assets.demo_api.server import DEFAULT_KEY, serve

COMMIT = "798ee7e"
HERE = Path(__file__).parent
SOURCES = ("analytics_api", "visits_api")
TODAY = date(2026, 2, 1)
MORNING = datetime(2026, 2, 1, 3, tzinfo=UTC)
LOCATION = "analytics_assets.definitions"
FOLDER = Path(tempfile.gettempdir()) / "user_project"
NOBODY = "json://127.0.0.1:9/alerts"
"""A channel that takes no message: port 9 is closed."""


class User:
    """A project folder, its home, and what its user and its daemon do there.

    Args:
        folder: of the project.
        url: of the demo API.
        clock: stands at a moment of the fixture.
    """

    def __init__(self, folder: Path, url: str, clock: time_machine.Traveller) -> None:
        self._url, self._clock = url, clock
        home = folder / "home"
        home.mkdir()
        shutil.copy(_checkout() / ".dagster/dagster.yaml", home)
        (folder / "pyproject.toml").write_text(
            '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "user_project"\n'
        )
        for source in SOURCES:
            target = folder / f"user_project/defs/{source}/defs.yaml"
            target.parent.mkdir(parents=True)
            shutil.copy(HERE / f"{source}.yaml", target)
        (folder / "user_project/__init__.py").touch()
        self.instance = dg.DagsterInstance.from_config(str(home))
        self.definitions = dg.load_from_defs_folder(path_within_project=folder)
        self._states: dict[str, InstigatorState] = {}

    def faults(self, *faults: Mapping[str, Any]) -> None:
        """Lets the demo API misbehave; without any it behaves."""
        request = urllib.request.Request(f"{self._url}/_faults", json.dumps(faults).encode(), method="POST")  # noqa: S310
        urllib.request.urlopen(request).close()  # noqa: S310  loopback

    def wait(self, minutes: float) -> None:
        """Lets the clock go on."""
        self._clock.shift(minutes * 60)

    def sync(self, asset: str, *partitions: str, succeeds: bool = True) -> None:
        """Materializes an asset, as the UI does: one partition, or from the first to the last."""
        tags = {}
        if len(partitions) > 1:
            tags["dagster/asset_partition_range_start"] = partitions[0]
            tags["dagster/asset_partition_range_end"] = partitions[-1]
        result = self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[dg.AssetKey(asset.split("/"))],
            instance=self.instance,
            partition_key=partitions[0] if len(partitions) == 1 else None,
            tags=tags,
            raise_on_error=False,
        )
        assert result.success is succeeds, asset
        self.wait(1)

    def job(self, name: str, partition: str | None = None, run_config: dict[str, Any] | None = None) -> None:
        """Runs a job: one of a schedule, or one that a person starts."""
        job = self.definitions.resolve_job_def(name)
        result = job.execute_in_process(
            instance=self.instance, partition_key=partition, run_config=run_config
        )
        assert result.success, name
        self.wait(1)

    def turn_on(self, schedule: str, cron: str) -> None:
        """Turns a schedule on."""
        data = ScheduleInstigatorData(cron, start_timestamp=datetime.now(UTC).timestamp())
        self.instance.add_instigator_state(
            InstigatorState(_origin(schedule), InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
        )

    def look(self, name: str) -> tuple[str, list[str]]:
        """One tick of a sensor; its cursor is stored where the daemon keeps it.

        Returns:
            The reason it skipped for, and the run keys it asked for.
        """
        self.wait(1)  # a failed run is read when Dagster has decided whether it is retried
        before = self._states.get(name)
        data = before.instigator_data if before else None
        sensor = next(
            one
            for one in self.definitions.sensors or ()
            if isinstance(one, dg.SensorDefinition) and one.name == name
        )
        now = datetime.now(UTC).timestamp()
        tick = sensor.evaluate_tick(
            dg.build_sensor_context(
                instance=self.instance,
                cursor=data.cursor if isinstance(data, SensorInstigatorData) else None,
                repository_def=self.definitions.get_repository_def(),
            )
        )
        state = InstigatorState(
            _origin(name),
            InstigatorType.SENSOR,
            InstigatorStatus.DECLARED_IN_CODE,
            SensorInstigatorData(
                last_tick_timestamp=now,
                min_interval=15,
                cursor=tick.cursor,
                last_tick_start_timestamp=now,
                sensor_type=SensorType.STANDARD,
                last_tick_success_timestamp=now,
            ),
        )
        (self.instance.update_instigator_state if before else self.instance.add_instigator_state)(state)
        self._states[name] = state
        return str(tick.skip_message), [str(one.run_key) for one in tick.run_requests or ()]

    def alerts(self) -> list[str]:
        """One tick of every failure sensor; what they say."""
        return [self.look(f"{source}__sync_failure")[0] for source in SOURCES]


def load(user: User) -> None:
    """Full refreshes, incremental syncs, and partitions: a range, single ones, and one of the schedule's job."""
    bad = {"path": "/v1/transactions", "requests": [1], "row": 4, "set_fields": {"currency": None}}
    nothing_new = [f"Nothing new about {source}." for source in SOURCES]
    assert user.alerts() == nothing_new
    for source in SOURCES:
        assert user.look(f"{source}__recovery")[1] == []
    for asset in ("customers", "products", "events"):
        user.sync(f"analytics_api/{asset}")
    for asset in ("visits", "prices", "clicks"):
        user.sync(f"visits_api/{asset}")
    user.sync("analytics_api/transactions", "2026-01-12", "2026-01-16")
    user.sync("analytics_api/transactions", "2026-01-20")
    for day in ("2026-01-28", "2026-01-30"):
        user.faults(bad)
        user.sync("analytics_api/transactions", day)
    user.faults()
    user.job("analytics_api__transactions__sync", "2026-01-31")
    user.sync("analytics_api/customers")
    assert user.alerts() == nothing_new


def fail(user: User) -> None:
    """A failure that is made good, one that is not, and a circuit that a person opens and resets."""
    user.faults({"path": "/v1/products", "body": "<html>"})
    user.sync("analytics_api/products", succeeds=False)
    assert user.alerts()[0] == "analytics_api: the sync of products failed."
    user.faults()
    user.sync("analytics_api/products")
    assert user.alerts()[0] == "analytics_api: products is synced again."
    user.faults({"path": "/v1/transactions", "body": "<html>"})
    user.sync("analytics_api/transactions", "2026-01-25", succeeds=False)
    assert user.alerts()[0] == "analytics_api: the sync of transactions failed."
    for word in ("open", "reset"):
        config = {"ops": {f"analytics_api__circuit_{word}_by_hand": {"config": {"reason": "maintenance"}}}}
        user.job(f"analytics_api__circuit_{word}", run_config=config)
    circuit = dg.AssetKey(["analytics_api", "circuit"])
    user.instance.report_runless_asset_event(dg.AssetMaterialization(circuit, description="hello"))
    user.alerts()


def suffer_outages(user: User) -> list[str]:
    """An outage that is over, and one that goes on, of which no channel has taken the alert.

    Returns:
        The run keys that the recovery sensor asked for after the first.
    """
    user.turn_on("analytics_api__transactions__schedule", "0 2 * * *")
    user.turn_on("analytics_api__customers__schedule", "0 * * * *")
    user.turn_on("visits_api__visits__schedule", "0 1 * * *")
    user.faults(*({"path": f"/v1/{name}", "status": 503} for name in ("customers", "transactions")))
    user.sync("analytics_api/transactions", "2026-01-27", succeeds=False)
    user.sync("analytics_api/products", succeeds=False)
    assert user.alerts()[0] == "analytics_api: halted, 503 Service Unavailable."
    user.wait(6)
    user.sync("analytics_api/customers", succeeds=False)
    user.wait(11)
    user.faults()
    user.sync("analytics_api/customers")
    requested = user.look("analytics_api__recovery")[1]
    assert "the API is back" in user.alerts()[0]
    user.faults({"path": "/v1/events", "status": 503})
    user.sync("visits_api/visits", succeeds=False)
    user.sync("visits_api/prices", succeeds=False)
    os.environ["SOURCES__VISITS_API__ALERTS"] = NOBODY
    said = user.alerts()[1]
    assert said.startswith("visits_api: halted, 503 Service Unavailable. The JSON channel took no alert")
    assert user.look("visits_api__recovery")[1] == []
    user.faults()
    return sorted(requested)


def circuit_events(instance: dg.DagsterInstance, source: str) -> list[str]:
    """What happened to a circuit, in order."""
    circuit = dg.AssetKey([source, "circuit"])
    records = instance.fetch_materializations(circuit, limit=100, ascending=True).records
    found = [record.asset_materialization for record in records]
    kinds = [one.metadata.get("analytics_assets/event") for one in found if one]
    return [str(kind.value) if kind else "reported by hand" for kind in kinds]


def truth(user: User, database: Path) -> dict[str, Any]:
    """What the home and the warehouse hold."""
    instance, definitions = user.instance, user.definitions
    repository = definitions.get_repository_def()
    transactions = dg.AssetKey(["analytics_api", "transactions"])
    partitions = definitions.resolve_asset_graph().get(transactions).partitions_def
    assert partitions is not None
    keys = partitions.get_partition_keys()
    statuses = instance.get_status_by_partition(transactions, keys, partitions) or {}
    cursor = instance.get_latest_materialization_event(dg.AssetKey(["analytics_api", "events"]))
    assert cursor is not None
    assert cursor.asset_materialization is not None
    with duckdb.connect(str(database), read_only=True) as warehouse:
        tables = warehouse.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN "
            f"{SOURCES} AND table_name NOT LIKE '\\_dlt\\_%' ESCAPE '\\' ORDER BY ALL"
        ).fetchall()
        counts = {
            f"{schema}.{table}": warehouse.execute(f"SELECT count(*) FROM {schema}.{table}").fetchall()[0][0]
            for schema, table in tables
        }
        quarantine = warehouse.execute(
            "SELECT partition, key__id FROM analytics_api.transactions__quarantine ORDER BY ALL"
        ).fetchall()
    failed = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    checks = {key.to_user_string() for key in definitions.resolve_asset_graph().asset_check_keys}
    return {
        "made_with": COMMIT,
        "moment": datetime.now(UTC).isoformat(),
        "rows": counts,
        "partitions": {key: status.value for key, status in statuses.items() if status},
        "quarantine": dict(quarantine),
        "events_cursor": cursor.asset_materialization.metadata["cursor_to"].value,
        "circuits": {source: circuit_events(instance, source) for source in SOURCES},
        "failed_runs": len(failed),
        "runs_ended_by_an_outage": sum("analytics_assets/circuit" in run.tags for run in failed),
        "cursors": sorted(
            one.instigator_name
            for one in instance.all_instigator_state()
            if isinstance(one.instigator_data, SensorInstigatorData)
        ),
        "schedules_on": sorted(
            one.instigator_name
            for one in instance.all_instigator_state()
            if one.instigator_type is InstigatorType.SCHEDULE
        ),
        "names": {
            "assets": sorted(
                key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()
            ),
            "checks": sorted(checks),
            "jobs": sorted(name for name in repository.job_names if not name.startswith("__")),
            "schedules": sorted(one.name for one in repository.schedule_defs),
            "sensors": sorted(one.name for one in repository.sensor_defs),
        },
    }


def neutral(home: Path) -> None:
    """Replaces paths and the name of this machine in the SQLite files, and makes them small."""
    words = {
        str(_checkout()): "/srv/analytics_assets",
        str(Path(sys.prefix)): "/srv/venv",
        str(Path(sys.base_prefix)): "/usr",
        socket.gethostname(): "host",
    }
    for database in sorted(home.rglob("*.db")):
        with sqlite3.connect(database) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
                for _, column, kind, *_ in columns:
                    if "CHAR" not in kind.upper() and kind.upper() not in ("TEXT", "JSON"):
                        continue
                    for old, new in words.items():
                        connection.execute(
                            f"UPDATE {table} SET {column} = replace({column}, ?, ?) WHERE instr({column}, ?)",
                            (old, new, old),
                        )
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")
        connection.close()


def pack(folder: Path, archive: Path) -> None:
    """Writes `data` and `home` of a folder, without compute logs, locks and SQLite's side files."""
    kept = ("data/analytics.duckdb", "home/dagster.yaml")
    files = [folder / one for one in kept] + sorted((folder / "home").rglob("*.db"))
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for file in files:
            entry = tar.gettarinfo(file, str(file.relative_to(folder)))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime, entry.mode = int(MORNING.timestamp()), 0o644
            with file.open("rb") as content:
                tar.addfile(entry, content)


def _checkout() -> Path:
    return Path(str(analytics_assets.__file__)).parents[1]


def _origin(name: str) -> RemoteInstigatorOrigin:
    target = LoadableTargetOrigin(module_name=LOCATION)
    return RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION), "__repository__"),
        name,
    )


def main() -> None:
    """Makes the archive and the truth beside this script."""
    git = ("git", "-C", str(_checkout()), "diff", "--quiet", COMMIT, "--", "analytics_assets", ".dagster")
    if subprocess.run(git, check=False).returncode:
        sys.exit(f"{_checkout()} is no clean checkout of {COMMIT}: set PYTHONPATH to one")
    with ExitStack() as stack:
        folder = FOLDER
        folder.mkdir()  # Dagster stores its path: it is the same on all machines
        stack.callback(shutil.rmtree, folder)
        url = stack.enter_context(serve(today=TODAY))
        os.environ["ANALYTICS_API_BASE_URL"] = url
        os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
        for source in SOURCES:
            os.environ[f"SOURCES__{source.upper()}__API_KEY"] = DEFAULT_KEY
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        user = User(folder, url, stack.enter_context(time_machine.travel(MORNING)))
        database = folder / "data/analytics.duckdb"
        load(user)
        fail(user)
        requested = suffer_outages(user)
        held = {"requested": requested, **truth(user, database)}
        user.instance.dispose()
        with duckdb.connect(str(database)) as warehouse:
            warehouse.execute("CHECKPOINT")
        neutral(folder / "home")
        pack(folder, HERE / "v0_1_0.tar.xz")
        (HERE / "v0_1_0.json").write_text(json.dumps(held, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

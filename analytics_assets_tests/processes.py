"""Runs the product as users do: with a DAGSTER_HOME, with `dagster` commands as processes, and with `dagster dev`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from analytics_assets_tests.conftest import PROJECT, DemoApi
from analytics_assets_tests.postgres import SERVER, new_database, storage_in
from analytics_assets_tests.truth import query

BIN = Path(sys.executable).parent


class Home:
    """A working folder with the shipped dagster.yaml, and the project's code location or one with another defs.yaml.

    Attributes:
        module: the Python module of the code location.
    """

    def __init__(self, folder: Path, api: DemoApi, defs_yaml: str | None = None) -> None:
        self.folder = folder
        home = folder / "dagster_home"
        home.mkdir()
        storage = yaml.safe_dump({"storage": storage_in(new_database())}) if SERVER else ""
        (home / "dagster.yaml").write_text((PROJECT / ".dagster/dagster.yaml").read_text() + f"\n{storage}")
        self.module = "analytics_assets.definitions"
        if defs_yaml is not None:
            self.module = "a_project.definitions"
            source = folder / "a_project/defs/an_api"
            source.mkdir(parents=True)
            (source / "defs.yaml").write_text(defs_yaml)
            (folder / "a_project/__init__.py").touch()
            shipped = (PROJECT / "analytics_assets/definitions.py").read_text()
            (folder / "a_project/definitions.py").write_text(shipped)
        for name in ("pyproject.toml", "workspace.yaml"):
            written = (PROJECT / name).read_text().replace("analytics_assets.definitions", self.module)
            written = written.replace(
                'root_module = "analytics_assets"', f'root_module = "{self.module.split(".")[0]}"'
            )
            (folder / name).write_text(written)
        self.environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(folder),
            # The code beside these tests, not an installed version, and what `make postgres` installs.
            "PYTHONPATH": ":".join((str(PROJECT), *os.environ.get("PYTHONPATH", "").split(":"))),
            "DAGSTER_HOME": str(home),
            "ANALYTICS_API_BASE_URL": api.url,
            "SOURCES__ANALYTICS_API__API_KEY": "demo-key",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }
        finished(self.start("instance", "info"))  # one process creates the databases of the instance

    def start(self, *arguments: str, log: IO[str] | None = None) -> subprocess.Popen[str]:
        """Starts the `dagster` command. A long-running command writes to `log`, as an unread pipe would block."""
        return subprocess.Popen(
            [str(BIN / "dagster"), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=log or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a test can then end the process with its children
        )

    def materialize(self, resource: str, *options: str) -> subprocess.Popen[str]:
        return self.start(
            "asset", "materialize", "-m", self.module, "--select", f"analytics_api/{resource}", *options
        )

    def ids(self, table: str) -> list[Any]:
        rows = query(self.database, f"SELECT id FROM analytics_api.{table} ORDER BY id")
        return [row["id"] for row in rows]

    @property
    def database(self) -> Path:
        return self.folder / "data/analytics.duckdb"


def finished(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


class Ui:
    """`dagster dev`, controlled through the GraphQL API of the UI.

    Attributes:
        url: the URL of the UI.
        repository: the repository selector for GraphQL queries.
    """

    def __init__(self, url: str, module: str) -> None:
        self.url = url
        self.repository = {"repositoryLocationName": module, "repositoryName": "__repository__"}

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  loopback
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        assert "errors" not in answer, answer
        return answer["data"]

    def wait_for(self, what: str, probe: Callable[[], Any], seconds: float = 90) -> Any:
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            found = probe()
            if found:
                return found
            time.sleep(0.5)
        raise AssertionError(f"no {what} within {seconds} s")

    def launch(self, assets: list[Any], checks: list[Any], **tags: str) -> str:
        """Launches a run, as the buttons Materialize and Execute do. Returns the id of the run."""
        selector = {
            **self.repository,
            "pipelineName": "__ASSET_JOB",
            "assetSelection": assets,
            "assetCheckSelection": checks,
        }
        metadata = {"tags": [{"key": f"dagster/{key}", "value": value} for key, value in tags.items()]}
        params = {"selector": selector, "runConfigData": {}, "executionMetadata": metadata}
        run_id: str = self.ask(LAUNCH, params=params)["launchRun"]["run"]["runId"]
        return run_id

    def run_status(self, run_id: str) -> str | None:
        status: str = self.ask(
            "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id
        )["runOrError"].get("status")
        return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None


_BACKFILL = """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
_BACKFILL_STATUS = """query ($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status runs { runId } } } }"""


def launch_backfill(ui: Ui, asset: list[str], partitions: list[str], seconds: float = 120) -> dict[str, Any]:
    """Launches a backfill as the UI does, and waits for its end. Returns `status` and `runs` by id."""
    params = {"assetSelection": [{"path": asset}], "partitionNames": partitions, "fromFailure": False}
    backfill = ui.ask(_BACKFILL, params=params)["launchPartitionBackfill"]["backfillId"]

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = ui.ask(_BACKFILL_STATUS, id=backfill)["partitionBackfillOrError"]
        return found if found["status"].startswith("COMPLETED") or found["status"] == "FAILED" else None

    done: dict[str, Any] = ui.wait_for("end of the backfill", ended, seconds)
    return {"status": done["status"], "runs": [run["runId"] for run in done["runs"]]}


@contextmanager
def dagster_dev(home: Home) -> Iterator[Ui]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (home.folder / "dagster_dev.log").open("a")
    process = home.start("dev", "--port", str(port), log=log)
    ui = Ui(f"http://127.0.0.1:{port}", home.module)

    def up() -> bool:
        try:
            return bool(ui.ask("{ version }"))
        except (urllib.error.URLError, ConnectionError):
            return False

    try:
        ui.wait_for("UI", up)
        yield ui
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # also ends its webserver and daemon
            process.wait()
        log.close()

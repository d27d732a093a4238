"""The wheel in a project of somebody else, through `dg`, as a user works with Dagster."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from importlib.metadata import entry_points, files
from pathlib import Path

import pytest

import analytics_assets
from analytics_assets_tests.conftest import SHIPPED_DEFS, DemoApi
from analytics_assets_tests.truth import query

PYPROJECT = """
[project]
name = "shop"
version = "1.0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "shop"
code_location_target_module = "shop.definitions"
"""
DEFINITIONS = """
from pathlib import Path

import dagster as dg


@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


class Shop:
    """A project with its own pyproject.toml, code location and Dagster home."""

    def __init__(self, folder: Path, api: DemoApi) -> None:
        self.folder = folder
        self.defs = folder / "shop/defs"
        self.defs.mkdir(parents=True)
        (folder / "home").mkdir()
        (folder / "pyproject.toml").write_text(PYPROJECT)
        (folder / "shop/__init__.py").touch()
        (folder / "shop/defs/__init__.py").touch()
        (folder / "shop/definitions.py").write_text(DEFINITIONS)
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "DAGSTER_HOME": str(folder / "home"),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "ANALYTICS_API_BASE_URL": api.url,
            "SOURCES__ANALYTICS_API__API_KEY": "demo-key",
            "SECONDS": "5",
        }

    def dg(self, *arguments: str) -> str:
        """Runs `dg`, and returns what it prints. A failure fails the test."""
        done = subprocess.run(
            ["dg", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def shop(tmp_path: Path, api: DemoApi) -> Shop:
    return Shop(tmp_path, api)


def test_the_wheel_has_all_files_and_the_entry_point() -> None:
    assert "site-packages" in str(analytics_assets.__file__)
    names = {str(one) for one in files("analytics_assets") or ()}
    assert {"analytics_assets/py.typed", "analytics_assets/defs/analytics_api/defs.yaml"} <= names
    assert not any(name.startswith("analytics_assets_tests") for name in names)
    [entry] = entry_points(group="dagster_dg_cli.registry_modules", name="analytics_assets")
    assert entry.load() is analytics_assets


def test_dg_lists_scaffolds_checks_and_loads(shop: Shop) -> None:
    assert '"analytics_assets.RestApiSync"' in shop.dg("list", "components", "--json")
    shop.dg("scaffold", "defs", "analytics_assets.RestApiSync", "my_api")
    shop.dg(
        "scaffold",
        "defs",
        "analytics_assets.RestApiSync",
        "other_api",
        "--format",
        "python",
        "--resource",
        "a",
    )
    described = shop.dg("utils", "inspect-component", "analytics_assets.RestApiSync", "--defs-yaml-schema")
    assert "max_retries: <one of: integer" in described
    shop.dg("check", "defs")
    listed = shop.dg("list", "defs", "--json")
    assert [
        key for key in ("my_api/orders", "my_api/circuit", "other_api/a") if f'"{key}"' not in listed
    ] == []


def test_templates_pass_the_schema_and_a_mistake_names_its_line(shop: Shop) -> None:
    shop.dg("scaffold", "defs", "analytics_assets.RestApiSync", "my_api")
    file = shop.defs / "my_api/defs.yaml"
    text = (
        file.read_text()
        + "  requests: {max_retries: \"{{ env.SECONDS }}\", page_overlap: \"{{ env('NO', 'no') }}\"}\n"
    )
    file.write_text(text)
    shop.dg("check", "defs")
    file.write_text(text.replace('"{{ env.SECONDS }}"', "many"))
    with pytest.raises(
        AssertionError, match=r"attributes.requests.max_retries 'many' is not of type 'integer'"
    ):
        shop.dg("check", "yaml")


def test_a_sync_through_dg_loads_the_rows(shop: Shop, api: DemoApi) -> None:
    (shop.defs / "analytics_api").mkdir()
    (shop.defs / "analytics_api/defs.yaml").write_text(SHIPPED_DEFS.read_text())
    shop.dg("launch", "--assets", "analytics_api/customers")
    loaded = query(
        shop.folder / "data/analytics.duckdb", "SELECT id FROM analytics_api.customers ORDER BY id"
    )
    assert [one["id"] for one in loaded] == sorted(row["id"] for row in api.rows("customers"))


def test_dg_dev_serves_the_assets(shop: Shop) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shop.dg("scaffold", "defs", "analytics_assets.RestApiSync", "my_api")
    server = subprocess.Popen(
        ["dg", "dev", "--host", "127.0.0.1", "--port", str(port)],
        cwd=shop.folder, env=shop.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert ["my_api", "orders"] in assets_of(port, seconds=240)
    finally:
        os.killpg(server.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=20)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)


def assets_of(port: int, seconds: float) -> list[list[str]]:
    """The asset keys that the UI knows, once it serves."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": "{ assetNodes { assetKey { path } } }"}).encode(),
        {"Content-Type": "application/json"},
    )
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError), urllib.request.urlopen(asked, timeout=10) as response:  # noqa: S310  loopback
            found = [one["assetKey"]["path"] for one in json.load(response)["data"]["assetNodes"]]
            if found:
                return found
        time.sleep(0.5)
    return []

"""A full refresh that is killed with kill -9, at each step that changes the warehouse."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from analytics_assets_tests.conftest import DemoApi, Project
from analytics_assets_tests.integration.test_run_config import A, answer, defs, incremental, loaded, row

_KILLED_RUN = """
import os, signal, sys
from pathlib import Path
import dagster as dg
from analytics_assets.ingestion.warehouse.reconcile import Reconcile
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.pipeline import Pipeline

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

where, folder = sys.argv[1:]
if where == "before the load":
    Pipeline.load = die
elif where == "before the rows are in the table":
    SqlJobClientBase._create_merge_followup_jobs = SqlJobClientBase._create_replace_followup_jobs = die
elif where == "in the transaction of the merge":
    Reconcile.during = die
else:
    Reconcile.after = die
sys.path.insert(0, folder)
job = dg.load_from_defs_folder(path_within_project=Path(folder)).resolve_implicit_global_asset_job_def()
config = {"ops": {"docs__a": {"config": {"full_refresh": True}}}}
job.execute_in_process(asset_selection=[dg.AssetKey(["docs", "a"])], run_config=config)
"""


@pytest.mark.parametrize(
    "where",
    [
        "before the load",
        "before the rows are in the table",
        "in the transaction of the merge",
        "after the merge",
    ],
)
@pytest.mark.parametrize("disposition", ["merge", "append"])
def test_a_full_refresh_that_is_killed_doubles_and_loses_nothing(
    project: Project, api: DemoApi, monkeypatch: pytest.MonkeyPatch, disposition: str, where: str
) -> None:
    monkeypatch.setenv("SOURCES__DOCS__API_KEY", "demo-key")
    definitions = project.definitions(defs(incremental(disposition)))
    answer(api, row(1, 1), row(2, 9))
    loaded(project.run(definitions, "a", source="docs"))
    answer(api, row(1, 1), row(3, 5))
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED_RUN, where, str(project.folder)], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    ids = [one["id"] for one in project.query("SELECT id FROM docs.a ORDER BY id")]
    if where == "after the merge":
        assert ids == [1, 3], "old and new rows are never there together"
    else:
        assert ids == [1, 2]
        api.set_faults({"path": A, "body": json.dumps({"data": [row(2, 9)]})})
        assert (
            loaded(project.run(definitions, "a", source="docs"))["cursor_from"] == "2026-01-09 00:00:00+00:00"
        )
    answer(api, row(1, 1), row(3, 5))
    loaded(project.run(definitions, "a", source="docs", asked={"full_refresh": True}))
    assert project.query("SELECT id FROM docs.a ORDER BY id") == [{"id": 1}, {"id": 3}]

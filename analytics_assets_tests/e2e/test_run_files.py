"""The process of a run loads only the files of its APIs, so a broken file of another API does not stop the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics_assets_tests.conftest import SHIPPED_DEFS, DemoApi
from analytics_assets_tests.processes import Home, dagster_dev

OTHER = """type: analytics_assets.RestApiSync
attributes:
  name: other
  rest_api:
    client: {base_url: "http://127.0.0.1:9"}
    resources: [things]
"""
BROKEN = ("attributes: [", OTHER.replace("resources:", "resurces:"), OTHER + '    x: {{ env.X }}"\n')
LAUNCHER = "\nrun_launcher: {module: analytics_assets_tests.process_launcher, class: ProcessLauncher}\n"


@pytest.mark.parametrize(
    ("launcher", "executor"),
    [("", "in_process_executor"), (LAUNCHER, "multiprocess_executor")],
    ids=["the code server, one process", "the command line, a process for each step"],
)
def test_a_broken_file_of_another_api_stops_no_run(
    tmp_path: Path, api: DemoApi, launcher: str, executor: str
) -> None:
    home = Home(tmp_path, api, SHIPPED_DEFS.read_text())
    for place in (tmp_path / "a_project/definitions.py", tmp_path / "dagster_home/dagster.yaml"):
        place.write_text(place.read_text().replace("in_process_executor", executor))
    with (tmp_path / "dagster_home/dagster.yaml").open("a") as instance:
        instance.write(launcher)
    others = [tmp_path / f"a_project/defs/other_{number}/defs.yaml" for number in range(len(BROKEN))]
    for number, file in enumerate(others):
        file.parent.mkdir()
        file.write_text(OTHER.replace("name: other", f"name: other_{number}"))
    with dagster_dev(home) as ui:
        for file, text in zip(others, BROKEN, strict=True):
            file.write_text(text)
        path = ["analytics_api", "customers"]
        run = ui.launch([{"path": path}], [])
        assert ui.wait_for("end of the run", lambda: ui.run_status(run)) == "SUCCESS"
        alone = ui.launch([{"path": ["other_0", "things"]}], [])
        assert ui.wait_for("end of the run", lambda: ui.run_status(alone)) == "FAILURE"
    assert home.ids("customers") == sorted(row["id"] for row in api.rows("customers"))

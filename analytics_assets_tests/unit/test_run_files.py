"""Which files a run process leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from analytics_assets.orchestration.dagster_internals import ASSET_JOB, StepsOfRun
from analytics_assets.orchestration.run_files import unneeded_folders

TYPE = "analytics_assets.RestApiSync"


def api(name: str, type_name: str = TYPE) -> str:
    rest_api = {"client": {"base_url": "http://127.0.0.1:9"}, "resources": ["orders"]}
    return yaml.safe_dump({"type": type_name, "attributes": {"name": name, "rest_api": rest_api}})


FILES = {
    "shop": api("shop"),
    "shop__eu": api("shop__eu"),
    "crm": api("crm"),
    "two": f"{api('one')}---\n{api('another')}",
    "own": api("own", "a_project.lib.MySync"),
    "templated": api("{{ env.NAME }}"),
    "dbt": yaml.safe_dump({"type": "dagster_dbt.DbtProjectComponent", "attributes": {"name": "dbt"}}),
    "broken": "attributes: [",
    "binary": "\xff",
    "empty": "",
    "list": "- shop",
}
ALWAYS = {"own", "templated", "dbt", "list"}


def kept(folder: Path, job: str, *steps: str) -> set[str]:
    files = []
    for name, text in FILES.items():
        file = folder / name / "defs.yaml"
        file.parent.mkdir()
        file.write_bytes(text.encode("latin-1"))
        files.append(file)
    without = unneeded_folders(files, StepsOfRun(job, frozenset(steps)))
    return {file.parent.name for file in files if file.parent not in without}


@pytest.mark.parametrize(
    ("job", "steps", "needed"),
    [
        (ASSET_JOB, ["crm__orders"], {"crm"}),
        (ASSET_JOB, ["crm__orders", "another__orders"], {"crm", "two"}),
        (ASSET_JOB, ["shop__orders"], {"shop"}),
        (ASSET_JOB, ["shop__eu__orders"], {"shop", "shop__eu"}),
        ("crm__orders__sync", ["crm__orders"], {"crm"}),
        ("crm__circuit_reset", ["crm__circuit_reset"], {"crm"}),
    ],
)
def test_a_run_needs_the_files_of_its_apis(
    tmp_path: Path, job: str, steps: list[str], needed: set[str]
) -> None:
    assert kept(tmp_path, job, *steps) == needed | ALWAYS


@pytest.mark.parametrize(
    ("job", "steps"),
    [
        (ASSET_JOB, []),
        (ASSET_JOB, ["crm__orders", "my_model"]),
        (ASSET_JOB, ["crm"]),
        (ASSET_JOB, ["own__orders"]),
        (ASSET_JOB, ["unknown__orders"]),  # perhaps in the broken file
        ("nightly", ["crm__orders"]),
    ],
)
def test_a_run_with_anything_else_needs_all_files(tmp_path: Path, job: str, steps: list[str]) -> None:
    assert kept(tmp_path, job, *steps) == FILES.keys()

"""Which files a run process leaves out."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml

from analytics_assets.orchestration.dagster_internals import ASSET_JOB, StepsOfRun, without_folders
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


PYTHON = """
import dagster as dg

OTHER = dg.AssetKey(["crm", "orders"])


@dg.asset(deps=[OTHER])
def model() -> None: ...


@dg.asset_check(asset=OTHER)
def is_there() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


job = dg.define_asset_job("nightly", dg.AssetSelection.assets(OTHER))


@dg.asset_sensor(asset_key=OTHER, job=job)
def follows():
    yield dg.RunRequest()


@dg.sensor(target=dg.AssetSelection.assets(OTHER))
def launches():
    yield dg.RunRequest()


schedule = dg.ScheduleDefinition(job=job, cron_schedule="0 0 * * *")
conditions = dg.AutomationConditionSensorDefinition("conditions", target=dg.AssetSelection.assets(OTHER))
"""


def test_code_of_the_project_may_name_assets_of_files_that_are_left_out(tmp_path: Path) -> None:
    for name in ("shop", "crm"):
        (tmp_path / f"left_out_project/defs/{name}").mkdir(parents=True)
        (tmp_path / f"left_out_project/defs/{name}/defs.yaml").write_text(api(name))
    (tmp_path / "left_out_project/__init__.py").touch()
    (tmp_path / "left_out_project/defs/own.py").write_text(PYTHON)
    (tmp_path / "dg.toml").write_text(
        'directory_type = "project"\n[project]\nroot_module = "left_out_project"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        with without_folders({(tmp_path / "left_out_project/defs/crm").resolve()}):
            loaded = dg.load_from_defs_folder(path_within_project=tmp_path)
        repository = loaded.get_repository_def()
        whole = dg.load_from_defs_folder(path_within_project=tmp_path)
    keys = {key.to_user_string() for key in repository.asset_graph.materializable_asset_keys}
    assert keys == {"shop/orders", "model"}
    subset = repository.get_job(ASSET_JOB).get_subset(asset_selection={dg.AssetKey(["shop", "orders"])})
    assert [node.name for node in subset.graph.nodes] == ["shop__orders"]
    assert dg.AssetKey(["crm", "orders"]) in whole.resolve_asset_graph().materializable_asset_keys

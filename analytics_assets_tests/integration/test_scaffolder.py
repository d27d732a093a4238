"""What `dg` finds in this package, and the files that it writes for a new API. `foreign/` runs `dg` itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

import analytics_assets
from analytics_assets import RestApiSync
from analytics_assets.scaffolder import RestApiSyncScaffolder, ScaffoldParams
from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Project


def test_dg_finds_the_component_by_dir() -> None:
    assert {"RestApiSync", "read_warehouse"} <= {*dir(analytics_assets)}


def scaffold(folder: Path, scaffold_format: Any = "yaml", *, append: bool = False, **params: str) -> None:
    folder.mkdir(exist_ok=True)
    RestApiSyncScaffolder().scaffold(
        dg.ScaffoldRequest(
            type_name="analytics_assets.RestApiSync",
            target_path=folder / "defs.yaml" if append else folder,
            scaffold_format=scaffold_format,
            project_root=None,
            params=ScaffoldParams(**params),
            append=append,
        )
    )


@pytest.mark.parametrize("scaffold_format", ["yaml", "python"])
def test_a_new_file_loads_and_syncs(
    project: Project, monkeypatch: pytest.MonkeyPatch, scaffold_format: str
) -> None:
    seen: list[Asked] = []

    def reply(asked: Asked) -> Any:
        seen.append(asked)
        return [{"id": 1, "name": "a"}]

    with answering(reply) as url:
        folder = project.defs_yaml.parents[1] / f"Shop-{scaffold_format}"
        scaffold(folder, scaffold_format, base_url=url, resource="v1/Things")
        monkeypatch.setenv(f"SOURCES__SHOP_{scaffold_format.upper()}__TOKEN", "a-token")
        definitions = dg.load_from_defs_folder(path_within_project=project.folder)
        result = project.run(definitions, "v1_things", source=f"shop_{scaffold_format}")
    assert result.success
    assert seen[0].path == "/v1/Things"
    assert seen[0].headers["authorization"] == "Bearer a-token"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("my_api", "my_api"),
        ("My-API", "my_api"),
        ("myApi2", "my_api2"),
        ("2nd api", "api_2nd_api"),
        ("é", "api"),
    ],
)
def test_the_name_of_the_source_is_that_of_the_folder(tmp_path: Path, folder: str, name: str) -> None:
    scaffold(tmp_path / folder)
    text = (tmp_path / folder / "defs.yaml").read_text()
    document = yaml.safe_load(text)
    assert document["type"] == "analytics_assets.RestApiSync"
    assert RestApiSync.rendered(document["attributes"]).name == name
    assert f"SOURCES__{name.upper()}__TOKEN" in text
    assert "<" not in text


def test_a_file_is_appended_to_another(tmp_path: Path) -> None:
    (tmp_path / "defs.yaml").write_text("type: other\n")
    scaffold(tmp_path, append=True)
    assert [one["type"] for one in yaml.safe_load_all((tmp_path / "defs.yaml").read_text())] == [
        "other",
        "analytics_assets.RestApiSync",
    ]

"""Measures the definitions of many APIs, in seconds of CPU and in memory, and the ratio of each to the first.

Each number of APIs gets a process of its own: a project in a new folder, with a `defs.yaml` for each API.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

COLUMNS = {
    "id": {"data_type": "bigint", "nullable": False},
    "name": {"data_type": "text"},
    "amount": {"data_type": "decimal", "precision": 18, "scale": 2},
    "updated_at": {"data_type": "timestamp", "nullable": False},
}
PYPROJECT = """[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "a_project"
"""


def defs_yaml(api: int, resources: int) -> str:
    """Returns the file of an API. Every second resource has daily partitions, and each has a schedule."""
    listed: list[dict[str, Any]] = []
    assets: dict[str, dict[str, Any]] = {}
    for number in range(resources):
        name, partitioned = f"r{number}", number % 2 == 1
        endpoint: dict[str, Any] = {"path": f"/v1/{name}"}
        assets[name] = {"schedule": "0 2 * * *"}
        if partitioned:
            endpoint["incremental"] = {"cursor_path": "updated_at", "start_param": "since"}
            assets[name]["partitions"] = {"type": "daily", "start_date": "2026-01-01"}
        listed.append(
            {
                "name": name,
                "endpoint": endpoint,
                "primary_key": "id",
                "write_disposition": "merge" if partitioned else "replace",
                "columns": COLUMNS,
            }
        )
    rest_api = {"client": {"base_url": "http://127.0.0.1:9"}, "resources": listed}
    attributes = {"name": f"api_{api}", "rest_api": rest_api, "assets": assets}
    return yaml.dump(
        {"type": "analytics_assets.RestApiSync", "attributes": attributes}, Dumper=_NoAliases, sort_keys=False
    )


class _NoAliases(yaml.SafeDumper):
    """Writes repeated values in full, as people do."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  PyYAML passes it
        return True


def measure(project: Path, *, for_a_run: bool) -> dict[str, float]:
    """Loads the definitions of a project and all of their jobs, as a code location does.

    Args:
        project: the folder of the project.
        for_a_run: whether to load what the process of a run of one asset loads, with the job of the run alone.
    """
    sys.path.insert(0, str(project))
    start = time.process_time()
    import dagster as dg  # noqa: PLC0415  the import is a part of what is measured

    from analytics_assets import definitions  # noqa: PLC0415
    from analytics_assets.orchestration.dagster_internals import ASSET_JOB, StepsOfRun  # noqa: PLC0415

    imported = time.process_time()
    if for_a_run:
        run = StepsOfRun(ASSET_JOB, frozenset({"api_0__r0"}))
        definitions.run_of_this_process = lambda: run
    repository = definitions.load(project / "a_project").get_repository_def()
    loaded = time.process_time()
    if for_a_run:
        repository.get_maybe_subset_job_def(ASSET_JOB, asset_selection={dg.AssetKey(["api_0", "r0"])})
    else:
        repository.load_all_definitions()
    return {
        "import": imported - start,
        "files": loaded - imported,
        "jobs": time.process_time() - loaded,
        "all": time.process_time() - start,
        "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def in_a_process(apis: int, resources: int, *, for_a_run: bool) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        project = Path(folder)
        for api in range(apis):
            file = project / f"a_project/defs/api_{api}/defs.yaml"
            file.parent.mkdir(parents=True)
            file.write_text(defs_yaml(api, resources))
        (project / "a_project/__init__.py").touch()
        (project / "pyproject.toml").write_text(PYPROJECT)
        command = [sys.executable, __file__, "--project", folder, *(["--for-a-run"] if for_a_run else [])]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=1800)  # noqa: S603  this script
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apis", type=int, nargs="+", default=[1, 10, 50], help="numbers of APIs (1 10 50)")
    parser.add_argument("--resources", type=int, default=20, help="resources of each API (20)")
    parser.add_argument("--project", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--for-a-run", action="store_true", help="load what the process of a run loads")
    asked = parser.parse_args()
    if asked.project:
        sys.stdout.write(json.dumps(measure(asked.project, for_a_run=asked.for_a_run)) + "\n")
        return
    first: dict[str, float] = {}
    for apis in asked.apis:
        found = in_a_process(apis, asked.resources, for_a_run=asked.for_a_run)
        first = first or found
        parts = "  ".join(
            f"{name} {value:7.1f} ({value / first[name]:5.1f} times)" for name, value in found.items()
        )
        sys.stdout.write(f"{apis:4} APIs  {parts}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Which files of a project a run process can leave out: those of APIs that the run has no step of.

The names of the steps and of the jobs of an API begin with the name of the API. If a run has any other step or job,
such as an asset or a job in Python, then its process loads all files, because the code may need each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from analytics_assets.config.yaml_keys import LOADER
from analytics_assets.orchestration.dagster_internals import ASSET_JOB, StepsOfRun

_TYPES = {"analytics_assets.RestApiSync", "analytics_assets.component.RestApiSync"}
"""A subclass may define more than its API, so its files are always loaded."""


def unneeded_folders(files: Sequence[Path], run: StepsOfRun) -> frozenset[Path]:
    """Returns the folders of the files that a run does not need.

    A file that is not valid YAML has no name. It is needed if the API of a step is not found in the other files.

    Args:
        files: the paths of all files `defs.yaml` of the project.
        run: the job and the steps of the run.
    """
    apis = {file: _apis(file) for file in files}
    all_apis = {name for names in apis.values() for name in names or ()}
    own = {name for name in all_apis if any(_is_of(step, name) for step in run.steps)}
    if not own or not all(any(_is_of(step, name) for name in own) for step in run.steps):
        return frozenset()
    if run.job != ASSET_JOB and not any(_is_of(run.job, name) for name in own):
        return frozenset()
    return frozenset(file.parent for file, names in apis.items() if names is not None and not names & own)


def _is_of(step: str, api: str) -> bool:
    return step.startswith(f"{api}__")


def _apis(file: Path) -> set[str] | None:
    """Returns the names of the APIs of a file, or None if it has anything else. A file that is not YAML has none."""
    try:
        documents = list(yaml.load_all(file.read_text(), Loader=LOADER))
    except (yaml.YAMLError, UnicodeDecodeError):
        return set()
    names: set[str] = set()
    for one in documents:
        attributes = one.get("attributes") if isinstance(one, dict) and one.get("type") in _TYPES else None
        name = attributes.get("name") if isinstance(attributes, dict) else None
        if not isinstance(name, str) or not name.isidentifier():  # it may be a template
            return None
        names.add(name)
    return names

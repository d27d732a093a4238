"""An instance that schedules and sensors accept, and a schedule that looks ten days back."""

from __future__ import annotations

import pytest
import yaml

from analytics_assets_tests.conftest import Project


@pytest.fixture
def project(project: Project) -> Project:
    project.keep_on_disk()
    return project


@pytest.fixture
def ten_days(impatient_yaml: str) -> str:
    """A tick looks at its own partition and the nine before."""
    document = yaml.safe_load(impatient_yaml)
    document["attributes"]["assets"]["transactions"]["catch_up"] = 9
    return yaml.safe_dump(document)

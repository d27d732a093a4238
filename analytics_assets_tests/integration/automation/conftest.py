"""Fixtures: a stored Dagster instance for schedules and sensors, and a schedule that checks ten days."""

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
    """A tick checks its own partition and the nine partitions before."""
    document = yaml.safe_load(impatient_yaml)
    document["attributes"]["assets"]["transactions"]["catch_up"] = 9
    return yaml.safe_dump(document)

"""The fixture for tests that start processes: a folder with a DAGSTER_HOME."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics_assets_tests.conftest import DemoApi
from analytics_assets_tests.processes import Home


@pytest.fixture
def home(tmp_path: Path, api: DemoApi) -> Home:
    return Home(tmp_path, api)

"""A home for tests that start processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics_assets_tests.conftest import DemoApi
from analytics_assets_tests.processes import Home


@pytest.fixture
def home(tmp_path: Path, api: DemoApi) -> Home:
    return Home(tmp_path, api)

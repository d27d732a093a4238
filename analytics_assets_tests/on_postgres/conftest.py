from __future__ import annotations

import pytest

from analytics_assets_tests.conftest import Project
from analytics_assets_tests.postgres import PostgresWarehouse


@pytest.fixture
def warehouse(project: Project) -> PostgresWarehouse:
    """The database of the project."""
    assert project.postgres, "there is no WAREHOUSE_ON_POSTGRES: run these tests with `make postgres`"
    return project.postgres

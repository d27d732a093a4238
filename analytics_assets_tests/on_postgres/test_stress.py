"""Eight processes share one PostgreSQL, while the API changes and `kill -9` ends processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics_assets_tests.postgres import PostgresWarehouse
from analytics_assets_tests.stress import stress


@pytest.mark.parametrize("seed", [1, 2])
def test_one_clean_pass_after_it_leaves_what_the_api_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warehouse: PostgresWarehouse, seed: int
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "stress"
    folder.mkdir()
    report = stress(folder, seed, workers=8, tasks=30, warehouse=warehouse.settings)
    assert report.wrong == []
    assert report.unexpected == []
    assert report.kills > 8, "the last eight are killed in any case"
    assert report.done.total() >= 30

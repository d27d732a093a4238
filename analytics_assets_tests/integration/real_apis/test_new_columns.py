"""The limit on new columns holds with every setting of dlt, and in a dry run."""

from __future__ import annotations

import concurrent.futures.process
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dlt
import pytest

from analytics_assets.ingestion.dry_run import run_dry
from analytics_assets.ingestion.errors import TooManyColumnsError
from analytics_assets.ingestion.warehouse.one_process import one_process
from analytics_assets_tests.answering import answering
from analytics_assets_tests.conftest import Project, circuit_of
from analytics_assets_tests.real_api import defs

ROWS = [{"id": row, **{f"field_{row}_{number}": 1 for number in range(50)}} for row in range(8)]


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("most", [300, 400])
def test_columns_are_counted_if_dlt_has_several_workers(
    project: Project, monkeypatch: pytest.MonkeyPatch, method: str, most: int
) -> None:
    monkeypatch.setenv("NORMALIZE__WORKERS", "2")
    monkeypatch.setenv("NORMALIZE__START_METHOD", method)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a process pool")

    monkeypatch.setattr(concurrent.futures.process.ProcessPoolExecutor, "__init__", refuse)
    with answering(lambda _: {"data": ROWS}) as url:
        text = defs(url, paginator="single_page", asset={"max_new_columns": most})
        if most == 400:
            assert project.load(text, "things").rows_loaded == 8
            return
        with pytest.raises(TooManyColumnsError):
            project.load(text, "things")


@pytest.mark.parametrize("is_ours", [True, False])
def test_another_pipeline_keeps_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_ours: bool
) -> None:
    monkeypatch.setenv("NORMALIZE__WORKERS", "2")
    made: list[Any] = []
    make = concurrent.futures.process.ProcessPoolExecutor.__init__

    def count(self: Any, *args: Any, **options: Any) -> None:
        made.append(options)
        make(self, *args, **options)

    monkeypatch.setattr(concurrent.futures.process.ProcessPoolExecutor, "__init__", count)
    pipeline = dlt.pipeline("other", pipelines_dir=str(tmp_path), destination=dlt.destinations.duckdb("x.db"))
    pipeline.extract([{"a": 1}], table_name="t")
    with one_process() if is_ours else nullcontext():
        pipeline.normalize()
    assert bool(made) is not is_ours


@pytest.mark.parametrize(("most", "is_refused"), [(300, True), (400, False)])
def test_columns_are_counted_in_a_dry_run(project: Project, most: int, *, is_refused: bool) -> None:
    with answering(lambda _: {"data": ROWS}) as url:
        text = defs(url, paginator="single_page", asset={"max_new_columns": most})
        plan = project.plan(text, "things", dry_run=True)
        if not is_refused:
            assert run_dry(plan, circuit_of(plan)).loading == 8
            return
        with pytest.raises(TooManyColumnsError) as caught:
            run_dry(plan, circuit_of(plan))
    assert not caught.value.knows_table
    assert "A dry run does not read the table" in str(caught.value)

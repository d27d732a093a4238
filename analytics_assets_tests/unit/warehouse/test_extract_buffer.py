"""dlt writes the rows of each part of a large page before it gets the next part."""

from __future__ import annotations

import gzip
from pathlib import Path

import dlt
import msgspec
import pytest
from msgspec import Raw

from analytics_assets.ingestion.contract.pipe_steps import ParseStep
from analytics_assets.ingestion.source import page_sizes
from analytics_assets.ingestion.source.page_sizes import change_pages, divide_pages
from analytics_assets.ingestion.warehouse.extract_buffer import WritingPipeline


@pytest.mark.parametrize(("most_bytes", "parts"), [(20, [2, 2, 1]), (1000, [5])])
def test_each_part_of_a_page_is_written_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int, parts: list[int]
) -> None:
    monkeypatch.setattr(page_sizes, "MOST_BYTES", most_bytes)
    page = [Raw(b'{"id": %d, "n": 1}' % number) for number in range(5)]
    resource = dlt.resource(lambda: iter([page]), name="rows")()
    change_pages(resource, divide_pages)
    resource.add_step(ParseStep(), insert_at=1)
    pipeline = dlt.pipeline(
        "written", pipelines_dir=str(tmp_path), destination="duckdb", _impl_cls=WritingPipeline
    )
    pipeline.extract(resource)
    (file,) = tmp_path.rglob("rows.*.typed-jsonl.gz")
    lines = [msgspec.json.decode(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert list(map(len, lines)) == parts
    assert [row["id"] for line in lines for row in line] == [0, 1, 2, 3, 4]

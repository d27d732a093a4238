"""Lets dlt write the rows of each part of a large page at once.

By default, dlt keeps 5,000 rows of a table in memory before it writes them, whatever their size.
"""

from __future__ import annotations

from typing import Any

from dlt.extract.extract import Extract
from dlt.extract.source import DltSource
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.source.page_sizes import after_each_part


class WritingPipeline(Pipeline):
    """A dlt pipeline whose extract step writes the rows of each part of a large page before it gets the next part."""

    def _extract_source(self, extract: Extract, source: DltSource, *args: Any, **options: Any) -> str:
        # Arrow tables are not written here, because each write is a row group of its own.
        rows = extract.extract_storage.item_storages["object"]

        def write() -> None:
            for writer in rows.buffered_writers.values():
                writer._flush_items()

        with after_each_part(write):
            return super()._extract_source(extract, source, *args, **options)

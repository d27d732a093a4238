"""dlt alone, with its default settings, and with the settings of its performance guide."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import dlt
from api import SECRET
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.typing import RESTAPIConfig

from ways.config import DECLARED, SOURCE, rest_api


def as_shipped(url: str, database: Path, in_flight: int) -> None:  # noqa: ARG001  it asks for one page at a time
    """Syncs with a primary key and `merge`, and with dlt's defaults for everything else."""
    _run(rest_api(url), database)


def tuned(url: str, database: Path, in_flight: int) -> None:  # noqa: ARG001  it asks for one page at a time
    """Syncs with declared columns, and with Parquet files between normalize and load."""
    _run(rest_api(url, columns=DECLARED), database, loader_file_format="parquet")


def _run(config: dict[str, Any], database: Path, **options: Any) -> None:
    config["client"]["auth"]["api_key"] = SECRET
    pipeline = dlt.pipeline(
        SOURCE,
        pipelines_dir=str(database.parent / "pipelines"),
        destination=dlt.destinations.duckdb(str(database)),
        dataset_name=SOURCE,
    )
    pipeline.run(rest_api_source(cast(RESTAPIConfig, config), name=SOURCE), **options)

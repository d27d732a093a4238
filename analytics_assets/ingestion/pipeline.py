"""The dlt pipeline of one run: where it loads to, its working directory, and its locks.

What belongs here: everything between a dlt source and a destination that several runs could fight over.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import dlt
from dlt.common.destination import TDestinationReferenceArg
from dlt.common.destination.exceptions import DestinationException
from dlt.common.pipeline import ExtractInfo, LoadInfo
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.pipeline import Pipeline
from filelock import FileLock, Timeout

from analytics_assets.ingestion.destination import duckdb
from analytics_assets.ingestion.drift import refuse_retyped, retyped_columns
from analytics_assets.ingestion.errors import WarehouseBusyError
from analytics_assets.ingestion.quarantine import Quarantine
from analytics_assets.ingestion.settlement import settle

log = logging.getLogger("analytics_assets")

DEFAULT_DATABASE = Path("data/analytics.duckdb")
"""The embedded warehouse, unless dlt is configured otherwise; relative to where Dagster is started."""

_LOCKED_BY_OTHERS = "Could not set lock on file"  # DuckDB's words
_NOTICE_AFTER = 2.0  # seconds of waiting before the run log says so


class WarehousePipeline(Pipeline):
    """A dlt pipeline that has the warehouse to itself while it reads or writes there.

    DuckDB lets one process write a file, and dlt lets go of it between load jobs: without one lock around
    the whole load, concurrent runs fail, or truncate each other's staging tables and lose rows.

    Attributes:
        quarantine: where rows go that break the contract of what is loaded; None for a pipeline that only reads.
    """

    quarantine: Quarantine | None = None

    @cached_property
    def database(self) -> Path | None:
        """The DuckDB file that it loads to; None for any other destination."""
        return duckdb_file(self)  # for which dlt resolves its configuration anew each time: 10 ms

    def run(self, *args: Any, **kwargs: Any) -> LoadInfo:
        """One run of a resource at a time: dlt reads state and schema at its start, and writes them at its end."""
        with _lock(self, f".{self.pipeline_name}.lock"):
            return super().run(*args, **kwargs)

    def extract(self, data: Any, *args: Any, **kwargs: Any) -> ExtractInfo:
        """Extracts the rows of a source, and what the quarantine has taken of them, into one load package.

        Raises:
            RetypedColumnError: the table has a column that cannot take what is declared.
        """
        quarantine = self.quarantine
        if quarantine is None:
            return super().extract(data, *args, **kwargs)
        retyped = retyped_columns(self, quarantine.good_table, quarantine.contract)
        if retyped:
            with warehouse(self):
                refuse_retyped(self, quarantine.resource, quarantine.good_table, retyped)
            kwargs["refresh"] = "drop_resources"  # the table is gone: dlt shall forget its columns, too
        return super().extract([data, quarantine.source(data.schema.name)], *args, **kwargs)

    def load(self, *args: Any, **kwargs: Any) -> LoadInfo:
        """A load has the warehouse to itself."""
        with warehouse(self), self._held_open():
            info = super().load(*args, **kwargs)
            if self.quarantine is not None:
                settle(self, info, self.quarantine)
            return info

    @contextmanager
    def _held_open(self) -> Iterator[None]:
        """Keeps the DuckDB file open, which dlt opens and closes, that is checkpoints, for each job."""
        if self.database is None:
            yield
            return
        with self.destination_client():
            yield

    def _sync_destination(self, *args: Any, **kwargs: Any) -> None:
        with warehouse(self):
            super()._sync_destination(*args, **kwargs)


def destination_name() -> str:
    """The configured destination's type, such as `duckdb`; opens nothing."""
    return str(dlt.config.get("destination_type", str) or "duckdb").rpartition(".")[-1]


@contextmanager
def open_pipeline(source: str, resource: str) -> Iterator[WarehousePipeline]:
    """A pipeline for one run of one resource, in a working directory that goes with it.

    Each resource has a pipeline name, and so a dlt state, of its own: two runs at once cannot write each
    other's cursor back. All share the dataset named after the source.

    Args:
        source: dlt source name; also the dataset.
        resource: dlt resource name.
    """
    with tempfile.TemporaryDirectory(prefix=f"{source}-{resource}-") as directory:
        pipeline = dlt.pipeline(
            pipeline_name=f"{source}__{resource}",
            pipelines_dir=directory,
            destination=_destination(),
            dataset_name=source,
            _impl_cls=WarehousePipeline,
        )
        try:
            yield pipeline
        finally:
            if pipeline.is_active:
                pipeline.deactivate()


@contextmanager
def warehouse(pipeline: WarehousePipeline) -> Iterator[None]:
    """Waits until no other process of ours has the DuckDB file open, then keeps it for the block.

    A lock held by a dead process is free. Other destinations take concurrent writers, and no lock.

    Raises:
        WarehouseBusyError: a program that knows nothing of our lock has the file open.
    """
    try:
        with _lock(pipeline, ".lock"):
            yield
    except (DestinationException, PipelineStepFailed) as error:
        if _LOCKED_BY_OTHERS not in str(error):
            raise
        raise WarehouseBusyError(
            f"{pipeline.database} is open in another program: close it there, or open it read-only and only for "
            "a moment, then materialize again"
        ) from error


@contextmanager
def _lock(pipeline: WarehousePipeline, suffix: str) -> Iterator[None]:
    """Holds the file lock beside the DuckDB file for the block; no lock for any other destination."""
    database = pipeline.database
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{database}{suffix}", is_singleton=True)
    try:
        lock.acquire(timeout=_NOTICE_AFTER)
    except Timeout:
        log.warning(
            "%s: waiting for another run to release %s%s", pipeline.pipeline_name, database.name, suffix
        )
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def duckdb_file(pipeline: Pipeline) -> Path | None:
    """The DuckDB file that `pipeline` loads to; None for any other destination."""
    if pipeline.destination.destination_type.rpartition(".")[-1] != "duckdb":
        return None
    credentials = pipeline.destination_client().config.credentials
    assert isinstance(credentials, DuckDbCredentials)
    return None if credentials.database == ":memory:" else Path(credentials.database).absolute()


def loader_file_format(pipeline: Pipeline) -> str | None:
    """`parquet` where the destination takes it; None leaves the choice to dlt."""
    formats = pipeline.destination.capabilities().supported_loader_file_formats
    return "parquet" if "parquet" in formats else None


def _destination() -> TDestinationReferenceArg:
    if destination_name() != "duckdb":
        return destination_name()
    if _configured("destination.duckdb.credentials"):
        return duckdb()
    return duckdb(str(DEFAULT_DATABASE.absolute()))


def _configured(key: str) -> bool:
    accessors = (dlt.secrets, dlt.config)
    return any(one.get(name) is not None for one in accessors for name in (key, f"{key}.database"))

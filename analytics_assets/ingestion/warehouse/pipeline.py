"""The dlt pipeline of one run: where it loads to, its working directory, and its locks.

What belongs here: everything between a dlt source and a destination that several runs could fight over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import dlt
from dlt.common.destination import Destination, TDestinationReferenceArg
from dlt.common.destination.exceptions import DestinationException
from dlt.common.pipeline import ExtractInfo, LoadInfo
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.contract.quarantine import Quarantine
from analytics_assets.ingestion.errors import UnreachableWarehouseError, WarehouseBusyError
from analytics_assets.ingestion.source.full_refresh import start_over
from analytics_assets.ingestion.warehouse.conflicts import refuse_overtaken, refuse_twice
from analytics_assets.ingestion.warehouse.duckdb import duckdb
from analytics_assets.ingestion.warehouse.locks import WAREHOUSE, hold, turns
from analytics_assets.ingestion.warehouse.reconcile import Settlement
from analytics_assets.ingestion.warehouse.schema_drift import forget_hints, refuse_retyped, retyped_columns
from analytics_assets.ingestion.warehouse.workdir import working_directory

DEFAULT_DATABASE = Path("data/analytics.duckdb")
"""The embedded warehouse, unless dlt is configured otherwise; relative to where Dagster is started."""

_LOCKED_BY_OTHERS = "Could not set lock on file"  # DuckDB's words


class WarehousePipeline(Pipeline):
    """A dlt pipeline that has the warehouse to itself while it reads or writes there.

    DuckDB lets one process write a file, and dlt lets go of it between load jobs: without one lock around
    the whole load, concurrent runs fail, or truncate each other's staging tables and lose rows.

    Attributes:
        settlement: what is to be done beside loading; None for a pipeline that only reads.
        by: who runs it, for those who wait for it.
    """

    settlement: Settlement | None = None
    by: str = ""
    _restored: str | None = None

    @cached_property
    def database(self) -> Path | None:
        """The DuckDB file that it loads to; None for any other destination."""
        return duckdb_file(self)  # for which dlt makes a client each time

    def run(self, *args: Any, **kwargs: Any) -> LoadInfo:
        """One run of a resource at a time, or of each of its partitions.

        dlt reads state and schema at its start and writes them at its end; and what was read first must not be loaded
        last.
        """
        windows = self._quarantine.windows.values() if self._quarantine else ()
        with _locked(self, turns(self.pipeline_name, windows)):
            return super().run(*args, **kwargs)

    def extract(self, data: Any, *args: Any, **kwargs: Any) -> ExtractInfo:
        """Extracts the rows of a source, and what the quarantine has taken of them, into one load package.

        Raises:
            ColumnTypeChangedError: the table has a column that cannot take what is declared.
        """
        quarantine = self._quarantine
        if quarantine is None:
            return super().extract(data, *args, **kwargs)
        if quarantine.full_refresh:
            start_over(self)
        forget_hints(self, quarantine.good_table)
        retyped = retyped_columns(self, quarantine.good_table, quarantine.contract)
        if retyped:
            with warehouse(self):
                refuse_retyped(self, quarantine.resource, quarantine.good_table, retyped)
            kwargs["refresh"] = "drop_resources"  # the table is gone: dlt shall forget its columns, too
        return super().extract([data, quarantine.source(data.schema.name)], *args, **kwargs)

    def load(self, *args: Any, **kwargs: Any) -> LoadInfo:
        """A load has the warehouse to itself.

        Raises:
            StaleLoadError: what is to be loaded is older than what another run has loaded meanwhile.
            DuplicateKeysError: a key comes twice, and the strategy would load both rows.
            TooManyRemovedError: more rows are gone from the API than the user believes.
        """
        with warehouse(self), self._held_open():
            if self.settlement is None:
                return super().load(*args, **kwargs)
            if self.database:
                refuse_overtaken(self, self.settlement.quarantine, self._restored)
                refuse_twice(self, self.settlement.quarantine)
            self.settlement.prepare(self)
            info = super().load(*args, **kwargs)
            self.settlement.settle(self, info)
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
        self._restored = self.default_schema.stored_version_hash if self.default_schema_name else None

    @property
    def _quarantine(self) -> Quarantine | None:
        return self.settlement.quarantine if self.settlement else None


def destination_name() -> str:
    """The configured destination's type, such as `duckdb`; opens nothing."""
    return str(dlt.config.get("destination_type", str) or "duckdb").rpartition(".")[-1]


@contextmanager
def open_pipeline(source: str, resource: str, by: str = "a run") -> Iterator[WarehousePipeline]:
    """A pipeline for one run of one resource, in a working directory that goes with it.

    Each resource has a pipeline name, and so a dlt state, of its own: two runs at once cannot write each
    other's cursor back. All share the dataset named after the source.

    Args:
        source: dlt source name; also the dataset.
        resource: dlt resource name.
        by: who runs it, for those who wait for it.
    """
    with working_directory() as directory:
        pipeline = dlt.pipeline(
            pipeline_name=f"{source}__{resource}",
            pipelines_dir=str(directory),
            destination=_destination(),
            dataset_name=source,
            _impl_cls=WarehousePipeline,
        )
        pipeline.by = by
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
        UnreachableWarehouseError: the file cannot be opened.
    """
    try:
        with _locked(pipeline, [WAREHOUSE]):
            yield
    except (DestinationException, PipelineStepFailed) as error:
        if _LOCKED_BY_OTHERS in str(error):
            raise WarehouseBusyError("", str(pipeline.database)) from error
        if pipeline.database and isinstance(error, DestinationConnectionError):
            *_, reason = str(error).split("The actual reason given is: ")
            raise UnreachableWarehouseError("", str(pipeline.database), reason.strip()) from error
        raise


@contextmanager
def _locked(pipeline: WarehousePipeline, names: Iterable[str]) -> Iterator[None]:
    """Holds locks of the DuckDB file for the block; none for any other destination.

    Raises:
        UnreachableWarehouseError: they cannot be made.
    """
    database = pipeline.database
    with ExitStack() as held:
        try:
            if database is not None:
                held.enter_context(hold(database, names, pipeline.by))
        except OSError as error:
            problem = f"nothing can be written beside it ({error.strerror})"
            raise UnreachableWarehouseError("", str(database), problem) from error
        yield


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
    name, chosen = destination_name(), dict[str, Any]()
    if not _configured("destination.replace_strategy", f"destination.{name}.replace_strategy"):
        # As dlt has it a full refresh that is killed leaves half a table.
        chosen["replace_strategy"] = "insert-from-staging"
    if name != "duckdb":
        return Destination.from_reference(name, **chosen) if chosen else name
    if not _configured("destination.duckdb.credentials", "destination.duckdb.credentials.database"):
        chosen["credentials"] = str(DEFAULT_DATABASE.absolute())
    return duckdb(**chosen)


def _configured(*keys: str) -> bool:
    """Whether a value is set; a section, such as the other settings of credentials, is none."""
    values: list[Any] = [one.get(key) for one in (dlt.secrets, dlt.config) for key in keys]
    return any(value is not None and not isinstance(value, dict) for value in values)

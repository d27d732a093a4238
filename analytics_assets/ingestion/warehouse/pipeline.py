"""The dlt pipeline of one run: one that reads the warehouse, and one that loads what a plan says.

What belongs here: the working directory, the destination, and the steps of a load with the locks around them. What a
destination can do is `backend.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlt
from dlt.common.destination import Destination, DestinationCapabilitiesContext, TDestinationReferenceArg
from dlt.common.destination.exceptions import DestinationException
from dlt.common.pipeline import LoadInfo, NormalizeInfo
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.extract.source import DltSource
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.contract.quarantine import Quarantine
from analytics_assets.ingestion.errors import MissingGuaranteesError, NoSqlError
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.warehouse.backend import Backend
from analytics_assets.ingestion.warehouse.duckdb import DuckDbBackend, database_of
from analytics_assets.ingestion.warehouse.duckdb_merge import OnMerge, duckdb
from analytics_assets.ingestion.warehouse.generic import MISSING, GenericBackend
from analytics_assets.ingestion.warehouse.locks import lock_names
from analytics_assets.ingestion.warehouse.reconcile import Reconcile
from analytics_assets.ingestion.warehouse.schema_drift import forget_hints, refuse_retyped, retyped_columns
from analytics_assets.ingestion.warehouse.workdir import working_directory

DEFAULT_DATABASE = Path("data/analytics.duckdb")
"""The embedded warehouse, unless dlt is configured otherwise; relative to where Dagster is started."""


@dataclass(frozen=True)
class WarehousePipeline:
    """A dlt pipeline that only reads.

    Attributes:
        dlt: dlt's pipeline.
        backend: what the destination can do.
        resource: dlt resource name, for errors.
        by: who runs it, for those who wait.
    """

    dlt: Pipeline
    backend: Backend
    resource: str
    by: str

    @property
    def database(self) -> Path | None:
        """The DuckDB file; None for any other destination."""
        return self.backend.database if isinstance(self.backend, DuckDbBackend) else None

    @property
    def capabilities(self) -> DestinationCapabilitiesContext:
        """What the destination's types and files can be."""
        return self.dlt.destination.capabilities()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Waits until no other run uses the warehouse, then keeps it for the block.

        Raises:
            WarehouseBusyError: a program that does not take our lock has the file open.
            UnreachableWarehouseError: the warehouse cannot be opened.
        """
        try:
            with self.backend.exclusive(self.dlt, self.by):
                yield
        except (DestinationException, PipelineStepFailed) as error:
            explained = self.backend.explain(error, self.resource)
            if explained is None:
                raise
            raise explained from error

    @contextmanager
    def sql(self) -> Iterator[SqlJobClientBase]:
        """An open client of the destination.

        Raises:
            NoSqlError: the destination has no SQL.
        """
        client = self.dlt.destination_client()
        if not isinstance(client, SqlJobClientBase):
            raise NoSqlError(self.resource, str(self.dlt.destination.destination_name))
        with client:
            yield client


@dataclass(frozen=True)
class Restored:
    """What a pipeline found in the destination before it extracted.

    Attributes:
        schema_hash: of the stored schema; None where there was none.
    """

    schema_hash: str | None


@dataclass(frozen=True)
class LoadPipeline(WarehousePipeline):
    """A dlt pipeline that carries out one plan, step by step: restore, extract, normalize, load.

    Attributes:
        plan: of the sync.
        quarantine: what the sync rejects; loaded in the same load package as the good rows.
        reconcile: what the load does to the rows of earlier loads.
    """

    plan: LoadPlan
    quarantine: Quarantine
    reconcile: Reconcile

    def locked(self) -> AbstractContextManager[None]:
        """Holds the locks of the sync's windows: one sync at a time of a resource, or of each of its partitions.

        dlt reads state and schema at its start and writes them at its end. And what one sync reads first must not be
        loaded last.

        Raises:
            UnreachableWarehouseError: the locks cannot be made.
        """
        return self.backend.locked(lock_names(self.dlt.pipeline_name, self.plan.windows.values()), self.by)

    def restore(self) -> Restored:
        """Reads dlt's state and schema from the destination."""
        with self.exclusive():
            self.dlt.sync_destination()
        has_schema = bool(self.dlt.default_schema_name)
        return Restored(self.dlt.default_schema.stored_version_hash if has_schema else None)

    def extract(self, source: DltSource) -> None:
        """Extracts the rows of a source, and the rows that the quarantine took meanwhile, into one load package.

        Raises:
            ColumnTypeChangedError: the table has a column that cannot take what is declared.
            PipelineStepFailed: around a `SyncError`.
        """
        plan, table = self.plan, self.plan.resource.table
        if plan.full_refresh:
            self._forget_cursor()
        forget_hints(self.dlt, table)
        retyped = retyped_columns(self.dlt, table, plan.resource.contract)
        if retyped:
            with self.exclusive():
                refuse_retyped(self.dlt, plan.resource.name, table, retyped)
        self.dlt.extract(
            [source, self.quarantine.source(source.schema.name)],
            loader_file_format="parquet" if self._takes_parquet else None,
            # The table is gone where its columns could be declared again: dlt forgets its columns, too.
            refresh="drop_resources" if retyped else None,
        )

    def normalize(self) -> NormalizeInfo:
        """Turns what was extracted into files of the load package."""
        return self.dlt.normalize()

    def load(self, restored: Restored) -> LoadInfo:
        """Loads the package, and takes out the rows that no longer hold. The warehouse is exclusive.

        Args:
            restored: as `restore` returned it.

        Raises:
            StaleLoadError: another run has loaded something newer meanwhile.
            DuplicateKeysError: a key comes twice, and the strategy would load both rows.
            TooManyRemovedError: more rows are gone from the API than `max_removed`.
        """
        self.backend.refuse_conflicts(self.dlt, self.plan, restored.schema_hash)
        self.reconcile.before(self.dlt)
        info = self.dlt.load()
        info.raise_on_failed_jobs()
        self.reconcile.after(self.dlt)
        return info

    @property
    def _takes_parquet(self) -> bool:
        return "parquet" in self.capabilities.supported_loader_file_formats

    def _forget_cursor(self) -> None:
        """Has the restored pipeline forget how far it came.

        It is the pipeline of one resource, and of those it takes values from: all of its state goes. dlt's own
        `refresh` would drop tables before it loads. Here the state reaches the destination with the rows.
        """
        with self.dlt.managed_state() as state:
            state.pop("sources", None)


def destination_name() -> str:
    """The configured destination's type, such as `duckdb`; opens nothing."""
    return str(dlt.config.get("destination_type", str) or "duckdb").rpartition(".")[-1]


def missing_guarantees() -> Sequence[str]:
    """What the configured destination cannot promise; opens nothing."""
    return () if destination_name() == "duckdb" else MISSING


@contextmanager
def open_pipeline(source: str, resource: str, by: str = "a run") -> Iterator[WarehousePipeline]:
    """A pipeline that reads, in a working directory that goes with it.

    Args:
        source: dlt source name; also the dataset.
        resource: dlt resource name.
        by: who runs it, for those who wait.
    """
    with _dlt_pipeline(source, resource) as pipeline:
        yield WarehousePipeline(pipeline, _backend_of(pipeline), resource, by)


@contextmanager
def open_load_pipeline(plan: LoadPlan, quarantine: Quarantine, by: str) -> Iterator[LoadPipeline]:
    """A pipeline that carries out a plan, in a working directory that goes with it.

    Args:
        plan: of the sync.
        quarantine: of the attempt.
        by: who runs it, for those who wait.

    Raises:
        MissingGuaranteesError: the destination lacks guarantees, and the file does not accept that.
        NoSqlError: what is loaded could not be read again.
    """
    source, resource = plan.config.name, plan.resource.name
    reconcile = Reconcile(plan, quarantine)
    with _dlt_pipeline(source, resource, reconcile.during) as pipeline:
        backend = _backend_of(pipeline)
        if not isinstance(pipeline.destination_client(), SqlJobClientBase):
            raise NoSqlError(resource, str(pipeline.destination.destination_name))
        if backend.missing_guarantees and not plan.config.destination.accept_missing_guarantees:
            raise MissingGuaranteesError(resource, backend.name, tuple(backend.missing_guarantees))
        yield LoadPipeline(pipeline, backend, resource, by, plan, quarantine, reconcile)


@contextmanager
def _dlt_pipeline(source: str, resource: str, on_merge: OnMerge | None = None) -> Iterator[Pipeline]:
    """Dlt's pipeline of one resource.

    Each resource has a pipeline name, and so a dlt state, of its own: two runs at once cannot write each other's
    cursor back. All share the dataset named after the source.
    """
    with working_directory() as directory:
        pipeline = dlt.pipeline(
            pipeline_name=f"{source}__{resource}",
            pipelines_dir=str(directory),
            destination=_destination(on_merge),
            dataset_name=source,
        )
        try:
            yield pipeline
        finally:
            if pipeline.is_active:
                pipeline.deactivate()


def _backend_of(pipeline: Pipeline) -> Backend:
    kind = pipeline.destination.destination_type.rpartition(".")[-1]
    if kind == "duckdb":
        return DuckDbBackend(database_of(pipeline))
    return GenericBackend(str(pipeline.destination.destination_name))


def _destination(on_merge: OnMerge | None) -> TDestinationReferenceArg:
    name, chosen = destination_name(), dict[str, Any]()
    if not _configured("destination.replace_strategy", f"destination.{name}.replace_strategy"):
        # With dlt's default a full refresh that is killed leaves half a table.
        chosen["replace_strategy"] = "insert-from-staging"
    if name != "duckdb":
        return Destination.from_reference(name, **chosen) if chosen else name
    if not _configured("destination.duckdb.credentials", "destination.duckdb.credentials.database"):
        chosen["credentials"] = str(DEFAULT_DATABASE.absolute())
    return duckdb(on_merge=on_merge, **chosen)


def _configured(*keys: str) -> bool:
    """Whether a value is set; a section, such as the other settings of credentials, is none."""
    values: list[Any] = [one.get(key) for one in (dlt.secrets, dlt.config) for key in keys]
    return any(value is not None and not isinstance(value, dict) for value in values)

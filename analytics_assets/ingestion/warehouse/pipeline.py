"""The two classes of dlt pipelines. `WarehousePipeline` only reads the warehouse, and `LoadPipeline` loads rows.

What belongs here: the working directory, the choice of the destination, and the steps of a load with their locks.
`backend.py` defines the guarantees of a destination.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dlt
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import JobClientBase
from dlt.common.pipeline import LoadInfo, NormalizeInfo
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.extract.source import DltSource
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.config.models import DEFAULT_LOCK_TIMEOUT
from analytics_assets.ingestion.contract.new_columns import NewColumns
from analytics_assets.ingestion.contract.quarantine import SUFFIX, Quarantine
from analytics_assets.ingestion.errors import MissingGuaranteesError, NameTooLongError, NoSqlError
from analytics_assets.ingestion.http.list_memory import without_cursors
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.warehouse.backend import Backend
from analytics_assets.ingestion.warehouse.destination import client_of, destination_for
from analytics_assets.ingestion.warehouse.dropped_tables import forget_remains, repair
from analytics_assets.ingestion.warehouse.duckdb import DuckDbBackend, database_of
from analytics_assets.ingestion.warehouse.generic import GenericBackend
from analytics_assets.ingestion.warehouse.load_order import (
    NOTHING,
    OrderedPipeline,
    Restored,
    completed_loads,
    load_ids_after,
)
from analytics_assets.ingestion.warehouse.locks import lock_names
from analytics_assets.ingestion.warehouse.lost_state import refuse_older_state, refuse_second_first_load
from analytics_assets.ingestion.warehouse.merge_jobs import MergeObserver
from analytics_assets.ingestion.warehouse.one_process import one_process
from analytics_assets.ingestion.warehouse.reconcile import Reconcile
from analytics_assets.ingestion.warehouse.schema_drift import forget_hints, refuse_retyped, retyped_columns
from analytics_assets.ingestion.warehouse.storage_errors import STORAGE_ERRORS
from analytics_assets.ingestion.warehouse.table_owner import refuse_taken_table
from analytics_assets.ingestion.warehouse.workdir import working_directory

log = logging.getLogger("analytics_assets")


@dataclass(frozen=True)
class WarehousePipeline:
    """A dlt pipeline that only reads.

    Attributes:
        dlt: the dlt pipeline object.
        backend: the backend of the destination.
        resource: the dlt resource name, for error texts.
        by: the text that names this run; the log of a run that waits for this run shows the text.
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
        """The destination's capabilities in dlt, such as data types and file formats."""
        return self.dlt.destination.capabilities()

    @contextmanager
    def exclusive(self) -> Iterator[SqlJobClientBase]:
        """Waits for exclusive use of the warehouse, and keeps the exclusive use within the `with` block.

        The connection stays open within the block, because DuckDB takes 30 ms to open and close a file.

        Yields:
            An open client of the destination.

        Raises:
            NoSqlError: the destination has no SQL.
            WarehouseBusyError: another program, which does not use the lock, has the DuckDB file open for too long.
            UnreachableWarehouseError: the warehouse cannot be opened.
            DamagedWarehouseError: the DuckDB file is not complete.
            DuckDbVersionError: another version of DuckDB made the DuckDB file.
            DiskFullError: the disk is full.
        """
        # An incomplete DuckDB file is removed after the error, and so within the lock.
        with self.backend.exclusive(self.by), self._explained(), self._sql() as client:
            yield client

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (PipelineStepFailed, *STORAGE_ERRORS) as error:
            explained = self.backend.explain(error, self.resource)
            if explained is None:
                raise
            raise explained from error

    @contextmanager
    def _sql(self) -> Iterator[SqlJobClientBase]:
        client = self.dlt.destination_client()
        if not isinstance(client, SqlJobClientBase):
            raise NoSqlError(self.resource, str(self.dlt.destination.destination_name))
        self.backend.open(client.__enter__, self.by)
        try:
            yield client
        finally:
            client.__exit__(*sys.exc_info())


@dataclass(frozen=True)
class Fetched:
    """What the extract step fetched.

    Attributes:
        rows: the number of good rows.
        pages: the number of pages that the sync read.
    """

    rows: int
    pages: int


@dataclass(frozen=True)
class LoadPipeline(WarehousePipeline):
    """A dlt pipeline that executes one plan in four steps: restore, extract, normalize, load.

    Attributes:
        plan: the plan of the sync.
        quarantine: the quarantine, which is loaded in the same load package as the good rows.
        reconcile: the deletion of outdated rows of earlier loads.
    """

    plan: LoadPlan
    quarantine: Quarantine
    reconcile: Reconcile

    def locked(self) -> AbstractContextManager[None]:
        """Holds the partitions' locks, or without partitions the resource's lock, within the `with` block.

        The locks let two syncs of the same rows run only one after the other. Without the locks, a sync could replace
        newer rows, state or schema with older ones, because dlt reads state and schema early and writes them late.

        Raises:
            UnreachableWarehouseError: the lock files cannot be written.
        """
        return self.backend.locked(lock_names(self.dlt.pipeline_name, self.plan.locked_windows), self.by)

    def restore(self) -> Restored:
        """Restores dlt's state and schema from the destination.

        Raises:
            TakenTableError: another dlt pipeline has loaded the table.
            LostStateError: rows of dlt's own tables were deleted, and the sync would append rows a second time.
            OlderStateError: only the newest rows of dlt's table of states were deleted, with the same effect.
        """
        with self.exclusive() as client:
            self.dlt.sync_destination()
            # Without a stored schema, dlt makes an empty one for the restored state.
            if not self.dlt.default_schema_name or not self.dlt.default_schema.data_tables():
                # The schema of a resource has the name of its pipeline.
                name, table = self.dlt.pipeline_name, self.plan.resource.table
                refuse_taken_table(client, self.resource, name, table)
                if not self.dlt.default_schema_name:
                    refuse_second_first_load(client, self.plan, name)
                # A load that brought no row stores a state and a schema without a table.
                empty = self.dlt.default_schema_name and client.get_stored_schema(name)
                if not empty and forget_remains(client, name, table):
                    self.dlt.drop()
                return NOTHING
            schema = self.dlt.default_schema
            if repair(client, schema, self.dlt.pipeline_name, self.plan.resource.table):
                log.warning(
                    "%s: the table was dropped. It is made anew, and has the rows of later loads only.",
                    self.resource,
                )
                self.dlt.drop()
                return NOTHING
            refuse_older_state(client, self.plan, schema, self.dlt.state)
            restored = Restored(schema.stored_version_hash, completed_loads(client, schema.name))
        warning = restored.warning(time.time())
        if warning:
            log.warning("%s: %s.", self.resource, warning)
        return restored

    def extract(self, source: DltSource, restored: Restored = NOTHING) -> None:
        """Extracts the good rows of a source, and the rows of the quarantine, into one load package.

        Args:
            source: the dlt source.
            restored: the result of `restore`; a dry run has none.

        Raises:
            ColumnTypeChangedError: a column of the table cannot hold every value of its declared type.
            PipelineStepFailed: the extract step failed. The error may wrap a `SyncError`.
        """
        if self.plan.full_refresh:
            self._forget_cursor()
        self._compare_schema()
        # Syncs of partitions run side by side, and their load ids need no order.
        with load_ids_after(None if self.plan.windows else restored.newest):
            self.dlt.extract(
                [source, self.quarantine.source(source.schema.name)],
                loader_file_format="parquet" if self._takes_parquet else None,
            )

    def _compare_schema(self) -> None:
        """Fails if the table has columns whose stored type does not fit the declared type."""
        if not self.dlt.default_schema_name:
            return  # no earlier run has loaded the resource
        resource, schema = self.plan.resource, self.dlt.default_schema
        forget_hints(schema, resource.table)
        retyped = retyped_columns(schema, resource.table, resource.contract, self.capabilities)
        if retyped:
            with self.exclusive() as client:
                refuse_retyped(client, resource.name, resource.table, retyped)

    def normalize(self) -> NormalizeInfo:
        """Normalizes the extracted rows into the files of the load package.

        Raises:
            TooManyColumnsError: the rows bring more new columns than `max_new_columns` allows.
        """
        plan = self.plan
        columns = NewColumns(plan.resource.name, plan.asset.max_new_columns, knows_table=not plan.dry_run)
        with columns.counted(), one_process():
            return self.dlt.normalize()

    def load(self, client: SqlJobClientBase, restored: Restored, fetched: Fetched) -> LoadInfo:
        """Loads the package, and deletes outdated rows. The caller has exclusive use of the warehouse.

        Args:
            client: the client from `exclusive`.
            restored: the result of `restore`.
            fetched: the counts of the extract step.

        Raises:
            EmptyLoadError: there are no rows, and the load would empty a table that has rows.
            TakenTableError: a child table belongs to another dlt pipeline or program.
            ViewInPlaceOfTableError: there is a view in place of a table.
            StaleLoadError: since this sync began, another run has loaded newer rows or new columns.
            RowsMovedError: identical rows came from more than one page.
            KeyNotUniqueError: rows with the same key have other values.
            DuplicateKeysError: a key occurs twice, and the merge strategy would load both rows or fail.
            TooManyRemovedError: more rows are gone from the API than `max_removed` allows.
        """
        keys = self.backend.refuse_conflicts(self.dlt, client, self.plan, restored, fetched.pages)
        self.reconcile.before(self.dlt, client, keys, fetched.rows)
        info = self.dlt.load()
        info.raise_on_failed_jobs()
        self.reconcile.after(client)
        return info

    @property
    def _takes_parquet(self) -> bool:
        return "parquet" in self.capabilities.supported_loader_file_formats

    def _forget_cursor(self) -> None:
        """Deletes the cursor state of the restored pipeline, so that a full refresh starts from the beginning.

        The pipeline belongs to one resource and its parents, so the method deletes all source state of the pipeline,
        except the notes that rows came as lists.
        Then dlt loads the new cursor state together with the rows. dlt's own `refresh` would drop tables first.
        """
        with self.dlt.managed_state() as state:
            state["sources"] = without_cursors(state.get("sources") or {})


@contextmanager
def open_pipeline(
    source: str,
    resource: str,
    by: str = "a run",
    dataset: str | None = None,
    lock_timeout: float = DEFAULT_LOCK_TIMEOUT,
) -> Iterator[WarehousePipeline]:
    """Opens a read-only pipeline, with a working directory that is deleted at the end of the `with` block.

    Args:
        source: the dlt source name.
        resource: the dlt resource name.
        by: the text that names the caller; the log of a run that waits for the caller shows this text.
        dataset: the name of the dataset; None for that of the source.
        lock_timeout: seconds: how long to wait for another program that has the DuckDB file open.
    """
    with _dlt_pipeline(source, resource, dataset or source) as pipeline:
        client = client_of(pipeline, resource)
        backend = _backend_of(pipeline, client, lock_timeout, reads_only=True)
        yield WarehousePipeline(pipeline, backend, resource, by)


@contextmanager
def open_load_pipeline(plan: LoadPlan, quarantine: Quarantine, by: str) -> Iterator[LoadPipeline]:
    """Opens a pipeline that loads a plan, with a working directory that is deleted at the end of the `with` block.

    Args:
        plan: the plan of the sync.
        quarantine: the quarantine of the attempt.
        by: the text that names this run; the log of a run that waits for this run shows the text.

    Raises:
        MissingGuaranteesError: the destination lacks guarantees, and the `defs.yaml` does not accept that.
        NoSqlError: the destination has no SQL.
        NameTooLongError: the name of a table or a column is too long for the destination.
        DestinationSettingsError: the destination is unknown, or its driver or its credentials are missing.
        InexactDestinationError: the destination does not store each value as it came.
    """
    source, resource = plan.config.name, plan.resource.name
    reconcile = Reconcile(plan, quarantine)
    with _dlt_pipeline(source, resource, plan.config.dataset, reconcile) as pipeline:
        client = client_of(pipeline, resource)
        backend = _backend_of(pipeline, client, plan.config.destination.lock_timeout, reads_only=False)
        if not isinstance(client, SqlJobClientBase):
            raise NoSqlError(resource, str(pipeline.destination.destination_name))
        if backend.missing_guarantees and not plan.config.destination.accept_missing_guarantees:
            raise MissingGuaranteesError(resource, backend.name, tuple(backend.missing_guarantees))
        _refuse_long_names(plan, pipeline.destination.capabilities().max_identifier_length, backend.name)
        yield LoadPipeline(pipeline, backend, resource, by, plan, quarantine, reconcile)


def _refuse_long_names(plan: LoadPlan, most: int, destination: str) -> None:
    """Fails if dlt would shorten a name that this project looks for, such as that of the quarantine."""
    resource = plan.resource
    tables = [
        resource.table + SUFFIX,
        *(f"{resource.table}__{child}" for child in plan.asset.child_tables),
    ]
    for name in [*tables, *(column.name for column in resource.contract.columns)]:
        if len(name) > most:
            raise NameTooLongError(resource.name, name, most, destination, is_table=name in tables)


@contextmanager
def _dlt_pipeline(
    source: str, resource: str, dataset: str, observer: MergeObserver | None = None
) -> Iterator[Pipeline]:
    """Creates the dlt pipeline of one resource.

    Each resource has its own pipeline name and dlt state, so two parallel runs cannot reset each other's cursor. All
    resources of an API share one dataset.
    """
    with working_directory() as directory:
        pipeline = dlt.pipeline(
            pipeline_name=f"{source}__{resource}",
            pipelines_dir=str(directory),
            destination=destination_for(resource, observer),
            dataset_name=dataset,
            _impl_cls=OrderedPipeline,
        )
        try:
            yield pipeline
        finally:
            if pipeline.is_active:
                pipeline.deactivate()


def _backend_of(
    pipeline: Pipeline, client: JobClientBase, lock_timeout: float, *, reads_only: bool
) -> Backend:
    kind = pipeline.destination.destination_type.rpartition(".")[-1]
    if kind == "duckdb":
        return DuckDbBackend(database_of(client), lock_timeout)
    if kind == "postgres":
        from analytics_assets.ingestion.warehouse.postgres import postgres_backend  # noqa: PLC0415  an extra

        return postgres_backend(pipeline, client, reads_only=reads_only)
    return GenericBackend(str(pipeline.destination.destination_name))

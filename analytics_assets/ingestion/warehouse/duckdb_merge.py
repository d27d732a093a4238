"""A subclass of dlt's DuckDB destination that merges directly from the Parquet files of a load package.

dlt's own destination copies each Parquet file into a staging table, and merges the staging table into the real table.
So dlt's own destination writes every row twice, and the DuckDB file grows. In the subclass `duckdb`, no Parquet file is
copied, and dlt's merge SQL reads the Parquet files together with the staging table. The staging table has only rows
from files in other formats. dlt's base class still makes the schema, the transaction and the merge SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import FollowupJobRequest, LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema import Schema
from dlt.common.schema.utils import get_root_table
from dlt.common.storages.load_package import LoadJobInfo
from dlt.destinations import duckdb as dlt_duckdb
from dlt.destinations.impl.duckdb.configuration import DuckDbBaseCredentials, DuckDbClientConfiguration
from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.job_client_impl import SqlLoadJob

from analytics_assets.ingestion.warehouse.duckdb_sql import rows_of
from analytics_assets.ingestion.warehouse.merge_jobs import (
    AddsNullableColumns,
    LeftToMerge,
    MergeJob,
    MergeObserver,
    is_parquet,
    parquet_files,
    without_deduplication,
)


class duckdb(dlt_duckdb):  # noqa: N801  dlt's destinations have lower-case names
    """The DuckDB destination of this project, which accepts every setting of dlt's own destination.

    Args:
        args: the positional arguments of dlt's destination.
        observer: the observer of the merges; None for no observer.
        settings: the keyword arguments of dlt's destination.
    """

    __orig_base__ = dlt_duckdb  # dlt compares the settings with the defaults of this base class

    def __init__(self, *args: Any, observer: MergeObserver | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._observer = observer

    @cached_property
    def _resolved(self) -> dict[frozenset[tuple[str, str]], DuckDbClientConfiguration]:
        """The resolved configurations, by pipeline settings. Clients with the same configuration share connections."""
        return {}

    @property
    def destination_type(self) -> str:
        """The type of dlt's own destination, so that the stored state and traces of both destinations are the same."""
        return "dlt.destinations.duckdb"

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        """Enables transactions in dlt's capabilities, so that a failed insert of a merge also undoes the delete."""
        capabilities = super()._raw_capabilities()
        capabilities.supports_transactions = True
        return capabilities

    def configuration(
        self, initial_config: DuckDbClientConfiguration, accept_partial: bool = False
    ) -> DuckDbClientConfiguration:
        """Resolves a configuration once, and not for each client as dlt does, because this takes 5 ms each time.

        A partial configuration stays unresolved. From a partial configuration, dlt reads only the capabilities of
        DuckDB, and the capabilities depend on no setting.
        """
        if accept_partial:
            return initial_config
        bound = frozenset((key, str(value)) for key, value in dict(initial_config or {}).items())
        if bound not in self._resolved:
            self._resolved[bound] = super().configuration(initial_config, accept_partial)
        return self._resolved[bound]

    @cached_property
    def client_class(self) -> type[DuckDbClient]:
        """The class of the clients that dlt creates.

        Each destination object has its own client class, which stores the observer.
        """
        merges = self._observer

        class Client(_Client):
            observer = merges

        return Client


class _SqlClient(DuckDbSqlClient):
    """A SQL client. Within a `with_files` block, the merge statements of this destination also read Parquet files."""

    _files: Mapping[str, list[str]] = {}

    def __init__(
        self,
        dataset_name: str,
        staging_dataset_name: str,
        credentials: DuckDbBaseCredentials,
        capabilities: DestinationCapabilitiesContext,
    ) -> None:
        super().__init__(dataset_name, staging_dataset_name, credentials, capabilities)
        # Without insertion order, DuckDB inserts on all cores. An insert of a million rows is then a third faster.
        written = credentials.global_config or {}
        self._global_config = {"preserve_insertion_order": "false", **self._global_config, **written}

    @contextmanager
    def with_files(self, files: Mapping[str, list[str]]) -> Iterator[None]:
        """Within the `with` block, new SQL statements read `files` together with the staging tables.

        Args:
            files: the paths of the Parquet files, by table name.
        """
        self._files = files
        try:
            yield
        finally:
            self._files = {}

    def get_qualified_table_names(
        self, table_name: str, quote: bool = True, casefold: bool = True
    ) -> tuple[str, str]:
        """Returns the name of a table, and the SQL expression for the rows to merge into this table."""
        table, staged = super().get_qualified_table_names(table_name, quote, casefold)
        if table_name in self._files:
            files = rows_of(self._files[table_name])
            staged = f"(SELECT * FROM {staged} UNION ALL BY NAME SELECT * FROM {files})"  # noqa: S608  names from dlt
        return table, staged


class _Client(AddsNullableColumns, DuckDbClient):
    observer: MergeObserver | None = None

    def __init__(
        self,
        schema: Schema,
        config: DuckDbClientConfiguration,
        capabilities: DestinationCapabilitiesContext,
    ) -> None:
        super().__init__(schema, config, capabilities)
        self._answers: dict[tuple[str, str], bool] = {}
        plain = self.sql_client
        assert plain.staging_dataset_name
        self.sql_client: _SqlClient = _SqlClient(
            plain.dataset_name, plain.staging_dataset_name, config.credentials, capabilities
        )

    def should_load_data_to_staging_dataset(self, table_name: str) -> bool:
        """Whether dlt loads a table into the staging dataset first."""
        return self._asked_once("staging", table_name, super().should_load_data_to_staging_dataset)

    def should_truncate_table_before_load(self, table_name: str) -> bool:
        """Whether dlt empties a table before the load."""
        return self._asked_once("truncate", table_name, super().should_truncate_table_before_load)

    def _asked_once(self, question: str, table: str, ask: Callable[[str], bool]) -> bool:
        """Keeps an answer for the life of this client, which is one load.

        dlt asks for each pair of tables, and prepares a table for each answer. With 60 child tables, that took two
        thirds of a sync.
        """
        if (question, table) not in self._answers:
            self._answers[question, table] = ask(table)
        return self._answers[question, table]

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Creates the load job of one file.

        Merge SQL gets a `MergeJob`, a Parquet file to merge gets a `LeftToMerge`, and other files get dlt's jobs.
        """
        if self.observer and SqlLoadJob.is_sql_job(file_path):
            return MergeJob(file_path, self.observer)
        if is_parquet(file_path) and self._merges(str(table["name"])):
            return LeftToMerge(file_path)
        return super().create_load_job(table, file_path, load_id, restore)

    def create_table_chain_completed_followup_jobs(
        self,
        table_chain: Sequence[PreparedTableSchema],
        completed_table_chain_jobs: Sequence[LoadJobInfo] | None = None,
    ) -> list[FollowupJobRequest]:
        """Creates the merge jobs, which read the Parquet files of a table and of its child tables."""
        root = table_chain[0]
        jobs = list(completed_table_chain_jobs or ()) if self._merges(str(root["name"])) else []
        files = parquet_files(jobs)
        roots = [one.file_path for one in jobs if one.job_file_info.table_name == root["name"]]
        if self.observer and self.observer.keys_are_distinct and all(map(is_parquet, roots)):
            root = without_deduplication(root)
        with self.sql_client.with_files(files):
            return super().create_table_chain_completed_followup_jobs(
                [root, *table_chain[1:]], completed_table_chain_jobs
            )

    def rows_of(self, files: Sequence[Path | str], columns: Sequence[str] | None = None) -> str:  # noqa: ARG002  lazy
        """Returns the SQL table expression for all rows of some Parquet files. DuckDB reads only what it needs."""
        return rows_of([str(one) for one in files])

    def _merges(self, table: str) -> bool:
        """Whether dlt merges a table with `delete-insert`, where only the merge SQL reads the staging table."""
        root = self.prepare_load_table(str(get_root_table(self.schema.tables, table)["name"]))
        return (
            root["write_disposition"] == "merge"
            and root.get("x-merge-strategy", "delete-insert") == "delete-insert"
        )

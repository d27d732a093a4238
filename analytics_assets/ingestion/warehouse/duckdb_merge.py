"""dlt's DuckDB destination, which merges from the load package's Parquet files instead of a copy of them.

dlt copies each file into a staging table, and merges that into the table: every row is written twice, and DuckDB keeps
what was staged in its file. DuckDB reads Parquet as well as its own tables. So dlt's merge SQL gets the files where it
names the staging table. Schema, transaction, merge strategy and other file formats stay dlt's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import FollowupJobRequest, HasFollowupJobs, LoadJob, RunnableLoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema import Schema
from dlt.common.schema.typing import TTableSchema
from dlt.common.schema.utils import get_columns_names_with_prop, get_root_table
from dlt.common.storages.load_package import LoadJobInfo, PackageStorage, ParsedLoadJobFileName
from dlt.destinations import duckdb as dlt_duckdb
from dlt.destinations.impl.duckdb.configuration import DuckDbBaseCredentials, DuckDbClientConfiguration
from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.job_client_impl import SqlJobClientBase, SqlLoadJob

from analytics_assets.ingestion.warehouse.duckdb_sql import rows_of

OnMerge = Callable[[SqlJobClientBase], None]
"""Called in the transaction of a merge, after its statements."""


class duckdb(dlt_duckdb):  # noqa: N801  dlt names its destinations so
    """DuckDB, with every setting of dlt's own destination.

    Args:
        args: as for dlt's destination.
        on_merge: called in the transaction of each merge, after its statements.
        settings: as for dlt's destination.
    """

    __orig_base__ = dlt_duckdb  # whose defaults dlt leaves out of the explicit settings

    def __init__(self, *args: Any, on_merge: OnMerge | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._on_merge = on_merge

    @cached_property
    def _resolved(self) -> dict[frozenset[tuple[str, str]], DuckDbClientConfiguration]:
        """By what the pipeline has set. A configuration holds the connections, which its clients share."""
        return {}

    @property
    def destination_type(self) -> str:
        """The type of dlt's own destination, so that either reads the state and traces of the other."""
        return "dlt.destinations.duckdb"

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        """See dlt, which merges without a transaction: after a failed insert the delete would stay done."""
        capabilities = super()._raw_capabilities()
        capabilities.supports_transactions = True
        return capabilities

    def configuration(
        self, initial_config: DuckDbClientConfiguration, accept_partial: bool = False
    ) -> DuckDbClientConfiguration:
        """See dlt, which resolves it for each of a run's dozen clients, for 5 ms each.

        dlt asks for a partial one only to learn the capabilities, and DuckDB's depend on no setting.
        """
        if accept_partial:
            return initial_config
        bound = frozenset((key, str(value)) for key, value in dict(initial_config or {}).items())
        if bound not in self._resolved:
            self._resolved[bound] = super().configuration(initial_config, accept_partial)
        return self._resolved[bound]

    @cached_property
    def client_class(self) -> type[DuckDbClient]:
        """See dlt, which makes clients itself: the class carries what to do on a merge."""
        on_merge = self._on_merge

        class Client(_Client):
            def on_merge(self) -> OnMerge | None:
                return on_merge

        return Client


class _SqlClient(DuckDbSqlClient):
    """A client that reads files in place of staging tables, for the length of a block."""

    _files: Mapping[str, list[str]] = {}

    def __init__(
        self,
        dataset_name: str,
        staging_dataset_name: str,
        credentials: DuckDbBaseCredentials,
        capabilities: DestinationCapabilitiesContext,
    ) -> None:
        super().__init__(dataset_name, staging_dataset_name, credentials, capabilities)
        # A table has no order. Where rows need not keep theirs, all cores insert: a million rows take a third less.
        written = credentials.global_config or {}
        self._global_config = {"preserve_insertion_order": "false", **self._global_config, **written}

    @contextmanager
    def with_files(self, files: Mapping[str, list[str]]) -> Iterator[None]:
        """SQL that is made in the block reads `files`, by table, beside the staging tables."""
        self._files = files
        try:
            yield
        finally:
            self._files = {}

    def get_qualified_table_names(
        self, table_name: str, quote: bool = True, casefold: bool = True
    ) -> tuple[str, str]:
        """The name of a table, and where its new rows are; the staging table gives them their columns."""
        table, staged = super().get_qualified_table_names(table_name, quote, casefold)
        if table_name in self._files:
            files = self.select(self._files[table_name])
            staged = f"(SELECT * FROM {staged} UNION ALL BY NAME {files})"  # noqa: S608  dlt's tables
        return table, staged

    def select(self, files: Sequence[str]) -> str:
        """The query for all rows of some files."""
        return f"SELECT * FROM {rows_of(files)}"  # noqa: S608  dlt's files


class _LeftToMerge(RunnableLoadJob, HasFollowupJobs):
    """A job with nothing to do; one that dlt runs, for it waits a second for one that it need not run."""

    def run(self) -> None:
        """See dlt."""


class _MergeJob(SqlLoadJob):
    """dlt's merge, with something more to do in its transaction.

    Args:
        file_path: of the merge's SQL.
        on_merge: what to do.
    """

    def __init__(self, file_path: str, on_merge: OnMerge) -> None:
        super().__init__(file_path)
        self._on_merge = on_merge

    @contextmanager
    def maybe_transaction(self, sql: str) -> Iterator[None]:
        """See dlt; the transaction ends after the call."""
        with super().maybe_transaction(sql):
            yield
            client = cast(DuckDbClient, self._job_client)
            table_dataset, _ = client.create_dataset_names(client.schema, client.config)
            # dlt runs the job with the names of the staging dataset.
            with client.sql_client.with_alternative_dataset_name(table_dataset):
                self._on_merge(client)


class _Client(DuckDbClient):
    def __init__(
        self,
        schema: Schema,
        config: DuckDbClientConfiguration,
        capabilities: DestinationCapabilitiesContext,
    ) -> None:
        super().__init__(schema, config, capabilities)
        plain = self.sql_client
        assert plain.staging_dataset_name
        self.sql_client: _SqlClient = _SqlClient(
            plain.dataset_name, plain.staging_dataset_name, config.credentials, capabilities
        )

    def on_merge(self) -> OnMerge | None:
        """What to do in the transaction of a merge, if anything."""
        return None

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Leaves a file where it is if a merge loads it; a merge has more to do in its transaction."""
        on_merge = self.on_merge()
        if on_merge and SqlLoadJob.is_sql_job(file_path):
            return _MergeJob(file_path, on_merge)
        if _is_parquet(file_path) and self._merges(str(table["name"])):
            return _LeftToMerge(file_path)
        return super().create_load_job(table, file_path, load_id, restore)

    def create_table_chain_completed_followup_jobs(
        self,
        table_chain: Sequence[PreparedTableSchema],
        completed_table_chain_jobs: Sequence[LoadJobInfo] | None = None,
    ) -> list[FollowupJobRequest]:
        """See dlt; makes the merge of a table and its child tables."""
        root, files = table_chain[0], dict[str, list[str]]()
        jobs = list(completed_table_chain_jobs or ()) if self._merges(str(root["name"])) else []
        for job in filter(_is_parquet, (one.file_path for one in jobs)):
            files.setdefault(ParsedLoadJobFileName.parse(job).table_name, []).append(job)
        roots = [one.file_path for one in jobs if one.job_file_info.table_name == root["name"]]
        if all(map(_is_parquet, roots)) and self._is_distinct(root, roots):
            # dlt's hint that it need not look for a row's latest version, which costs more than the rest of a merge.
            root = {**root, "x-stage-data-deduplicated": True}  # type: ignore[typeddict-unknown-key]
        with self.sql_client.with_files(files):
            return super().create_table_chain_completed_followup_jobs(
                [root, *table_chain[1:]], completed_table_chain_jobs
            )

    def _merges(self, table: str) -> bool:
        """Whether a table's rows are merged by delete-insert: then nothing else reads what is staged."""
        root = self.prepare_load_table(str(get_root_table(self.schema.tables, table)["name"]))
        return (
            root["write_disposition"] == "merge"
            and root.get("x-merge-strategy", "delete-insert") == "delete-insert"
        )

    def _is_distinct(self, table: PreparedTableSchema, files: Sequence[str]) -> bool:
        """Whether no primary key is twice in the files."""
        names = get_columns_names_with_prop(cast(TTableSchema, table), "primary_key")
        keys = [self.sql_client.escape_column_name(one) for one in names]
        if not (keys and files):
            return False
        # As a row it takes twice the time and memory.
        key = keys[0] if len(keys) == 1 else f"row({', '.join(keys)})"
        with self.sql_client as sql:
            rows = sql.execute_sql(
                f"SELECT count(*) = count(DISTINCT {key}) FROM ({sql.select(_as_they_are(files))})"  # noqa: S608
            )
        return bool(rows and rows[0][0])


def _is_parquet(file_path: str) -> bool:
    return ParsedLoadJobFileName.parse(file_path).file_format == "parquet"


def _as_they_are(files: Sequence[str]) -> list[str]:
    """Where files are now: dlt says where they will be when the merge runs."""
    paths = [Path(one) for one in files]
    return [
        str(path if path.exists() else path.parent.parent / PackageStorage.STARTED_JOBS_FOLDER / path.name)
        for path in paths
    ]

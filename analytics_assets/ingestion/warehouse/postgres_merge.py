"""A subclass of dlt's PostgreSQL destination, which copies Parquet files into staging tables that no other run touches.

dlt's own destination has one staging table per table, so two runs empty each other's. Here, a merge or a replacement
copies its files into staging tables of its own. The transaction that merges them also reconciles, checks the fencing
token and drops the staging tables. dlt's base class still makes the schema and the merge SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from adbc_driver_manager import dbapi
from dlt.common.configuration import configspec
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import FollowupJobRequest, HasFollowupJobs, LoadJob, RunnableLoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema import Schema
from dlt.common.schema.typing import TColumnSchema
from dlt.common.schema.utils import get_root_table
from dlt.common.storages.load_package import LoadJobInfo
from dlt.common.typing import TSecretStrValue
from dlt.destinations import postgres as dlt_postgres
from dlt.destinations.exceptions import DatabaseTerminalException, DatabaseTransientException
from dlt.destinations.impl.postgres.configuration import PostgresClientConfiguration, PostgresCredentials
from dlt.destinations.impl.postgres.factory import get_adbc_driver_location
from dlt.destinations.impl.postgres.postgres import PostgresClient
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from dlt.destinations.job_client_impl import SqlLoadJob
from dlt.destinations.typing import DBTransaction

from analytics_assets.ingestion.warehouse.merge_jobs import (
    AddsNullableColumns,
    LeftToMerge,
    MergeJob,
    MergeObserver,
    is_parquet,
    parquet_files,
    without_deduplication,
)
from analytics_assets.ingestion.warehouse.postgres_locks import Fence, lock_key


@configspec(init=False)
class Credentials(PostgresCredentials):
    """dlt's credentials, where the password may be absent: libpq then looks at its own places, such as ~/.pgpass."""

    password: TSecretStrValue | None = None  # type: ignore[assignment]


@configspec
class ClientConfiguration(PostgresClientConfiguration):
    """dlt's configuration with these credentials."""

    credentials: Credentials = None  # type: ignore[assignment]  # as dlt declares a required field


class postgres(dlt_postgres):  # noqa: N801  dlt's destinations have lower-case names
    """The PostgreSQL destination of this project, which accepts every setting of dlt's own destination.

    Args:
        args: the positional arguments of dlt's destination.
        observer: the observer of the merges; None for no observer.
        settings: the keyword arguments of dlt's destination.

    Attributes:
        fence: the fencing token of the run, which each transaction checks.
        copier: the connections that copy files.
    """

    __orig_base__ = dlt_postgres  # dlt compares the settings with the defaults of this base class
    spec = ClientConfiguration  # type: ignore[assignment]  # a subclass

    def __init__(self, *args: Any, observer: MergeObserver | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.fence = Fence()
        self.copier = Copier()
        self._observer = observer

    @property
    def destination_type(self) -> str:
        """The type of dlt's own destination, so that the stored state and traces of both destinations are the same."""
        return "dlt.destinations.postgres"

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        """Takes Parquet only, also where dlt's setting `disable_adbc_detection` prefers `INSERT` statements."""
        capabilities = super()._raw_capabilities()
        capabilities.loader_file_format_selector = None  # type: ignore[assignment]  # dlt's default
        capabilities.preferred_loader_file_format = "parquet"
        capabilities.supported_loader_file_formats = ["parquet"]
        return capabilities

    @cached_property
    def client_class(self) -> type[PostgresClient]:
        """The class of the clients that dlt creates, which has the observer and the fields of this object."""

        class Client(PostgresMergeClient):
            observer = self._observer
            fence = self.fence
            copier = self.copier
            merges: ClassVar[dict[str, _Staged]] = {}

        return Client


class Copier:
    """Connections of the ADBC driver. The driver asks for the server's types once, for all of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._first: dbapi.Connection | None = None

    def connect(self, uri: str) -> dbapi.Connection:
        """Opens a connection, which the caller closes.

        Args:
            uri: the connection string of the server.
        """
        with self._lock:
            if self._first is None:
                self._first = dbapi.connect(driver=get_adbc_driver_location(), db_kwargs={"uri": uri})
            return self._first.adbc_clone()

    def close(self) -> None:
        """Closes what all connections share."""
        with self._lock:
            if self._first is not None:
                self._first.close()
                self._first = None


@dataclass(frozen=True)
class _Staged:
    """The staging tables of one merge.

    Attributes:
        names: the name of the staging table, by table name.
        files: the paths of the Parquet files, by table name.
    """

    names: Mapping[str, str]
    files: Mapping[str, Sequence[str]]


class _SqlClient(Psycopg2SqlClient):
    """A SQL client whose transactions check the fencing token."""

    def __init__(
        self,
        dataset_name: str,
        staging_dataset_name: str,
        credentials: PostgresCredentials,
        capabilities: DestinationCapabilitiesContext,
        fence: Fence,
    ) -> None:
        super().__init__(dataset_name, staging_dataset_name, credentials, capabilities)
        self._fence = fence
        self._staged: Mapping[str, str] = {}

    @contextmanager
    def begin_transaction(self) -> Iterator[DBTransaction]:
        """Begins a transaction, in which no other run takes the lock of this one."""
        with super().begin_transaction() as transaction:
            if self._fence.check:
                self.execute_sql(self._fence.check)
            yield transaction

    @contextmanager
    def with_staged(self, names: Mapping[str, str]) -> Iterator[None]:
        """Within the `with` block, the names of staging tables are `names`, by table name."""
        self._staged = names
        try:
            yield
        finally:
            self._staged = {}

    def _truncate_table_sql(self, qualified_table_name: str) -> str:
        """Returns the SQL that empties a table. `TRUNCATE` waits for readers, and shows an older snapshot no rows."""
        return f"DELETE FROM {qualified_table_name}"  # noqa: S608  names from dlt

    def make_qualified_table_name_path(
        self,
        table_name: str | None,
        quote: bool = True,
        casefold: bool = True,
        dataset_name: str | None = None,
        catalog: str | None = None,
    ) -> list[str]:
        """Returns the parts of the name of a table, or of its staging table in the staging dataset."""
        if table_name and self.is_staging_dataset_active:
            table_name = self._staged.get(table_name, table_name)
        return super().make_qualified_table_name_path(table_name, quote, casefold, dataset_name, catalog)


class PostgresMergeClient(AddsNullableColumns, PostgresClient):
    """A client whose merges copy Parquet files into staging tables of their own.

    Attributes:
        observer: the observer of the merges; None for no observer.
        fence: the fencing token of the run.
        copier: the connections that copy files.
        merges: the staging tables of each merge, by the name of its job file.
    """

    observer: MergeObserver | None = None
    fence = Fence()
    copier = Copier()
    merges: ClassVar[dict[str, _Staged]]

    def __init__(
        self,
        schema: Schema,
        config: PostgresClientConfiguration,
        capabilities: DestinationCapabilitiesContext,
    ) -> None:
        super().__init__(schema, config, capabilities)
        plain = self.sql_client
        assert plain.staging_dataset_name
        self.sql_client: _SqlClient = _SqlClient(
            plain.dataset_name, plain.staging_dataset_name, config.credentials, capabilities, self.fence
        )

    def _get_column_hints_sql(self, c: TColumnSchema) -> str:
        """Returns the constraints of a column. dlt's row id gets no unique index, which costs half of a load."""
        return "" if c.get("row_key") else str(super()._get_column_hints_sql(c))

    def should_load_data_to_staging_dataset(self, table_name: str) -> bool:  # noqa: ARG002  of no table
        """Tells dlt to make no staging table."""
        return False

    def prepare_load_table(self, table_name: str) -> PreparedTableSchema:
        """Prepares a table. `staging-optimized` would put the staging table in place of the table."""
        table = super().prepare_load_table(table_name)
        if table.get("x-replace-strategy") == "staging-optimized":
            table["x-replace-strategy"] = "insert-from-staging"  # type: ignore[typeddict-unknown-key]
        return table

    @contextmanager
    def maybe_ddl_transaction(self) -> Iterator[None]:
        """Begins a transaction. Parallel runs wait for it, because all resources share dlt's own tables."""
        with super().maybe_ddl_transaction():
            key = lock_key(self.sql_client.dataset_name, "ddl")
            self.sql_client.execute_sql("SELECT pg_advisory_xact_lock(%s)", key)
            yield

    def complete_load(self, load_id: str) -> None:
        """Writes that a load is complete, if this run still holds its lock."""
        with self.sql_client.begin_transaction():
            super().complete_load(load_id)

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Creates the load job of one file.

        Merge SQL gets a `_MergeJob`, a Parquet file to merge gets a `LeftToMerge`, any other Parquet file a `_CopyJob`,
        and other files get dlt's jobs.
        """
        if SqlLoadJob.is_sql_job(file_path):
            staged = self.merges.get(Path(file_path).name)
            if staged and self.observer:
                return _MergeJob(file_path, self.observer, staged)
        elif is_parquet(file_path):
            return LeftToMerge(file_path) if self._stages(str(table["name"])) else _CopyJob(file_path)
        return super().create_load_job(table, file_path, load_id, restore)

    def create_table_chain_completed_followup_jobs(
        self,
        table_chain: Sequence[PreparedTableSchema],
        completed_table_chain_jobs: Sequence[LoadJobInfo] | None = None,
    ) -> list[FollowupJobRequest]:
        """Creates the merge jobs, with staging tables for a table and its child tables."""
        root = table_chain[0]
        if not self._stages(str(root["name"])):
            return super().create_table_chain_completed_followup_jobs(table_chain, completed_table_chain_jobs)
        jobs = list(completed_table_chain_jobs or ())
        names = {
            str(one["name"]): f"{self.prefix}{number}_{jobs[0].job_file_info.file_id if jobs else 0}"
            for number, one in enumerate(table_chain)
        }
        if self.observer and self.observer.keys_are_distinct:
            root = without_deduplication(root)
        with self.sql_client.with_staged(names):
            found = super().create_table_chain_completed_followup_jobs([root, *table_chain[1:]], jobs)
        for one in found:
            self.merges[Path(one.new_file_path()).name] = _Staged(names, parquet_files(jobs))
        return found

    def _stages(self, table: str) -> bool:
        """Whether the rows of a table go through a staging table: those of a merge or a replacement."""
        root = self.prepare_load_table(str(get_root_table(self.schema.tables, table)["name"]))
        return root["write_disposition"] == "merge" or (
            root["write_disposition"] == "replace" and root.get("x-replace-strategy") == "insert-from-staging"
        )

    @property
    def prefix(self) -> str:
        """The beginning of the names of this resource's staging tables."""
        return f"s_{blake2b(self.schema.name.encode(), digest_size=8).hexdigest()}_"

    def stage(self, name: str, table: str, files: Sequence[str]) -> None:
        """Makes a staging table with the columns of a table, and copies Parquet files into it.

        Args:
            name: the name of the staging table.
            table: the name of the table.
            files: the paths of the Parquet files.
        """
        sql, staging = self.sql_client, self._staging_name(name)
        target = sql.make_qualified_table_name(table)
        self.drop_staged(name)  # that of an attempt that failed
        sql.execute_sql(f"CREATE UNLOGGED TABLE {staging} (LIKE {target})")
        for column in self._jsonb_columns(table):
            # The binary format of the driver fits `json` only. PostgreSQL converts it where the rows are inserted.
            sql.execute_sql(f"ALTER TABLE {staging} ALTER COLUMN {column} TYPE json")
        for file in files:
            self.copy(name, self._staging, file)
        sql.execute_sql(f"ANALYZE {staging}")

    def has_jsonb(self, table: str) -> bool:
        """Whether a table has a column of jsonb, as dlt makes them without the ADBC driver."""
        return bool(self._jsonb_columns(table))

    def append_staged(self, table: str, file: str) -> None:
        """Appends the rows of a Parquet file to a table through a staging table.

        Args:
            table: the name of the table.
            file: the path of the Parquet file.
        """
        sql, name = self.sql_client, f"{self.prefix}{blake2b(file.encode(), digest_size=8).hexdigest()}"
        self.stage(name, table, [file])
        columns = ", ".join(sql.escape_column_name(one) for one in pq.read_schema(file).names)
        with sql.begin_transaction():
            sql.execute_sql(
                f"INSERT INTO {sql.make_qualified_table_name(table)} ({columns}) "  # noqa: S608  names from dlt
                f"SELECT {columns} FROM {self._staging_name(name)}"
            )
        self.drop_staged(name)

    def rows_of(self, files: Sequence[Path | str], columns: Sequence[str] | None = None) -> str:
        """Copies Parquet files into a new staging table, and returns its name.

        Args:
            files: the paths of the Parquet files.
            columns: the columns to copy; None for all.
        """
        name = f"{self.prefix}rows"
        self.drop_staged(name)
        for number, file in enumerate(files):
            self.copy(name, self._staging, file, columns=columns, mode="append" if number else "create")
        return self._staging_name(name)

    def drop_staged(self, *names: str) -> None:
        """Drops staging tables that the caller has made."""
        for name in names:
            self.sql_client.execute_sql(f"DROP TABLE IF EXISTS {self._staging_name(name)}")

    def drop_leftovers(self) -> None:
        """Drops the staging tables of this resource, those of killed runs. The caller holds the resource's lock.

        A table that is in use stays: a run that lost its lock, and does not know it yet, may write to it.
        """
        sql = self.sql_client
        found = sql.execute_sql(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s AND starts_with(tablename, %s)",
            self._staging,
            self.prefix,
        )
        sql.execute_sql("SET lock_timeout = '100ms'")
        for (name,) in found or ():
            with suppress(DatabaseTransientException):
                self.drop_staged(name)
        sql.execute_sql("RESET lock_timeout")

    @property
    def _staging(self) -> str:
        name = self.sql_client.staging_dataset_name
        assert name
        return name

    def _staging_name(self, table: str) -> str:
        with self.sql_client.with_staging_dataset():
            return self.sql_client.make_qualified_table_name(table)

    def _jsonb_columns(self, table: str) -> list[str]:
        found = self.sql_client.execute_sql(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s AND data_type = 'jsonb'",
            self.sql_client.dataset_name,
            table,
        )
        return [str(self.sql_client.escape_column_name(name)) for (name,) in found or ()]

    def copy(
        self,
        table: str,
        dataset: str,
        file: Path | str,
        *,
        columns: Sequence[str] | None = None,
        mode: Literal["append", "create"] = "append",
        check: str = "",
    ) -> None:
        """Copies the rows of a Parquet file into a table, in a transaction of its own.

        Args:
            table: the name of the table.
            dataset: the name of its schema.
            file: the path of the Parquet file.
            columns: the columns to copy; None for all.
            mode: `append`, or `create` for a new table.
            check: the statement that checks the fencing token; empty for a staging table.
        """
        uri = self.config.credentials.to_native_representation()
        with (
            self.copier.connect(uri) as connection,
            connection.cursor() as cursor,
            pq.ParquetFile(file) as opened,
        ):
            if check:
                cursor.execute(check)
            schema = opened.schema_arrow
            if columns is not None:
                schema = pa.schema([schema.field(one) for one in columns])
            batches = (batch.select(schema.names) for batch in opened.iter_batches(columns=columns))
            cursor.adbc_ingest(
                table, pa.RecordBatchReader.from_batches(schema, batches), mode=mode, db_schema_name=dataset
            )
            connection.commit()


@contextmanager
def _once() -> Iterator[None]:
    """Keeps dlt from trying a job again: if a connection ends at a commit, nobody knows whether it was committed."""
    try:
        yield
    except Exception as error:
        raise DatabaseTerminalException(error) from error


class _CopyJob(RunnableLoadJob, HasFollowupJobs):
    """Appends the rows of a Parquet file to a table."""

    def run(self) -> None:
        """Copies the rows."""
        client = self._job_client
        assert isinstance(client, PostgresMergeClient)
        with _once():
            if client.has_jsonb(self.load_table_name):
                client.append_staged(self.load_table_name, self._file_path)
                return
            client.copy(
                self.load_table_name,
                client.sql_client.dataset_name,
                self._file_path,
                check=client.fence.check,
            )


class _MergeJob(MergeJob):
    """A merge that copies its files into staging tables first, and drops them in its transaction."""

    def __init__(self, file_path: str, observer: MergeObserver, staged: _Staged) -> None:
        super().__init__(file_path, observer)
        self._staged = staged

    @contextmanager
    def maybe_transaction(self, sql: str) -> Iterator[None]:
        """Copies the files, and opens the transaction of the merge."""
        client = self._job_client
        assert isinstance(client, PostgresMergeClient)
        with _once():
            for table, name in self._staged.names.items():
                client.stage(name, table, self._staged.files.get(table, ()))
            with super().maybe_transaction(sql):
                yield

    def tidy_up(self) -> None:
        """Drops the staging tables."""
        client = self._job_client
        assert isinstance(client, PostgresMergeClient)
        client.drop_staged(*self._staged.names.values(), f"{client.prefix}rows")

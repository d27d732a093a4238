"""The backend for PostgreSQL: locks of the server, fencing, and checks for conflicts before each load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import psycopg2
from dlt.common.destination.client import JobClientBase
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.pipeline import Pipeline
from psycopg2.extensions import connection as Connection  # noqa: N812  the name of the class

from analytics_assets.ingestion.errors import LockLostError, SyncError
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.warehouse.conflicts import refuse_duplicate_keys, refuse_stale_load
from analytics_assets.ingestion.warehouse.load_order import Restored
from analytics_assets.ingestion.warehouse.package_keys import PackageKeys, in_memory
from analytics_assets.ingestion.warehouse.postgres_errors import explain_postgres, place_of
from analytics_assets.ingestion.warehouse.postgres_locks import Fence, LockSession, make_datasets
from analytics_assets.ingestion.warehouse.postgres_merge import Copier, PostgresMergeClient
from analytics_assets.ingestion.warehouse.table_owner import refuse_others_tables

_T = TypeVar("_T")

_VIEWS = (
    "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE n.nspname = %s AND c.relkind IN ('v', 'm', 'f')"
)
"""The views of a schema, and what else no row can be loaded into: materialized views and foreign tables."""


@dataclass(frozen=True)
class PostgresBackend:
    """The `Backend` for PostgreSQL.

    The runs of one partition wait for each other, and so do the loads of one table. All else runs side by side.

    Attributes:
        resource: the name of the dlt pipeline, which is the name of the table's lock.
        session: the connection that holds the locks of the run.
        fence: the fencing token of the run, which each transaction checks.
        copier: the connections that copy files.
        place: the server and the database, for errors.
        datasets: the quoted names of the dataset and of the staging dataset.
        reads_only: whether the caller only reads. A reader takes no lock.
    """

    resource: str
    session: LockSession
    fence: Fence
    copier: Copier
    place: str
    datasets: tuple[str, str]
    reads_only: bool
    name: str = "postgres"
    missing_guarantees: Sequence[str] = ()

    @contextmanager
    def locked(self, names: Sequence[str], by: str) -> Iterator[None]:
        """Holds advisory locks of the server, as `Backend.locked` specifies."""
        with self._explained(), ExitStack() as held:
            held.enter_context(self.session.opened(by))
            for name in names:
                held.enter_context(self.session.holding(name, "its turn at the same rows", by))
            yield

    @contextmanager
    def exclusive(self, by: str) -> Iterator[None]:
        """Holds the lock of the table, and takes a fencing token. A reader needs neither."""
        if self.reads_only:
            yield
            return
        with self._explained(), self.session.opened(by) as connection:
            with self.session.holding("datasets", "the schema of the API", by):
                make_datasets(connection, *self.datasets)
            with self.session.holding(f"{self.resource}.load", "the load of another run", by):
                self.fence.take(connection, self.datasets[0], self.resource, by)
                try:
                    yield
                except Exception as error:
                    if not isinstance(error, SyncError) and not self.session.is_alive():
                        raise LockLostError("", "the connection that held its locks ended") from error
                    raise
                finally:
                    self.fence.drop()
                    self.copier.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except psycopg2.Error as error:
            explained = self.explain(error, "")
            if explained is None:
                raise
            raise explained from error

    def open(self, open_file: Callable[[], _T], by: str) -> _T:  # noqa: ARG002  no program prevents it
        """Opens a connection. A reader sees one state of the database until the connection ends."""
        with self._explained():
            opened = open_file()
        if self.reads_only and isinstance(opened, SqlJobClientBase):
            opened.sql_client.execute_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return opened

    def explain(self, error: Exception, resource: str) -> SyncError | None:
        """Explains an error of PostgreSQL, as `Backend.explain` specifies."""
        return explain_postgres(error, resource, self.place)

    def refuse_conflicts(
        self, pipeline: Pipeline, client: SqlJobClientBase, plan: LoadPlan, restored: Restored, pages: int
    ) -> PackageKeys | None:
        """Raises for conflicts, as `Backend.refuse_conflicts` specifies, and for tables that are not ours."""
        assert isinstance(client, PostgresMergeClient)
        refuse_others_tables(client, plan.resource.name, plan.resource.table, _VIEWS)
        refuse_stale_load(pipeline, client, plan, restored)
        client.drop_leftovers()
        with in_memory() as execute:
            return refuse_duplicate_keys(pipeline, execute, plan, pages)

    @contextmanager
    def connection(self, *, read_only: bool) -> Iterator[Connection]:
        """Opens a connection of psycopg2, and a transaction for the `with` block, as `Backend.connection` specifies."""
        with self._explained():
            connection = self.session.connect("analytics_assets: own code")
        level = "REPEATABLE READ" if read_only else None
        connection.set_session(isolation_level=level, readonly=read_only, autocommit=False)
        with closing(connection), connection:
            yield connection

    def table_name(self, dataset: str, table: str) -> str:
        """Returns the table name, qualified with the dataset."""
        return f"{dataset}.{table}"


def postgres_backend(pipeline: Pipeline, client: JobClientBase, *, reads_only: bool) -> PostgresBackend:
    """Makes the backend of a pipeline.

    Args:
        pipeline: the dlt pipeline.
        client: a client of the destination, which need not be open.
        reads_only: whether the caller only reads.
    """
    assert isinstance(client, PostgresMergeClient)
    credentials, sql = client.config.credentials, client.sql_client

    def connect(program: str) -> Connection:
        connection = psycopg2.connect(
            credentials.to_native_representation(),
            application_name=program,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        )
        connection.autocommit = True
        return connection

    return PostgresBackend(
        pipeline.pipeline_name,
        LockSession(connect, sql.dataset_name),
        client.fence,
        client.copier,
        place_of(credentials),
        (sql.fully_qualified_dataset_name(), sql.fully_qualified_dataset_name(staging=True)),
        reads_only,
    )

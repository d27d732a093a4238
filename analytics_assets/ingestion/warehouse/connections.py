"""Opens the warehouse for the user's own code, such as a Python asset, beside the syncs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from analytics_assets.config.models import DEFAULT_LOCK_TIMEOUT
from analytics_assets.ingestion.errors import NoWarehouseFileError
from analytics_assets.ingestion.warehouse.locks import WAREHOUSE
from analytics_assets.ingestion.warehouse.pipeline import WarehousePipeline, open_pipeline
from analytics_assets.ingestion.warehouse.storage_errors import is_open_for_writing


@contextmanager
def read_warehouse(lock_timeout: float = DEFAULT_LOCK_TIMEOUT) -> Iterator[Any]:
    """Opens the warehouse for reading within the `with` block.

    On PostgreSQL, the block gets a read-only connection of psycopg2, which sees one state of the database. On DuckDB,
    it gets a connection of DuckDB. The two have no common type: `connection.execute` is DuckDB's alone.

    On DuckDB, only one load, reader or writer uses the file at a time; the others wait. If a reader called DuckDB's own
    `connect` during a load, the load or the reader would wait or fail. Within `write_warehouse` of the same thread, the
    connection reads what was committed, and DuckDB lets it write, too.

    Args:
        lock_timeout: seconds: how long to wait for another program that has the DuckDB file open.

    Yields:
        A `duckdb.DuckDBPyConnection` or a `psycopg2.extensions.connection`.

    Raises:
        NoWarehouseFileError: the destination is neither, or the DuckDB file does not exist yet.
        WarehouseError: the warehouse cannot be opened.
    """
    with _connection(lock_timeout, read_only=True) as connection:
        yield connection


@contextmanager
def write_warehouse(lock_timeout: float = DEFAULT_LOCK_TIMEOUT) -> Iterator[Any]:
    """Opens the warehouse for writing within the `with` block.

    On PostgreSQL, the block gets a connection of psycopg2, and one transaction, which is undone if the block fails. On
    DuckDB, syncs and readers wait until the block ends, and the file is made if it does not exist yet.

    Write to schemas of your own, because a sync replaces rows in the tables of its API.

    Args:
        lock_timeout: seconds: how long to wait for another program that has the DuckDB file open.

    Yields:
        A `duckdb.DuckDBPyConnection` or a `psycopg2.extensions.connection`.

    Raises:
        NoWarehouseFileError: the destination is neither.
        WarehouseError: the warehouse cannot be opened, also because this process reads the DuckDB file within
            `read_warehouse`.
    """
    with _connection(lock_timeout, read_only=False) as connection:
        yield connection


@contextmanager
def lock_warehouse() -> Iterator[Path]:
    """Keeps syncs and readers away from the DuckDB file within the `with` block, for a program that opens it itself.

    dbt is such a program. In a shell, `flock <file>.locks/warehouse <command>` takes the same lock.

    Yields:
        The path of the DuckDB file.

    Raises:
        NoWarehouseFileError: the destination is not DuckDB.
        WarehouseError: the lock file cannot be written.
    """
    with (
        open_pipeline("reader", "reader", "another program") as pipeline,
        _locked_file(pipeline) as database,
    ):
        yield database


@contextmanager
def _connection(lock_timeout: float, *, read_only: bool) -> Iterator[Any]:
    by = "a reader" if read_only else "a writer"
    with open_pipeline("reader", "reader", by, lock_timeout=lock_timeout) as pipeline:
        opened = pipeline.backend.connection(read_only=read_only)
        with opened or _file(pipeline, read_only=read_only) as connection:
            yield connection


@contextmanager
def _file(pipeline: WarehousePipeline, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    with _locked_file(pipeline) as database:
        if read_only and not database.exists():
            raise NoWarehouseFileError("", f"there is no {database} yet", "Materialize an asset first")
        try:
            connection = pipeline.backend.open(lambda: _connected(database, read_only=read_only), pipeline.by)
        except duckdb.Error as error:
            explained = pipeline.backend.explain(error, "")
            if explained is None:
                raise
            raise explained from error
        with connection:
            yield connection


@contextmanager
def _locked_file(pipeline: WarehousePipeline) -> Iterator[Path]:
    database = pipeline.database
    if database is None:
        raise NoWarehouseFileError(
            "",
            f"the warehouse is {pipeline.backend.name}, and no DuckDB file",
            "Use the client of the destination",
        )
    with pipeline.backend.locked([WAREHOUSE], pipeline.by):
        yield database


def _connected(database: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(database), read_only=read_only)
    except duckdb.Error as error:
        if not (read_only and is_open_for_writing(error)):
            raise
        # A process may open a file in one way only, and a connection that writes can read, too.
        return duckdb.connect(str(database))

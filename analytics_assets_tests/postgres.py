"""Dagster instances and warehouses on PostgreSQL. `make postgres` starts the server, and sets the two variables below.

Each instance gets a database of its own: a copy of one in which Dagster has made its tables.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import sqlalchemy
import yaml
from psycopg2.extras import register_default_json, register_default_jsonb

SERVER = os.environ.get("DAGSTER_ON_POSTGRES")
"""The URL of a PostgreSQL server, with `{}` in place of the database. None: Dagster's storage is SQLite, or memory."""

WAREHOUSE = os.environ.get("WAREHOUSE_ON_POSTGRES")
"""The URL of a PostgreSQL server, with `{}` in place of the database. None: the warehouse of the tests is DuckDB."""


class OpenTransaction:
    """A transaction that stays open within its `with` block, or until `end`."""

    def __init__(self, connection: psycopg2.extensions.connection, sql: str) -> None:
        self._connection = connection
        self._sql = sql

    def __enter__(self) -> None:
        self._connection.cursor().execute(self._sql)

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Undoes the transaction."""
        self._connection.close()


class PostgresWarehouse:
    """An empty database of its own, as the warehouse of one project."""

    def __init__(self, encoding: str = "UTF8") -> None:
        assert WAREHOUSE is not None
        self.name = f"warehouse_{secrets.token_hex(6)}"
        self.url = WAREHOUSE.format(self.name)
        with contextlib.closing(psycopg2.connect(WAREHOUSE.format("postgres"))) as connection:
            connection.autocommit = True
            connection.cursor().execute(
                f"CREATE DATABASE {self.name} ENCODING '{encoding}' TEMPLATE template0 "
                + ("" if encoding == "UTF8" else "LC_COLLATE 'C' LC_CTYPE 'C'")
            )

    @classmethod
    @contextlib.contextmanager
    def of_encoding(cls, encoding: str) -> Iterator[PostgresWarehouse]:
        """A database of an encoding within the `with` block."""
        warehouse = cls(encoding)
        try:
            yield warehouse
        finally:
            warehouse.drop()

    @property
    def settings(self) -> dict[str, str]:
        """dlt's settings of the destination, as environment variables."""
        return {"DESTINATION_TYPE": "postgres", "DESTINATION__POSTGRES__CREDENTIALS": self.url}

    def query(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query as mappings, with timestamps in UTC."""
        with contextlib.closing(psycopg2.connect(self.url, options="-c timezone=UTC")) as connection:
            register_default_json(connection, loads=str)  # as text, which DuckDB returns, too
            register_default_jsonb(connection, loads=str)
            cursor = connection.cursor()
            cursor.execute(sql)
            names = [column.name for column in cursor.description or ()]
            rows = cursor.fetchall()
        return [
            {
                name: bytes(value) if isinstance(value, memoryview) else value
                for name, value in zip(names, row, strict=True)
            }
            for row in rows
        ]

    def execute(self, sql: str) -> None:
        """Changes the warehouse directly, as another program may do."""
        with contextlib.closing(psycopg2.connect(self.url)) as connection, connection:
            connection.cursor().execute(sql)

    def transaction(self, sql: str) -> OpenTransaction:
        """A transaction of another program, which executes a statement, and stays open for a `with` block."""
        return OpenTransaction(psycopg2.connect(self.url), sql)

    def drop(self) -> None:
        """Drops the database."""
        assert WAREHOUSE is not None
        with contextlib.closing(psycopg2.connect(WAREHOUSE.format("postgres"))) as connection:
            connection.autocommit = True
            connection.cursor().execute(f"DROP DATABASE {self.name} WITH (FORCE)")


def instance_on_postgres(home: Path) -> dg.DagsterInstance:
    """A Dagster instance in the folder `home`, with a new database. It executes launched runs in this process."""
    return _instance(home, new_database())


def new_database() -> str:
    """Makes a database with Dagster's tables, and returns its name."""
    database = f"dagster_{secrets.token_hex(6)}"
    _execute(f"CREATE DATABASE {database} TEMPLATE {_template()}")
    return database


def storage_in(database: str) -> dict[str, Any]:
    """The key `storage` of a dagster.yaml."""
    assert SERVER is not None
    return {"postgres": {"postgres_url": SERVER.format(database)}}


@functools.cache
def _template() -> str:
    """Makes the database that the others copy, because Dagster needs seconds to make its tables."""
    database = f"template_{secrets.token_hex(6)}"
    _execute(f"CREATE DATABASE {database}")
    with tempfile.TemporaryDirectory() as home:
        _instance(Path(home), database).dispose()
    return database


def _execute(sql: str) -> None:
    assert SERVER is not None
    engine = sqlalchemy.create_engine(SERVER.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(sql))
    engine.dispose()


def _instance(home: Path, database: str) -> dg.DagsterInstance:
    settings = {
        "storage": storage_in(database),
        "run_launcher": {
            "module": "dagster._core.launcher.sync_in_memory_run_launcher",
            "class": "SyncInMemoryRunLauncher",
        },
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
    }
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    return dg.DagsterInstance.from_config(str(home))

"""Dagster instances whose storage is PostgreSQL. `make postgres` starts the server, and sets `DAGSTER_ON_POSTGRES`.

Each instance gets a database of its own: a copy of one in which Dagster has made its tables.
"""

from __future__ import annotations

import functools
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy
import yaml

SERVER = os.environ.get("DAGSTER_ON_POSTGRES")
"""The URL of a PostgreSQL server, with `{}` in place of the database. None: Dagster's storage is SQLite, or memory."""


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

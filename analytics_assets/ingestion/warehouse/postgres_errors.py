"""Explains why PostgreSQL cannot be reached, or refuses to write."""

from __future__ import annotations

import re

import psycopg2
from dlt.destinations.impl.postgres.configuration import PostgresCredentials
from psycopg2 import errorcodes

from analytics_assets.ingestion.errors import (
    DiskFullError,
    LockLostError,
    SyncError,
    UnreachableWarehouseError,
    causes,
)
from analytics_assets.ingestion.warehouse.postgres_locks import FENCED

_LINES = re.compile(r"\s+")
_MOST_TEXT = 200  # the most characters of PostgreSQL's own text in an error

_DISK_FULL = {errorcodes.DISK_FULL, errorcodes.OUT_OF_MEMORY}
_REFUSED = {
    errorcodes.INSUFFICIENT_PRIVILEGE: "Grant the role CREATE on the database, and the rights on the API's schemas",
    errorcodes.READ_ONLY_SQL_TRANSACTION: "Name the primary server in DESTINATION__POSTGRES__CREDENTIALS. This one is "
    "a standby, or read-only",
    errorcodes.TOO_MANY_CONNECTIONS: "Raise max_connections of the server, or run fewer syncs at once: each needs 3 "
    "to 10 connections",
}

_NO_CONNECTION = {"08", "28", "3D", "57"}
"""The classes of SQLSTATEs that say that there is no connection: PostgreSQL, appendix A."""


def place_of(credentials: PostgresCredentials) -> str:
    """Returns server, port and database, as errors name them. The password is not part of it."""
    return f"postgresql://{credentials.host or 'localhost'}:{credentials.port}/{credentials.database}"


def explain_postgres(error: BaseException, resource: str, place: str) -> SyncError | None:
    """Explains an error of PostgreSQL; None for an unknown error.

    Args:
        error: the error of dlt, of psycopg2 or of the ADBC driver.
        resource: the dlt resource that the sync loads; empty for a reader.
        place: the server and the database.
    """
    for cause in causes(error):
        if isinstance(cause, SyncError):
            return cause
        code = getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None)
        if code == FENCED:
            return LockLostError(resource, "another run has taken its lock")
        if code in _DISK_FULL:
            return DiskFullError(resource, place, _text(cause))
        if code in _REFUSED:
            return UnreachableWarehouseError(resource, place, _text(cause), way_out=_REFUSED[code])
        if isinstance(cause, psycopg2.OperationalError) and (code is None or code[:2] in _NO_CONNECTION):
            return UnreachableWarehouseError(
                resource,
                place,
                _text(cause),
                way_out="Check that the server is up, and host, port, database, user and password in "
                "DESTINATION__POSTGRES__CREDENTIALS",
            )
    return None


def _text(error: BaseException) -> str:
    return _LINES.sub(" ", str(error)).strip()[:_MOST_TEXT].rstrip("?. ")

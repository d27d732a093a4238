"""Locks in PostgreSQL: session-level advisory locks, and the fencing tokens that prove that a lock is still held.

PostgreSQL releases the locks of a connection that ends, also of a process that was killed. But a process that was only
paused goes on, and does not know that its lock is lost. So each holder of a table's lock gets a new number, the fencing
token, and each transaction that writes first checks that the token is still the newest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import Any

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import connection as Connection  # noqa: N812  the name of the class

from analytics_assets.ingestion.errors import InexactDestinationError, LockLostError, PooledConnectionError
from analytics_assets.ingestion.warehouse import locks

log = logging.getLogger("analytics_assets")

TOKENS = "_analytics_assets_tokens"
"""The table of the fencing tokens, in each dataset: the newest token of each resource."""

FENCED = "AA001"
"""The SQLSTATE of a transaction whose token is no longer the newest."""

_MOST_NAME = 63  # the bytes of an application name
_PROGRAM = "analytics_assets: "

Connect = Callable[[str], Connection]
"""A function that opens a connection with an application name, and with autocommit."""


class LockSession:
    """The connection that holds the locks of one run.

    Args:
        connect: opens the connection.
        dataset: the name of the dataset; each dataset has locks of its own.

    Attributes:
        connect: opens a connection.
    """

    def __init__(self, connect: Connect, dataset: str) -> None:
        self.connect = connect
        self._dataset = dataset
        self._connection: Connection | None = None

    @contextmanager
    def opened(self, by: str) -> Iterator[Connection]:
        """Opens the connection for the `with` block, unless it is open already.

        Args:
            by: the text that names the caller; who waits for the caller sees it.

        Raises:
            InexactDestinationError: the database cannot hold every text.
            PooledConnectionError: a pooler gives each transaction another connection, which no lock survives.
            LockLostError: the connection ended in the block, and its locks with it.
        """
        if self._connection is not None:
            with self._losing():
                yield self._connection
            return
        connection = self.connect(f"{_PROGRAM}{by}"[:_MOST_NAME])
        try:
            _refuse_encoding(connection)
            _refuse_pooler(connection, self.connect)
            _execute(connection, "SET lock_timeout = '1s'")  # so that a terminated run ends within a second
            self._connection = connection
            with self._losing():
                yield connection
        finally:
            self._connection = None
            with suppress(psycopg2.Error):
                connection.close()

    @contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            if self._connection is None or not self._connection.closed:
                raise
            raise LockLostError("", "the connection that held its locks ended") from error

    def is_alive(self) -> bool:
        """Whether the connection still holds its locks."""
        try:
            return self._connection is not None and bool(_execute(self._connection, "SELECT 1"))
        except psycopg2.Error:
            return False

    @contextmanager
    def holding(self, name: str, what: str, by: str) -> Iterator[Connection]:
        """Holds a lock within the `with` block. The holder of a lock may take it again.

        Args:
            name: the name of the lock.
            what: what the lock stands for, for the log.
            by: the text that names the caller.
        """
        with self.opened(by) as connection:
            key = lock_key(self._dataset, name)
            _acquire(connection, key, what, by)
            try:
                yield connection
            finally:
                with suppress(psycopg2.Error):  # the end of the connection releases it, too
                    _execute(connection, "SELECT pg_advisory_unlock(%s)", key)


def lock_key(*names: str) -> int:
    """Returns the key of a lock: 64 bits of a hash, as PostgreSQL wants it, of its names."""
    digest = blake2b("\0".join(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


class Fence:
    """The fencing token of a run.

    Attributes:
        check: the SQL statement that fails if the token is not the newest; empty without a token. Within a transaction,
            the statement also keeps the next holder waiting until the transaction ends.
        is_lost: whether the check has failed.
    """

    def __init__(self) -> None:
        self.check = ""
        self.is_lost = False

    def take(self, connection: Connection, dataset: str, resource: str, by: str) -> None:
        """Takes a new token. Transactions with an older token can no longer commit.

        Args:
            connection: the connection that holds the lock of the resource.
            dataset: the quoted name of the dataset.
            resource: the name of the lock.
            by: the text that names the caller.
        """
        table = f"{dataset}.{TOKENS}"
        [(token,)] = _execute(
            connection,
            f"INSERT INTO {table} AS t (resource, token, holder) VALUES (%s, 1, %s) "  # noqa: S608  names from dlt
            "ON CONFLICT (resource) DO UPDATE SET token = t.token + 1, holder = EXCLUDED.holder, "
            "taken_at = EXCLUDED.taken_at RETURNING token",
            resource,
            by,
        )
        with connection.cursor() as cursor:
            mine = cursor.mogrify("resource = %s AND token = %s", (resource, token)).decode()
        self.is_lost = False
        self.check = (
            f"DO $fence$ BEGIN PERFORM 1 FROM {table} WHERE {mine} FOR SHARE; IF NOT FOUND THEN "
            f"RAISE EXCEPTION 'another run has taken the lock' USING ERRCODE = '{FENCED}'; END IF; END $fence$"
        )

    def drop(self) -> None:
        """Forgets the token."""
        self.check = ""


def make_datasets(connection: Connection, dataset: str, staging: str) -> None:
    """Makes the dataset, the staging dataset and the table of the fencing tokens, if they are not there.

    The caller holds a lock, because PostgreSQL fails if two connections make one schema at once.

    Args:
        connection: a connection with autocommit.
        dataset: the quoted name of the dataset.
        staging: the quoted name of the staging dataset.
    """
    for one in (dataset, staging):
        if not _exists(connection, "to_regnamespace", one):  # a role that may not make schemas may use them
            _execute(connection, f"CREATE SCHEMA IF NOT EXISTS {one}")
    if not _exists(connection, "to_regclass", f"{dataset}.{TOKENS}"):
        _execute(
            connection,
            f"CREATE TABLE IF NOT EXISTS {dataset}.{TOKENS} (resource text PRIMARY KEY, token bigint NOT NULL, "
            "holder text NOT NULL, taken_at timestamptz NOT NULL DEFAULT now())",
        )


def _exists(connection: Connection, function: str, name: str) -> bool:
    [(found,)] = _execute(connection, f"SELECT {function}(%s)", name)
    return found is not None


def _acquire(connection: Connection, key: int, what: str, by: str) -> None:
    began, notice_at, named = time.monotonic(), locks.NOTICE_AFTER, False
    while True:
        try:
            _execute(connection, "SELECT pg_advisory_lock(%s)", key)
        except errors.LockNotAvailable:
            if time.monotonic() - began >= notice_at:
                log.warning("%s: waiting for %s, after %s", by, what, _holder(connection, key))
                notice_at, named = time.monotonic() - began + locks.NOTICE_EVERY, True
            continue
        if named:
            log.warning("%s: waited for %s for %.0f s", by, what, time.monotonic() - began)
        return


def _holder(connection: Connection, key: int) -> str:
    found = _execute(
        connection,
        "SELECT a.application_name, a.backend_start FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) "
        "JOIN pg_database AS d ON d.oid = l.database AND d.datname = current_database() "
        "WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32 | l.objid::bigint) = %s",
        key,
    )
    for name, since in found:
        if name:
            return f"{name.removeprefix(_PROGRAM)}, connected since {since:%Y-%m-%d %H:%M:%S %Z}"
    return "another run or program"


def _refuse_encoding(connection: Connection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in ("UTF8", None):
        problem = f"the database {connection.info.dbname} has the encoding {encoding}, and only UTF8 holds every text"
        raise InexactDestinationError("", "postgres", problem)


def _refuse_pooler(connection: Connection, connect: Connect) -> None:
    """Fails if the server process changes between two transactions of a connection.

    Without a pooler, each connection has a process of its own. A pooler gives a process that is idle to the next
    connection: to another one that asks now, or it gives this one another process while the other one is busy.
    """
    first = _process(connection)
    other = connect("analytics_assets")
    second = None
    try:
        with suppress(psycopg2.OperationalError):  # a pooler of statements refuses transactions
            _execute(other, "BEGIN")
            second = _process(other)
        third = _process(connection)
    finally:
        other.close()
    if second in (None, first) or first != third:
        raise PooledConnectionError("", connection.info.host, connection.info.port)


def _process(connection: Connection) -> int:
    [(process,)] = _execute(connection, "SELECT pg_backend_pid()")
    return int(process)


def _execute(connection: Connection, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []

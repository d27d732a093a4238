"""The order of loads, which does not depend on a clock.

A dlt load id is the time of the machine that loaded. dlt restores the state with the highest load id, so after one load
with a clock that was ahead, each later sync would start from the same old state, and an append would double its rows.

What belongs here: which state and schema were written last, which loads are in the destination, and the next load id.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, cast

from dlt.common.destination.client import JobClientBase, StateInfo, StorageSchemaInfo
from dlt.common.schema import Schema
from dlt.common.time import increasing_precise_time
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.job_client_impl import SqlJobClientBase

from analytics_assets.ingestion.errors import utc
from analytics_assets.ingestion.warehouse.extract_buffer import WritingPipeline

_END = 253_402_300_800.0
"""The start of the year 10,000, after which no time can be written. A load id beyond is no time."""

_TOLERANCE = 60.0
"""The seconds by which the clocks of two machines may differ without a warning."""


class OrderedPipeline(WritingPipeline):
    """A dlt pipeline that restores the state and the schema that were written last.

    Each change of a state or schema raises its version by one, so the highest version was written last.
    """

    def _get_destination_clients(self, schema: Schema | None = None) -> tuple[JobClientBase, JobClientBase]:
        client, staging = super()._get_destination_clients(cast(Schema, schema))
        if isinstance(client, SqlJobClientBase):
            client.get_stored_state = partial(_last_state, client)  # type: ignore[method-assign,assignment]
            client.get_stored_schema = partial(_last_schema, client)  # type: ignore[method-assign,assignment]
        return client, staging


def _last_state(client: SqlJobClientBase, pipeline_name: str) -> StateInfo | None:
    """Returns the state of the highest version among the completed loads; None if there is none."""
    sql, schema = client.sql_client, client.schema
    columns = column_names(client, "version", "engine_version", "pipeline_name", "state", "created_at")
    version, name, of_load, load, status = column_names(
        client, "version", "pipeline_name", "_dlt_load_id", "load_id", "status"
    )
    states, loads = map(sql.make_qualified_table_name, (schema.state_table_name, schema.loads_table_name))
    first, last = sql._limit_clause_sql(1)
    query = (
        f"SELECT {first} {', '.join(f's.{one}' for one in columns)} FROM {states} AS s "  # noqa: S608  names from dlt
        f"JOIN {loads} AS l ON l.{load} = s.{of_load} WHERE s.{name} = %s AND l.{status} = 0 "
        f"ORDER BY s.{version} DESC, l.{load} DESC {last}"
    )
    with sql.execute_query(query, pipeline_name) as cursor:
        found = cursor.fetchone()
    return StateInfo(*found) if found else None


def _last_schema(client: SqlJobClientBase, schema_name: str) -> StorageSchemaInfo | None:
    """Returns the schema of the highest version; None if there is none."""
    sql = client.sql_client
    digest, name, version, inserted = column_names(
        client, "version_hash", "schema_name", "version", "inserted_at"
    )
    first, last = sql._limit_clause_sql(1)
    query = (
        f"SELECT {first} {digest} FROM {sql.make_qualified_table_name(client.schema.version_table_name)} "  # noqa: S608
        f"WHERE {name} = %s ORDER BY {version} DESC, {inserted} DESC {last}"
    )
    with suppress(DatabaseUndefinedRelation), sql.execute_query(query, schema_name) as cursor:
        found = cursor.fetchone()
        return client.get_stored_schema_by_hash(found[0]) if found else None
    return None


def column_names(client: SqlJobClientBase, *names: str) -> list[str]:
    """Returns the names of columns of dlt's own tables as the destination writes them in SQL."""
    naming = client.schema.naming
    return [str(client.sql_client.escape_column_name(naming.normalize_path(one))) for one in names]


@dataclass(frozen=True)
class Restored:
    """What the destination had when the sync began.

    Attributes:
        schema_hash: the hash of the stored schema; None if there was no schema.
        load_ids: the load ids of all completed loads of the resource.
    """

    schema_hash: str | None
    load_ids: frozenset[str]

    @cached_property
    def newest(self) -> float | None:
        """The highest load id in seconds since 1970; None if no load id is a number."""
        numbers = [
            float(one) for one in self.load_ids if one.isascii() and one.replace(".", "", 1).isdecimal()
        ]
        return max((one for one in numbers if one < _END), default=None)

    def ahead_of(self, now: float) -> float:
        """The seconds by which the highest load id is after the time `now`; 0 for a small difference."""
        ahead = 0.0 if self.newest is None else self.newest - now
        return ahead if ahead > _TOLERANCE else 0.0

    def warning(self, now: float) -> str:
        """The sentences that report a load id after the time `now`; empty if there is none."""
        if not self.ahead_of(now) or self.newest is None:
            return ""
        return (
            f"the warehouse has a load of {utc(self.newest)}, and the clock here says {utc(now)}. The sync goes on "
            "from the state that was written last. Correct the clock here, or the clock of the machine that loaded"
        )


NOTHING = Restored(None, frozenset())
"""What an empty destination has."""


def completed_loads(client: SqlJobClientBase, schema_name: str) -> frozenset[str]:
    """Returns the load ids of all completed loads of a schema.

    Args:
        client: an open client of the destination.
        schema_name: the name of the schema.
    """
    [load] = column_names(client, "load_id")
    return frozenset(str(one) for (one,) in _of_loads(client, load, schema_name))


def loads_since(client: SqlJobClientBase, before: Collection[str]) -> list[str]:
    """Returns the loads of the client's schema that were completed after `completed_loads` returned `before`.

    The same number and the same highest id mean that there is none. To read 100,000 load ids takes 0.2 s.
    """
    [load] = column_names(client, "load_id")
    known = (len(before), max(before, default=None))
    if _of_loads(client, f"COUNT(*), MAX({load})", client.schema.name) in ([], [known]):
        return []
    return sorted(completed_loads(client, client.schema.name).difference(before))


def first_load(client: SqlJobClientBase, schema_name: str) -> datetime | None:
    """Returns the time of the first completed load of a schema; None if there was none.

    Args:
        client: an open client of the destination.
        schema_name: the name of the schema.
    """
    [inserted] = column_names(client, "inserted_at")
    for (first,) in _of_loads(client, f"MIN({inserted})", schema_name):
        if isinstance(first, datetime):
            return first.astimezone(UTC) if first.tzinfo else first.replace(tzinfo=UTC)
    return None


def _of_loads(client: SqlJobClientBase, expression: str, schema_name: str) -> list[tuple[Any, ...]]:
    """Selects an expression of the completed loads of a schema; nothing if dlt has not loaded yet."""
    sql = client.sql_client
    [name] = column_names(client, "schema_name")
    loads = sql.make_qualified_table_name(client.schema.loads_table_name)
    with suppress(DatabaseUndefinedRelation):
        query = f"SELECT {expression} FROM {loads} WHERE {name} = %s"  # noqa: S608  names from dlt
        return [tuple(one) for one in sql.execute_sql(query, schema_name) or ()]
    return []


@contextmanager
def load_ids_after(newest: float | None) -> Iterator[None]:
    """Within the `with` block, dlt makes load ids above `newest`, even if the clock is behind.

    Rows of a killed append have a higher load id than every completed load, and the next append deletes them. The
    block adds up to a second by chance, so that a new load never has the id of a killed load.

    Args:
        newest: the highest load id of a completed load; None to leave the load ids to the clock.
    """
    ids = increasing_precise_time
    before = ids._last
    if newest is not None:
        ids._last = max(before, newest + random.random())  # noqa: S311  no secret
    try:
        yield
    finally:
        if newest is not None and newest > before:
            ids._last = before  # the other pipelines of this process keep to the clock

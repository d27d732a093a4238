"""Refuses to append if dlt's memory of what was loaded is gone, because rows would be loaded a second time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from dlt.common.schema import Schema
from dlt.destinations.job_client_impl import SqlJobClientBase

from analytics_assets.ingestion.contract.cursor_watch import comparable
from analytics_assets.ingestion.errors import LostStateError, OlderStateError
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.plan.write_mode import WriteMode
from analytics_assets.ingestion.time_window import Cursor
from analytics_assets.ingestion.warehouse.load_order import Restored, column_names, completed_loads

_ROUNDING = timedelta(seconds=1)
"""A column may round a time, so its value may be a little above the stored cursor."""


def refuse_second_first_load(client: SqlJobClientBase, plan: LoadPlan, schema_name: str) -> None:
    """Fails if a sync without a stored state would append to a table that has rows of completed loads.

    The rows of one load that never completed are no reason to fail: the first load was killed, and the sync deletes
    them.

    Args:
        client: an open client of the destination, whose dataset exists or not.
        plan: the plan of the sync.
        schema_name: the name of the resource's own schema.

    Raises:
        LostStateError: somebody deleted rows of dlt's own tables.
    """
    resource = plan.resource
    if not _continues_append(plan):
        return
    there, columns = client.get_storage_table(resource.table)
    if not there or "_dlt_load_id" not in columns:
        return
    [load] = column_names(client, "_dlt_load_id")
    name = client.sql_client.make_qualified_table_name(resource.table)
    [(loads,)] = client.sql_client.execute_sql(f"SELECT COUNT(DISTINCT {load}) FROM {name}") or [(0,)]  # noqa: S608
    if loads > 1 or (loads and completed_loads(client, schema_name)):
        raise LostStateError(resource.name, name)


def refuse_older_state(
    client: SqlJobClientBase, plan: LoadPlan, schema: Schema, state: Mapping[str, Any]
) -> None:
    """Fails if a sync would append from a stored cursor that is older than rows of a completed load.

    A load that brings rows above the stored cursor stores the new cursor with them. So if a later load than that of the
    newest stored state has such rows, somebody deleted its state. Only rows in the future do not move the cursor.

    Args:
        client: an open client of the destination.
        plan: the plan of the sync.
        schema: the restored schema of the resource, whose tables are in the destination.
        state: the restored state of the pipeline.

    Raises:
        OlderStateError: somebody deleted the newest rows of dlt's table of states.
    """
    resource, table = plan.resource, plan.resource.table
    if not _continues_append(plan) or resource.cursor is None or not resource.filter_params.is_forward:
        return
    column = resource.cursor_column.name if resource.cursor_column else resource.cursor.path
    stored = _last_value(state, resource.name, column)
    if stored is None or column not in schema.get_table_columns(table):
        return
    above = sorted(
        load
        for load, at, ends in _loads_after_state(client, schema, table, column)
        if any(_is_above(stored, one) and not _is_in_future(resource.cursor, one, at) for one in ends)
    )
    if above:
        raise OlderStateError(resource.name, client.sql_client.make_qualified_table_name(table), tuple(above))


def _continues_append(plan: LoadPlan) -> bool:
    resource = plan.resource
    return resource.write_mode is WriteMode.APPEND and resource.can_start_over and not plan.full_refresh


def _last_value(state: Mapping[str, Any], resource: str, column: str) -> Any:
    """Returns the stored cursor value of a resource; None if there is none."""
    for source in (state.get("sources") or {}).values():
        cursors = ((source.get("resources") or {}).get(resource) or {}).get("incremental") or {}
        if column in cursors:
            return cursors[column].get("last_value")
    return None


def _loads_after_state(
    client: SqlJobClientBase, schema: Schema, table: str, column: str
) -> Iterator[tuple[str, datetime, tuple[Any, Any]]]:
    """Yields each load that was completed after the last one with a state: its id, its time, and two cursor values.

    The values are the lowest and the highest one of its rows. The time is that of the clock of its machine, when the
    load began or ended. Older loads are not looked at, because somebody may have tidied up their states.
    """
    sql = client.sql_client
    of_load, load, inserted, name, status, cursor = column_names(
        client, "_dlt_load_id", "load_id", "inserted_at", "schema_name", "status", column
    )
    rows, loads, states = map(
        sql.make_qualified_table_name, (table, schema.loads_table_name, schema.state_table_name)
    )
    query = (
        f"SELECT l.{load}, MIN(l.{inserted}), MIN(r.{cursor}), MAX(r.{cursor}) FROM {rows} AS r "  # noqa: S608
        f"JOIN {loads} AS l ON l.{load} = r.{of_load} WHERE l.{name} = %s AND l.{status} = 0 AND l.{inserted} > ("
        f"SELECT MAX(o.{inserted}) FROM {loads} AS o JOIN {states} AS s ON s.{of_load} = o.{load} "
        f"WHERE o.{name} = %s AND o.{status} = 0) GROUP BY l.{load}"
    )
    for found, ended, *ends in sql.execute_sql(query, schema.name, schema.name) or ():
        began = Restored(None, frozenset((str(found),))).newest
        at = (
            comparable(ended) if began is None else min(comparable(ended), datetime.fromtimestamp(began, UTC))
        )
        yield str(found), at, tuple(ends)


def _is_above(stored: Any, value: Any) -> bool:
    """Whether a cursor value of the table is above the stored one; false if the two cannot be compared."""
    one, other = _as_time(value), _as_time(stored)
    if one is not None and other is not None:
        return one - other >= _ROUNDING
    alike = type(stored) is type(value) and isinstance(value, (int, str))
    return alike and bool(value > stored)


def _is_in_future(cursor: Cursor, value: Any, at: datetime) -> bool:
    """Whether a cursor value was in the future at some time. Only declared times are compared with the clock."""
    return cursor.data_type in ("timestamp", "date") and cursor.moment(value) > at


def _as_time(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return comparable(value).astimezone(UTC) if isinstance(value, datetime) else None

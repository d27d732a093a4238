"""Refuses to append if dlt's memory of what was loaded is gone: without the cursor, all rows would be loaded again."""

from __future__ import annotations

from dlt.destinations.job_client_impl import SqlJobClientBase

from analytics_assets.ingestion.errors import LostStateError
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.plan.write_mode import WriteMode
from analytics_assets.ingestion.warehouse.load_order import column_names, completed_loads


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
    if resource.write_mode is not WriteMode.APPEND or not resource.can_start_over or plan.full_refresh:
        return
    there, columns = client.get_storage_table(resource.table)
    if not there or "_dlt_load_id" not in columns:
        return
    [load] = column_names(client, "_dlt_load_id")
    name = client.sql_client.make_qualified_table_name(resource.table)
    [(loads,)] = client.sql_client.execute_sql(f"SELECT COUNT(DISTINCT {load}) FROM {name}") or [(0,)]  # noqa: S608
    if loads > 1 or (loads and completed_loads(client, schema_name)):
        raise LostStateError(resource.name, name)

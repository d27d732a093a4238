"""After a load: what it says of a row replaces what earlier loads said, in the table and in quarantine.

What belongs here: which rows leave. A row that has become good leaves the quarantine, one that has become bad leaves
the table, and what was read anew as a whole, a window or all there is, replaces what was in quarantine of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlt.common.pipeline import LoadInfo
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.quarantine import KEY_PREFIX, Quarantine


def settle(pipeline: Pipeline, info: LoadInfo, quarantine: Quarantine) -> None:
    """Takes out what no longer holds, in one transaction.

    Args:
        pipeline: that has loaded.
        info: what it loaded.
        quarantine: of the resource it has loaded.
    """
    if quarantine.table not in pipeline.default_schema.tables and not quarantine.full_refresh:
        return  # there never was a bad row
    with pipeline.destination_client() as client:
        assert isinstance(client, SqlJobClientBase)
        # They come in no particular order.
        found = dict(client.get_storage_tables([quarantine.table, quarantine.good_table]))
        has_good = bool(found[quarantine.good_table])
        settlement = _Settlement(client, quarantine, info.loads_ids, has_good=has_good)
        with client.sql_client.begin_transaction():
            if quarantine.full_refresh and has_good:
                settlement.drop_older()
            if found[quarantine.table]:
                settlement.run()


class _Settlement:
    """The statements. In SQL, `q` is a row in quarantine, `t` one of the table, `n` one of the latest load."""

    def __init__(
        self, client: SqlJobClientBase, quarantine: Quarantine, load_ids: Sequence[str], *, has_good: bool
    ) -> None:
        self._client = client
        self._sql = client.sql_client
        self._quarantine = quarantine
        self._has_good = has_good
        self._bad = self._sql.make_qualified_table_name(quarantine.table)
        self._good = self._sql.make_qualified_table_name(quarantine.good_table)
        self._ids = ", ".join(f"'{one}'" for one in load_ids)

    def run(self) -> None:
        quarantine = self._quarantine
        leaving, values = self._leaving()
        self._sql.execute_sql(f"DELETE FROM {self._bad} AS q WHERE {self._old('q')} AND {leaving}", *values)  # noqa: S608
        if self._has_good and quarantine.count and quarantine.disposition == "merge" and quarantine.keys:
            self._sql.execute_sql(
                f"DELETE FROM {self._good} AS t WHERE {self._old('t')} AND "  # noqa: S608
                + self._exists(self._bad, self._same_key("n", KEY_PREFIX, "t", ""))
            )
            self._drop_orphans()

    def drop_older(self) -> None:
        """Rows that the latest load has not brought, which was of all there is."""
        self._sql.execute_sql(f"DELETE FROM {self._good} AS t WHERE {self._old('t')}")  # noqa: S608
        self._drop_orphans()

    def _leaving(self) -> tuple[str, list[Any]]:
        """Which of the older rows in quarantine the latest load has the last word on."""
        quarantine = self._quarantine
        if quarantine.full_refresh or quarantine.cursor is None or quarantine.disposition == "replace":
            return "1 = 1", []  # it read all there is
        either = [self._exists(self._bad, "n.row = q.row")]
        if quarantine.keys:
            either.append(self._exists(self._bad, self._same_key("n", KEY_PREFIX, "q", KEY_PREFIX)))
            if self._has_good:
                either.append(self._exists(self._good, self._same_key("n", "", "q", KEY_PREFIX)))
        values: list[Any] = []
        if quarantine.window:
            either.append("(q.window_start >= %s AND q.window_end <= %s)")
            values = [quarantine.window.start, quarantine.window.end]
        return f"({' OR '.join(either)})", values

    def _drop_orphans(self) -> None:
        """Rows of child tables whose parent is no more, from the top down."""
        good = self._quarantine.good_table
        for table in sorted(self._client.schema.data_tables(), key=lambda one: str(one["name"]).count("__")):
            parent, name = table.get("parent"), self._sql.make_qualified_table_name(str(table["name"]))
            if parent and (parent == good or parent.startswith(f"{good}__")):
                above = self._sql.make_qualified_table_name(parent)
                self._sql.execute_sql(
                    f"DELETE FROM {name} AS c WHERE NOT EXISTS "  # noqa: S608
                    f"(SELECT 1 FROM {above} AS p WHERE p._dlt_id = c._dlt_parent_id)"
                )

    def _new(self, alias: str) -> str:
        return f"{alias}._dlt_load_id IN ({self._ids})" if self._ids else "1 = 0"

    def _old(self, alias: str) -> str:
        return f"NOT ({self._new(alias)})"

    def _exists(self, table: str, same: str) -> str:
        return f"EXISTS (SELECT 1 FROM {table} AS n WHERE {self._new('n')} AND {same})"  # noqa: S608

    def _same_key(self, one: str, one_prefix: str, other: str, other_prefix: str) -> str:
        quote = self._sql.escape_column_name
        return " AND ".join(
            f"{one}.{quote(one_prefix + key.name)} = {other}.{quote(other_prefix + key.name)}"
            for key in self._quarantine.keys
        )

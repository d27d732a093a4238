"""Around a load: what it says replaces what earlier loads said, in the table and in quarantine.

What belongs here: which rows leave. A window that was read anew holds what the API has for it now, and nothing else. A
row that has become good leaves the quarantine, one that has become bad leaves the table. What is left of a load that
was killed goes before the next.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from dlt.common.pipeline import LoadInfo
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.contract.quarantine import KEY_PREFIX, Limit, Quarantine
from analytics_assets.ingestion.errors import TooManyRemovedError
from analytics_assets.ingestion.time_window import Window


class Settlement:
    """What one run does to the rows of earlier ones.

    Args:
        quarantine: of the resource.
        max_removed: how many rows of a partition may be gone from the API; None for any number.

    Attributes:
        removed: rows of the table that are gone from the API, and have left it; not those that are in quarantine now.
    """

    def __init__(self, quarantine: Quarantine, max_removed: Limit | None = None) -> None:
        self.quarantine = quarantine
        self.max_removed = max_removed
        self.removed = 0

    def prepare(self, pipeline: Pipeline) -> None:
        """Before a load: takes out the rows of an append that was killed halfway, for they will come again.

        A merge or a full refresh is one transaction. An append is one per file; and what it has not told dlt of, the
        next run reads anew.
        """
        table = self.quarantine.good_table
        if self.quarantine.disposition != "append" or table not in pipeline.default_schema.tables:
            return
        with pipeline.destination_client() as client:
            assert isinstance(client, SqlJobClientBase)
            if (
                client.get_storage_table(table)[0]
                and client.get_storage_table(client.schema.loads_table_name)[0]
            ):
                with client.sql_client.begin_transaction():
                    _Statements(client, self.quarantine, (), has_good=True).drop_dead_load()

    def settle(self, pipeline: Pipeline, info: LoadInfo) -> None:
        """After a load: takes out what no longer holds, in one transaction.

        Args:
            pipeline: that has loaded.
            info: what it loaded.

        Raises:
            TooManyRemovedError: more rows are gone than `max_removed`; they are still there.
        """
        quarantine = self.quarantine
        replaces = quarantine.full_refresh or quarantine.replaces_window
        concerned = {quarantine.table, *([quarantine.good_table] if replaces else ())}
        if concerned.isdisjoint(pipeline.default_schema.tables):
            return  # there never was a bad row, nor one that could be replaced
        with pipeline.destination_client() as client:
            assert isinstance(client, SqlJobClientBase)
            # They come in no particular order.
            found = dict(client.get_storage_tables([quarantine.good_table, quarantine.table]))
            columns = found[quarantine.good_table]
            with client.sql_client.begin_transaction():
                statements = _Statements(
                    client, quarantine, info.loads_ids, has_good=bool(columns), bad=found[quarantine.table]
                )
                doubt = None
                if quarantine.full_refresh and columns:
                    self.removed = statements.drop_gone(None)
                elif quarantine.replaces_window and quarantine.cursor and quarantine.cursor.column in columns:
                    doubt = self._doubt(statements)
                    self.removed = 0 if doubt else statements.drop_gone(quarantine.window)
                if found[quarantine.table]:
                    statements.settle_quarantine()  # in any case: what was loaded is loaded
            if doubt:
                raise doubt

    def _doubt(self, statements: _Statements) -> TooManyRemovedError | None:
        """Whether what the latest load has not brought is more of a partition than `max_removed`."""
        quarantine, limit = self.quarantine, self.max_removed
        for partition, window in quarantine.windows.items() if limit else ():
            gone, rows = statements.gone_and_rows(window)
            if limit and limit.is_exceeded(gone, rows):
                return TooManyRemovedError(quarantine.resource, partition, gone, rows, str(limit))
        return None


class _Statements:
    """In SQL, `q` is a row in quarantine, `t` one of the table, `n` one of the latest load."""

    def __init__(
        self,
        client: SqlJobClientBase,
        quarantine: Quarantine,
        load_ids: Sequence[str],
        *,
        has_good: bool,
        bad: Container[str] = (),
    ) -> None:
        self._client = client
        self._sql = client.sql_client
        self._quarantine = quarantine
        self._has_good = has_good
        # A key that was declared since has no column there before the next bad row.
        self._keys = quarantine.keys if all(KEY_PREFIX + one.name in bad for one in quarantine.keys) else ()
        self._bad = self._sql.make_qualified_table_name(quarantine.table)
        self._good = self._sql.make_qualified_table_name(quarantine.good_table)
        self._ids = ", ".join(f"'{one}'" for one in load_ids)

    def gone_and_rows(self, window: Window | None) -> tuple[int, int]:
        """Of a window, or of all, the rows that the latest load has not brought, well or badly, and all rows."""
        within, bounds = self._within(window)
        gone = f"COUNT(CASE WHEN {self._gone()} THEN 1 END)"
        found = self._sql.execute_sql(
            f"SELECT {gone}, COUNT(*) FROM {self._good} AS t WHERE {within}",  # noqa: S608
            *bounds,
        )
        [(old, rows)] = found or [(0, 0)]
        return int(old), int(rows)

    def drop_gone(self, window: Window | None) -> int:
        """Takes the rows of a window, or any, that the latest load has not brought out of the table; how many."""
        gone, _ = self.gone_and_rows(window)
        if gone:
            within, bounds = self._within(window)
            self._sql.execute_sql(
                f"DELETE FROM {self._good} AS t WHERE {within} AND {self._gone()}",  # noqa: S608
                *bounds,
            )
            self._drop_orphans()
        return gone

    def drop_dead_load(self) -> None:
        """Takes the rows of loads that are later than all that dlt knows of out of the table."""
        loads = self._sql.make_qualified_table_name(self._client.schema.loads_table_name)
        # With no load that dlt knows of there is no cursor, and all is read anew.
        none = "''" if self._quarantine.cursor else "NULL"
        self._sql.execute_sql(
            f"DELETE FROM {self._good} WHERE _dlt_load_id > "  # noqa: S608
            f"(SELECT COALESCE(MAX(load_id), {none}) FROM {loads} WHERE schema_name = %s)",
            self._client.schema.name,
        )
        self._drop_orphans()

    def settle_quarantine(self) -> None:
        """Takes out of the quarantine what the latest load has the last word on, and of the table what is in it."""
        quarantine = self._quarantine
        leaving, values = self._leaving()
        self._sql.execute_sql(f"DELETE FROM {self._bad} AS q WHERE {self._old('q')} AND {leaving}", *values)  # noqa: S608
        if self._has_good and quarantine.count and quarantine.disposition == "merge" and self._keys:
            self._sql.execute_sql(
                f"DELETE FROM {self._good} AS t WHERE {self._old('t')} AND {self._in_quarantine()}"  # noqa: S608
            )
            self._drop_orphans()

    def _leaving(self) -> tuple[str, list[Any]]:
        """Which of the older rows in quarantine the latest load has the last word on."""
        quarantine = self._quarantine
        if quarantine.full_refresh or quarantine.cursor is None or quarantine.disposition == "replace":
            return "1 = 1", []  # it read all there is
        either = [self._exists(self._bad, "n.row = q.row")]
        if self._keys:
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

    def _within(self, window: Window | None) -> tuple[str, list[Any]]:
        if window is None:
            return "1 = 1", []
        cursor = self._quarantine.cursor
        assert cursor is not None
        column = f"t.{self._sql.escape_column_name(cursor.column)}"
        return f"{column} >= %s AND {column} < %s", [cursor.bound(window.start), cursor.bound(window.end)]

    def _new(self, alias: str) -> str:
        return f"{alias}._dlt_load_id IN ({self._ids})" if self._ids else "1 = 0"

    def _gone(self) -> str:
        """A row of the table that the latest load has brought neither there nor into quarantine."""
        if not (self._quarantine.count and self._keys):
            return self._old("t")
        return f"{self._old('t')} AND NOT {self._in_quarantine()}"

    def _in_quarantine(self) -> str:
        """A row of the table that the latest load has brought, and it is bad now."""
        return self._exists(self._bad, self._same_key("n", KEY_PREFIX, "t", ""))

    def _old(self, alias: str) -> str:
        return f"NOT ({self._new(alias)})"

    def _exists(self, table: str, same: str) -> str:
        return f"EXISTS (SELECT 1 FROM {table} AS n WHERE {self._new('n')} AND {same})"  # noqa: S608

    def _same_key(self, one: str, one_prefix: str, other: str, other_prefix: str) -> str:
        quote = self._sql.escape_column_name
        return " AND ".join(
            f"{one}.{quote(one_prefix + key.name)} = {other}.{quote(other_prefix + key.name)}"
            for key in self._keys
        )

"""Deletes the outdated rows of earlier loads from the table and from the quarantine.

After a load, each loaded window contains exactly the API's current rows. Rows that are now good are deleted from the
quarantine, and rows that are now bad are deleted from the table. Before an append, the rows of a killed append are
deleted.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet
from dlt.common.schema.utils import get_nested_tables
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.contract.quarantine import KEY_PREFIX, Quarantine
from analytics_assets.ingestion.errors import EmptyLoadError, TooManyRemovedError
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.plan.write_mode import WriteMode
from analytics_assets.ingestion.time_window import Window
from analytics_assets.ingestion.warehouse.merge_jobs import ReadsFiles
from analytics_assets.ingestion.warehouse.package_keys import PackageKeys

_ROOT = "_dlt_root_id"


class Reconcile:
    """Deletes rows of earlier loads if the current load replaces these rows.

    The pipeline calls `before` and `after` around the load. On DuckDB and PostgreSQL, the merge also calls `during`
    within its transaction. So no reader sees old and new rows together, and a crash leaves no mix of old and new rows.

    Args:
        plan: the plan of the sync.
        quarantine: the quarantine with the rows that the sync rejected.

    Attributes:
        removed: the number of rows deleted because they are gone from the API; rows now in quarantine do not count.
        keys: the counts of the primary keys in the load, set by `before`; None if they are unknown.
    """

    def __init__(self, plan: LoadPlan, quarantine: Quarantine) -> None:
        self.removed = 0
        self.keys: PackageKeys | None = None
        self._plan = plan
        self._quarantine = quarantine
        self._load_ids: Sequence[str] = ()
        self._keys_file: Path | None = None
        self._table_is_done = False
        self._refusal: TooManyRemovedError | None = None

    @property
    def load_ids(self) -> Sequence[str]:
        """The dlt load ids of this load, known after `before`."""
        return self._load_ids

    @property
    def keys_are_distinct(self) -> bool:
        """Whether each primary key occurs only once in this load."""
        return self.keys is not None and self.keys.are_distinct

    def before(
        self, pipeline: Pipeline, client: SqlJobClientBase, keys: PackageKeys | None, rows: int
    ) -> None:
        """Deletes the rows that a killed append left in the table, because this sync has fetched these rows again.

        dlt appends in one transaction per file, so a killed append leaves some rows. A killed merge or full refresh
        leaves no rows, because each uses one transaction.

        Args:
            pipeline: the pipeline, which has normalized load packages.
            client: an open client of the destination.
            keys: the counts of the primary keys in the load; None if they are unknown.
            rows: the number of good rows in the load.

        Raises:
            EmptyLoadError: there are no rows, and the load would empty a table that has rows.
            TooManyRemovedError: a full load has so many fewer rows than the table that it exceeds `max_removed`.
        """
        self._refuse_to_empty(client, rows)
        self.keys = keys
        self._load_ids = pipeline.list_normalized_load_packages()
        if self._plan.write_mode is WriteMode.MERGE and self._quarantine.keys and self._quarantine.count:
            self._keys_file = Path(pipeline.working_dir) / "quarantined_keys.parquet"
            pyarrow.parquet.write_table(self._quarantine.keys_table(client.capabilities), self._keys_file)
        table = self._plan.resource.table
        if not client.get_storage_table(table)[0]:
            _Statements(client, self._plan, self._quarantine, ()).empty_children()
            return
        if self._plan.write_mode is not WriteMode.APPEND or table not in client.schema.tables:
            return
        if client.get_storage_table(client.schema.loads_table_name)[0]:
            with client.sql_client.begin_transaction():
                _Statements(client, self._plan, self._quarantine, ()).drop_dead_load()

    def _refuse_to_empty(self, client: SqlJobClientBase, rows: int) -> None:
        plan, table = self._plan, self._plan.resource.table
        replaces = plan.full_refresh or plan.write_mode is WriteMode.REPLACE
        if plan.windows or not replaces or not client.get_storage_table(table)[0]:
            return
        name = client.sql_client.make_qualified_table_name(table)
        [(had,)] = client.sql_client.execute_sql(f"SELECT COUNT(*) FROM {name}") or [(0,)]  # noqa: S608
        if had and not rows and not plan.asset.allow_empty:
            raise EmptyLoadError(plan.resource.name, int(had))
        if plan.max_removed and plan.max_removed.is_exceeded(max(0, had - rows), had):
            limit = str(plan.max_removed)
            raise TooManyRemovedError(plan.resource.name, "the table", int(had - rows), int(had), limit)

    def during(self, client: SqlJobClientBase) -> None:
        """Deletes outdated rows of the table within the transaction of a merge, after the merge statements.

        The warehouse may still lack the quarantine rows of this load, so the SQL reads the keys of the rejected rows
        from a file.

        Args:
            client: the client that runs the transaction.
        """
        if self._plan.write_mode is not WriteMode.MERGE:
            return
        brought = None
        if self._keys_file:
            assert isinstance(client, ReadsFiles)
            brought = f"SELECT * FROM {client.rows_of([self._keys_file])}"  # noqa: S608
        columns = client.get_storage_table(self._plan.resource.table)[1]
        statements = _Statements(client, self._plan, self._quarantine, self._load_ids, brought=brought)
        statements.adopt_children()
        self._reconcile_table(statements, columns)
        if brought:
            statements.drop_bad_rows()
        self._table_is_done = True

    def after(self, client: SqlJobClientBase) -> None:
        """Deletes the outdated rows that `during` did not delete, in one transaction after the load.

        Args:
            client: an open client of the destination, which has the loaded package.

        Raises:
            TooManyRemovedError: more rows are gone from the API than `max_removed` allows. After this error, the table
                still has the rows that are gone from the API.
        """
        plan, quarantine = self._plan, self._quarantine
        replaces = (plan.full_refresh or plan.replaces_windows) and not self._table_is_done
        concerned = {quarantine.table, *([plan.resource.table] if replaces else ())}
        if not concerned.isdisjoint(client.schema.tables):  # if neither table exists, no rows are outdated
            self._reconcile_rest(client)
        if self._refusal:
            raise self._refusal

    def _reconcile_rest(self, client: SqlJobClientBase) -> None:
        plan, quarantine = self._plan, self._quarantine
        # dlt returns the tables in any order, so the code makes a dict by table name.
        found = dict(client.get_storage_tables([plan.resource.table, quarantine.table]))
        columns, bad = found[plan.resource.table], found[quarantine.table]
        statements = _Statements(
            client, plan, quarantine, self._load_ids, has_table=bool(columns), quarantined=bad
        )
        in_table = columns and not self._table_is_done
        with client.sql_client.begin_transaction():
            if in_table:
                self._reconcile_table(statements, columns)
            if bad:
                statements.drop_superseded_bad_rows()  # the load is complete, even if `max_removed` is exceeded
                if in_table and plan.write_mode is WriteMode.MERGE:
                    statements.drop_bad_rows()

    def _reconcile_table(self, statements: _Statements, columns: Container[str]) -> None:
        plan = self._plan
        if plan.full_refresh:
            self.removed = statements.drop_gone(None)
        elif plan.replaces_windows and plan.resource.cursor and plan.resource.cursor.column in columns:
            self._refusal = self._refuse(statements)
            self.removed = 0 if self._refusal else statements.drop_gone(plan.window)

    def _refuse(self, statements: _Statements) -> TooManyRemovedError | None:
        """Returns an error if more rows of a partition are gone from the API than `max_removed` allows."""
        plan, limit = self._plan, self._plan.max_removed
        for partition, window in plan.windows.items() if limit else ():
            gone, rows = statements.gone_and_rows(window)
            if limit and limit.is_exceeded(gone, rows):
                return TooManyRemovedError(plan.resource.name, partition, gone, rows, str(limit))
        return None


class _Statements:
    """The SQL that counts and deletes rows.

    In SQL, `q` is a row in quarantine, `t` a row of the table, and `n` a row of this load.

    Args:
        client: the SQL client of the destination.
        plan: the plan of the sync.
        quarantine: the quarantine with the rows that the sync rejected.
        load_ids: the dlt load ids of this load.
        has_table: whether the table exists.
        quarantined: the columns of the quarantine table.
        brought: the query for the keys of the rows that this load rejected; None to query the quarantine table.
    """

    def __init__(
        self,
        client: SqlJobClientBase,
        plan: LoadPlan,
        quarantine: Quarantine,
        load_ids: Sequence[str],
        *,
        has_table: bool = True,
        quarantined: Container[str] = (),
        brought: str | None = None,
    ) -> None:
        self._client = client
        self._sql = client.sql_client
        self._plan = plan
        self._cursor = plan.resource.cursor
        self._has_table = has_table
        self._ids = ", ".join(f"'{one}'" for one in load_ids)
        self._table = self._sql.make_qualified_table_name(plan.resource.table)
        self._bad = self._sql.make_qualified_table_name(quarantine.table)
        # The quarantine table gets the column of a new primary key only with the next bad row.
        known = brought or all(KEY_PREFIX + one.name in quarantined for one in quarantine.keys)
        self._keys = quarantine.keys if known else ()
        self._brought = brought or f"SELECT * FROM {self._bad} AS b WHERE {self._new('b')}"  # noqa: S608
        self._brings_bad_rows = bool(quarantine.count and self._keys)

    def gone_and_rows(self, window: Window | None) -> tuple[int, int]:
        """Counts two kinds of rows in a window, or in the whole table: rows that are not in this load, and all rows."""
        within, bounds = self._within(window)
        gone = f"COUNT(CASE WHEN {self._gone()} THEN 1 END)"
        found = self._sql.execute_sql(
            f"SELECT {gone}, COUNT(*) FROM {self._table} AS t WHERE {within}",  # noqa: S608
            *bounds,
        )
        [(old, rows)] = found or [(0, 0)]
        return int(old), int(rows)

    def drop_gone(self, window: Window | None) -> int:
        """Deletes rows of a window, or of the table, if they are not in this load. Returns the number of rows."""
        gone, _ = self.gone_and_rows(window)
        if gone:
            within, bounds = self._within(window)
            self._sql.execute_sql(
                f"DELETE FROM {self._table} AS t WHERE {within} AND {self._gone()}",  # noqa: S608
                *bounds,
            )
            self._drop_orphans()
        return gone

    def drop_bad_rows(self) -> None:
        """For each row that this load put into quarantine, deletes the older row with the same key from the table."""
        if self._brings_bad_rows:
            self._sql.execute_sql(
                f"DELETE FROM {self._table} AS t WHERE {self._old('t')} AND {self._is_bad_now()}"  # noqa: S608
            )
            self._drop_orphans()

    def drop_dead_load(self) -> None:
        """Deletes the rows of a killed load: their load id is newer than every load id in dlt's loads table."""
        loads = self._sql.make_qualified_table_name(self._client.schema.loads_table_name)
        # If no load ever completed, a sync with a cursor fetches all rows again, so this statement deletes all rows.
        none = "''" if self._cursor else "NULL"
        self._sql.execute_sql(
            f"DELETE FROM {self._table} WHERE _dlt_load_id > "  # noqa: S608
            f"(SELECT COALESCE(MAX(load_id), {none}) FROM {loads} WHERE schema_name = %s)",
            self._client.schema.name,
        )
        self._drop_orphans()

    def drop_superseded_bad_rows(self) -> None:
        """Deletes older rows from the quarantine if this load contains them again, as good or as bad rows."""
        condition, values = self._superseded()
        self._sql.execute_sql(
            f"DELETE FROM {self._bad} AS q WHERE {self._old('q')} AND {condition}",  # noqa: S608
            *values,
        )

    def _superseded(self) -> tuple[str, list[Any]]:
        if self._plan.reads_everything:
            return "1 = 1", []
        either = [self._exists(self._bad, "n.row = q.row")]
        if self._keys:
            either.append(self._exists(self._bad, self._same_key("n", KEY_PREFIX, "q", KEY_PREFIX)))
            if self._has_table:
                either.append(self._exists(self._table, self._same_key("n", "", "q", KEY_PREFIX)))
        values: list[Any] = []
        window = self._plan.window
        if window:
            either.append("(q.window_start >= %s AND q.window_end <= %s)")
            values = [window.start, window.end]
        return f"({' OR '.join(either)})", values

    def empty_children(self) -> None:
        """Deletes all rows of the child tables, because their table is gone."""
        root = self._plan.resource.table
        tables = (
            get_nested_tables(self._client.schema.tables, root) if root in self._client.schema.tables else []
        )
        children = [str(one["name"]) for one in tables if one["name"] != root]
        for name, columns in self._client.get_storage_tables(children) if children else ():
            if "_dlt_parent_id" in columns:  # or else it is a table of another resource
                self._sql.execute_sql(f"DELETE FROM {self._sql.make_qualified_table_name(name)}")  # noqa: S608

    def adopt_children(self) -> None:
        """Gives child rows of an append or a replacement the root row that a merge looks for.

        Only merges write `_dlt_root_id`. Where the column was added to a table that had rows, it may be NULL, and the
        merge has not deleted the child rows of the rows that it replaced.
        """
        names = [name for name, _ in self._child_tables()]
        found = dict(self._client.get_storage_tables(names)) if names else {}
        added = {name for name, columns in found.items() if columns.get(_ROOT, {}).get("nullable")}
        if not added:
            return
        self._drop_orphans()
        for name, parent in self._child_tables():
            if name not in added:
                continue
            child, above = map(self._sql.make_qualified_table_name, (name, parent))
            root = "p._dlt_id" if parent == self._plan.resource.table else f"p.{_ROOT}"
            self._sql.execute_sql(
                f"UPDATE {child} AS c SET {_ROOT} = {root} FROM {above} AS p "  # noqa: S608
                f"WHERE p._dlt_id = c._dlt_parent_id AND c.{_ROOT} IS NULL"
            )

    def _drop_orphans(self) -> None:
        """Deletes child rows whose parent row is deleted, first in a child table and then in its own child tables."""
        for name, parent in self._child_tables():
            child, above = map(self._sql.make_qualified_table_name, (name, parent))
            self._sql.execute_sql(
                f"DELETE FROM {child} AS c WHERE NOT EXISTS "  # noqa: S608
                f"(SELECT 1 FROM {above} AS p WHERE p._dlt_id = c._dlt_parent_id)"
            )

    def _child_tables(self) -> list[tuple[str, str]]:
        """Returns the child tables, each with the name of its parent, which comes first."""
        root = self._plan.resource.table
        tables = [(str(one["name"]), one.get("parent") or "") for one in self._client.schema.data_tables()]
        found = [
            (name, parent) for name, parent in tables if parent == root or parent.startswith(f"{root}__")
        ]
        return sorted(found, key=lambda one: one[0].count("__"))

    def _within(self, window: Window | None) -> tuple[str, list[Any]]:
        if window is None:
            return "1 = 1", []
        assert self._cursor is not None
        column = f"t.{self._sql.escape_column_name(self._cursor.column)}"
        return f"{column} >= %s AND {column} < %s", [
            self._cursor.bound(window.start),
            self._cursor.bound(window.end),
        ]

    def _new(self, alias: str) -> str:
        return f"{alias}._dlt_load_id IN ({self._ids})" if self._ids else "1 = 0"

    def _old(self, alias: str) -> str:
        return f"NOT ({self._new(alias)})"

    def _gone(self) -> str:
        """The SQL condition for a row of the table that this load contains neither as a good nor as a bad row."""
        return f"{self._old('t')} AND NOT {self._is_bad_now()}" if self._brings_bad_rows else self._old("t")

    def _is_bad_now(self) -> str:
        """The SQL condition for a row of the table with the same key as a row that this load put into quarantine."""
        same = self._same_key("n", KEY_PREFIX, "t", "")
        return f"EXISTS (SELECT 1 FROM ({self._brought}) AS n WHERE {same})"  # noqa: S608

    def _exists(self, table: str, same: str) -> str:
        return f"EXISTS (SELECT 1 FROM {table} AS n WHERE {self._new('n')} AND {same})"  # noqa: S608

    def _same_key(self, one: str, one_prefix: str, other: str, other_prefix: str) -> str:
        quote = self._sql.escape_column_name
        return " AND ".join(
            f"{one}.{quote(one_prefix + key.name)} = {other}.{quote(other_prefix + key.name)}"
            for key in self._keys
        )

"""Failures of the destination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from analytics_assets.ingestion.errors.base import Fault, SyncError
from analytics_assets.ingestion.errors.shown import names_shown


@dataclass(eq=False)
class WarehouseError(SyncError):
    """The destination cannot do what the sync needs."""


@dataclass(eq=False)
class NoSqlError(WarehouseError):
    """The destination has no SQL, so a sync could not count or check the rows in the destination.

    Attributes:
        destination: the name of the destination in dlt.
    """

    destination: str
    code = "no_sql"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        return (
            f"the destination {self.destination} has no SQL, so that no row there can be counted or checked"
        )

    @property
    def cure(self) -> str:
        return "Set destination_type to a SQL destination of dlt"


@dataclass(eq=False)
class DestinationSettingsError(WarehouseError):
    """dlt's settings name no destination that can be opened.

    Attributes:
        destination: the name of the destination in dlt.
        problem: the clause that says what is wrong.
        fix: the sentence that says what to do.
    """

    destination: str
    problem: str
    fix: str
    code = "destination_settings"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        return f"the destination {self.destination} cannot be opened: {self.problem}. Nothing was requested"

    @property
    def cure(self) -> str:
        return self.fix


@dataclass(eq=False)
class InexactDestinationError(WarehouseError):
    """The destination does not store each value as it came.

    Attributes:
        destination: the name of the database.
        problem: the clause that says which values it changes.
    """

    destination: str
    problem: str
    code = "inexact_destination"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        said = f"{self.destination} does not store every value as the API sends it: {self.problem}"
        return f"{said}. Nothing was requested"

    @property
    def cure(self) -> str:
        return "Use DuckDB, or PostgreSQL with a database in UTF8"


@dataclass(eq=False)
class NameTooLongError(WarehouseError):
    """The name of a table or a column is too long for the destination.

    Attributes:
        name: the name.
        most: the most characters of a name.
        destination: the name of the destination in dlt.
        is_table: whether it is the name of a table.
    """

    name: str
    most: int
    destination: str
    is_table: bool = field(kw_only=True)
    code = "name_too_long"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        kind = "table" if self.is_table else "column"
        return (
            f"the name of the {kind} `{self.name}` has {len(self.name)} characters, and {self.destination} takes "
            f"{self.most}. Nothing was requested"
        )

    @property
    def cure(self) -> str:
        return "Set a shorter `table_name`" if self.is_table else "Give the field a shorter name (rename)"


@dataclass(eq=False)
class NoWarehouseFileError(WarehouseError):
    """There is no DuckDB file to read.

    Attributes:
        problem: the sentence that says why there is no file.
        fix: the sentence that says what to do.
    """

    problem: str
    fix: str
    code = "no_warehouse_file"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        return self.problem

    @property
    def cure(self) -> str:
        return self.fix


@dataclass(eq=False)
class WarehouseBusyError(WarehouseError):
    """Another program, which does not use this project's file lock, has the DuckDB file open.

    Attributes:
        database: the path of the DuckDB file.
        holder: the name and the process id of the program; empty if DuckDB does not name it.
    """

    database: str
    holder: str = field(default="", kw_only=True)
    code = "warehouse_busy"
    fault = Fault.TRANSIENT

    @property
    def cause(self) -> str:
        return f"{self.database} is open in another program"

    @property
    def cure(self) -> str:
        named = f". The program is {self.holder}" if self.holder else ""
        return f"Close it there, or open it read-only and only for a moment. Then materialize again{named}"


@dataclass(eq=False)
class UnreachableWarehouseError(WarehouseError):
    """The warehouse cannot be opened, or lock files cannot be written beside the DuckDB file.

    Attributes:
        database: the path of the DuckDB file.
        problem: the error text of DuckDB or of the operating system.
        way_out: what to do if the problem says more than that; empty for the usual advice.
    """

    database: str
    problem: str
    way_out: str = field(default="", kw_only=True)
    code = "unreachable_warehouse"

    @property
    def cause(self) -> str:
        return f"the warehouse {self.database} cannot be opened: {self.problem}"

    @property
    def cure(self) -> str:
        return self.way_out or "Check the path or the credentials, and who may write there"


@dataclass(eq=False)
class DiskFullError(WarehouseError):
    """A disk or a quota is full, so the warehouse or the working directory cannot grow.

    Attributes:
        place: the path of the file or folder that cannot grow.
        problem: the error text of the operating system.
    """

    place: str
    problem: str
    code = "disk_full"
    fault = Fault.TRANSIENT

    @property
    def cause(self) -> str:
        return f"no more can be written to {self.place}: {self.problem}"

    @property
    def cure(self) -> str:
        return (
            "Free space there, and materialize again. DESTINATION__DUCKDB__CREDENTIALS moves the warehouse, and TMPDIR "
            "moves the files of a run"
        )


@dataclass(eq=False)
class NoWorkingDirectoryError(WarehouseError):
    """The folder for temporary files cannot be written, so a run has no working directory.

    Attributes:
        problem: the error text of the operating system.
    """

    problem: str
    code = "no_working_directory"

    @property
    def cause(self) -> str:
        return f"no working directory can be made: {self.problem}"

    @property
    def cure(self) -> str:
        return "Set TMPDIR to a folder with free space, in which this user may write"


@dataclass(eq=False)
class DamagedWarehouseError(UnreachableWarehouseError):
    """The DuckDB file is incomplete or damaged, or is a file of another program."""

    code = "damaged_warehouse"

    @property
    def cure(self) -> str:
        return (
            "Restore it from a backup, together with its .wal file. Without a backup, move both away and materialize "
            "all assets again. If the path is wrong, set DESTINATION__DUCKDB__CREDENTIALS"
        )


@dataclass(eq=False)
class DuckDbVersionError(WarehouseError):
    """The installed version of DuckDB cannot read the DuckDB file, because another version made the file.

    Attributes:
        database: the path of the DuckDB file.
        made_by: `newer` or `older`.
        installed: the installed version of DuckDB.
    """

    database: str
    made_by: str
    installed: str
    code = "duckdb_version"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        return f"a {self.made_by} version of DuckDB made {self.database}, and {self.installed} cannot read it"

    @property
    def cure(self) -> str:
        if self.made_by == "newer":
            return "Upgrade DuckDB where the syncs run, to the version that made the file"
        return "Export the file with the version that made it, and import it with the installed version"


@dataclass(eq=False)
class MissingGuaranteesError(WarehouseError):
    """The destination lacks guarantees of DuckDB and PostgreSQL, and the `defs.yaml` does not accept that.

    Attributes:
        destination: the name of the destination in dlt.
        missing: the missing guarantees, one clause each.
    """

    destination: str
    missing: tuple[str, ...]
    code = "missing_guarantees"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        return f"the destination {self.destination} lacks guarantees: {'; '.join(self.missing)}"

    @property
    def cure(self) -> str:
        accept = "`destination: {accept_missing_guarantees: true}` in defs.yaml"
        return f"Use DuckDB or PostgreSQL, or accept this with {accept}"


@dataclass(eq=False)
class TakenTableError(WarehouseError):
    """A table that a resource needs belongs to another dlt pipeline, or to another program.

    Attributes:
        table: the qualified name of the table.
        owner: the name of the dlt pipeline that has loaded the table; empty if no dlt pipeline has.
    """

    table: str
    owner: str
    code = "taken_table"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        owner = f"the dlt pipeline `{self.owner}`" if self.owner else "another program"
        return f"{self.table} belongs to {owner}, so nothing was loaded"

    @property
    def cure(self) -> str:
        return (
            "Set `dataset_name` of this API to another dataset, or `table_name` of the resource to another table. If "
            "the other pipeline is no longer used, drop its table first"
        )


@dataclass(eq=False)
class ViewInPlaceOfTableError(WarehouseError):
    """Somebody made a view in place of a table, and no row can be loaded into a view.

    Attributes:
        view: the qualified name of the view.
    """

    view: str
    code = "view_in_place_of_table"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        return f"{self.view} is a view in place of the table of a sync, so nothing was loaded"

    @property
    def cure(self) -> str:
        return "Drop the view, and put the table back. Without the table, the sync loads all rows again"


@dataclass(eq=False)
class LostStateError(WarehouseError):
    """Rows of dlt's own tables were deleted, so an append would load rows again that the table has.

    Attributes:
        table: the qualified name of the table.
    """

    table: str
    code = "lost_state"
    fault = Fault.SYSTEM

    @property
    def cause(self) -> str:
        return (
            f"{self.table} has rows, and dlt's tables beside it (_dlt_pipeline_state, _dlt_loads) no longer say up to "
            "where they were loaded. An append would load them a second time, so nothing was requested"
        )

    @property
    def cure(self) -> str:
        return "Restore dlt's tables from a backup, or launch a run with `full_refresh: true`, which replaces all rows"


@dataclass(eq=False)
class PooledConnectionError(WarehouseError):
    """A pooler such as PgBouncer gives each transaction another connection of the server, so no lock would last.

    Attributes:
        host: the host of the pooler.
        port: the port of the pooler.
    """

    host: str
    port: int
    code = "pooled_connection"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        return (
            f"{self.host}:{self.port} is a pooler that gives each transaction another connection of PostgreSQL. A run "
            "holds its locks by its connection, so nothing was requested"
        )

    @property
    def cure(self) -> str:
        return (
            "Name the server itself in DESTINATION__POSTGRES__CREDENTIALS, or a port of the pooler with "
            "pool_mode = session"
        )


@dataclass(eq=False)
class OlderStateError(WarehouseError):
    """The newest rows of dlt's table of states were deleted, so an append would start from an older cursor.

    Attributes:
        table: the qualified name of the table.
        loads: the ids of the loads whose rows are above the stored cursor, in order.
    """

    table: str
    loads: Sequence[str]
    code = "older_state"
    fault = Fault.SYSTEM

    @property
    def cause(self) -> str:
        return (
            f"{self.table} has rows above the stored cursor, and _dlt_pipeline_state has no row of the loads that "
            f"brought them ({', '.join(names_shown(self.loads))}). An append would load them a second time, so nothing "
            "was requested"
        )

    @property
    def cure(self) -> str:
        return (
            "Restore these rows of _dlt_pipeline_state from a backup, or delete the rows of these loads from the table "
            "and its child tables, or launch a run with `full_refresh: true`"
        )

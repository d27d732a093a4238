"""Failures of the destination."""

from __future__ import annotations

from dataclasses import dataclass

from analytics_assets.ingestion.errors.base import Fault, SyncError


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
    """

    database: str
    code = "warehouse_busy"
    fault = Fault.TRANSIENT

    @property
    def cause(self) -> str:
        return f"{self.database} is open in another program"

    @property
    def cure(self) -> str:
        return "Close it there, or open it read-only and only for a moment. Then materialize again"


@dataclass(eq=False)
class UnreachableWarehouseError(WarehouseError):
    """The warehouse cannot be opened, or lock files cannot be written beside the DuckDB file.

    Attributes:
        database: the path of the DuckDB file.
        problem: the error text of DuckDB or of the operating system.
    """

    database: str
    problem: str
    code = "unreachable_warehouse"

    @property
    def cause(self) -> str:
        return f"the warehouse {self.database} cannot be opened: {self.problem}"

    @property
    def cure(self) -> str:
        return "Check the path or the credentials, and who may write there"


@dataclass(eq=False)
class MissingGuaranteesError(WarehouseError):
    """The destination lacks guarantees that DuckDB gives, and the `defs.yaml` does not accept missing guarantees.

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
        return "Use DuckDB, or accept this with `destination: {accept_missing_guarantees: true}` in defs.yaml"

"""Every way a sync fails that a user can act on: one tree, one code each, one text each.

    SyncError
    ├── ConfigError                     the file or a setting is wrong
    │   ├── MissingSecretError          missing_secret
    │   ├── UnsendableSecretError       unsendable_secret
    │   ├── MissingBaseUrlError         missing_base_url
    │   ├── UnfitResourceError          unfit_resource
    │   ├── UnfitCursorError            unfit_cursor
    │   └── TooManyPagesError           max_pages_exceeded
    ├── ApiError                        the API, or what the file says about it
    │   ├── SyncHalted                  halted
    │   ├── CircuitOpenError            circuit_open
    │   ├── UnreadableResponseError     it answers, but not as the file says
    │   │   ├── UnfollowableLinkError   unfollowable_link
    │   │   ├── NotJsonError            not_json
    │   │   ├── MissingRowsError        missing_rows
    │   │   ├── RowsNotAListError       rows_not_a_list
    │   │   ├── NoListError             no_list
    │   │   ├── PagingFieldError        paging_field
    │   │   └── RefusedResponseError    refused_response
    │   └── RestartError                the sync starts over, up to three times
    │       ├── RowsMovedError          rows_moved
    │       └── StaleLoadError          stale_load
    ├── ContractError                   the rows do not match the declared columns
    │   ├── ContractExceededError       contract_exceeded
    │   ├── UndeclaredFieldError        undeclared_field
    │   ├── ColumnTypeChangedError      column_type_changed
    │   ├── DuplicateKeysError          duplicate_keys
    │   └── TooManyRemovedError         max_removed_exceeded
    └── WarehouseError                  the destination
        ├── NoSqlError                  no_sql
        ├── NoWarehouseFileError        no_warehouse_file
        ├── WarehouseBusyError          warehouse_busy
        ├── UnreachableWarehouseError   unreachable_warehouse
        └── MissingGuaranteesError      missing_guarantees

A text says what happened, where, and what to do. It holds no secret, and of a row the primary key at most.
The file is long because every text of the product stands here, beside its fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, ClassVar, Self


class Fault(StrEnum):
    """Who can end a failure, as Airbyte's protocol has it (`failure_type`)."""

    CONFIG = "config"  # the user: the file, a setting, a secret
    SYSTEM = "system"  # the API or the warehouse sends or holds what it should not
    TRANSIENT = "transient"  # time: the same sync may succeed later


@dataclass(eq=False)
class SyncError(Exception):
    """Base of every failure of a sync that a user can act on.

    Attributes:
        resource: dlt resource; empty where the failure is not about one resource.
        code: stable name of the failure, for tests, alerts and automation.
        fault: who can end it.
    """

    resource: str

    code: ClassVar[str] = "sync_failed"
    fault: ClassVar[Fault] = Fault.SYSTEM

    @property
    def cause(self) -> str:
        """What happened and where, without the resource: a sentence without its full stop."""
        raise NotImplementedError

    @property
    def cure(self) -> str:
        """What the user can do: sentences without the last full stop; empty where the cause says it."""
        return ""

    def facts(self) -> dict[str, Any]:
        """The fields of this failure by name, for metadata and alerts."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def __str__(self) -> str:
        where = f"{self.resource}: " if self.resource else ""
        sentences = [f"{where}{self.cause}", *([self.cure] if self.cure else [])]
        return ". ".join(sentences) + ("." if self.cure else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.facts())


def _restored(kind: type[SyncError], facts: dict[str, Any]) -> SyncError:
    return kind(**facts)


# --- the file or a setting -------------------------------------------------------------------------------------------


@dataclass(eq=False)
class ConfigError(SyncError):
    """The file or a setting is wrong."""

    fault = Fault.CONFIG


@dataclass(eq=False)
class MissingSecretError(ConfigError):
    """A secret that the run needs is not set.

    Attributes:
        source: dlt source name.
        field: of the auth, such as `api_key`.
    """

    source: str
    field: str
    code = "missing_secret"

    @property
    def cause(self) -> str:
        return f"the secret `{self.field}` of {self.source} is not set"

    @property
    def cure(self) -> str:
        setting = f"SOURCES__{self.source.upper()}__{self.field.upper()}"
        return f"Export {setting}, or put {self.field} under [sources.{self.source}] in .dlt/secrets.toml"


@dataclass(eq=False)
class UnsendableSecretError(MissingSecretError):
    """A secret holds characters that no HTTP header can carry."""

    code = "unsendable_secret"

    @property
    def cause(self) -> str:
        return f"the secret `{self.field}` of {self.source} holds characters that no HTTP header can carry"

    @property
    def cure(self) -> str:
        return f"Copy it to SOURCES__{self.source.upper()}__{self.field.upper()} again"


@dataclass(eq=False)
class MissingBaseUrlError(ConfigError):
    """The URL of the API is empty when a run starts.

    Attributes:
        source: dlt source name.
    """

    source: str
    code = "missing_base_url"

    @property
    def cause(self) -> str:
        return f"rest_api.client.base_url of {self.source} is empty"

    @property
    def cure(self) -> str:
        return "Write it in defs.yaml, or set the environment variable that defs.yaml names there"


@dataclass(eq=False)
class UnfitResourceError(ConfigError):
    """Two settings of a resource do not go together. Raised when definitions load.

    Attributes:
        problem: which ones, and why.
        fix: what to write instead.
    """

    problem: str
    fix: str
    code = "unfit_resource"

    @property
    def cause(self) -> str:
        return self.problem

    @property
    def cure(self) -> str:
        return self.fix


@dataclass(eq=False)
class UnfitCursorError(UnfitResourceError):
    """The cursor of a partitioned resource cannot tell its partitions apart."""

    code = "unfit_cursor"


@dataclass(eq=False)
class TooManyPagesError(ConfigError):
    """There are more pages than the run may ask for.

    Attributes:
        endpoint: method and path of the page that was one too many, without the query.
        max_pages: the limit of the run.
    """

    endpoint: str
    max_pages: int
    code = "max_pages_exceeded"

    @property
    def cause(self) -> str:
        return f"{self.endpoint} has more than the {counted(self.max_pages, 'page')} that max_pages allows"

    @property
    def cure(self) -> str:
        return "Nothing was loaded. Raise max_pages, or leave it out to fetch all pages"


# --- the API ---------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class ApiError(SyncError):
    """The API, or what the file says about it, is wrong."""


@dataclass(eq=False)
class SyncHalted(ApiError):  # noqa: N818  a state of the sync, and the name users read
    """The API did not answer as it should, and the sync stopped asking.

    Attributes:
        endpoint: method and path, without the query.
        status: HTTP status of the last response; None where there was none.
        attempts: requests sent for this page, the first included.
        reason: what went wrong, in a few words.
        outage: whether the API as a whole is down or refuses the key. Only then the circuit opens.
        fault: who can end it: a wrong key or path is of the config, an API that is down is transient.
    """

    endpoint: str
    status: int | None
    attempts: int
    reason: str
    outage: bool = False
    fault: Fault = field(default=Fault.TRANSIENT, kw_only=True)  # type: ignore[misc]  # only here it varies
    code = "halted"

    @property
    def cause(self) -> str:
        return f"halted after {counted(self.attempts, 'attempt')} of {self.endpoint}: {self.reason}"

    @property
    def answer(self) -> int | str:
        """The status, or words where there was no response."""
        return "no answer" if self.status is None else self.status


@dataclass(eq=False)
class CircuitOpenError(ApiError):
    """The circuit of the API is open: a sync halted a while ago, or a person opened it.

    Attributes:
        source: dlt source name.
        state: a clause that says since when, why, and until when.
    """

    source: str
    state: str
    code = "circuit_open"
    fault = Fault.TRANSIENT

    @property
    def cause(self) -> str:
        return f"no request was sent, because {self.state}"


@dataclass(eq=False)
class UnreadableResponseError(ApiError):
    """The API answered, but not with what the file says it answers with."""


@dataclass(eq=False)
class UnfollowableLinkError(UnreadableResponseError):
    """A URL, a certificate or a link of the API leads nowhere, whatever is tried.

    Attributes:
        error: the name of the error; its text may hold a secret.
    """

    error: str
    code = "unfollowable_link"

    @property
    def cause(self) -> str:
        return f"a request could not be sent ({self.error})"

    @property
    def cure(self) -> str:
        return "Check base_url, its certificate, and where the API's links lead"


@dataclass(eq=False)
class NotJsonError(UnreadableResponseError):
    """The body of a response is not JSON.

    Attributes:
        endpoint: method and path, without the query; empty where it is not known.
    """

    endpoint: str
    code = "not_json"

    @property
    def cause(self) -> str:
        return f"the response of {self.endpoint or 'the API'} is not JSON"

    @property
    def cure(self) -> str:
        return "Check base_url and path, or ask the API's owner"


@dataclass(eq=False)
class MissingRowsError(UnreadableResponseError):
    """There are no rows where rows should be, and nothing says that there are none.

    Attributes:
        endpoint: method and path, without the query.
        selector: the `data_selector`.
        found: `nothing` or `null`.
        present: what the response has instead, as a clause; never a value.
    """

    endpoint: str
    selector: str
    found: str
    present: str
    code = "missing_rows"

    @property
    def cause(self) -> str:
        return f"data_selector `{self.selector}` finds {self.found} in the response of {self.endpoint}{self.present}"

    @property
    def cure(self) -> str:
        return f"Correct it. If the API means no rows by it, write `data_selector: {self.selector}[*]`"


@dataclass(eq=False)
class RowsNotAListError(UnreadableResponseError):
    """The rows of a response are no list.

    Attributes:
        endpoint: method and path, without the query.
        selector: the `data_selector`.
        found: what they are, such as `an object`.
    """

    endpoint: str
    selector: str
    found: str
    code = "rows_not_a_list"

    @property
    def cause(self) -> str:
        return f"data_selector `{self.selector}` finds {self.found} and no list in the response of {self.endpoint}"

    @property
    def cure(self) -> str:
        return "Set data_selector to the list of rows"


@dataclass(eq=False)
class NoListError(UnreadableResponseError):
    """No `data_selector` is set, and the response has no list.

    Attributes:
        endpoint: method and path, without the query.
        present: what the response has instead, as a clause; never a value.
    """

    endpoint: str
    present: str
    code = "no_list"

    @property
    def cause(self) -> str:
        return f"there is no list in the response of {self.endpoint}{self.present}"

    @property
    def cure(self) -> str:
        return "Set data_selector to the list of rows"


@dataclass(eq=False)
class PagingFieldError(UnreadableResponseError):
    """A field that the paginator reads is missing, or is of another kind.

    Attributes:
        endpoint: method and path, without the query.
        path: of the field, as written.
        setting: of the paginator, such as `total_path`.
        found: what it is instead, such as `text`; empty where it is missing.
        present: what the response has, as a clause; never a value.
    """

    endpoint: str
    path: str
    setting: str
    found: str
    present: str
    code = "paging_field"

    @property
    def cause(self) -> str:
        if self.found:
            return f"`{self.path}` is {self.found} in the response of {self.endpoint}"
        return f"the response of {self.endpoint} has no `{self.path}`{self.present}"

    @property
    def cure(self) -> str:
        return f"Set the paginator's {self.setting} to the field that holds it, or to null"


@dataclass(eq=False)
class RefusedResponseError(UnreadableResponseError):
    """dlt's own paginator cannot read a response.

    Attributes:
        problem: what dlt says, without the response.
    """

    problem: str
    code = "refused_response"

    @property
    def cause(self) -> str:
        return f"dlt's paginator cannot read a response: {self.problem}"

    @property
    def cure(self) -> str:
        return "Make the paginator's total_path or has_more_path fit it, or set them to null"


@dataclass(eq=False)
class RestartError(ApiError):
    """What was read does not hold any more: nothing is loaded, and the sync starts over.

    Attributes:
        observation: what was seen, as a clause.
        attempts: how often the sync has been tried; 1 while it may start over.
    """

    observation: str
    attempts: int = field(default=1, kw_only=True)
    fault = Fault.TRANSIENT

    def after(self, attempts: int) -> Self:
        """The same failure, after so many attempts in vain."""
        return replace(self, attempts=attempts)

    @property
    def _times(self) -> str:
        return f" in {self.attempts} attempts" if self.attempts > 1 else ""


@dataclass(eq=False)
class RowsMovedError(RestartError):
    """Rows moved while they were read page by page, so that some may be missing or doubled.

    Attributes:
        endpoint: method and path, without the query.
    """

    endpoint: str
    code = "rows_moved"

    @property
    def cause(self) -> str:
        return f"rows of {self.endpoint} moved while they were read{self._times}: {self.observation}"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Have the API sort them by a field that does not change (endpoint.params), or sync "
            "when it is quiet"
        )


@dataclass(eq=False)
class StaleLoadError(RestartError):
    """Another run has loaded something newer than what this run has read."""

    code = "stale_load"

    @property
    def cause(self) -> str:
        return f"another run was faster{self._times}: {self.observation}"

    @property
    def cure(self) -> str:
        return "Nothing was loaded. Materialize again when fewer runs of the asset are under way"


# --- the rows --------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class ContractError(SyncError):
    """The rows do not match the declared columns."""


@dataclass(eq=False)
class ContractExceededError(ContractError):
    """So many rows break the contract that the rows may not be what is wrong.

    Attributes:
        rejected: rows that break it.
        rows: rows read.
        limit: `max_quarantined`, as written.
        reasons: the most frequent ones, each with an example whose value is masked.
    """

    rejected: int
    rows: int
    limit: str
    reasons: tuple[str, ...]
    code = "contract_exceeded"

    @property
    def cause(self) -> str:
        return (
            f"{self.rejected:,} of {counted(self.rows, 'row')} break the contract (max_quarantined is {self.limit}). "
            f"Nothing was loaded. {'; '.join(self.reasons)}"
        )

    @property
    def cure(self) -> str:
        return f"Fix the rows at the API, correct the declared columns, or raise assets.{self.resource}.max_quarantined"


@dataclass(eq=False)
class UndeclaredFieldError(ContractError):
    """The API sends a field that is not declared, and the contract is frozen.

    Attributes:
        field: its name in the warehouse.
    """

    field: str
    code = "undeclared_field"

    @property
    def cause(self) -> str:
        return f"the API sends the field `{self.field}`, which is not declared, and schema_contract is freeze"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Declare it under columns, or set schema_contract to evolve (load it) or discard_value "
            "(leave it out)"
        )


@dataclass(eq=False)
class ColumnTypeChangedError(ContractError):
    """A column is declared with another type than it has in the table.

    Attributes:
        table: its qualified name.
        changes: by column, the type in the table and the declared one.
    """

    table: str
    changes: dict[str, tuple[str, str]]
    code = "column_type_changed"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        listed = ", ".join(
            f"`{name}` is {old}, declared as {new}" for name, (old, new) in self.changes.items()
        )
        return f"columns of {self.table} have another type than declared: {listed}"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Declare the type that the table has. To have the declared type instead, run "
            f"`DROP TABLE {self.table}` and materialize all of the asset again"
        )


@dataclass(eq=False)
class DuplicateKeysError(ContractError):
    """A primary key comes twice in one load, and the merge strategy would load both rows, or none.

    Attributes:
        keys: how many.
        examples: of the keys, up to five.
        strategy: dlt's merge strategy.
    """

    keys: int
    examples: tuple[str, ...]
    strategy: str
    code = "duplicate_keys"

    @property
    def cause(self) -> str:
        return (
            f"{counted(self.keys, 'primary key')} came more than once in this load ({'; '.join(self.examples)}), and "
            f"`{self.strategy}` does not keep the newest version"
        )

    @property
    def cure(self) -> str:
        return "Nothing was loaded. Have the API send each key once, or use `delete-insert`"


@dataclass(eq=False)
class TooManyRemovedError(ContractError):
    """So many rows of a partition are gone from the API that the API may be what is wrong.

    Attributes:
        partition: partition key.
        removed: rows that are gone.
        rows: rows of the partition in the table.
        limit: `max_removed`, as written.
    """

    partition: str
    removed: int
    rows: int
    limit: str
    code = "max_removed_exceeded"

    @property
    def cause(self) -> str:
        return (
            f"{self.removed:,} of the {counted(self.rows, 'row')} of {self.partition} are gone from the API "
            f"(max_removed is {self.limit}). None was removed"
        )

    @property
    def cure(self) -> str:
        return (
            f"Have the API restore them. If they are gone for good, raise assets.{self.resource}.max_removed. Then "
            "materialize again"
        )


# --- the warehouse ---------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class WarehouseError(SyncError):
    """The destination cannot do what the sync needs."""


@dataclass(eq=False)
class NoSqlError(WarehouseError):
    """The destination has no SQL, so that nothing loaded there could be counted or checked.

    Attributes:
        destination: its name in dlt.
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
        problem: why.
        fix: what to do.
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
    """A program that does not take our lock has the DuckDB file open.

    Attributes:
        database: its path.
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
    """The warehouse cannot be opened, or nothing can be written beside it.

    Attributes:
        database: its path or name.
        problem: what the system says.
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
    """The destination cannot give guarantees that the product promises, and the file does not accept that.

    Attributes:
        destination: its name in dlt.
        missing: what it lacks, a clause each.
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


def counted(number: int, what: str) -> str:
    """A number of things: `1 row`, `1,200 rows`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"

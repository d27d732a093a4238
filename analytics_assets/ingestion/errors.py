"""The sync failures on which a user can act. Each error class has its own code and its own error text.

    SyncError
    ├── ConfigError                     the `defs.yaml` or a setting is wrong
    │   ├── MissingSecretError          missing_secret
    │   ├── UnsendableSecretError       unsendable_secret
    │   ├── UnsetVariableError          unset_variable
    │   ├── FailingTemplateError        failing_template
    │   ├── UnfitPathValueError         unfit_path_value
    │   ├── MissingBaseUrlError         missing_base_url
    │   ├── UnfitResourceError          unfit_resource
    │   ├── UnfitCursorError            unfit_cursor
    │   ├── UnfitFilterError            unfit_filter
    │   └── TooManyPagesError           max_pages_exceeded
    ├── ApiError                        the API works wrongly, or the `defs.yaml` describes the API wrongly
    │   ├── SyncHalted                  halted
    │   ├── CircuitOpenError            circuit_open
    │   ├── UnreadableResponseError     a response does not match the `defs.yaml`
    │   │   ├── UnfollowableLinkError   unfollowable_link
    │   │   ├── NotJsonError            not_json
    │   │   ├── TooNestedError          too_nested
    │   │   ├── MissingRowsError        missing_rows
    │   │   ├── AmbiguousRowsError      ambiguous_rows
    │   │   ├── ErrorAnswerError        error_answer
    │   │   ├── MorePagesError          more_pages
    │   │   ├── NoNewRowsError          no_new_rows
    │   │   ├── TotalOfPageError        total_of_page
    │   │   ├── RowsNotAListError       rows_not_a_list
    │   │   ├── NoListError             no_list
    │   │   ├── ObjectAfterListsError   object_after_lists
    │   │   ├── PagingFieldError        paging_field
    │   │   └── RefusedResponseError    refused_response
    │   └── RestartError                the sync starts over, up to three times
    │       ├── RowsMovedError          rows_moved
    │       └── StaleLoadError          stale_load
    ├── ContractError                   the rows do not match the declared columns
    │   ├── ContractExceededError       contract_exceeded
    │   ├── UndeclaredFieldError        undeclared_field
    │   ├── CursorValueError            cursor_value
    │   ├── MissingParentFieldError     missing_parent_field
    │   ├── UncoercibleValueError       uncoercible_value
    │   ├── ColumnTypeChangedError      column_type_changed
    │   ├── DuplicateKeysError          duplicate_keys
    │   ├── KeyNotUniqueError           key_not_unique
    │   ├── EmptyLoadError              empty_load
    │   └── TooManyRemovedError         max_removed_exceeded
    └── WarehouseError                  the destination cannot do what the sync needs
        ├── NoSqlError                  no_sql
        ├── NoWarehouseFileError        no_warehouse_file
        ├── WarehouseBusyError          warehouse_busy
        ├── UnreachableWarehouseError   unreachable_warehouse
        └── MissingGuaranteesError      missing_guarantees

An error text says what happened, where, and what to do. An error text contains no secret. An error text may contain the
primary key of a row, but no other data of the row. This file is long, because each error class defines its error text
beside its fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, ClassVar, Self


class Fault(StrEnum):
    """The origin of a failure, like `failure_type` in Airbyte's protocol."""

    CONFIG = "config"  # the `defs.yaml`, a setting or a secret is wrong, and the user can correct it
    SYSTEM = "system"  # the API or the warehouse has wrong data, or does not work
    TRANSIENT = "transient"  # the same sync may succeed later


@dataclass(eq=False)
class SyncError(Exception):
    """The base class of all sync failures on which a user can act.

    Attributes:
        resource: the dlt resource; empty if the failure is not about one resource.
        code: the stable name of the failure, for tests, alerts and automation.
        fault: the origin of the failure: config, system or transient.
    """

    resource: str

    code: ClassVar[str] = "sync_failed"
    fault: ClassVar[Fault] = Fault.SYSTEM

    @property
    def cause(self) -> str:
        """The sentence that says what happened and where, without the resource and without the full stop."""
        raise NotImplementedError

    @property
    def cure(self) -> str:
        """The sentences that say what to do, without the last full stop; empty if `cause` already says what to do."""
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


# --- ConfigError -----------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class ConfigError(SyncError):
    """The `defs.yaml` or a setting is wrong."""

    fault = Fault.CONFIG


@dataclass(eq=False)
class MissingSecretError(ConfigError):
    """A secret that the run needs is not set.

    Attributes:
        source: the dlt source name.
        field: the secret field of the auth type, such as `api_key`.
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
        cure = f"Export {setting}, or put {self.field} under [sources.{self.source}] in .dlt/secrets.toml"
        none = 'Or write `password: ""` under auth, if the API takes no password'
        return f"{cure}. {none}" if self.field == "password" else cure


@dataclass(eq=False)
class UnsendableSecretError(MissingSecretError):
    """A secret has characters that no HTTP header can carry.

    Attributes:
        place: the key of the `defs.yaml` whose template is the secret; empty for a secret of dlt's settings.
    """

    place: str = ""
    code = "unsendable_secret"

    @property
    def cause(self) -> str:
        return f"the secret `{self.field}` of {self.source} holds characters that no HTTP header can carry"

    @property
    def cure(self) -> str:
        if self.place:
            return f"Set the environment variable in {self.place} again"
        return f"Copy it to SOURCES__{self.source.upper()}__{self.field.upper()} again"


@dataclass(eq=False)
class UnsetVariableError(ConfigError):
    """A template of the `defs.yaml` needs an environment variable that is not set.

    Attributes:
        variable: the name of the variable.
        file: the path of the `defs.yaml`.
        field: the key of the file whose value needs the variable.
    """

    variable: str
    file: str
    field: str
    code = "unset_variable"

    @property
    def cause(self) -> str:
        return (
            f"the environment variable {self.variable} is not set, and {self.field} in {self.file} needs it"
        )

    @property
    def cure(self) -> str:
        return (
            "Set it where Dagster runs, and reload the definitions. Or write a default in the file: "
            f"`{{{{ env('{self.variable}', 'a default') }}}}`"
        )


@dataclass(eq=False)
class FailingTemplateError(ConfigError):
    """A template in `auth` or `headers` of the `defs.yaml` fails when a run starts.

    Attributes:
        file: the path of the `defs.yaml`.
        field: the key of the file whose value is the template.
        problem: the sentence that says what is wrong, with its full stop.
    """

    file: str
    field: str
    problem: str
    code = "failing_template"

    @property
    def cause(self) -> str:
        return f"{self.field} in {self.file} cannot be read: {self.problem.removesuffix('.')}"

    @property
    def cure(self) -> str:
        return "Correct the template, or the environment variables that it reads"


@dataclass(eq=False)
class UnfitPathValueError(ConfigError):
    """A value of a parent's row cannot be a part of the path, because the request would go to another endpoint.

    Attributes:
        parent: the resource whose row has the value.
        path: the JSONPath of the value in the row.
        problem: the clause that says what the value is.
    """

    parent: str
    path: str
    problem: str
    code = "unfit_path_value"

    @property
    def cause(self) -> str:
        return (
            f"`{self.path}` of a row of `{self.parent}` {self.problem}, so the request would go to another endpoint. "
            "It was not sent, and nothing was loaded"
        )

    @property
    def cure(self) -> str:
        return (
            f"Use a field of `{self.parent}` in endpoint.path that has a value in every row. Or send the value in "
            f'endpoint.params, as in `params: {{id: "{{resources.{self.parent}.{self.path}}}"}}`'
        )


@dataclass(eq=False)
class MissingBaseUrlError(ConfigError):
    """The base URL of the API is empty when a run starts.

    Attributes:
        source: the dlt source name.
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
    """Two settings of a resource contradict each other.

    `UnfitResourceError` appears when Dagster loads the definitions.

    Attributes:
        problem: the sentence that names the settings and the contradiction.
        fix: the sentence that says what to write instead.
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
    """The cursor of a partitioned resource does not fit the partitions."""

    code = "unfit_cursor"


@dataclass(eq=False)
class UnfitFilterError(UnfitResourceError):
    """The resource has no use for `assets.<resource>.filter`, or another setting contradicts it."""

    code = "unfit_filter"


@dataclass(eq=False)
class TooManyPagesError(ConfigError):
    """The API has more pages than `max_pages` of the run allows.

    Attributes:
        endpoint: the method and path of the first page beyond the limit, without the query.
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


# --- ApiError --------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class ApiError(SyncError):
    """The API works wrongly, or the `defs.yaml` describes the API wrongly."""


@dataclass(eq=False)
class SyncHalted(ApiError):  # noqa: N818  users read this name of a state of the sync
    """A request failed for good, and the sync sends no more requests.

    Attributes:
        endpoint: the method and path of the request, without the query.
        status: the HTTP status of the last response; None if there was no response.
        attempts: the number of requests sent for this page, the first included.
        reason: the problem in a few words.
        outage: whether the whole API is down or refuses the key; only an outage opens the circuit.
        fault: the origin of the failure: config for a wrong key or path, transient for an API that is down.
    """

    endpoint: str
    status: int | None
    attempts: int
    reason: str
    outage: bool = False
    # In `SyncHalted`, `fault` is a field. Every other error class has one constant `fault`.
    fault: Fault = field(default=Fault.TRANSIENT, kw_only=True)  # type: ignore[misc]
    code = "halted"

    @property
    def cause(self) -> str:
        return f"halted after {counted(self.attempts, 'attempt')} of {self.endpoint}: {self.reason}"

    @property
    def answer(self) -> int | str:
        """The HTTP status, or `no answer` if there was no response."""
        return "no answer" if self.status is None else self.status


@dataclass(eq=False)
class CircuitOpenError(ApiError):
    """The circuit of the API is open, because a sync halted or because a person opened the circuit.

    Attributes:
        source: the dlt source name.
        state: the clause that says since when and why the circuit is open, and until when.
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
    """A response of the API does not match the config in the `defs.yaml`."""


@dataclass(eq=False)
class UnfollowableLinkError(UnreadableResponseError):
    """A request cannot be sent: its URL is malformed, or the server's certificate is not valid.

    Attributes:
        error: the class name of the network error, because the text of the network error may contain a secret.
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
        endpoint: the method and path of the request, without the query; empty if the request is unknown.
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
class TooNestedError(NotJsonError):
    """The lists and objects of a response are nested too deep for any parser here."""

    code = "too_nested"

    @property
    def cause(self) -> str:
        return f"the lists or objects in the response of {self.endpoint or 'the API'} have too many levels to be read"

    @property
    def cure(self) -> str:
        return "Have the API leave the field out, with a parameter such as `fields` in endpoint.params"


@dataclass(eq=False)
class MissingRowsError(UnreadableResponseError):
    """The `data_selector` finds no rows, and nothing else in the response says that the page is empty.

    Attributes:
        endpoint: the method and path of the request, without the query.
        selector: the `data_selector`.
        found: the text `nothing` or `null`.
        present: the clause that names the fields of the response, never a value.
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
        meaning = "null" if self.found == "null" else "absent"
        return (
            f"Correct it. If the API means no rows by it, set assets.{self.resource}.empty_answer: {meaning}. If it "
            "means something else, set requests.responses"
        )


@dataclass(eq=False)
class AmbiguousRowsError(UnreadableResponseError):
    """No `data_selector` is set, and more than one value of the response could be the rows.

    Attributes:
        endpoint: the method and path of the request, without the query.
        candidates: the JSONPaths of the values that could be the rows.
        problem: the clause that says why the rows are unclear.
    """

    endpoint: str
    candidates: tuple[str, ...]
    problem: str
    code = "ambiguous_rows"

    @property
    def cause(self) -> str:
        return f"the response of {self.endpoint} has {self.problem}, so its rows are unclear"

    @property
    def cure(self) -> str:
        return f"Set data_selector to one of {', '.join(f'`{one}`' for one in self.candidates)}"


@dataclass(eq=False)
class ErrorAnswerError(UnreadableResponseError):
    """A response with a success status reports an error, and has no rows.

    Attributes:
        endpoint: the method and path of the request, without the query.
        member: the field that reports the error, such as `errors`.
        words: the API's own words, redacted; empty if there are none.
    """

    endpoint: str
    member: str
    words: str
    code = "error_answer"

    @property
    def cause(self) -> str:
        words = f": {self.words}" if self.words else ""
        return f"the response of {self.endpoint} has no rows, and reports an error in `{self.member}`{words}"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Correct the request, or set requests.responses to what this response means: retry, "
            "empty or success"
        )


@dataclass(eq=False)
class MorePagesError(UnreadableResponseError):
    """Paging has ended, but the last response says that there is more.

    Attributes:
        endpoint: the method and path of the request, without the query.
        more: the clause that names the field or header, such as `has `total` 250`.
        rows: the number of rows that were read.
    """

    endpoint: str
    more: str
    rows: int
    code = "more_pages"

    @property
    def cause(self) -> str:
        return f"the last response of {self.endpoint} {self.more}, and {counted(self.rows, 'row')} were read"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Set the `paginator` that fits the API. If this field means something else, set "
            "requests.ignore_total: true"
        )


@dataclass(eq=False)
class NoNewRowsError(UnreadableResponseError):
    """The API sends page after page without a new row, and always says that there is another page.

    Attributes:
        endpoint: the method and path of the request, without the query.
        pages: the number of pages without a new row.
    """

    endpoint: str
    pages: int
    code = "no_new_rows"

    @property
    def cause(self) -> str:
        return f"the last {counted(self.pages, 'page')} of {self.endpoint} had no new row, and each led to another page"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Set the paginator's has_more_path, or stop_after_empty_page: true. If the API does "
            "send so many pages without rows, raise requests.max_empty_pages"
        )


@dataclass(eq=False)
class TotalOfPageError(UnreadableResponseError):
    """The paginator's total counts other rows than those that the API sends.

    Attributes:
        endpoint: the method and path of the request, without the query.
        path: the JSONPath of the total.
    """

    endpoint: str
    path: str
    code = "total_of_page"

    @property
    def cause(self) -> str:
        return f"`{self.path}` is the number of rows of each page of {self.endpoint}, and not of all rows"

    @property
    def cure(self) -> str:
        return "Nothing was loaded. Set the paginator's total_path to the number of all rows, or to null"


@dataclass(eq=False)
class RowsNotAListError(UnreadableResponseError):
    """The `data_selector` finds a value that is not a list of rows.

    Attributes:
        endpoint: the method and path of the request, without the query.
        selector: the `data_selector`.
        found: the kind of the value, such as `an object`.
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
        return (
            "Set data_selector to the list of rows. If the API sends one object in place of a list, set "
            f"assets.{self.resource}.one_object: true"
        )


@dataclass(eq=False)
class ObjectAfterListsError(UnreadableResponseError):
    """An object without a known field came where earlier responses had lists of rows.

    Attributes:
        endpoint: the method and path of the request, without the query.
        present: the clause that names the fields of the object, never a value.
    """

    endpoint: str
    present: str
    code = "object_after_lists"

    @property
    def cause(self) -> str:
        return f"{self.endpoint} returned an object where lists came before{self.present}. None of its fields is known"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. If the object says that the rows are not ready, add a rule to requests.responses, "
            "such as `{body: {status: pending}, action: retry}`. If it is a row, declare one of its fields under "
            f"columns, or set assets.{self.resource}.one_object: true"
        )


@dataclass(eq=False)
class NoListError(UnreadableResponseError):
    """No `data_selector` is set, and the response has no list.

    Attributes:
        endpoint: the method and path of the request, without the query.
        present: the clause that names the fields of the response, never a value.
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
    """A field that the paginator reads is missing, or its value has the wrong kind.

    Attributes:
        endpoint: the method and path of the request, without the query.
        path: the JSONPath of the field, as the user wrote it.
        setting: the setting of the paginator, such as `total_path`.
        found: the wrong kind, such as `text`; empty if the field is missing.
        present: the clause that names the fields of the response, never a value.
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
        problem: the beginning of dlt's error text, without the response.
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
    """The rows that the sync fetched are out of date, so the sync loads nothing and starts over.

    Attributes:
        observation: the clause that says what the sync noticed.
        attempts: the number of attempts of the sync, set when the sync gives up; before that, 1.
    """

    observation: str
    attempts: int = field(default=1, kw_only=True)
    fault = Fault.TRANSIENT

    def after(self, attempts: int) -> Self:
        """Returns the same failure with another number of attempts."""
        return replace(self, attempts=attempts)

    def recurs(self, before: RestartError | None) -> bool:  # noqa: ARG002  a subclass knows more
        """Whether another attempt is useless, because the attempt `before` failed in the same way."""
        return False

    @property
    def _times(self) -> str:
        return f" in {self.attempts} attempts" if self.attempts > 1 else ""


@dataclass(eq=False)
class RowsMovedError(RestartError):
    """Rows moved between pages during the sync, so that some rows may be missing or doubled.

    Attributes:
        endpoint: the method and path of the request, without the query.
        suspect: what to do if the config is wrong and no row moved; empty if the config cannot be the cause.
    """

    endpoint: str
    suspect: str = field(default="", kw_only=True)
    code = "rows_moved"

    @property
    def cause(self) -> str:
        return f"rows of {self.endpoint} moved while they were read{self._times}: {self.observation}"

    def recurs(self, before: RestartError | None) -> bool:
        """Whether the attempt before failed in exactly the same way, so that the config is probably wrong."""
        return bool(self.suspect) and before is not None and before.observation == self.observation

    @property
    def cure(self) -> str:
        if self.suspect:
            return f"Nothing was loaded. {self.suspect}. If it is right, sync when the API is quiet"
        return (
            "Nothing was loaded. Have the API sort them by a unique field that does not change (endpoint.params), or "
            "sync when it is quiet"
        )


@dataclass(eq=False)
class StaleLoadError(RestartError):
    """Another run has loaded newer rows or new columns since this run began."""

    code = "stale_load"

    @property
    def cause(self) -> str:
        return f"another run was faster{self._times}: {self.observation}"

    @property
    def cure(self) -> str:
        return "Nothing was loaded. Materialize again when fewer runs of the asset are under way"


# --- ContractError ---------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class ContractError(SyncError):
    """The rows do not match the declared columns."""


@dataclass(eq=False)
class ContractExceededError(ContractError):
    """More rows break the contract than `max_quarantined` allows.

    Attributes:
        rejected: the number of rows that break the contract.
        rows: the number of rows read.
        limit: the value of `max_quarantined` as text.
        reasons: the most frequent reasons, each with masked values or with primary keys as examples.
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
    """The API sends a field that is not declared, and `schema_contract` is `freeze`.

    Attributes:
        field: the warehouse name of the field.
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
class CursorValueError(ContractError):
    """A row has no usable value of the cursor.

    Attributes:
        path: the JSONPath of the cursor.
        problem: the clause that says what is wrong with the value.
    """

    path: str
    problem: str
    code = "cursor_value"

    @property
    def cause(self) -> str:
        return f"the cursor `{self.path}` {self.problem}. Nothing was loaded"

    @property
    def cure(self) -> str:
        return (
            "Set incremental.cursor_path to a field that each row has, and declare its data_type under columns. Or set "
            "incremental.on_cursor_value_missing to include or exclude rows without it"
        )


@dataclass(eq=False)
class MissingParentFieldError(ContractError):
    """A row of the parent lacks a field that its children need.

    Attributes:
        parent: the resource whose row lacks the field.
        path: the JSONPath of the field in the row.
    """

    parent: str
    path: str
    code = "missing_parent_field"

    @property
    def cause(self) -> str:
        return f"a row of `{self.parent}` has no `{self.path}`, which this resource needs. Nothing was loaded"

    @property
    def cure(self) -> str:
        return (
            f"Use a field that each row of `{self.parent}` has, in endpoint.path, endpoint.params and "
            "include_from_parent"
        )


@dataclass(eq=False)
class UncoercibleValueError(ContractError):
    """An undeclared field has a value that neither its column nor a variant column of dlt can hold.

    Attributes:
        table: the table in the warehouse.
        column: the column in the warehouse.
        found: the type of the value; `null` for a missing value.
        data_type: the type of the column.
    """

    table: str
    column: str
    found: str
    data_type: str
    code = "uncoercible_value"

    @property
    def cause(self) -> str:
        return (
            f"`{self.table}.{self.column}` is {self.data_type}, and a row has a value of type {self.found} for it. "
            "Nothing was loaded"
        )

    @property
    def cure(self) -> str:
        return f"Declare the field under columns, or give it another name in assets.{self.resource}.rename"


@dataclass(eq=False)
class ColumnTypeChangedError(ContractError):
    """The declared type of a column differs from the type in the table.

    Attributes:
        table: the qualified name of the table.
        changes: the type in the table and the declared type, by column.
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
    """One load has two rows with the same primary key, and the merge strategy would load both rows or fail.

    Attributes:
        keys: the number of primary keys that occur more than once.
        examples: up to five of these primary keys.
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
class KeyNotUniqueError(ContractError):
    """Rows of one load have the same primary key and other values, so a merge would lose rows.

    Attributes:
        key: the columns of the primary key.
        rows: the number of rows in the load.
        keys: the number of distinct primary keys in the load.
        examples: primary keys of such rows.
        missing: columns that would make the key unique; empty if no such columns are found.
    """

    key: tuple[str, ...]
    rows: int
    keys: int
    examples: tuple[str, ...]
    missing: tuple[str, ...]
    code = "key_not_unique"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        return (
            f"the primary_key `{', '.join(self.key)}` is not unique: {counted(self.rows, 'row')} have "
            f"{counted(self.keys, 'key')}, and other values for the same key ({'; '.join(self.examples)})"
        )

    @property
    def cure(self) -> str:
        if self.missing:
            return f"Nothing was loaded. Set `primary_key: [{', '.join((*self.key, *self.missing))}]`"
        return "Nothing was loaded. Set a primary_key that is unique, which may have several columns"


@dataclass(eq=False)
class EmptyLoadError(ContractError):
    """A full load has no rows, and would empty a table that has rows.

    Attributes:
        rows: the number of rows in the table.
    """

    rows: int
    code = "empty_load"

    @property
    def cause(self) -> str:
        return f"the API returned no rows, and the table has {counted(self.rows, 'row')}"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Check the filter and the rights of the key. If the API has no rows, set "
            f"assets.{self.resource}.allow_empty: true"
        )


@dataclass(eq=False)
class TooManyRemovedError(ContractError):
    """More rows of a partition are gone from the API than `max_removed` allows.

    Attributes:
        partition: the partition key.
        removed: the number of rows that are gone from the API.
        rows: the number of rows of the partition in the table.
        limit: `max_removed` as text.
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


# --- WarehouseError --------------------------------------------------------------------------------------------------


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


def counted(number: int, what: str) -> str:
    """Formats a count with its noun, such as `1 row` or `1,200 rows`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"

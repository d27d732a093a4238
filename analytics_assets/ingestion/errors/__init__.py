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
    │   ├── TooManyPagesError           max_pages_exceeded
    │   ├── NoPartitionError            no_partition
    │   ├── UnknownOpError              unknown_op
    │   ├── UnfitRunConfigError         unfit_run_config
    │   ├── UnknownTagError             unknown_tag
    │   ├── OptionDoesNotApplyError     option_does_not_apply
    │   ├── OptionInBackfillError       option_in_backfill
    │   └── ContradictingOptionsError   contradicting_options
    ├── ApiError                        the API works wrongly, or the `defs.yaml` describes the API wrongly
    │   ├── SyncHalted                  halted
    │   │   └── RangeTooLargeError      range_too_large
    │   │       └── RangeTooSlowError   range_too_slow
    │   ├── ForeignOriginError          foreign_origin
    │   ├── NoTokenError                no_token
    │   ├── CircuitOpenError            circuit_open
    │   ├── UnreadableResponseError     a response does not match the `defs.yaml`
    │   │   ├── UnfollowableLinkError   unfollowable_link
    │   │   ├── AnswerTooLargeError     answer_too_large
    │   │   ├── NotJsonError            not_json
    │   │   ├── MissingRowsError        missing_rows
    │   │   ├── UnfitJsonPathError      unfit_json_path
    │   │   ├── AmbiguousRowsError      ambiguous_rows
    │   │   ├── ErrorAnswerError        error_answer
    │   │   ├── MorePagesError          more_pages
    │   │   ├── EndlessReadError        endless_read
    │   │   ├── NoNewRowsError          no_new_rows
    │   │   ├── TotalOfPageError        total_of_page
    │   │   ├── RowsNotAListError       rows_not_a_list
    │   │   ├── NoListError             no_list
    │   │   ├── ObjectAfterListsError   object_after_lists
    │   │   ├── PagingFieldError        paging_field
    │   │   └── RefusedResponseError    refused_response
    │   └── RestartError                the sync starts over, up to three times
    │       ├── RowsMovedError          rows_moved
    │       ├── SamePageError           same_page
    │       ├── StaleLoadError          stale_load
    │       └── LockLostError           lock_lost
    ├── ContractError                   the rows do not match the declared columns
    │   ├── ContractExceededError       contract_exceeded
    │   ├── UndeclaredFieldError        undeclared_field
    │   ├── TooManyColumnsError         too_many_columns
    │   ├── CursorValueError            cursor_value
    │   ├── MissingParentFieldError     missing_parent_field
    │   ├── UncoercibleValueError       uncoercible_value
    │   ├── ColumnTypeChangedError      column_type_changed
    │   ├── DuplicateKeysError          duplicate_keys
    │   ├── KeyNotUniqueError           key_not_unique
    │   ├── EmptyLoadError              empty_load
    │   └── TooManyRemovedError         max_removed_exceeded
    ├── UnexpectedError                 unexpected: no rule knows the error, and its text holds a secret
    └── WarehouseError                  the destination cannot do what the sync needs
        ├── NoSqlError                  no_sql
        ├── DestinationSettingsError    destination_settings
        ├── InexactDestinationError     inexact_destination
        ├── NameTooLongError            name_too_long
        ├── NoWarehouseFileError        no_warehouse_file
        ├── WarehouseBusyError          warehouse_busy
        ├── UnreachableWarehouseError   unreachable_warehouse
        │   └── DamagedWarehouseError   damaged_warehouse
        ├── DuckDbVersionError          duckdb_version
        ├── DiskFullError               disk_full
        ├── NoWorkingDirectoryError     no_working_directory
        ├── TakenTableError             taken_table
        ├── ViewInPlaceOfTableError     view_in_place_of_table
        ├── LostStateError              lost_state
        ├── PooledConnectionError       pooled_connection
        ├── OlderStateError             older_state
        └── MissingGuaranteesError      missing_guarantees

An error text says what happened, where, and what to do. An error text contains no secret. An error text may contain the
primary key of a row, but no other data of the row. Each branch of the tree has its module here, and callers import the
classes from this package.
"""

from analytics_assets.ingestion.errors.api import (
    ApiError,
    CircuitOpenError,
    ForeignOriginError,
    NoTokenError,
    RangeTooLargeError,
    RangeTooSlowError,
    SyncHalted,
)
from analytics_assets.ingestion.errors.base import (
    Fault,
    SyncError,
    UnexpectedError,
    causes,
    counted,
    redacted,
    utc,
)
from analytics_assets.ingestion.errors.config import (
    ConfigError,
    FailingTemplateError,
    MissingBaseUrlError,
    MissingSecretError,
    TooManyPagesError,
    UnfitCursorError,
    UnfitFilterError,
    UnfitPathValueError,
    UnfitResourceError,
    UnsendableSecretError,
    UnsetVariableError,
)
from analytics_assets.ingestion.errors.contract import (
    ColumnTypeChangedError,
    ContractError,
    ContractExceededError,
    CursorValueError,
    DuplicateKeysError,
    EmptyLoadError,
    KeyNotUniqueError,
    MissingParentFieldError,
    TooManyColumnsError,
    TooManyRemovedError,
    UncoercibleValueError,
    UndeclaredFieldError,
)
from analytics_assets.ingestion.errors.launch import (
    ContradictingOptionsError,
    NoPartitionError,
    OptionDoesNotApplyError,
    OptionInBackfillError,
    UnfitRunConfigError,
    UnknownOpError,
    UnknownTagError,
)
from analytics_assets.ingestion.errors.paging import (
    EndlessReadError,
    MorePagesError,
    NoNewRowsError,
    PagingFieldError,
    RefusedResponseError,
    SamePageError,
    TotalOfPageError,
    ignore_total,
    single_page,
)
from analytics_assets.ingestion.errors.responses import (
    AmbiguousRowsError,
    AnswerTooLargeError,
    ErrorAnswerError,
    MissingRowsError,
    NoListError,
    NotJsonError,
    ObjectAfterListsError,
    RowsNotAListError,
    UnfitJsonPathError,
    UnfollowableLinkError,
    UnreadableResponseError,
)
from analytics_assets.ingestion.errors.restarts import (
    LockLostError,
    RestartError,
    RowsMovedError,
    StaleLoadError,
)
from analytics_assets.ingestion.errors.shown import names_shown, shown
from analytics_assets.ingestion.errors.warehouse import (
    DamagedWarehouseError,
    DestinationSettingsError,
    DiskFullError,
    DuckDbVersionError,
    InexactDestinationError,
    LostStateError,
    MissingGuaranteesError,
    NameTooLongError,
    NoSqlError,
    NoWarehouseFileError,
    NoWorkingDirectoryError,
    OlderStateError,
    PooledConnectionError,
    TakenTableError,
    UnreachableWarehouseError,
    ViewInPlaceOfTableError,
    WarehouseBusyError,
    WarehouseError,
)

__all__ = [
    "AmbiguousRowsError",
    "AnswerTooLargeError",
    "ApiError",
    "CircuitOpenError",
    "ColumnTypeChangedError",
    "ConfigError",
    "ContractError",
    "ContractExceededError",
    "ContradictingOptionsError",
    "CursorValueError",
    "DamagedWarehouseError",
    "DestinationSettingsError",
    "DiskFullError",
    "DuckDbVersionError",
    "DuplicateKeysError",
    "EmptyLoadError",
    "EndlessReadError",
    "ErrorAnswerError",
    "FailingTemplateError",
    "Fault",
    "ForeignOriginError",
    "InexactDestinationError",
    "KeyNotUniqueError",
    "LockLostError",
    "LostStateError",
    "MissingBaseUrlError",
    "MissingGuaranteesError",
    "MissingParentFieldError",
    "MissingRowsError",
    "MissingSecretError",
    "MorePagesError",
    "NameTooLongError",
    "NoListError",
    "NoNewRowsError",
    "NoPartitionError",
    "NoSqlError",
    "NoTokenError",
    "NoWarehouseFileError",
    "NoWorkingDirectoryError",
    "NotJsonError",
    "ObjectAfterListsError",
    "OlderStateError",
    "OptionDoesNotApplyError",
    "OptionInBackfillError",
    "PagingFieldError",
    "PooledConnectionError",
    "RangeTooLargeError",
    "RangeTooSlowError",
    "RefusedResponseError",
    "RestartError",
    "RowsMovedError",
    "RowsNotAListError",
    "SamePageError",
    "StaleLoadError",
    "SyncError",
    "SyncHalted",
    "TakenTableError",
    "TooManyColumnsError",
    "TooManyPagesError",
    "TooManyRemovedError",
    "TotalOfPageError",
    "UncoercibleValueError",
    "UndeclaredFieldError",
    "UnexpectedError",
    "UnfitCursorError",
    "UnfitFilterError",
    "UnfitJsonPathError",
    "UnfitPathValueError",
    "UnfitResourceError",
    "UnfitRunConfigError",
    "UnfollowableLinkError",
    "UnknownOpError",
    "UnknownTagError",
    "UnreachableWarehouseError",
    "UnreadableResponseError",
    "UnsendableSecretError",
    "UnsetVariableError",
    "ViewInPlaceOfTableError",
    "WarehouseBusyError",
    "WarehouseError",
    "causes",
    "counted",
    "ignore_total",
    "names_shown",
    "redacted",
    "shown",
    "single_page",
    "utc",
]

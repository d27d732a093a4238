"""Finds the `SyncError` among the causes of an error that dlt raised."""

from __future__ import annotations

import re
import traceback

from dlt.common.schema.exceptions import CannotCoerceColumnException, CannotCoerceNullException
from dlt.extract.incremental.exceptions import (
    IncrementalCursorInvalidCoercion,
    IncrementalCursorPathHasValueNone,
    IncrementalCursorPathMissing,
)
from jsonpath_ng.ext.string import Sub
from requests.exceptions import HTTPError, JSONDecodeError, RequestException

from analytics_assets.config.models import RequestsConfig
from analytics_assets.ingestion.errors import (
    CursorValueError,
    MissingParentFieldError,
    NotJsonError,
    RefusedResponseError,
    SyncError,
    SyncHalted,
    UncoercibleValueError,
    UnfitJsonPathError,
    UnfollowableLinkError,
    causes,
)
from analytics_assets.ingestion.http.exchange import Exchange
from analytics_assets.ingestion.http.retry_policy import (
    Caller,
    classify,
    endpoint_of,
    status_in_words,
)

_PARENT_FIELD = re.compile(
    r"expects a field `(?P<field>.+?)` to be present in the incoming data\s+from resource `(?P<parent>.+?)`"
)
_NULL_COLUMN = re.compile(r"in table `(?P<table>.+?)` column `(?P<column>.+?)`")
"""The names in dlt's errors that have no attributes."""


def find_sync_error(error: BaseException, resource: str, config: RequestsConfig) -> SyncError | None:
    """Returns a `SyncError` for the first known error among the causes of `error`; None if no cause is known.

    dlt wraps each error of an extract step in another exception. dlt's own error text about an unreadable response
    quotes the whole page, so the returned `SyncError` keeps only the beginning of the text.

    Args:
        error: the error that dlt raised.
        resource: the dlt resource that the sync loads.
        config: the request settings, which list the statuses to retry.
    """
    found = (_sync_error_of(cause, resource, config) for cause in causes(error))
    return next((one for one in found if one is not None), None)


def _sync_error_of(error: BaseException, resource: str, config: RequestsConfig) -> SyncError | None:
    if isinstance(error, SyncError):
        return error
    return _of_a_request(error, resource, config) or _of_a_value(error, resource)


def _of_a_request(error: BaseException, resource: str, config: RequestsConfig) -> SyncError | None:
    if isinstance(error, JSONDecodeError):
        return NotJsonError(resource, "")
    if (
        isinstance(error, HTTPError) and error.response is not None
    ):  # a custom auth class sent a request of its own, and the response had an error status
        endpoint, status = endpoint_of(error.response.request), error.response.status_code
        fault = classify(Exchange(status), Caller(), config).fault
        return SyncHalted(resource, endpoint, status, 1, status_in_words(status), fault=fault)
    if isinstance(error, UnicodeEncodeError):
        return UnfollowableLinkError(resource, "a text that is not valid Unicode")
    if isinstance(error, RequestException):
        return UnfollowableLinkError(resource, type(error).__name__)
    if isinstance(error, ValueError) and " in the response in " in str(error):
        return RefusedResponseError(resource, str(error).partition(" in the response in ")[0])
    function = _function_of_path(error) if isinstance(error, TypeError) else None
    return UnfitJsonPathError(resource, function) if function else None


def _function_of_path(error: TypeError) -> str | None:
    """Returns the function of a JSONPath that raised an error, such as `sub(/a/, b)`; None if no function did."""
    functions = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(functions[-1].method) if functions and isinstance(functions[-1], Sub) else None


def _of_a_value(error: BaseException, resource: str) -> SyncError | None:
    """Returns a `SyncError` for dlt's error about one value of a row, without the value."""
    if isinstance(error, ValueError) and (missing := _PARENT_FIELD.search(str(error))):
        return MissingParentFieldError(resource, missing["parent"], missing["field"])
    if isinstance(error, (IncrementalCursorPathMissing, IncrementalCursorPathHasValueNone)):
        is_null = isinstance(error, IncrementalCursorPathHasValueNone)
        return CursorValueError(resource, error.json_path, f"is {'null' if is_null else 'missing'} in a row")
    if isinstance(error, IncrementalCursorInvalidCoercion):
        problem = (
            "has values of more than one kind, or of another kind than earlier syncs stored. After a change of its "
            "type, run once with full_refresh: true"
        )
        return CursorValueError(resource, error.cursor_path, problem)
    if isinstance(error, CannotCoerceColumnException):
        found, kind = str(error.from_type), str(error.to_type)
        return UncoercibleValueError(resource, error.table_name, error.column_name, found, kind)
    if isinstance(error, CannotCoerceNullException) and (named := _NULL_COLUMN.search(str(error))):
        return UncoercibleValueError(resource, named["table"], named["column"], "null", "not nullable")
    return None

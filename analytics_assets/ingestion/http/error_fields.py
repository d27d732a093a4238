"""Finds the field in which a response with a success status says that the request failed.

What belongs here: the names of such fields, and the values that mean an error. Only a response without rows is judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from analytics_assets.ingestion.http.end_hints import plain

ERROR_NAMES = ("error", "errors")
_NO_ERROR = ("", "0", "200", "no", "none", "null", "false", "ok", "success")
_FAILED = ("error", "fail", "failed", "failure")
_SUCCEEDED = ("success", "ok", "successful", "issuccess", "issuccessful")
_STATUS = ("status", "result", "statuscode")

_CODES = ("code", "errcode", "errorcode", "errno", "retcode", "returncode", "resultcode", "statuscode")
_MESSAGES = (
    "message",
    "msg",
    "errmsg",
    "errormsg",
    "errormessage",
    "retmsg",
    "returnmsg",
    "errordescription",
)
_HOLDERS = ("meta", "status", "result", "header", "head", "response")
"""The objects in which some APIs put the code and the message."""

_GOOD_CODE = re.compile(r"0+|[12]0*|2\d\d")
"""The codes of success: 0, a status of HTTP, and numbers such as 1, 1000 and 20000, which several APIs use."""

_BAD_WORD = re.compile(
    r"(?<!no)(?<!no[ _-])(error|fail|invalid|denied|exceeded|unauthori|forbidden)", re.IGNORECASE
)

_GOOD_MESSAGE = re.compile(
    r"(?<!un)(?<!not )success|(?<!not )succeed|\bok\b|\b(no|0) (data|records?|results?|rows?|items?|content|entries)\b"
    r"|(?<!不)(?<!未)成功|无数据|暂无"
)
"""Messages that say that the request succeeded, or that there are no rows."""


def error_member(
    response: Mapping[str, Any], rows_path: Sequence[str], *, has_row_field: bool, may_be_row: bool
) -> str | None:
    """Returns the field that says that the request failed; None if no field says so.

    Args:
        response: the parsed response, which has no rows.
        rows_path: the names of the fields that lead to the rows; empty if the whole response is the rows.
        has_row_field: whether the response has a known field of a row, so that its status may be data.
        may_be_row: whether the response may be the only row, so that its code may be data.
    """
    beside_rows = list(_beside_rows(response, rows_path))
    members = [(plain(str(one)), one) for one in beside_rows[0][1]]
    for name, member in members:
        if name in ERROR_NAMES and _is_error(response[member]):
            return member
    if has_row_field:
        return None
    failed = (one for name, one in members if name in _STATUS and _has_failed(response[one]))
    unsuccessful = (
        one for name, one in members if name in _SUCCEEDED and str(response[one]).lower() == "false"
    )
    coded = iter(()) if may_be_row else chain.from_iterable(_error_codes(*one) for one in beside_rows)
    return next(chain(failed, unsuccessful, coded), None)


def _beside_rows(response: Any, rows_path: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the objects around the rows without the fields that lead to the rows, each with its path."""
    place = ""
    for name in (*rows_path, None):
        if not isinstance(response, dict):
            return
        yield place, {key: value for key, value in response.items() if key != name}
        response, place = response.get(name), f"{place}{name}."


def _is_error(value: Any) -> bool:
    """Whether the value of a field such as `error` says that there is one. Some APIs always send `{code: ok}`."""
    if isinstance(value, dict):
        code = value.get("code")
        return any(value.values()) and (code is None or str(code).lower() not in _NO_ERROR)
    return bool(value) and str(value).lower() not in _NO_ERROR


def _has_failed(status: Any) -> bool:
    """Whether the value of a field such as `status` says that the request failed, also as a status of HTTP."""
    return str(status).lower() in _FAILED or (type(status) is int and 400 <= status < 600)


def _error_codes(place: str, beside: Mapping[str, Any]) -> Iterator[str]:
    """Yields the fields such as `code` that have the code of an error, beside a message that confirms it."""
    held = [(f"{place}{name}.", one) for name, one in beside.items() if plain(str(name)) in _HOLDERS]
    for path, holder in ((place, beside), *held):
        if isinstance(holder, dict) and _has_error_message(holder):
            yield from (
                f"{path}{name}" for name, one in holder.items() if plain(name) in _CODES and _is_code(one)
            )


def _has_error_message(holder: Mapping[str, Any]) -> bool:
    """Whether an object has a message, and no message says that all is well."""
    messages = [one for name, one in holder.items() if plain(name) in _MESSAGES and isinstance(one, str)]
    texts = [one.strip().lower() for one in messages if one.strip()]
    return bool(texts) and not any(_GOOD_MESSAGE.search(one) for one in texts)


def _is_code(value: Any) -> bool:
    """Whether a value is the code of an error: a number that is no code of success, or a word for an error."""
    if isinstance(value, str) and not re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
        return bool(_BAD_WORD.search(value))
    return type(value) in (int, str) and not _GOOD_CODE.fullmatch(str(value))

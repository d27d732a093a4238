"""Finds the field in which a response with a success status says that the request failed.

What belongs here: the names of such fields, and the values that mean an error. `error_words.py` judges the words.
Only a response without rows is judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analytics_assets.ingestion.http.end_hints import plain
from analytics_assets.ingestion.http.error_words import is_failure, is_no_error, judged

ERROR_NAMES = ("error", "errors")
_MORE_ERROR_NAMES = (*ERROR_NAMES, "err", "fault", "exception")
_FLAGS = ("haserror", "haserrors", "iserror", "failed", "isfailed", "hasfailed")
_SUCCEEDED = ("success", "ok", "successful", "succeeded", "issuccess", "issuccessful")
_STATUS = ("status", "result", "statuscode")
_MORE_STATUS = (*_STATUS, "stat", "outcome", "httpstatus", "httpcode", "httpstatuscode", "responsestatus")
_KINDS = ("type", "state")
"""Names that mean an error only with one of these words, because they usually describe the rows."""
_FAILED = ("error", "fail", "failed", "failure")
_FAILED_KINDS = ("error", "exception", "failure", "fault", "fail")

_CODES = ("code", "errcode", "errorcode", "errno", "retcode", "returncode", "resultcode", "statuscode")
_ERROR_CODES = ("errcode", "errorcode", "errno")
"""Names of codes that mean an error also without a message."""
_ERROR_MESSAGES = (
    "errmsg",
    "errormsg",
    "errormessage",
    "errormessages",
    "errordescription",
    "errordetail",
    "errordetails",
    "errortext",
)
_MESSAGES = (
    "message",
    "msg",
    "retmsg",
    "returnmsg",
    "resultmsg",
    "resultmessage",
    "statusmessage",
    "detail",
    *_ERROR_MESSAGES,
)
_HOLDERS = ("meta", "metadata", "status", "result", "header", "head", "response", "responsestatus")
"""The objects in which some APIs put the code and the message."""

NAMES_BESIDE_ROWS = frozenset((*_MORE_STATUS, *_KINDS, *_CODES, *_MESSAGES, *_SUCCEEDED, *_FLAGS))
"""Names that both a row and the object around the rows often have."""

_GOOD_CODE = re.compile(r"0+|2\d\d|20{3,}|10{4,}")
"""The codes of success: 0, a status of HTTP, and numbers such as 10000 (Alipay) and 200000 (KuCoin).

1, 100 and 1000 are errors to as many APIs (OKX, VK, Tianapi, Wish) as they are successes (FastAdmin, BitMart). So there
the message decides: an API with such a code of success also says so.
"""

_BAD_STATUS = re.compile(r"[45]\d\d(\.0+)?(\s.*)?", re.DOTALL)


def error_member(
    response: Mapping[str, Any], rows_path: Sequence[str], *, has_row_field: bool, may_be_row: bool
) -> str | None:
    """Returns the field that says that the request failed; None if no field says so.

    Args:
        response: the parsed response, which has no rows.
        rows_path: the names of the fields that lead to the rows; empty if the whole response is the rows.
        has_row_field: whether the response has a known field of a row, so that its status may be data.
        may_be_row: whether the response may be the only row, so that its code and its message may be data.
    """
    if may_be_row:
        return next(_of_row(response, has_row_field=has_row_field), None)
    for place, beside in _beside_rows(response, rows_path):
        is_data = "id" in beside if place else has_row_field
        held = [(f"{place}{name}.", one) for name, one in beside.items() if plain(str(name)) in _HOLDERS]
        for path, found in ((place, beside), *held):
            if isinstance(found, dict):
                member = next(_members(found, is_data=is_data or (path != place and "id" in found)), None)
                if member is not None:
                    return f"{path}{member}"
    return None


def _beside_rows(response: Any, rows_path: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the objects around the rows without the fields that lead to the rows, each with its path."""
    place = ""
    for name in (*rows_path, None):
        if not isinstance(response, dict):
            return
        yield place, {key: value for key, value in response.items() if key != name}
        response, place = response.get(name), f"{place}{name}."


def _of_row(response: Mapping[str, Any], *, has_row_field: bool) -> Iterator[str]:
    """Yields the fields that mean an error in an object that may be a row."""
    fields = [(plain(str(name)), name, value) for name, value in response.items()]
    yield from (member for name, member, value in fields if name in ERROR_NAMES and _is_error(value))
    if has_row_field:
        return
    for name, member, value in fields:
        is_status = type(value) is int and 400 <= value < 600
        if name in _STATUS and (is_status or str(value).lower() in _FAILED):
            yield member
        if name in _SUCCEEDED and str(value).lower() == "false":
            yield member


def _members(found: Mapping[str, Any], *, is_data: bool) -> Iterator[str]:
    """Yields the fields of an object that mean an error, those with the plainest names first.

    Args:
        found: an object around the rows, or a holder such as `meta` in it.
        is_data: whether the object has a field of a row, so that status, code and message may be data.
    """
    fields = [(plain(str(name)), str(name), value) for name, value in found.items()]
    yield from (member for name, member, value in fields if name in _MORE_ERROR_NAMES and _is_error(value))
    yield from (member for name, member, value in fields if name in _FLAGS and _is(value, ("true", "1")))
    no = ("false", "no", "0", "0.0")
    yield from (member for name, member, value in fields if name in _SUCCEEDED and _is(value, no))
    if is_data:
        return
    yield from (member for name, member, value in fields if name in _MORE_STATUS and _has_failed(value))
    yield from (member for name, member, value in fields if name in _KINDS and _is(value, _FAILED_KINDS))
    verdicts = [judged(value) for name, _, value in fields if name in _MESSAGES and _has_text(value)]
    if "good" in verdicts:
        return
    yield from (
        member
        for name, member, value in fields
        if (name in _CODES and _is_code(value) and verdicts)
        or (name in _ERROR_CODES and _is_error_code(value))
        or (name == "status" and value is False and verdicts)
    )
    is_good = any(_GOOD_CODE.fullmatch(str(value)) for name, _, value in fields if name in _CODES)
    if not is_good:
        yield from (member for name, member, value in fields if name in _ERROR_MESSAGES and _is_error(value))
    yield from (member for name, member, value in fields if name in _MESSAGES and judged(value) == "bad")


def _is_error(value: Any) -> bool:
    """Whether the value of a field such as `error` says that there is one. Some APIs always send `{code: ok}`."""
    if isinstance(value, list):
        return any(map(_is_error, value))
    if not isinstance(value, dict):
        return not is_no_error(value)
    fields = {plain(str(name)): one for name, one in value.items()}
    messages = [fields[name] for name in _MESSAGES if _has_text(fields.get(name))]
    if any(judged(one) == "bad" for one in messages):
        return True
    codes = [fields[name] for name in _CODES if fields.get(name) is not None]
    if any(map(is_no_error, codes)) or any(map(is_no_error, messages)):
        return False
    return _has_value(value)


def _has_value(value: Any) -> bool:
    """Whether a value has anything in it but empty ones."""
    if isinstance(value, dict):
        return any(map(_has_value, value.values()))
    return any(map(_has_value, value)) if isinstance(value, list) else bool(value)


def _has_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is(value: Any, words: Sequence[str]) -> bool:
    return isinstance(value, (bool, int, float, str)) and str(value).strip().lower() in words


def _has_failed(status: Any) -> bool:
    """Whether the value of a field such as `status` says that the request failed, also as a status of HTTP."""
    if isinstance(status, bool) or not isinstance(status, (int, float, str)):
        return False
    text = str(status).strip().lower()
    return text in _FAILED or bool(_BAD_STATUS.fullmatch(text)) or is_failure(text)


def _is_code(value: Any) -> bool:
    """Whether a value is the code of an error: a number that is no code of success, or a word for an error."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and not re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
        return is_failure(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", value))
    return type(value) in (int, str) and not _GOOD_CODE.fullmatch(str(value))


def _is_error_code(value: Any) -> bool:
    """Whether a value is the code of an error under a name such as `error_code`, whatever the word."""
    is_word = _has_text(value) and not re.fullmatch(r"-?\d+", value.strip(), re.ASCII)
    return not is_no_error(value) if is_word else _is_code(value)

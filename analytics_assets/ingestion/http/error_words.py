"""Judges the words of a response: whether they say that the request succeeded, or that it failed."""

from __future__ import annotations

import re
from typing import Any, Literal

_NO_ERROR = re.compile(
    r"|0+(\.0+)?|2\d\d|no|none|null|nil|n/?a|-+|false|undefined|ok|okay|success\w*|succeeded"
    r"|(no|without|0)[ _-]?errors?( found| occurred)?"
)
"""Whole texts of a field such as `error` that say that there is no error."""

_SUCCESS = re.compile(
    r"(?<!un)(?<!not )(?<!not be )(?<!no )(?<!without )success|(?<!not )succeed|(?<!not )(?<!not_)\bok\b"
    r"|^(?!.*(not|n't|unable|fail))(\w+ ){0,3}(completed?|finished|done)\W*$"
    r"|\bnot modified\b|\bunchanged\b|(?<!not )\bup to date\b|(?<!不)(?<!未)成功"
)
"""Words of a request that succeeded."""

_WORDS = r"((?!(to|for|of|in|on|with|from|such)\b)[\w-]+ ){0,2}"
_EMPTY = re.compile(
    rf"\b(no|0|zero)[ _]{_WORDS}(data|records?|results?|rows?|items?|content|entries|matches)\b"
    rf"|\b(no|0|zero) {_WORDS}\w+s ((was|were|are) )?found\b|\bno matching \w+s\b|\bnothing found\b|无数据|暂无"
)
"""Words that say that there are no rows."""

_NOT_NONE = r"(?<!\bno)(?<!\bno[ _-])(?<!\b0 )(?<!\bwithout )(?<!\bwithout any )"
_OBJECT = r"(token|key|session|access|account|auth\w*|licen[cs]e|credentials?|subscription|trial|user)"
_FAILED = re.compile(
    rf"{_NOT_NONE}(error|fail)(?!\w*\s*[:=]\s*(0|none|null|false|no)\b)(?!over|safe)"
    rf"|{_NOT_NONE}(invalid(?!ated|ation)|denied|exceeded|unauthori[sz]ed|unauthenticated|forbidden|exceptions?\b)"
    r"|too[ _]?many[ _]?(request|call|visit|quer)|rate[ _-]?limit(?!\w*( remaining|:))|over_\w*limit"
    r"|limit (is |was )?reached|quota (is |was )?reached|(over|out of) quota|throttled|exhausted|not[ _]?ok\b"
    r"|\bnot (allowed|permitted|authori[sz]ed|authenticated|valid|success|succeed)|unsuccess"
    rf"|{_OBJECT}( has| is| have)?[ _-]?expired|\bbad (request|credential|gateway)|失败|错误|无效|过期|无权"
)
"""Words of a request that failed, wherever they are."""

_FAILED_MESSAGE = re.compile(
    r"\b(is|has|have|was|already) expired\b|^expired\W*$"
    r"|\b(no|not|without|insufficient|lacks?|needs?|requires?|missing)\b.{0,30}\bpermission|\bno access\b"
    r"|insufficient (scope|privilege|right|fund|credit|access|balance)"
    rf"|({_OBJECT}|is|are|was|been) (suspended|revoked|blocked|disabled|deactivated)"
    r"|\bmissing\b.{0,30}\b(param|argument|field|header|token|key|auth|credential)"
    r"|(param\w*|arguments?|headers?|tokens?|keys?) (is |are )?missing"
    r"|(authenti\w+|login|key|token|subscription|payment) (is )?required|(service|temporarily)\b.{0,20}\bunavailable"
    r"|\btimed? ?out\b|\b(under|in|for|scheduled) maintenance|\bunable to (?!find)"
    r"|\b(unknown|wrong|incorrect) (api|key|token|user|account|password|method)"
    r"|\bno ([\w-]+ ){0,3}(token|key|session|credentials?|subscription|licen[cs]e|signature) (was )?(found|available)"
)
"""Further words of a request that failed. In a field such as `status` they may be data."""


def judged(message: Any) -> Literal["good", "bad", ""]:
    """Returns what a message says about the request; empty if it says neither.

    Args:
        message: the value of a field such as `message`.
    """
    if not isinstance(message, str):
        return ""
    text = _text(message)
    if _SUCCESS.search(text):
        return "good"
    if is_failure(text) or _FAILED_MESSAGE.search(text):
        return "bad"
    return "good" if _EMPTY.search(text) else ""


def is_failure(text: str) -> bool:
    """Whether a text has a word of a request that failed, also as a part of a name such as `REQUEST_DENIED`."""
    return bool(_FAILED.search(_text(text)))


def is_no_error(value: Any) -> bool:
    """Whether the value of a field such as `error` says that there is no error."""
    text = _text(str(value)).rstrip(".!")
    says_success = isinstance(value, str) and bool(_SUCCESS.search(text)) and not _FAILED.search(text)
    return value is None or bool(_NO_ERROR.fullmatch(text)) or says_success


def _text(text: str) -> str:
    """Returns the beginning of a text in lower case, with single spaces."""
    return " ".join(text[:1000].lower().split())

"""Reads the response headers in which an API says how many requests are left, and when it accepts requests again.

The names and formats are those of RFC 9110 (`Retry-After`), of the IETF drafts on `RateLimit` headers, and of APIs that
write `X-RateLimit-…` or `X-Rate-Limit-…`. Each header may be repeated.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

_EPOCH_FROM, _MILLISECONDS_FROM = 1e9, 1e11
"""Thresholds for a number: a larger value is a time since 1970, in seconds or in milliseconds."""

_PREFIXES = ("X-RateLimit-", "RateLimit-", "X-Rate-Limit-", "Rate-Limit-")
_REMAINING_NAMES = [prefix + "Remaining" for prefix in _PREFIXES]
_RESET_NAMES = [prefix + "Reset" for prefix in _PREFIXES]
_REMAINING = re.compile(r"\b(?:remaining|r)\s*=\s*(\d+)")
_RESET = re.compile(r"\b(?:reset|t)\s*=\s*(\d+)")
_ONE_VALUE = re.compile(r"(?:\s*[A-Za-z]{3,9},)?[^,]+")
"""A value of a header without commas, or a date with the comma after its weekday."""


@dataclass(frozen=True)
class RateLimits:
    """The rate limit that a response reports.

    Attributes:
        remaining: the number of requests that the API still accepts; None if the response does not say.
        reset: the seconds until the API accepts more requests; None if the response does not say.
        header: the name of the header with the reset; empty if there is none.
    """

    remaining: float | None
    reset: float | None
    header: str = ""


def read_rate_limits(headers: Mapping[str, str]) -> RateLimits:
    """Reads the rate limit headers of a response.

    Args:
        headers: the headers; names are compared without case if the mapping does so.
    """
    combined = headers.get("RateLimit")
    if combined is not None:
        return _of_combined(combined)
    name = next((name for name in _REMAINING_NAMES if name in headers), None)
    remaining = [one for one in map(_number, _values(headers[name])) if one is not None] if name else []
    header = next((name for name in _RESET_NAMES if name in headers), None)
    resets = _all_seconds_until(headers[header], headers) if header else []
    return _tightest(remaining, resets, header or "")


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Reads the header `Retry-After` as seconds from now; the longest wait if the header is repeated.

    None if the header is missing, or cannot be parsed as seconds or a date.

    Args:
        headers: the headers; names are compared without case if the mapping does so.
    """
    header = headers.get("Retry-After")
    return None if header is None else max(_all_seconds_until(header, headers), default=None)


@dataclass(frozen=True, slots=True)
class Limit:
    """What the headers of an error response say about a limit.

    Attributes:
        is_reached: whether they say that the API accepts no more requests now.
        wait: the seconds until the API accepts requests again; None if they do not say.
        header: the name of the header that says `wait`; empty if there is none.
    """

    is_reached: bool
    wait: float | None = None
    header: str = ""


def read_limit(headers: Mapping[str, str], status: int | None) -> Limit:
    """Reads the limit that an error response reports: `Retry-After`, or else a rate limit that is used up.

    Args:
        headers: the headers; names are compared without case if the mapping does so.
        status: the HTTP status of the response.
    """
    wait = read_retry_after(headers)
    if wait is not None:
        return Limit(True, wait, "Retry-After")
    limits = read_rate_limits(headers)
    if limits.remaining is not None:
        return Limit(True, limits.reset, limits.header) if limits.remaining <= 0 else Limit(False)
    # With a 429, a reset time alone is enough. Another status may have nothing to do with the limit.
    is_limited = status == HTTPStatus.TOO_MANY_REQUESTS
    return Limit(True, limits.reset, limits.header) if is_limited else Limit(False)


def _of_combined(header: str) -> RateLimits:
    """Reads a `RateLimit` header, such as `limit=9, remaining=0, reset=5`.

    A header such as `"hour";r=0;t=5` may list several limits.
    """
    remaining, resets = [], []
    for one in header.split(",") if ";" in header else [header]:
        remaining += _REMAINING.findall(one)
        resets += _RESET.findall(one)
    return _tightest([*map(float, remaining)], [*map(float, resets)], "RateLimit")


def _tightest(remaining: Sequence[float], resets: Sequence[float], header: str) -> RateLimits:
    """Returns one limit of those in headers that list several, such as one of the minute and one of the day.

    If several limits are used up, the last reset counts.

    Args:
        remaining: the number of remaining requests of each limit.
        resets: the seconds until the reset of each limit.
        header: the name of the header with the resets; empty if there is none.
    """
    last = max(resets, default=None)
    if not remaining:
        return RateLimits(None, last, header)
    left = min(remaining)
    if len(resets) == len(remaining):
        last = max(reset for one, reset in zip(remaining, resets, strict=True) if one == left)
    return RateLimits(left, last, header)


def _values(text: str) -> list[str]:
    """Returns the values of a header. The client joins the values of a repeated header with commas."""
    return _ONE_VALUE.findall(text)


def _all_seconds_until(text: str, headers: Mapping[str, str]) -> list[float]:
    """Returns the seconds until each time in a header that is a time."""
    seconds = (_seconds_until(one, headers) for one in _values(text))
    return [one for one in seconds if one is not None]


def _number(text: str) -> float | None:
    if "_" in text:  # which Python allows in a number
        return None
    with suppress(ValueError):
        number = float(text)
        return number if math.isfinite(number) else None
    return None


def _seconds_until(text: str, headers: Mapping[str, str]) -> float | None:
    """Returns the seconds until a time: a number of seconds, a time since 1970, an HTTP date or an ISO 8601 time."""
    number = _number(text)
    if number is None:
        moment = _moment(text)
        return None if moment is None else max(0.0, moment - _now(headers))
    if number > _MILLISECONDS_FROM:
        number /= 1000
    if number > _EPOCH_FROM:
        number -= _now(headers)
    return max(0.0, number)


def _moment(text: str) -> float | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        with suppress(ValueError, TypeError, OverflowError):
            moment = parse(text.strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None


def _now(headers: Mapping[str, str]) -> float:
    """The current time in seconds since 1970: the API's clock in the `Date` header, or else the local clock."""
    sent = _moment(headers["Date"]) if "Date" in headers else None
    return time.time() if sent is None else sent

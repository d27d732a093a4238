"""Reads the response headers in which an API says how many requests are left, and when it accepts requests again.

The names and formats are those of RFC 9110 (`Retry-After`), of the IETF drafts on `RateLimit` headers, and of APIs that
write `X-RateLimit-…` or `X-Rate-Limit-…`.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
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
    remaining = _number(next((headers[name] for name in _REMAINING_NAMES if name in headers), ""))
    header = next((name for name in _RESET_NAMES if name in headers), None)
    if header is None:
        return RateLimits(remaining, None)
    return RateLimits(remaining, _seconds_until(headers[header], headers), header)


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Reads the header `Retry-After` as seconds from now.

    None if the header is missing, or cannot be parsed as seconds or a date.

    Args:
        headers: the headers; names are compared without case if the mapping does so.
    """
    header = headers.get("Retry-After")
    return None if header is None else _seconds_until(header, headers)


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
    limits = []
    for one in header.split(",") if ";" in header else [header]:
        remaining, reset = _REMAINING.search(one), _RESET.search(one)
        if remaining:
            limits.append(RateLimits(float(remaining[1]), float(reset[1]) if reset else None, "RateLimit"))
    # If several limits are used up, such as one of the minute and one of the day, the last reset counts.
    return min(
        limits, key=lambda one: (one.remaining or 0.0, -(one.reset or 0.0)), default=RateLimits(None, None)
    )


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

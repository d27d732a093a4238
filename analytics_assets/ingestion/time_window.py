"""Half-open time windows, and the incremental cursor. Cursor values are compared as times, not as texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_SECONDS = 100_000_000_000
"""From this number on, a number since 1970 is no number of seconds: it would be in the year 5138."""


@dataclass(frozen=True)
class Window:
    """A half-open time range in UTC, which includes its start and excludes its end.

    `Cursor.is_in` tests whether a value is in a window.
    """

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """The duration of the window."""
        return self.end - self.start


def whole_window(windows: Mapping[str, Window]) -> Window | None:
    """Returns one window from the first start to the last end of contiguous `windows`, or None for an empty mapping."""
    if not windows:
        return None
    return Window(min(one.start for one in windows.values()), max(one.end for one in windows.values()))


def halves(window: Window, cursor: Cursor) -> tuple[Window, Window] | None:
    """Splits a window into two by time, at a value of the cursor.

    Args:
        window: the window.
        cursor: the cursor, whose values are times.

    Returns:
        The two windows, without a gap and without an overlap; None if no value of the cursor is between them.
    """
    middle = (window.start + window.length / 2).replace(microsecond=0)
    middle = cursor.moment(cursor.bound(middle))
    if not window.start < middle < window.end:
        return None
    return Window(window.start, middle), Window(middle, window.end)


def groups(windows: Sequence[Window], count: int) -> list[Window]:
    """Joins contiguous windows into fewer ones.

    Args:
        windows: the windows, in order of time.
        count: the number of windows afterwards, at most the number of `windows`.
    """
    starts = [place * len(windows) // count for place in range(count + 1)]
    return [Window(windows[start].start, windows[end - 1].end) for start, end in pairwise(starts)]


@dataclass(frozen=True)
class Cursor:
    """The incremental cursor of a resource.

    Attributes:
        path: the path of the cursor field in a row of the API, with dots between nested fields.
        column: the warehouse name of the cursor column.
        data_type: the dlt type of a cursor that is a time, one of `timestamp`, `date` and `bigint` (counts `unit` since
            1970); None for any other cursor, whose values dlt compares unchanged.
        timezone: the IANA name of the time zone of the partitions, and so of a `date` cursor.
        unit: the unit of a `bigint` cursor, one of `seconds`, `milliseconds` and `microseconds`.
    """

    path: str
    column: str
    data_type: Literal["timestamp", "date", "bigint"] | None
    timezone: str = "UTC"
    unit: str | None = None

    def bound(self, moment: datetime) -> datetime | date | int:
        """Converts a start or end of a window to the type of the cursor."""
        if self.data_type == "date":
            return moment.astimezone(ZoneInfo(self.timezone)).date()
        if self.unit:
            return (moment - _EPOCH) // timedelta(**{self.unit: 1})
        return moment

    def is_in(self, window: Window, value: Any) -> bool:
        """Whether a value of the cursor's type is in `window`."""
        start, end = self.bound(window.start), self.bound(window.end)
        return bool(start <= value < end)

    def as_time(self, value: Any) -> Any:
        """Converts ISO 8601 text or a date to a time. If the cursor is not a time, its values stay unchanged.

        Raises:
            ValueError: the text is not ISO 8601.
        """
        if self.data_type in (None, "bigint"):
            return value
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, date) and not isinstance(moment, datetime):
            moment = datetime.combine(moment, time())
        if not isinstance(moment, datetime):
            return value
        if self.data_type == "date":
            return moment.date()
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)

    def moment(self, value: Any) -> datetime:
        """Converts a value of the cursor to the moment that it means. A `date` is the midnight at its start."""
        if self.unit and isinstance(value, int):
            return _EPOCH + timedelta(**{self.unit: value})
        found = self.as_time(value)
        if not isinstance(found, datetime):
            found = datetime.combine(found, time(), ZoneInfo(self.timezone))
        return found.astimezone(UTC)

    def as_bound(self, value: Any, number_unit: str | None = None) -> Any:
        """Converts an `initial_value` or `end_value` of the config to the type of the cursor.

        Args:
            value: the value in the config; None if absent.
            number_unit: what a number counts since 1970 if the cursor is a timestamp; None to judge by its size.

        Raises:
            ValueError: the value is no time, or a number in another unit.
        """
        if value is None or self.data_type is None or (self.data_type == "bigint" and not self.unit):
            return value
        if isinstance(value, bool):
            raise ValueError(value)  # noqa: TRY004  as for a text
        if not isinstance(value, (int, float)):
            return self.bound(_as_utc(value)) if self.unit else self.as_time(value)
        if self.unit:
            return value
        unit = epoch_unit(value)
        if self.data_type == "date" or unit is None or (value and number_unit not in (None, unit)):
            raise ValueError(value)
        return _EPOCH + timedelta(**{number_unit or unit: value})


def epoch_unit(number: float) -> str | None:
    """Returns what a number of this size counts since 1970; None for a number that is too large.

    In the next smaller unit, each number would be a moment in the year 5138 or later.
    """
    most = _MOST_SECONDS
    for unit in ("seconds", "milliseconds", "microseconds"):
        if abs(number) < most:
            return unit
        most *= 1000
    return None


def _as_utc(value: Any) -> datetime:
    """Converts ISO 8601 text, a date or a time to a time in UTC.

    Raises:
        ValueError: the text is not ISO 8601.
    """
    found = Cursor("", "", "timestamp").as_time(value)
    if not isinstance(found, datetime):
        raise ValueError(value)  # noqa: TRY004  as for a text
    return found

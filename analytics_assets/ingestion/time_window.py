"""Half-open time windows, and the incremental cursor. Cursor values are compared as times, not as texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_SECONDS = 100_000_000_000
"""From this number on, an epoch is taken for milliseconds: in seconds it would be in the year 5138."""


@dataclass(frozen=True)
class Window:
    """A half-open time range in UTC, which includes its start and excludes its end.

    `Cursor.is_in` tests whether a value is in a window.
    """

    start: datetime
    end: datetime


def whole_window(windows: Mapping[str, Window]) -> Window | None:
    """Returns one window from the first start to the last end of contiguous `windows`, or None for an empty mapping."""
    if not windows:
        return None
    return Window(min(one.start for one in windows.values()), max(one.end for one in windows.values()))


@dataclass(frozen=True)
class Cursor:
    """The incremental cursor of a resource.

    Attributes:
        path: the path of the cursor field in a row of the API, with dots between nested fields.
        column: the warehouse name of the cursor column.
        data_type: the dlt type of a cursor that is a time, one of `timestamp`, `date` and `bigint` (counts `unit` since
            1970); None for any other cursor, whose values dlt compares unchanged.
        timezone: the IANA name of the time zone of a `date` cursor.
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

    def as_bound(self, value: Any) -> Any:
        """Converts an `initial_value` or `end_value` of the config to a time. For a timestamp, a number is an epoch.

        Raises:
            ValueError: the value is no time.
        """
        if not isinstance(value, (int, float)) or self.data_type in (None, "bigint"):
            return self.as_time(value)
        if self.data_type == "date" or isinstance(value, bool) or abs(value) >= _MOST_SECONDS:
            raise ValueError(value)
        return _EPOCH + timedelta(seconds=value)


def as_filter(value: Any) -> Any:
    """Formats a time as ISO 8601 with `Z` for UTC, for the API's filter. A value that is not a time stays unchanged."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, (datetime, date)) else value

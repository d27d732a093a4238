"""Windows of time, and the incremental cursor whose values are in them. Values are compared as time, not as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Window:
    """A half-open range of time in UTC: `start <= moment < end`. `Cursor.is_in` tests a value."""

    start: datetime
    end: datetime


def whole_window(windows: Mapping[str, Window]) -> Window | None:
    """One window from the first start to the last end of `windows`, which are contiguous; None if there are none."""
    if not windows:
        return None
    return Window(min(one.start for one in windows.values()), max(one.end for one in windows.values()))


@dataclass(frozen=True)
class Cursor:
    """The incremental cursor of a resource.

    Attributes:
        path: its path in a row of the API, fields joined by dots.
        column: its column in the warehouse.
        data_type: its type, if it is known to be a time: `timestamp`, `date`, or `bigint` (counts `unit` since 1970).
            None if dlt compares the values as they are.
        timezone: IANA name of the time zone of a `date`.
        unit: what a `bigint` counts: `seconds`, `milliseconds` or `microseconds`.
    """

    path: str
    column: str
    data_type: Literal["timestamp", "date", "bigint"] | None
    timezone: str = "UTC"
    unit: str | None = None

    def bound(self, moment: datetime) -> datetime | date | int:
        """A start or end of a window, in the type of the cursor."""
        if self.data_type == "date":
            return moment.astimezone(ZoneInfo(self.timezone)).date()
        if self.unit:
            return (moment - _EPOCH) // timedelta(**{self.unit: 1})
        return moment

    def is_in(self, window: Window, value: Any) -> bool:
        """Whether a value, in the type of the cursor, is in `window`."""
        start, end = self.bound(window.start), self.bound(window.end)
        return bool(start <= value < end)

    def as_time(self, value: Any) -> Any:
        """A value as time, from ISO 8601 text or from what YAML made of it. Any other value is returned unchanged.

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


def as_filter(value: Any) -> Any:
    """A cursor value for the API's filter: a time as ISO 8601, with `Z` for UTC; any other value unchanged."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, (datetime, date)) else value

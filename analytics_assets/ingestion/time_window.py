"""Windows of time, and the cursor whose values fall into them: compared as time, and not as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Window:
    """A half-open range of time in UTC: `start <= moment < end`. What of a cursor is in it, the cursor knows."""

    start: datetime
    end: datetime


def whole_window(windows: Mapping[str, Window]) -> Window | None:
    """One window over all of `windows`, which are contiguous; None where there are none."""
    if not windows:
        return None
    return Window(min(one.start for one in windows.values()), max(one.end for one in windows.values()))


@dataclass(frozen=True)
class Cursor:
    """The incremental cursor of a resource.

    Attributes:
        path: where the value is in a row of the API, fields joined by dots.
        column: where it is in the warehouse.
        data_type: `timestamp`, `date`, or `bigint` (of `unit` since 1970) where it is known to be time, so that its
            values are compared as time and not as text; None where dlt's own comparison applies.
        timezone: IANA name of the zone whose days a `date` is one of.
        unit: what a `bigint` counts: `seconds`, `milliseconds` or `microseconds`.
    """

    path: str
    column: str
    data_type: Literal["timestamp", "date", "bigint"] | None
    timezone: str = "UTC"
    unit: str | None = None

    def bound(self, moment: datetime) -> datetime | date | int:
        """A bound of a window, in the type of the cursor."""
        if self.data_type == "date":
            return moment.astimezone(ZoneInfo(self.timezone)).date()
        if self.unit:
            return (moment - _EPOCH) // timedelta(**{self.unit: 1})
        return moment

    def is_in(self, window: Window, value: Any) -> bool:
        """Whether a value, in the type of the cursor, falls into `window`."""
        start, end = self.bound(window.start), self.bound(window.end)
        return bool(start <= value < end)

    def as_time(self, value: Any) -> Any:
        """A value as time: ISO 8601 text, or what YAML made of it. Anything else goes as it is.

        Raises:
            ValueError: the text is no ISO 8601.
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
    """A cursor value as the API's filter reads it: ISO 8601, UTC as `Z`. What is no time goes as it is."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, (datetime, date)) else value

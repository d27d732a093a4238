"""Windows of time, and the cursor whose values fall into them: compared as time, and not as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Literal


@dataclass(frozen=True)
class Window:
    """A half-open range of cursor values in UTC: `start <= cursor < end`."""

    start: datetime
    end: datetime

    def __contains__(self, value: datetime | date) -> bool:
        return self.start <= as_moment(value) < self.end


def as_moment(value: datetime | date) -> datetime:
    """A cursor value as a moment: a day is its midnight, and what has no zone is UTC."""
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


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
        data_type: `timestamp` or `date` where it is known to be one, so that its values are compared as
            time and not as text; None where dlt's own comparison applies.
    """

    path: str
    column: str
    data_type: Literal["timestamp", "date"] | None

    def bound(self, moment: datetime) -> datetime | date:
        """A bound of a window, in the type of the cursor."""
        return moment.date() if self.data_type == "date" else moment

    def as_time(self, value: Any) -> Any:
        """A value as time: ISO 8601 text, or what YAML made of it. Anything else goes as it is.

        Raises:
            ValueError: the text is no ISO 8601.
        """
        if self.data_type is None:
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

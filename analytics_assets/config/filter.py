"""The keys under `assets.<resource>.filter`: how the API wants the times by which it filters rows.

What belongs here: the names of the formats, and the rules that need only these keys. `ingestion/plan/api_filter.py`
writes the times.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from analytics_assets.config.strict_model import StrictModel
from analytics_assets.config.time_zone import TimeZone
from analytics_assets.config.validation_errors import error_at, suggestion

EPOCHS = {
    "epoch_seconds": "seconds",
    "epoch_milliseconds": "milliseconds",
    "epoch_microseconds": "microseconds",
}
"""The formats that are a number since 1970, each with its unit."""

FORMATS = ("date", "iso_seconds", "iso_milliseconds", *EPOCHS)
"""The formats that have a name. Any other format is a pattern for `strftime`."""

_OFFSET = re.compile(r"Z|UTC|GMT|[+-]\d\d:?\d\d")
_UTC_OFFSET = re.compile(r"Z|UTC|GMT|[+-]00:?00")


class FilterConfig(StrictModel):
    """How the API wants the start and the end of the cursor range, in each place where a request has them."""

    format: str | None = Field(
        None,
        description="The format of a time: `date`, `iso_seconds`, `iso_milliseconds`, `epoch_seconds`, "
        "`epoch_milliseconds`, `epoch_microseconds`, or a pattern such as `%Y-%m-%d %H:%M:%S`. Absent: ISO 8601, or a "
        "number if the cursor or its `initial_value` is one.",
    )
    bounds: Literal["inclusive", "exclusive"] = Field(
        "inclusive",
        description="Whether the API also returns the rows at exactly the start that it gets. With `exclusive`, a sync "
        "asks from one unit of the format earlier.",
    )
    timezone: TimeZone | None = Field(
        None,
        description="The IANA time zone of the written times. Absent: UTC. Days then also cover those of the "
        "partitions' time zone.",
    )
    cursor_unit: Literal["seconds", "milliseconds", "microseconds"] | None = Field(
        None,
        description="What a `bigint` cursor counts since 1970, without partitions. Absent: the cursor is a "
        "timestamp or a date.",
    )

    @field_validator("format")
    @classmethod
    def _writes_a_time(cls, value: str | None) -> str | None:
        if value is None or value in FORMATS:
            return value
        if "%" not in value:
            near = suggestion(value, list(FORMATS)) or f" The formats are {', '.join(FORMATS)}."
            raise ValueError(
                f"unknown format `{value}`.{near} Or write a pattern, such as `%Y-%m-%d %H:%M:%S`."
            )
        if not is_whole_time(value):
            raise ValueError(
                f"`{value}` does not write a whole day or a whole time. Use %Y, %m and %d, then perhaps %H, %M, %S, %f "
                "and %z. For a number since 1970, use epoch_seconds or epoch_milliseconds."
            )
        offset = _OFFSET.search(_literals(value))
        if offset and not _UTC_OFFSET.fullmatch(offset[0]):
            raise ValueError(
                f"`{value}` always writes {offset[0]}. Use %z in the pattern, and set `timezone`."
            )
        return value

    @model_validator(mode="after")
    def _timezone_is_written(self) -> FilterConfig:
        if self.timezone in (None, "UTC") or self.format is None:
            return self
        if self.format in EPOCHS or (
            "%" in self.format and has_offset(self.format) and "%z" not in self.format
        ):
            what = "is a number since 1970" if self.format in EPOCHS else "always writes the same time zone"
            raise error_at(
                ("timezone",),
                f"`{self.format}` {what}, so `timezone` cannot change it. Remove `timezone`, or use %z in the pattern.",
            )
        return self


def has_offset(pattern: str) -> bool:
    """Whether the texts of a pattern say which time zone they are in."""
    return "%z" in pattern or bool(_OFFSET.search(_literals(pattern)))


def _literals(pattern: str) -> str:
    return re.sub(r"%.", " ", pattern)


def is_whole_time(pattern: str) -> bool:
    """Whether `strptime` reads the texts of a pattern as what `strftime` wrote, from the year down to some unit."""
    # In each sample, the part below each unit differs from its smallest value.
    samples = (
        datetime(2026, 2, 3, 16, 5, 6, 7, tzinfo=UTC),
        datetime(1999, 12, 31, 11, 58, 59, 999_999, tzinfo=UTC),
    )
    return all(_unit_left(pattern, one) for one in samples)


def _unit_left(pattern: str, moment: datetime) -> bool:
    try:
        found = datetime.strptime(moment.strftime(pattern), pattern).replace(tzinfo=UTC)
    except (ValueError, re.error):
        return False
    floors: tuple[dict[str, Any], ...] = (
        {},
        {"microsecond": 0},
        {"microsecond": 0, "second": 0},
        {"microsecond": 0, "second": 0, "minute": 0},
        {"microsecond": 0, "second": 0, "minute": 0, "hour": 0},
    )
    return any(found == moment.replace(**floor) for floor in floors)

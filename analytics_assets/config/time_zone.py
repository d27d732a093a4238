"""The type of a key that is a time zone."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator

from analytics_assets.config.validation_errors import suggestion


def no_such_zone(value: str) -> str:
    """Returns the sentence about a text that is no name of a time zone."""
    # The sentence suggests only time zone names that contain a place, such as America/New_York.
    # A short name such as EST can be wrong, because EST has no daylight saving time.
    places = [name for name in available_timezones() if "/" in name]
    near = suggestion(value, places) or " Use an IANA name, such as Europe/Berlin."
    return f"there is no time zone `{value}`.{near}"


def _known(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(no_such_zone(value))
    return value


TimeZone = Annotated[str, AfterValidator(_known)]
"""The IANA name of a time zone."""

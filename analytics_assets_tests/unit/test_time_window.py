"""A row is in exactly one window, for every time zone, partition length and cursor type."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import dagster as dg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics_assets.config.assets import PartitionsConfig
from analytics_assets.ingestion.time_window import Cursor, Window
from analytics_assets.orchestration.partitions import partitions_def
from analytics_assets_tests.examples import examples

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "America/Havana", "America/Sao_Paulo",
    "Africa/Cairo", "Africa/Casablanca", "Asia/Beirut", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham",
    "Atlantic/Azores",
)  # fmt: skip
KINDS = st.sampled_from(["hourly", "daily", "weekly", "monthly"])
MOMENTS = st.datetimes(datetime(2016, 1, 1), datetime(2026, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001
SHIFTS = st.sampled_from([timedelta(), timedelta(microseconds=-1), timedelta(minutes=59, seconds=59)])


def windows_around(kind: Any, zone: str, moment: datetime) -> list[tuple[str, Window]]:
    """The partitions of a few periods before and after `moment`."""
    config = PartitionsConfig(type=kind, start_date=datetime(2015, 2, 1), timezone=zone)  # noqa: DTZ001
    partitions = partitions_def(config)
    assert partitions is not None
    around = timedelta(days={"hourly": 1, "daily": 3, "weekly": 20, "monthly": 70}[kind])
    keys = partitions.get_partition_keys_in_time_window(dg.TimeWindow(moment - around, moment + around))
    found = []
    for key in keys:
        window = partitions.time_window_for_partition_key(key)
        found.append((key, Window(window.start.astimezone(UTC), window.end.astimezone(UTC))))
    return found


@given(KINDS, st.sampled_from(ZONES), MOMENTS, SHIFTS)
@example("hourly", "Europe/Berlin", datetime(2025, 10, 26, 1, tzinfo=UTC), timedelta())
@example("daily", "Africa/Cairo", datetime(2025, 4, 24, 22, tzinfo=UTC), timedelta())
@example("daily", "America/Havana", datetime(2025, 11, 2, 4, tzinfo=UTC), timedelta())
@settings(max_examples=examples(150), deadline=None)
def test_a_row_is_in_exactly_one_window(kind: str, zone: str, moment: datetime, shift: timedelta) -> None:
    found = windows_around(kind, zone, moment)
    keys = [key for key, _ in found]
    assert len(keys) == len(set(keys))
    assert keys == sorted(keys), "a range of partitions is found by the order of its keys as text"
    for edge in (window.start + shift for _, window in found[1:-1]):
        types: list[tuple[Literal["timestamp", "date", "bigint"], str | None]] = [("timestamp", None)]
        types += [("bigint", unit) for unit in ("seconds", "milliseconds", "microseconds")]
        if kind != "hourly":
            types.append(("date", None))
        for data_type, unit in types:
            cursor = Cursor("at", "at", data_type, zone, unit)
            homes = [window for _, window in found if cursor.is_in(window, cursor.bound(edge))]
            assert len(homes) == 1
            assert homes[0].start <= edge < homes[0].end


@pytest.mark.parametrize(
    ("unit", "bound"),
    [("seconds", -1), ("milliseconds", -1000), ("microseconds", -1_000_000)],
)
def test_a_unit_counts_since_1970(unit: str, bound: int) -> None:
    cursor = Cursor("at", "at", "bigint", unit=unit)
    assert cursor.bound(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == bound

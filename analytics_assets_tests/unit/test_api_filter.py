"""The times in a request cover the range of the cursor, in every format, time zone and reading of the bounds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from analytics_assets.config.filter import FilterConfig
from analytics_assets.ingestion.errors import UnfitFilterError, UnfitResourceError
from analytics_assets.ingestion.plan.api_filter import ApiFilter, api_filter_of
from analytics_assets.ingestion.time_window import Cursor, Window
from analytics_assets_tests.examples import examples

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMESTAMP = Cursor("at", "at", "timestamp")
DATE = Cursor("at", "at", "date")
MILLISECONDS = Cursor("at", "at", "bigint", unit="milliseconds")
START = datetime(2026, 1, 5, 3, 4, 5, 678_901, tzinfo=UTC)
DAY = datetime(2026, 1, 6, tzinfo=UTC)


def filter_of(cursor: Cursor = TIMESTAMP, incremental: Any = None, **config: Any) -> ApiFilter:
    endpoint = {"incremental": {"start_param": "since", **(incremental or {})}}
    found = api_filter_of("things", cursor, FilterConfig(**config) if config else None, endpoint)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("config", "start", "end", "next_day"),
    [
        ({}, "2026-01-05T03:04:05.678901Z", "2026-01-05T03:04:05.678901Z", "2026-01-06T00:00:00Z"),
        ({"format": "date"}, "2026-01-05", "2026-01-06", "2026-01-06"),
        ({"format": "%Y%m%d"}, "20260105", "20260106", "20260106"),
        ({"format": "iso_seconds"}, "2026-01-05T03:04:05Z", "2026-01-05T03:04:06Z", "2026-01-06T00:00:00Z"),
        (
            {"format": "iso_milliseconds"},
            "2026-01-05T03:04:05.678Z",
            "2026-01-05T03:04:05.679Z",
            "2026-01-06T00:00:00.000Z",
        ),
        ({"format": "%Y-%m-%d %H:%M:%S"}, "2026-01-05 03:04:05", "2026-01-05 03:04:06", "2026-01-06 00:00:00"),
        ({"format": "%Y-%m-%dT%H:%M:%SZ"}, "2026-01-05T03:04:05Z", "2026-01-05T03:04:06Z", "2026-01-06T00:00:00Z"),
        ({"format": "%d/%m/%y %I:%M %p"}, "05/01/26 03:04 AM", "05/01/26 03:05 AM", "06/01/26 12:00 AM"),
        ({"format": "epoch_seconds"}, 1767582245, 1767582246, 1767657600),
        ({"format": "epoch_milliseconds"}, 1767582245678, 1767582245679, 1767657600000),
        (
            {"timezone": "America/New_York"},
            "2026-01-04T22:04:05.678901-05:00",
            "2026-01-04T22:04:05.678901-05:00",
            "2026-01-05T19:00:00-05:00",
        ),
        (
            {"format": "iso_seconds", "timezone": "Asia/Kolkata"},
            "2026-01-05T08:34:05+05:30",
            "2026-01-05T08:34:06+05:30",
            "2026-01-06T05:30:00+05:30",
        ),
        (
            {"format": "%Y-%m-%dT%H:%M:%S%z"},
            "2026-01-05T03:04:05+0000",
            "2026-01-05T03:04:06+0000",
            "2026-01-06T00:00:00+0000",
        ),
        ({"format": "date", "timezone": "America/New_York"}, "2026-01-04", "2026-01-05", "2026-01-06"),
    ],
)  # fmt: skip
def test_a_time_is_written_in_the_format_of_the_file(
    config: Any, start: Any, end: Any, next_day: Any
) -> None:
    found = filter_of(**config)
    assert found.write(START) == start
    assert found.write(START, end=START) == end
    assert found.write(DAY, end=DAY) == next_day
    assert found.write(None) is None


@pytest.mark.parametrize(
    ("config", "start"),
    [
        ({}, "2026-01-05T23:59:59Z"),
        ({"format": "date"}, "2026-01-05"),
        ({"format": "iso_seconds"}, "2026-01-05T23:59:59Z"),
        ({"format": "iso_milliseconds"}, "2026-01-05T23:59:59.999Z"),
        ({"format": "%Y-%m-%d %H:%M"}, "2026-01-05 23:59"),
        ({"format": "epoch_seconds"}, 1767657599),
        ({"format": "epoch_milliseconds"}, 1767657599999),
    ],
)
def test_an_excluded_start_is_asked_for_one_unit_earlier(config: Any, start: Any) -> None:
    found = filter_of(bounds="exclusive", **config)
    assert found.write(DAY) == start
    assert found.write(DAY, end=DAY) == filter_of(**config).write(DAY, end=DAY)


@pytest.mark.parametrize(
    ("incremental", "start", "end"),
    [
        ({"range_end": "closed"}, "2026-01-05", "2026-01-07"),
        ({"last_value_func": "min"}, "2026-01-07", "2026-01-05"),
        ({"last_value_func": max}, "2026-01-05", "2026-01-06"),
    ],
)
def test_the_side_of_a_bound_is_that_of_the_range(incremental: Any, start: str, end: str) -> None:
    found = filter_of(incremental=incremental, format="date", bounds="exclusive")
    assert (found.write(DAY), found.write(DAY, end=DAY)) == (start, end)


@pytest.mark.parametrize(
    ("cursor", "value", "config", "written"),
    [
        (DATE, date(2026, 1, 5), {}, "2026-01-05"),
        (DATE, date(2026, 1, 5), {"format": "%Y%m%d"}, "20260105"),
        (DATE, date(2026, 1, 5), {"format": "epoch_seconds"}, 1767571200),
        (DATE, date(2026, 1, 5), {"format": "iso_seconds"}, "2026-01-05T00:00:00Z"),
        (DATE, date(2026, 1, 5), {"bounds": "exclusive"}, "2026-01-04"),
        (Cursor("at", "at", "date", "Pacific/Chatham"), date(2026, 1, 5), {}, "2026-01-05"),
        (Cursor("at", "at", "date", "Africa/Cairo"), date(2025, 4, 25), {}, "2025-04-25"),  # no midnight
        (
            Cursor("at", "at", "date", "America/New_York"),
            date(2026, 1, 5),
            {"format": "iso_seconds"},
            "2026-01-05T05:00:00Z",
        ),
        (MILLISECONDS, 1767571200123, {}, 1767571200123),
        (MILLISECONDS, 1767571200123, {"format": "epoch_seconds"}, 1767571200),
        (MILLISECONDS, 1767571200123, {"format": "iso_milliseconds"}, "2026-01-05T00:00:00.123Z"),
        (MILLISECONDS, 1767571200123, {"format": "date"}, "2026-01-05"),
        (TIMESTAMP, "2026-01-05T01:00:00+01:00", {}, "2026-01-05T00:00:00Z"),
        (TIMESTAMP, datetime(2026, 1, 5), {}, "2026-01-05T00:00:00Z"),  # noqa: DTZ001  as dlt may restore it
        (TIMESTAMP, "not a time", {"format": "date"}, "not a time"),
    ],
)  # fmt: skip
def test_the_cursor_may_be_of_any_type(cursor: Cursor, value: Any, config: Any, written: Any) -> None:
    assert filter_of(cursor, **config).write(value) == written


@pytest.mark.parametrize(
    ("cursor", "initial", "config", "written"),
    [
        (TIMESTAMP, 1767571200, {}, 1767571200),
        (TIMESTAMP, 1767571200.5, {}, 1767571200),
        (TIMESTAMP, 1767571200000, {}, 1767571200000),
        (TIMESTAMP, 1767571200000000, {}, 1767571200000000),
        (TIMESTAMP, 0, {"format": "epoch_milliseconds"}, 0),
        (TIMESTAMP, 1767571200, {"format": "iso_seconds"}, "2026-01-05T00:00:00Z"),
        (TIMESTAMP, "2026-01-05", {}, "2026-01-05T00:00:00Z"),
        (TIMESTAMP, date(2026, 1, 5), {"format": "epoch_milliseconds"}, 1767571200000),
        (MILLISECONDS, 1767571200000, {}, 1767571200000),
        (MILLISECONDS, "2026-01-05", {"format": "date"}, "2026-01-05"),
        (MILLISECONDS, "2026-01-05T00:00:00Z", {"bounds": "exclusive"}, "2026-01-04T23:59:59Z"),
    ],
)
def test_the_initial_value_says_the_format_where_the_file_does_not(
    cursor: Cursor, initial: Any, config: Any, written: Any
) -> None:
    found = filter_of(cursor, {"initial_value": initial}, **config)
    assert found.write(found.bound(initial)) == written


@pytest.mark.parametrize(
    ("cursor", "initial", "config", "sentence"),
    [
        (TIMESTAMP, 1767571200000, {"format": "epoch_seconds"}, "as a number of seconds since 1970"),
        (TIMESTAMP, 1767571200, {"format": "epoch_milliseconds"}, "as a number of milliseconds since 1970"),
        (TIMESTAMP, 10**18, {}, "as a number of seconds since 1970"),
        (MILLISECONDS, "yesterday", {}, "as a number of milliseconds since 1970"),
        (DATE, 1767571200, {}, "is no date. Write it as the cursor is, in ISO 8601"),
        (TIMESTAMP, True, {}, "is no timestamp"),
    ],
)
def test_an_initial_value_in_another_unit_is_refused(
    cursor: Cursor, initial: Any, config: Any, sentence: str
) -> None:
    with pytest.raises(UnfitResourceError, match=sentence):
        filter_of(cursor, {"initial_value": initial}, **config)


@pytest.mark.parametrize(
    ("cursor", "endpoint", "config", "problem"),
    [
        (None, {}, {"format": "date"}, "the resource has no cursor"),
        (Cursor("at", "at", None), {"incremental": {"start_param": "a"}}, {}, "the cursor `at` is not declared as one"),
        (TIMESTAMP, {"incremental": {"cursor_path": "at"}}, {}, "no request has the start or the end"),
        (TIMESTAMP, {"incremental": {"start_param": "a", "convert": str}}, {}, "both `filter` and `convert`"),
        (TIMESTAMP, {"incremental": {"start_param": "a"}}, {"cursor_unit": "seconds"}, "`at` is a timestamp"),
        (DATE, {"incremental": {"start_param": "a"}}, {"timezone": "Asia/Tokyo"}, "a day, which has no time zone"),
    ],
)  # fmt: skip
def test_a_filter_without_a_use_is_refused(
    cursor: Cursor | None, endpoint: Any, config: Any, problem: str
) -> None:
    with pytest.raises(UnfitFilterError) as caught:
        api_filter_of("things", cursor, FilterConfig(**config), endpoint)
    assert caught.value.code == "unfit_filter"
    assert problem in caught.value.problem
    assert caught.value.fix


@pytest.mark.parametrize("where", ["start_value", "last_value", "initial_value", "end_value"])
@pytest.mark.parametrize("part", ["path", "params", "json", "data", "headers"])
def test_a_placeholder_is_a_use_of_a_filter(where: str, part: str) -> None:
    text: Any = f"x/{{incremental.{where}}}"
    endpoint = {"incremental": {"cursor_path": "at"}, part: text if part == "path" else {"a": [{"b": text}]}}
    assert api_filter_of("things", TIMESTAMP, FilterConfig(format="date"), endpoint)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"format": "dates"}, "Did you mean `date`?"),
        ({"format": "ISO"}, "Or write a pattern, such as `%Y-%m-%d %H:%M:%S`."),
        ({"format": "%H:%M"}, "does not write a whole day"),
        ({"format": "%Y-%m"}, "does not write a whole day"),
        ({"format": "%Y-%m-%d %I:%M"}, "does not write a whole day"),
        ({"format": "%s"}, "use epoch_seconds"),
        ({"format": "%Y-%m-%d %Q"}, "does not write a whole day"),
        (
            {"format": "%Y-%m-%dT%H:%M:%S+02:00"},
            "always writes +02:00. Use %z in the pattern, and set `timezone`.",
        ),
        ({"format": "%Y-%m-%dT%H:%M:%SZ", "timezone": "Asia/Tokyo"}, "always writes the same time zone"),
        ({"format": "epoch_seconds", "timezone": "Asia/Tokyo"}, "is a number since 1970"),
        ({"timezone": "Tokyo"}, "there is no time zone `Tokyo`"),
        ({"bounds": "open"}, "'inclusive' or 'exclusive'"),
    ],
)
def test_a_mistake_in_the_filter_is_one_sentence(config: Any, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FilterConfig(**config)
    assert sentence in str(caught.value)


ZONES = (
    "UTC",
    "America/New_York",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
)
PATTERNS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dT%H:%M%z",
)


def _readings(text: str, pattern: str, zones: tuple[str, ...]) -> list[datetime]:
    """The moments that an API may take a text for."""
    found = datetime.strptime(text, pattern)  # noqa: DTZ007
    if found.tzinfo:
        return [found.astimezone(UTC)]
    return [
        found.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for zone in zones for fold in (0, 1)
    ]


@given(
    st.sampled_from(PATTERNS),
    st.sampled_from(ZONES),
    st.booleans(),
    st.booleans(),
    st.datetimes(datetime(2024, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
@example("%Y-%m-%d %H:%M:%S", "America/New_York", True, True, datetime(2025, 11, 2, 5, 30, tzinfo=UTC))
@example("%Y-%m-%d %H:%M:%S", "America/New_York", True, True, datetime(2025, 11, 2, 6, 30, tzinfo=UTC))
@example("%Y-%m-%d %H:%M:%S", "America/New_York", True, True, datetime(2026, 3, 8, 7, 0, tzinfo=UTC))
@example("%Y-%m-%d", "America/New_York", False, False, datetime(2026, 1, 5, 3, tzinfo=UTC))
@example("%Y-%m-%d", "Africa/Cairo", True, True, datetime(2025, 4, 24, 22, tzinfo=UTC))
@settings(max_examples=examples(400), deadline=None)
def test_a_request_never_asks_for_less(
    pattern: str, zone: str, is_set: bool, excludes: bool, moment: datetime
) -> None:
    """Whatever the API takes a text for, and whether it compares whole units or single moments."""
    cursor = Cursor("at", "at", "timestamp", zone)
    config = {"timezone": zone} if is_set else {}
    found = filter_of(cursor, format=pattern, bounds="exclusive" if excludes else "inclusive", **config)
    zones = (zone,) if is_set else ("UTC", zone)
    starts = _readings(found.write(moment), pattern, zones)
    ends = _readings(found.write(moment, end=moment), pattern, zones)
    assert max(starts) <= moment - (found.format.step if excludes else timedelta())
    assert min(ends) >= moment
    widest = 4 * max(found.format.unit, timedelta(hours=1)) + timedelta(days="%H" not in pattern)
    assert moment - min(starts) <= widest + timedelta(hours=14)
    window = found.asked(Window(moment, moment))
    assert window.start <= min(starts) < max(ends) + found.format.unit <= window.end


@pytest.mark.parametrize(
    ("cursor", "config", "start", "end"),
    [
        (TIMESTAMP, {"format": "date"}, "2026-01-05T00:00:00+00:00", "2026-01-07T00:00:00+00:00"),
        (TIMESTAMP, {}, "2026-01-05T03:00:00+00:00", "2026-01-05T04:00:00.000001+00:00"),
        (MILLISECONDS, {}, "2026-01-05T03:00:00+00:00", "2026-01-05T04:00:00.001000+00:00"),
        (
            Cursor("at", "at", "date", "Asia/Kolkata"),
            {},
            "2026-01-04T18:30:00+00:00",
            "2026-01-05T18:30:00+00:00",
        ),
    ],
)
def test_the_rows_that_a_request_explains(cursor: Cursor, config: Any, start: str, end: str) -> None:
    hour: Callable[[int], datetime] = lambda hour: datetime(2026, 1, 5, hour, tzinfo=UTC)  # noqa: E731
    window = filter_of(cursor, **config).asked(Window(hour(3), hour(4)))
    assert (window.start.isoformat(), window.end.isoformat()) == (start, end)

"""For every type and many odd values of APIs, the column holds the value or a reason is reported."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from dlt.common.libs.pyarrow import dlt_column_to_arrow_field
from dlt.destinations import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.ingestion.contract.coercion import Coercer
from analytics_assets.ingestion.raw_json import read_lenient_json
from analytics_assets_tests.examples import examples

CAPABILITIES = duckdb("unused.duckdb").capabilities()
HUGE = "x" * 100_000

TYPES: dict[str, dict[str, Any]] = {
    "text": {},
    "text(3)": {"precision": 3},
    "bigint": {},
    "bigint(32)": {"precision": 32},
    "double": {},
    "bool": {},
    "decimal(18, 2)": {"precision": 18, "scale": 2},
    "wei": {},
    "timestamp": {},
    "decimal(38, 20)": {"precision": 38, "scale": 20},
    "timestamp(3)": {"precision": 3},
    "timestamp(3), key": {"precision": 3, "primary_key": True},
    "timestamp(9)": {"precision": 9},
    "timestamp, no zone": {"timezone": False},
    "date": {},
    "time": {},
    "binary": {},
    "json": {},
}


def coercer(kind: str) -> Coercer:
    data_type = kind.partition("(")[0].partition(",")[0]
    hints: Any = {"name": "c", "data_type": data_type, **TYPES[kind]}
    return Coercer(hints, dlt_column_to_arrow_field(hints, CAPABILITIES, "UTC").type)


def moment(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


NO_JSON = (
    "cannot be stored as JSON: it has a number that is NaN, infinite, of more than 64 bits or would be rounded, "
    "invalid Unicode, or too many levels"
)
CUT_KEY = "has more digits than timestamp(3) keeps, and is part of the primary key: declare it as text"

FITS = [
    ("text", "naïve café ☕ 𝄞", "naïve café ☕ 𝄞"),
    ("text", "", ""),
    ("text", "a\x00b", "a\x00b"),
    ("text", HUGE, HUGE),
    ("text", 17, "17"),
    ("text", 2**70, str(2**70)),
    ("text(3)", "abc", "abc"),
    ("bigint", 2**63 - 1, 2**63 - 1),
    ("bigint", -(2**63), -(2**63)),
    ("bigint", 5.0, 5),
    ("bigint", " 5 ", 5),
    ("bigint(32)", 2**31 - 1, 2**31 - 1),
    ("double", 1.5, 1.5),
    ("double", 3, 3.0),
    ("double", 2**60, float(2**60)),
    ("double", "1e3", 1000.0),
    ("bool", True, True),
    ("bool", "False", False),
    ("bool", 0, False),
    ("decimal(18, 2)", "19.99", Decimal("19.99")),
    ("decimal(18, 2)", "1.500", Decimal("1.50")),
    ("decimal(18, 2)", 19.99, Decimal("19.99")),
    ("decimal(18, 2)", 7, Decimal("7.00")),
    ("decimal(18, 2)", "1e2", Decimal("100.00")),
    ("decimal(18, 2)", "9999999999999999.99", Decimal("9999999999999999.99")),
    ("decimal(18, 2)", "-0", Decimal("0.00")),
    ("wei", str(10**37), Decimal(10**37)),
    ("timestamp", "2026-01-05T00:00:00Z", moment(2026, 1, 5)),
    ("timestamp", "2026-01-05T01:30:00+02:00", moment(2026, 1, 4, 23, 30)),
    ("timestamp", "2026-01-05T00:00:00", moment(2026, 1, 5)),
    ("timestamp", "2026-01-05 00:00:00.5", moment(2026, 1, 5, 0, 0, 0, 500_000)),
    ("timestamp", "2026-01-05", moment(2026, 1, 5)),
    ("timestamp", "20260105T000000Z", moment(2026, 1, 5)),
    ("timestamp", "2026-01-05T00:00:00.1234567Z", moment(2026, 1, 5, 0, 0, 0, 123_456)),
    ("timestamp", 1767225600, moment(2026, 1, 1)),
    ("timestamp", 1767225600.25, moment(2026, 1, 1, 0, 0, 0, 250_000)),
    ("timestamp", "0001-01-01T00:00:00Z", moment(1, 1, 1)),
    ("timestamp(3)", "1969-12-31T23:59:59.9999Z", moment(1969, 12, 31, 23, 59, 59, 999_000)),
    ("timestamp(3), key", "2026-01-05T00:00:00.123000Z", moment(2026, 1, 5, 0, 0, 0, 123_000)),
    ("timestamp", "2026-W02-1T10:00+0200", moment(2026, 1, 5, 8)),
    ("date", "20260105", date(2026, 1, 5)),
    ("timestamp(9)", "2026-01-05T00:00:00.123456Z", moment(2026, 1, 5, 0, 0, 0, 123_456)),
    ("timestamp, no zone", "2026-01-05T01:00:00+01:00", datetime(2026, 1, 5)),  # noqa: DTZ001
    ("date", "2026-01-05", date(2026, 1, 5)),
    ("date", "2026-01-05T00:00:00Z", date(2026, 1, 5)),
    ("time", "12:34:56.5", time(12, 34, 56, 500_000)),
    ("time", "12:34:56Z", time(12, 34, 56)),
    ("binary", "aGVsbG8=", b"hello"),
    ("binary", "0x68656c6c6f", b"hello"),
    ("json", {"a": [1, {"b": None}]}, '{"a":[1,{"b":null}]}'),
    ("json", '{"a": 1}', '{"a":1}'),
    ("json", "plain", '"plain"'),
    ("json", [], "[]"),
]

UNFIT = [
    ("text", 1.5, "is a number, not a valid text"),
    ("text", True, "is true or false, not a valid text"),
    ("text", {"a": 1}, "is an object, not a valid text"),
    ("text", ["a"], "is a list, not a valid text"),
    ("text", "\ud800", "is not valid Unicode"),
    ("text(3)", "abcd", "has 4 characters, more than text(3) can hold"),
    ("bigint", 2**63, "is too large for bigint"),
    ("bigint", "9" * 5000, "is too large for bigint"),
    ("bigint", 1.5, "has a fraction, which bigint cannot hold"),
    ("bigint", "five", "is text, not a valid bigint"),
    ("bigint", "\u0665", "is text, not a valid bigint"),
    ("bigint", True, "is true or false, not a valid bigint"),
    ("bigint", math.inf, "is NaN or infinite, not a valid bigint"),
    ("bigint(32)", 2**31, "is too large for bigint(32)"),
    ("double", 2**53 + 1, "would be rounded: double keeps 15 digits"),
    ("double", 10**400, "is too large for double"),
    ("double", math.inf, "is too large for double"),
    ("double", math.nan, "is NaN or infinite, not a valid double"),
    ("double", "abc", "is text, not a valid double"),
    ("double", True, "is true or false, not a valid double"),
    ("bool", "yes", "is text, not a valid bool"),
    ("bool", 2, "is a whole number, not a valid bool"),
    ("bool", 1.0, "is a number, not a valid bool"),
    ("decimal(18, 2)", "1.239", "would be rounded: decimal(18, 2) keeps 2 digits after the point"),
    ("decimal(18, 2)", 1.239, "would be rounded: decimal(18, 2) keeps 2 digits after the point"),
    (
        "decimal(18, 2)",
        0.1 + 0.2,
        "would be rounded: decimal(18, 2) keeps 2 digits after the point",
    ),
    ("decimal(18, 2)", "10000000000000000", "is too large for decimal(18, 2)"),
    ("decimal(18, 2)", "1e999999999", "is too large for decimal(18, 2)"),
    ("decimal(18, 2)", "1e99999999999999999999", "is too large for decimal(18, 2)"),
    ("decimal(18, 2)", "twelve", "is text, not a valid decimal(18, 2)"),
    ("decimal(18, 2)", "NaN", "is text, not a valid decimal(18, 2)"),
    ("decimal(18, 2)", True, "is true or false, not a valid decimal(18, 2)"),
    ("wei", "1.5", "would be rounded: wei keeps 0 digits after the point"),
    ("timestamp", "05/01/2026", "is text, not a valid timestamp"),
    ("timestamp", "2026-02-30T00:00:00Z", "is text, not a valid timestamp"),
    ("timestamp", "", "is text, not a valid timestamp"),
    ("timestamp", 1767225600000, "is a whole number, not a valid timestamp"),
    ("timestamp", "0001-01-01T00:00:00+02:00", "is text, not a valid timestamp"),
    ("timestamp", True, "is true or false, not a valid timestamp"),
    ("timestamp(9)", "3000-01-01T00:00:00Z", "is too large for timestamp(9)"),
    ("date", "2026-01-05T12:00:00Z", "has a time of day, which date cannot hold"),
    ("date", 20260105, "is a whole number, not a valid date"),
    ("date", "0000-01-01", "is text, not a valid date"),
    ("time", "12:34:56+02:00", "has a time zone, which time cannot hold"),
    ("time", "25:00", "is text, not a valid time"),
    ("binary", "no base64!", "is text, not a valid binary"),
    (
        "json",
        2**70,
        NO_JSON,
    ),
    ("json", math.nan, NO_JSON),
    ("json", {"a": [None, {"b": -math.inf}]}, NO_JSON),
    *(
        ("timestamp", text, "is text of digits only, which may be a day or a count of time: declare it as bigint")
        for text in ("20260105", "1767571200000", "1767571200", "0", " 171201011200 ")
    ),
    *(
        (kind, text, f"is text, not a valid {kind}")
        for kind in ("timestamp", "date")
        for text in (
            "2026-01-05+02:00", "2026-01-05x10:00", "2026-01-05_10:00", "2026-01-05t10:00:00", "2026-01-05Z",
            "2026-W02", "2026W02", "2026-01-05-10:00", "2026-01-05\u00a010:00", "2026-01", "-1", "1e9", "2026-01-05T",
            "2026-01-05 10:00 +02:00", "2026-01-05T10:00:00 UTC", "2026-01-05T24:00:00", "2026/01/05", "05.01.2026",
            "\u0662\u0660\u0662\u0666-01-05", "2026-01-05T10:00:00.", "1.5",
        )
    ),
    ("timestamp(3), key", "2026-01-05T00:00:00.1234Z", CUT_KEY),
    ("timestamp(3), key", "2026-01-05T00:00:00.1230001Z", CUT_KEY),
    ("timestamp(3), key", 1767225600.1234, CUT_KEY),
]  # fmt: skip

LITERALS = [
    ("bigint", "9007199254740993.0", 9007199254740993),
    ("bigint", "-9007199254740993.000", -9007199254740993),
    ("bigint", "10000000000000000.5", "has a fraction, which bigint cannot hold"),
    ("bigint", "0.99999999999999999999", "has a fraction, which bigint cannot hold"),
    ("bigint", "1e-400", "has a fraction, which bigint cannot hold"),
    ("bigint", "9223372036854775807.0", 2**63 - 1),
    ("bigint", "9223372036854775807.5", "has a fraction, which bigint cannot hold"),
    ("bigint", "9.223372036854775807e18", 2**63 - 1),
    ("bigint", "9223372036854775808.0", "is too large for bigint"),
    ("bigint", "1e999", "is too large for bigint"),
    ("bigint", "1e99999999999999999999", "is too large for bigint"),
    ("bigint", "NaN", "is NaN or infinite, not a valid bigint"),
    ("bigint(32)", "2147483647.0", 2**31 - 1),
    ("decimal(18, 2)", "99.99999999999999999", "would be rounded: decimal(18, 2) keeps 2 digits after the point"),
    ("decimal(18, 2)", "19.990000000000000000000", Decimal("19.99")),
    ("decimal(18, 2)", "9999999999999999.99", Decimal("9999999999999999.99")),
    ("decimal(18, 2)", "0.30000000000000004", "would be rounded: decimal(18, 2) keeps 2 digits after the point"),
    ("decimal(18, 2)", "1e999", "is too large for decimal(18, 2)"),
    ("decimal(18, 2)", "-Infinity", "is NaN or infinite, not a valid decimal(18, 2)"),
    ("decimal(38, 20)", "99.99999999999999999", Decimal("99.99999999999999999")),
    ("decimal(38, 20)", "0.1000000000000000055", Decimal("0.1000000000000000055")),
    ("double", "0.1000000000000000055", 0.1),
    ("double", "9007199254740993.0", "would be rounded: double keeps 15 digits"),
    ("double", "9007199254740992.0", 2.0**53),
    ("double", "12345678901234567890.123", 12345678901234567890.123),
    ("double", "1e999", "is too large for double"),
    ("double", "NaN", "is NaN or infinite, not a valid double"),
    ("timestamp", "1767225600.123456", moment(2026, 1, 1, 0, 0, 0, 123_456)),
    ("timestamp", "1767225600.1234569999999", moment(2026, 1, 1, 0, 0, 0, 123_456)),
    ("timestamp", "1e999", "is a number too large for a double, not a valid timestamp"),
    ("json", "[0.1,0.10000000000000001,1e22]", "[0.1,0.1,1e+22]"),
    ("json", "12345678901234567890.123", NO_JSON),
    ("json", '{"a": {"b": [12345678901234567890.123]}}', NO_JSON),
    ("json", '"{\\"a\\": 12345678901234567890.123}"', NO_JSON),
    ("json", '[9007199254740993.0]', NO_JSON),
    ("json", "[NaN]", NO_JSON),
    ("json", '{"a": -Infinity, "b": null}', NO_JSON),
    ("json", "[1e999]", NO_JSON),
    ("json", '"[NaN]"', '"[NaN]"'),
    ("text", "9007199254740993.0", "is a number, not a valid text"),
    ("bool", "1.00000000000000000001", "is a number, not a valid bool"),
    ("date", "20260105.00000000000001", "is a number, not a valid date"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "stored"), FITS)
def test_a_value_that_the_type_can_hold(kind: str, value: Any, stored: Any) -> None:
    column, errors = coercer(kind).coerce([value, None])
    assert errors == {}
    assert column.to_pylist() == [stored, None]
    assert type(column[0].as_py()) is not float or not math.isnan(stored)


@pytest.mark.parametrize(("kind", "value", "why"), UNFIT)
def test_a_value_that_the_type_cannot_hold(kind: str, value: Any, why: str) -> None:
    column, errors = coercer(kind).coerce([None, value])
    assert errors == {1: why}
    assert column.null_count == 2


@pytest.mark.parametrize(("kind", "literal", "expected"), LITERALS)
def test_a_number_is_judged_by_its_digits(kind: str, literal: str, expected: Any) -> None:
    column, errors = coercer(kind).coerce([read_lenient_json(literal)])
    outcome = errors.get(0, column.to_pylist()[0])
    assert (type(outcome), outcome) == (type(expected), expected)


@pytest.mark.parametrize(
    ("kind", "value", "cut"),
    [
        ("timestamp", "2026-01-05T00:00:00.1234567Z", 1),
        ("timestamp", "2026-01-05T00:00:00.1234560Z", 0),
        ("timestamp", 1767225600.25, 0),
        ("timestamp(3)", "2026-01-05T00:00:00.123456Z", 1),
        ("timestamp(3)", "2026-01-05T00:00:00.1230000Z", 0),
        ("timestamp(3)", 1767225600.1234, 1),
    ],
)
def test_digits_that_a_timestamp_loses_are_counted(kind: str, value: Any, cut: int) -> None:
    one = coercer(kind)
    one.coerce([value, None, value])
    assert one.cut == 2 * cut


def test_a_column_of_nanoseconds_keeps_them() -> None:
    texts = ["2026-01-05T00:00:00.123456789Z", "1969-12-31T23:59:59.999999999Z", "2026-01-05T00:00:00.1Z"]
    at_once, _ = coercer("timestamp(9)").coerce(texts)
    one = coercer("timestamp(9)")
    one_by_one, reasons = one._one_by_one([*texts, "2026-01-05T00:00:00.1234567891Z"])
    assert one_by_one[:3].equals(at_once)
    assert at_once.cast("int64").to_pylist()[1] == -1
    assert (reasons, one.cut) == ({}, 1)


@pytest.mark.parametrize("kind", TYPES)
def test_null_is_null(kind: str) -> None:
    column, errors = coercer(kind).coerce([None, None])
    assert (column.null_count, errors) == (2, {})
    assert column.type == coercer(kind).arrow_type


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.text(alphabet="0123456789.-+eE:TZ "),
    st.sampled_from([value for _, value, _ in [*FITS, *UNFIT] if value != HUGE]),
    st.datetimes(timezones=st.timezones()).map(str), st.datetimes().map(str),
    st.decimals().map(str), st.dates().map(str),
)  # fmt: skip
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from(sorted(TYPES)), st.lists(JSON, min_size=1, max_size=6))
def test_a_value_is_coerced_alike_whatever_its_neighbours(kind: str, values: list[Any]) -> None:
    """Coercion of a whole column and of single values give the same result, and neither raises."""
    column, errors = coercer(kind).coerce(values)
    assert len(column) == len(values)
    for position, value in enumerate(values):
        alone, error = coercer(kind).coerce([value])
        assert error.get(0) == errors.get(position)
        assert alone[0] == column[position] or (alone[0].as_py() is None and column[position].as_py() is None)
        one = coercer(kind)._one_by_one([value])
        assert one[1].get(0) == errors.get(position)
        assert one[0].to_pylist() == [column[position].as_py()]

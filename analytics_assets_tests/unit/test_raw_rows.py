"""Rows of an odd body stay JSON text, and are the rows that a parser of the whole body finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dlt.common.jsonpath import compile_path
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from analytics_assets.ingestion.http.json_path import finder, steps_of
from analytics_assets.ingestion.raw_json import read_body, write_json
from analytics_assets.ingestion.raw_rows import read_around_rows
from analytics_assets_tests.examples import examples
from analytics_assets_tests.unit.http.test_rows_as_text import parsed

VALUES = (
    *("1", "-2.5e3", '"a"', "null", "true", "[]", "{}", "NaN", "Infinity", "-Infinity", "1e400"),
    *('"\\ud83d\\ude00"', '"\\ud800"', '"\\udc00"', '"\\\\\\ud800"', '"\x01"', '"\t\n"', '"\x7f"', '"é"'),
    *('"\\"NaN\\""', '", NaN,"', '"[{"', '"\udcff"', "-NaN", "1NaN", "nan", "-", '"\\x"', "1 NaN", "tru"),
)
NAMES = ('"id"', '"a"', '"NaN"', '"x\x02"', '"é"', '"\\ud800"', '"x, NaN, y"', '"\x7f"', "NaN")


def written(members: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{name}:\n{one}" for name, one in members) + "}"


value = st.recursive(
    st.sampled_from(VALUES[:10]) | st.sampled_from(VALUES),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda found: f"[{', '.join(found)}]")
        | st.lists(st.tuples(st.sampled_from(NAMES), inner), max_size=3).map(written)
    ),
    max_leaves=8,
)


@given(st.lists(value, max_size=4), st.tuples(st.sampled_from(NAMES), value), st.integers(0, 5))
@settings(max_examples=examples(3000))
def test_the_rows_are_those_of_the_whole_body(rows: list[str], beside: tuple[str, str], way: int) -> None:
    text = written([beside, ('"data"', f"[{','.join(rows)}]")])
    encoding, charset, start = (
        ("utf-8", None, b""),
        ("utf-8", "latin-1", b"\xef\xbb\xbf"),
        ("utf-16", None, b""),
        ("utf-16-le", "base64", b""),
        ("latin-1", "latin-1", b""),
        ("utf-8", "no such encoding", b" " * 200),
    )[way]
    body = start + text.encode(encoding, "surrogateescape" if "8" in encoding else "replace")
    expected = text_of(lambda: read_body(body, charset))
    found = text_of(lambda: read_around_rows(body, charset, lambda _: ("data",)))
    assert found in (expected, "null")  # null leaves the body to `read_body`


def text_of(read: Callable[[], Any]) -> str:
    try:
        return write_json(parsed(read()))
    except ValueError:
        return "not JSON"


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": [{"id": 1}, {"id": NaN}]}',
        b'{"data": [{"id": 1}, {"id": "\x01"}]}',
        b'{"data": [{"id": 1}, {"id": "\\ud800"}]}',
        b'{"data": [{"id": 1}, {"id": "\xff"}]}',
        b'{"data": [{"id": 1}, {"id": %b}]}' % (b"[" * 5000 + b"NaN" + b"]" * 5000),
        b'\xef\xbb\xbf \n {"data": [{"id": 1}, {"id": 2}]}',
        '{"data": [{"id": 1}, {"id": NaN}], "next": Infinity}'.encode("utf-16"),
    ],
)
def test_no_row_is_parsed_because_of_an_odd_one(body: bytes) -> None:
    found = read_around_rows(body, None, lambda _: ("data",))
    assert [*map(type, found["data"])] == [Raw, Raw]
    assert write_json(parsed(found)) == write_json(read_body(body))


@pytest.mark.parametrize("body", [b'{"data": {"id": 1}}', b'{"data": NaN}', b'{"\xff": 1, "data": []}'])
def test_a_body_without_a_list_is_left_to_the_parser_of_whole_bodies(body: bytes) -> None:
    assert read_around_rows(body, None, lambda _: ("data",)) is None


def test_rows_that_must_not_stay_text_do_not() -> None:
    assert read_around_rows(b"[NaN]", None, lambda _: None) is None


WILDCARDS = (
    "data[*]",
    "data[*].a",
    "data.*",
    "$.data.*.id",
    "data[*].a[*]",
    "$.*",
    "$.*.id",
    "data[*].'é'",
    "*[*].a",
)


@given(st.lists(value, max_size=4), value, st.sampled_from(WILDCARDS), st.booleans())
@settings(max_examples=examples(3000))
def test_the_rows_of_a_wildcard_are_those_that_the_jsonpath_finds(
    rows: list[str], other: str, selector: str, in_object: bool
) -> None:
    items = [f'{{"id": {one}, "a": {other}, "é": [{one}]}}' for one in rows]
    fields = [(f'"{number}"', one) for number, one in enumerate(items)]
    text = written([('"data"', written(fields) if in_object else f"[{','.join(items)}]"), ('"b"', other)])
    body = text.encode("utf-8", "surrogateescape")
    find, steps = finder(selector), steps_of(selector)

    def expected() -> Any:
        found = [one.value for one in compile_path(selector).find(read_body(body))]
        return found[0] if len(found) == 1 and isinstance(found[0], list) else found

    def found() -> Any:
        response = read_around_rows(body, None, lambda _: steps)
        return expected() if response is None else find(response)[0]

    assert text_of(found) == text_of(expected)


def test_rows_of_a_wildcard_stay_text() -> None:
    body = b'{"data": [{"a": {"id": 1}, "b": 2}, {"a": {"id": NaN}}, {"b": 3}], "next": 4}'
    response = read_around_rows(body, None, lambda _: steps_of("data[*].a"))
    assert [*map(bytes, response["data"])] == [b'{"id": 1}', b'{"id": NaN}']
    assert response["next"] == 4
    assert all(type(row) is Raw for row in response["data"])

"""Rows stay JSON text where no step before the validator reads them, and large answers are not copied."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from dlt.common.jsonpath import find_values
from dlt.sources.helpers.rest_client.detector import find_response_page_data
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from analytics_assets.ingestion.http import response as response_module
from analytics_assets.ingestion.http.read_bounds import BoundedRead, ReadBounds
from analytics_assets.ingestion.http.response import PagingFields, ResponseReader
from analytics_assets.ingestion.http.row_key import key_of, keys_of, same_rows
from analytics_assets.ingestion.http.row_selection import RowRules
from analytics_assets.ingestion.raw_json import read_row
from analytics_assets.ingestion.raw_rows import is_utf_8, read_outline
from analytics_assets_tests.examples import examples

ROWS = [{"id": 1, "meta": {"userId": "a"}}, {"id": 2}]


@pytest.mark.parametrize(
    ("selector", "body", "read_by_dlt", "is_text"),
    [
        ("data", {"data": ROWS, "next": None}, ("next",), True),
        ("$.data", {"data": ROWS}, ("$.meta.next",), True),
        ("data.items", {"data": {"items": ROWS, "next": 1}}, ("data.next",), True),
        ("$", ROWS, (), True),
        ("data", {"data": ROWS}, ("data.[-1].id",), True),
        ("data", {"data": ROWS}, ("($..next)",), True),
        ("data", {"data": ROWS}, ("data.next",), True),
        ("$", ROWS, ("[-1].id",), True),
        ("data[*]", {"data": ROWS}, ("next",), True),
        ("data[*]", {"data": ROWS}, ("data[*].id",), False),
        ("data[*]", {"data": ROWS[:1]}, (), False),
        ("data[*].meta.a", {"data": {"b": ROWS}}, (), False),
        ("data[?(@.id > 1)]", {"data": ROWS}, (), False),
        ("$..data", {"data": ROWS}, (), False),
        ("data", {"data": ROWS[0]}, (), False),
        ("data", {"data": None, "next": 3}, (), False),
        ("data.items", {"data": [{"items": ROWS}]}, (), False),
        (None, {"next": 1, "data": ROWS}, ("next",), True),
        (None, {"answer": {"results": ROWS}, "links": [1]}, (), True),
        (None, ROWS, (), True),
        (None, ROWS[0], (), False),
        (None, {"data": ROWS}, ("data.[-1].id",), True),
        (None, {"errors": ROWS}, (), False),
    ],
)
def test_only_rows_that_nobody_reads_stay_text(
    selector: str | None, body: Any, read_by_dlt: tuple[str, ...], is_text: bool
) -> None:
    rules, paging = RowRules(selector), PagingFields(read_by_dlt=read_by_dlt)
    texts = ResponseReader("rows", rules, paging, raw_rows=True)
    response = texts.parse(json.dumps(body).encode(), "GET /rows")
    assert (Raw in types_in(response)) is is_text
    assert parsed(response) == body
    if read_by_dlt:
        texts.read(response, "GET /rows")
    for path in () if "*" in str(selector) else read_by_dlt:
        assert find_values(path, texts.readable(response)) == find_values(path, body)


def test_a_paginator_of_the_user_reads_single_rows_of_a_large_response(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = ResponseReader("rows", RowRules("data"), raw_rows=True, is_read_by_user=True)
    body = json.dumps({"data": ROWS, "next": 1}).encode()
    assert Raw not in types_in(reader.parse(body, "GET /rows"))
    monkeypatch.setattr(response_module, "MOST_PARSED", 10)
    response = reader.parse(body, "GET /rows")
    rows = reader.readable(response)["data"]
    assert [*map(type, response["data"])] == [Raw, Raw]
    assert (len(rows), rows[-1], rows[:1], [*rows], [*reversed(rows)]) == (
        2,
        ROWS[1],
        ROWS[:1],
        ROWS,
        ROWS[::-1],
    )
    assert rows == ROWS == rows.copy() == deepcopy(rows) == sorted(rows, key=lambda row: int(row["id"]))
    assert ROWS[1] in rows
    assert (rows.index(ROWS[1]), rows.count(ROWS[0]), repr(rows)) == (1, 1, repr(ROWS))
    assert rows.__add__([1]) == [*ROWS, 1]
    assert rows.pop() == ROWS[1]
    assert len(response["data"]) == 2  # the paginator has a list of its own


def types_in(value: Any) -> set[type]:
    if isinstance(value, dict):
        return set().union(*map(types_in, value.values()))
    return set().union(*map(types_in, value)) if isinstance(value, list) else {type(value)}


def parsed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: parsed(one) for name, one in value.items()}
    if isinstance(value, list):
        return [parsed(one) for one in value]
    return read_row(value) if isinstance(value, Raw) else value


@pytest.mark.parametrize("key", [("id",), ("meta__user_id",), ("id", "meta.userId"), ("absent",), ()])
@pytest.mark.parametrize(
    "text",
    [
        b'{"id": 1, "meta": {"userId": "a"}}',
        b'{"id": 1.00000000000000000000001}',
        b'{"id": 1, "id": 2}',
        b'{"id": null}',
        b'{"id": {"a": [1]}}',
        b'{"other": 7}',
        b"[1]",
        b"null",
        b'{"id": 5, "text": "\\ud800"}',
    ],
)
def test_a_text_has_the_key_of_its_row(text: bytes, key: tuple[str, ...]) -> None:
    assert key_of(Raw(text), key) == key_of(read_row(Raw(text)), key)


def test_texts_and_parsed_rows_have_their_keys_in_order() -> None:
    rows = [Raw(b'{"id": 1}'), {"id": 2}, Raw(b'{"ID": 3}'), Raw(b"4")]
    assert list(keys_of(rows, ("id",))) == [(1,), (2,), (3,), None]


def test_a_page_is_new_by_one_new_key() -> None:
    read = BoundedRead("rows", ("id",), ReadBounds())
    pages = [[1, 2], [2, 1], [2, 3], [3], []]
    texts = [[Raw(msgspec.json.encode({"id": one})) for one in page] for page in pages]
    assert [read.has_new_row(page) for page in texts] == [True, False, True, False, False]


@given(
    st.recursive(
        st.sampled_from([None, 1, "[", [], [1], [{"data": []}]]),
        lambda inner: st.dictionaries(st.sampled_from(["data", "items", "meta", "links", "a"]), inner),
    )
)
@settings(max_examples=examples(400))
def test_an_outline_has_the_rows_where_dlt_finds_them(response: Any) -> None:
    outline = read_outline(msgspec.json.encode(response), 3)
    path, found = find_response_page_data(response)
    path_in_outline, found_in_outline = find_response_page_data(outline)
    assert (path_in_outline, type(found_in_outline) is list) == (path, type(found) is list)


@pytest.mark.parametrize(
    ("page", "other", "is_same"),
    [
        (b'[{"id": 1, "n": 2}]', b'[{"n":2,"id":1}]', True),
        (b'[{"id": 1}, {"id": 2}]', b'[{"id": 1}, {"id": 3}]', False),
        (b'[{"id": 1}]', b'[{"id": 1}, {"id": 1}]', False),
        (b"[]", b"[]", True),
    ],
)
def test_a_page_is_the_same_whatever_its_spaces_and_order(page: bytes, other: bytes, is_same: bool) -> None:
    one, two = (list(msgspec.json.decode(text, type=list[Raw])) for text in (page, other))
    assert same_rows(one, two) is is_same
    assert same_rows(one, [read_row(row) for row in two]) is is_same


@pytest.mark.parametrize("shift", range(4))
def test_a_character_may_be_between_two_pieces(shift: int) -> None:
    text = b"x" * (2**20 - shift) + "€😀".encode()
    assert is_utf_8(text)
    assert not is_utf_8(text[:-1])
    assert not is_utf_8(text + b"\xff" + b"x" * 2**20)

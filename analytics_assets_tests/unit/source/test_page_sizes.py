"""Small pages are joined, and large pages are divided, before the steps of dlt's pipe get them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dlt
import pytest
from dlt.sources.helpers.rest_client.client import PageData
from msgspec import Raw
from requests import Request, Response

from analytics_assets.ingestion.contract.pipe_steps import ParseStep
from analytics_assets.ingestion.http.api_response import ParsedResponse
from analytics_assets.ingestion.source import page_sizes
from analytics_assets.ingestion.source.page_sizes import (
    after_each_part,
    change_pages,
    divide_pages,
    join_pages,
)


def test_a_large_page_comes_in_parts_before_the_next_page_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page_sizes, "MOST_ROWS", 2)
    seen: list[Any] = []

    def pages() -> Iterator[Any]:
        for page in ([1, 2, 3, 4, 5], [6], [], {"id": 7}):
            seen.append("asked")
            yield page

    def follow(item: Any) -> Any:
        seen.append(item)
        return item

    resource = dlt.resource(pages, name="rows")()
    change_pages(resource, divide_pages)
    resource._pipe.append_step(follow)
    assert len(list(resource)) == 7
    assert seen == ["asked", [1, 2], [3, 4], [5], "asked", [6], "asked", [], "asked", {"id": 7}]


def test_a_page_of_large_rows_comes_in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_sizes, "MOST_BYTES", 10)
    small, large = Raw(b'{"a":1}'), Raw(b'{"a":1,"b":2}')
    seen: list[Any] = []
    resource = dlt.resource(
        lambda: iter([[small, small, small, large], [small], [small], [{"a": 1}]]), name="rows"
    )()
    change_pages(resource, divide_pages)
    resource.add_step(ParseStep(), insert_at=1)
    with after_each_part(lambda: seen.append("written")):
        seen.extend(resource)
    assert seen == [
        *({"a": 1}, {"a": 1}, "written"), *({"a": 1}, {"a": 1, "b": 2}, "written"), *({"a": 1}, {"a": 1}, "written"),
        {"a": 1},
    ]  # fmt: skip


def test_pages_of_a_parent_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_sizes, "MOST_ROWS", 2)
    parts: list[Any] = []

    def children(parent: int) -> Iterator[Any]:
        yield [parent, parent + 1, parent + 2]

    resource = dlt.resource([10, 20], name="parents") | dlt.transformer(children, name="children")
    change_pages(resource, divide_pages)

    def follow(item: Any) -> Any:
        parts.append(item)
        return item

    resource._pipe.append_step(follow)
    assert sorted(resource) == [10, 11, 12, 20, 21, 22]
    assert sorted(map(len, parts)) == [1, 1, 2, 2]


def page(rows: list[Any], size: int = 0) -> PageData[Any]:
    response = Response()
    response._content = b"x" * size
    return PageData(rows, Request(), ParsedResponse(response, rows), None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pages", "joined"),
    [
        ([], []),
        ([[]], [[]]),
        ([[1], [2], [3]], [[1], [2, 3]]),
        ([[1], [], [2], []], [[1], [2]]),
        ([[1], [2], [3, 4], [5]], [[1], [2, 3, 4], [5]]),
        ([[1], [2], [3, 4, 5], [6]], [[1], [2], [3, 4, 5], [6]]),
        ([[1], [2], {"id": 3}, [4], [5]], [[1], [2], {"id": 3}, [4, 5]]),
        ([page([1]), page([2], 10), page([3], 90), page([4], 10)], [[1], [2, 3], [4]]),
    ],
    ids=["none", "empty", "small", "without rows", "rows", "a large page", "an object", "bytes"],
)
def test_small_pages_are_joined_up_to_a_size(
    pages: list[Any], joined: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_sizes, "JOINED_ROWS", 3)
    monkeypatch.setattr(page_sizes, "JOINED_BYTES", 100)
    assert [*join_pages(iter(pages), lambda: 0.0)] == joined


def test_a_page_does_not_wait_long_for_others() -> None:
    times = iter([0.0, 1.0, 11.0, 11.0, 12.0])
    assert [*join_pages(iter([[1], [2], [3], [4], [5]]), lambda: next(times))] == [[1], [2, 3], [4, 5]]


def test_the_first_page_comes_before_the_second_is_asked_for() -> None:
    asked: list[int] = []

    def pages() -> Iterator[list[int]]:
        for number in range(3):
            asked.append(number)
            yield [number]

    joined = join_pages(pages())
    assert next(joined) == [0]
    assert asked == [0]

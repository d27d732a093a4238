"""Several reads run side by side, and their pages come one after the other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from analytics_assets.ingestion.http.side_by_side import SideBySide

LIMIT = 20  # seconds until a test fails instead of waiting for good


@pytest.fixture
def side_by_side() -> Iterator[SideBySide]:
    found = SideBySide("rows", 3)
    yield found
    found.close()
    names = [one.name for one in threading.enumerate()]
    assert not [name for name in names if "rows-read" in name]


def read(*pages: str) -> Callable[[], Iterator[str]]:
    return lambda: iter(pages)


def test_the_pages_of_a_read_come_in_order(side_by_side: SideBySide) -> None:
    reads = [read(*(f"{number}{page}" for page in range(9))) for number in range(7)]
    found = [*side_by_side.pages(reads, in_order=False)]
    assert len(found) == 63
    for number in range(7):
        assert [page for one, page in found if one == number] == [f"{number}{page}" for page in range(9)]


def test_all_pages_of_a_read_come_before_those_of_the_next(side_by_side: SideBySide) -> None:
    reads = [read(*(f"{number}{page}" for page in range(number % 4))) for number in range(20)]
    found = [*side_by_side.pages(reads, in_order=True)]
    assert found == [(number, f"{number}{page}") for number in range(20) for page in range(number % 4)]


@pytest.mark.parametrize("in_order", [True, False])
def test_as_many_reads_as_allowed_go_on_at_once_after_the_first_page(
    side_by_side: SideBySide, in_order: bool
) -> None:
    together = threading.Barrier(3, timeout=LIMIT)
    begun: list[int] = []

    def pages(number: int) -> Iterator[int]:
        begun.append(number)
        yield number
        together.wait()
        yield number

    reads = side_by_side.pages([partial(pages, number) for number in range(3)], in_order=in_order)
    assert next(reads) == (0, 0)
    assert len(list(reads)) == 5, "the barrier lets three threads through together, and fails otherwise"
    assert sorted(begun) == [0, 1, 2]


def test_the_first_read_is_alone_until_its_first_page(side_by_side: SideBySide) -> None:
    begun: list[int] = []

    def pages(number: int) -> Iterator[int]:
        begun.append(number)
        if number == 0:
            raise ValueError("no such key")
        yield number

    reads = side_by_side.pages([partial(pages, number) for number in range(3)], in_order=False)
    with pytest.raises(ValueError, match="no such key"):
        next(reads)
    assert begun == [0]


@pytest.mark.parametrize("in_order", [True, False])
def test_an_error_of_any_read_ends_all(side_by_side: SideBySide, in_order: bool) -> None:
    """Also in order, where the reads before the one with the error are not at their end."""
    ended = threading.Event()

    def endless(number: int) -> Iterator[int]:
        try:
            while True:
                yield number
        finally:
            ended.set()

    def failing() -> Iterator[int]:
        raise ValueError("a page is missing")
        yield 0

    reads: list[Callable[[], Iterator[int]]] = [partial(endless, 0), failing]
    with pytest.raises(ValueError, match="a page is missing"):
        deque(side_by_side.pages(reads, in_order=in_order), maxlen=0)
    assert ended.wait(LIMIT)


def test_a_read_waits_until_its_pages_are_taken(side_by_side: SideBySide) -> None:
    """Pages are in memory, so a read is at most a few pages ahead, and later reads have not all begun."""
    asked: list[int] = []

    def pages(number: int) -> Iterator[int]:
        for _ in range(100):
            asked.append(number)
            yield number

    reads = side_by_side.pages([partial(pages, number) for number in range(50)], in_order=True)
    taken = [next(reads) for _ in range(30)]
    assert taken == [(0, 0)] * 30
    assert asked.count(0) <= 33
    assert set(asked) <= set(range(6))
    reads.close()  # type: ignore[attr-defined]


def test_reads_within_reads_do_not_wait_for_each_other(side_by_side: SideBySide) -> None:
    """The parents of a resource may have parents, too."""
    found = []
    for number, _ in side_by_side.pages([read(*"abcd") for _ in range(9)], in_order=True):
        found += [(number, one) for one, _ in side_by_side.pages([read(*"xy")] * 4, in_order=True)]
    assert len(found) == 9 * 4 * 4 * 2


def test_close_ends_reads_that_nobody_takes() -> None:
    side_by_side = SideBySide("rows", 3)
    ended = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            ended.set()

    reads = side_by_side.pages([endless], in_order=False)
    next(reads)
    side_by_side.close()
    assert ended.is_set()

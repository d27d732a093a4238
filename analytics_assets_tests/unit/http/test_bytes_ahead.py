"""Pages that are read ahead are bounded in bytes, and each read comes to its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import pytest

from analytics_assets.ingestion.http.bytes_ahead import BytesAhead, NoRoomError
from analytics_assets.ingestion.http.side_by_side import SideBySide

READS, PAGES = 9, 4


@dataclass
class Page:
    number: int
    response: SimpleNamespace


class Api:
    """Counts the pages that were read and that the caller has not got."""

    def __init__(self, size: int) -> None:
        self.size, self.ahead, self.most = size, 0, 0
        self.lock = threading.Lock()

    def read(self, _: int) -> Iterator[Page]:
        for number in range(PAGES):
            with self.lock:
                self.ahead += 1
                self.most = max(self.most, self.ahead)
            yield Page(number, SimpleNamespace(size=self.size))


def run(size: int, *, in_order: bool) -> tuple[Api, list[tuple[int, int]]]:
    api, side_by_side, got = Api(size), SideBySide("things", 4), []
    watch = threading.Timer(20, side_by_side.close)  # a deadlock fails the test
    watch.start()
    try:
        reads = [partial(api.read, number) for number in range(READS)]
        for read, page in side_by_side.pages(reads, in_order=in_order):
            with api.lock:
                api.ahead -= 1
            got.append((read, page.number))
            time.sleep(0.002)  # the reads are faster than the caller
    finally:
        watch.cancel()
    return api, got


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize(("size", "most"), [(100_000_000, 3), (30_000_000, 4), (1000, 9)])
def test_large_pages_are_few_and_all_come(size: int, most: int, in_order: bool) -> None:
    api, got = run(size, in_order=in_order)
    expected = [(read, page) for read in range(READS) for page in range(PAGES)]
    assert (got if in_order else sorted(got)) == expected
    assert api.most <= most


def test_a_page_without_room_comes_at_its_turn() -> None:
    ahead = BytesAhead(100)
    first, second, third = (ahead.begin() for _ in range(3))
    ahead.note(first, 90)
    ahead.note(second, 10)
    ahead.note(first, 1000)  # it is its turn
    with pytest.raises(NoRoomError):
        ahead.note(third, 1)
    ahead.end(first)
    ahead.note(second, 101)
    with pytest.raises(NoRoomError):
        ahead.note(third, 1)
    ahead.note(third, 1, is_its_turn=True)
    ahead.end(second)
    ahead.note(third, 1000)

"""The size of a batch follows the work of the batch before."""

from __future__ import annotations

import pytest

from analytics_assets.ingestion.batches import BatchSize


def sizes(windows: int, *, rows: int = 0, seconds: float = 0.0) -> list[int]:
    """The sizes of all batches of a run whose windows are alike. `rows` and `seconds` are of one window."""
    size, found, left = BatchSize(), list[int](), windows
    while left:
        batch = min(left, size.windows)
        size.learn(batch, batch * rows, batch * seconds)
        found.append(batch)
        left -= batch
    return found


def test_many_small_windows_are_a_handful_of_batches() -> None:
    assert sizes(365, rows=10, seconds=0.001) == [1, 8, 64, 292]
    assert sizes(5000) == [1, 8, 64, 512, 4096, 319]


@pytest.mark.parametrize(("rows", "seconds"), [(300_000, 1), (10, 25)])
def test_a_heavy_window_is_a_batch_of_its_own(rows: int, seconds: float) -> None:
    assert sizes(30, rows=rows, seconds=seconds) == [1] * 30


def test_a_batch_has_about_the_rows_and_seconds_it_should() -> None:
    assert sizes(100, rows=50_000) == [1, *[5] * 19, 4]
    assert sizes(20, seconds=4) == [1, 5, 5, 5, 4]


def test_a_batch_that_was_too_large_is_followed_by_a_smaller_one() -> None:
    size = BatchSize()
    size.learn(1, 0, 0.1)
    assert size.windows == 8
    size.learn(8, 1_000_000, 5)
    assert size.windows == 2
    size.learn(2, 900_000, 1)
    assert size.windows == 1


def test_a_batch_has_no_more_rows_than_the_api_pages_through() -> None:
    size = BatchSize()
    size.learn(1, 2_000, 0.1, most_rows=10_000)
    assert size.windows == 5


@pytest.mark.parametrize(
    ("pages", "of", "windows", "ranges"),
    [(1, 1, 8, 1), (10, 1, 8, 8), (2, 1, 8, 2), (9, 8, 64, 21), (8, 8, 64, 18), (80, 8, 3, 3), (10, 1, 1, 1)],
)
def test_only_ranges_of_several_pages_are_read_alone(pages: int, of: int, windows: int, ranges: int) -> None:
    """`pages` pages of `of` windows came in one read. Each further read costs up to one more request."""
    size = BatchSize()
    size.learn(of, 0, 0.1, pages=pages)
    assert size.ranges(windows) == ranges


def test_the_first_page_of_each_range_says_nothing() -> None:
    """Windows without rows are read alone once, and then together."""
    size = BatchSize()
    size.learn(1, 0, 0.1, pages=10)
    assert size.ranges(8) == 8
    size.learn(8, 0, 0.1, pages=8)
    assert size.ranges(64) == 1

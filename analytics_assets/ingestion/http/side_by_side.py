"""Runs several reads side by side in threads. One read by cursor or by link has to wait for each of its pages."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Condition
from typing import Any, Generic, TypeVar

from dlt.common.configuration.container import Container

from analytics_assets.ingestion.http.core_affinity import share_a_core
from analytics_assets.ingestion.http.read_bounds import MOST_BYTES_AHEAD

_T = TypeVar("_T")

_MOST_WAITING = 1
"""The most pages of a read that wait for dlt, because they are in memory."""


class SideBySide:
    """Runs reads in threads, whose number has a limit.

    Args:
        resource: the dlt resource name, which is in the names of the threads.
        most: the most reads at the same time.

    Attributes:
        most: the most reads at the same time.
    """

    def __init__(self, resource: str, most: int) -> None:
        self.most = most
        self._resource = resource
        self._groups: list[_Group[Any]] = []

    def close(self) -> None:
        """Ends all reads and their threads. The transport ends the requests in flight."""
        for group in self._groups:
            group.stop()
        for group in self._groups:
            group.threads.shutdown(wait=True)

    def pages(
        self,
        reads: Iterable[Callable[[], Iterator[_T]]],
        *,
        in_order: bool,
        change: Callable[[Iterator[_T]], Iterator[_T]] = iter,
    ) -> Iterator[tuple[int, _T]]:
        """Runs each read to its end.

        The first read is alone until its first page, so that one request finds out whether the API permits requests.

        Args:
            reads: functions that begin a read, which is an iterator of pages.
            in_order: whether all pages of a read come before those of the next read.
            change: changes the pages of each read, such as a function that joins them.

        Yields:
            Each page with the number of its read, counted from 0. The pages of one read are in order.

        Raises:
            BaseException: the error of a read. The other reads end with the page that they are waiting for.
        """
        # dlt's state and schema belong to a thread, and to the threads whose names have this prefix.
        prefix = f"{Container.thread_pool_prefix()}{self._resource}-read"
        threads = ThreadPoolExecutor(self.most, thread_name_prefix=prefix, initializer=share_a_core)
        group: _Group[_T] = _Group(threads, change)
        self._groups.append(group)
        try:
            yield from group.pages(reads, self.most, in_order=in_order)
        finally:
            group.stop()
        group.threads.shutdown(wait=True)  # all reads have ended
        self._groups.remove(group)


class _Read(Generic[_T]):
    """A read that has begun: its pages that wait, and how it ended."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.waiting: deque[_T] = deque()
        self.size = 0  # the bytes of the pages that have come, until dlt has all of them
        self.asks = False  # whether all parts of these pages have been passed on
        self.is_reading = False  # whether a page is to come
        self.has_ended = False
        self.error: BaseException | None = None

    def forget_size(self) -> None:
        """Forgets the bytes of pages that dlt has. dlt may still lack other parts of the same page."""
        if self.asks and not self.waiting:
            self.size = 0


class _Group(Generic[_T]):
    """The reads of one call, and their threads."""

    def __init__(self, threads: ThreadPoolExecutor, change: Callable[[Iterator[_T]], Iterator[_T]]) -> None:
        self.threads = threads
        self._change = change
        self._changed = Condition()
        self._begun: list[_Read[_T]] = []
        self._without_room = 0  # the reads that wait for room
        self._largest = 0  # the bytes of the largest page so far
        self._has_failed = False  # the pages before the failure still go to dlt
        self._is_stopped = False

    def stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        self.threads.shutdown(wait=False, cancel_futures=True)

    def pages(
        self, reads: Iterable[Callable[[], Iterator[_T]]], most: int, *, in_order: bool
    ) -> Iterator[tuple[int, _T]]:
        to_begin = enumerate(reads)
        begun = self._begun
        self._begin_some(islice(to_begin, 1))
        room = most * (2 if in_order else 1)  # in order, later reads go on while the first one is slow
        while begun:
            page = None
            with self._changed:
                while (turn := _turn(begun, in_order=in_order)) is None:
                    self._changed.wait()
                if turn.error is not None:
                    raise turn.error
                if turn.waiting:
                    page = turn.waiting.popleft()
                    turn.forget_size()
                    self._changed.notify_all()
                elif turn.has_ended:
                    begun.remove(turn)
                    self._tell_of_room()
            self._begin_some(islice(to_begin, room - len(begun)))
            if page is not None:
                yield turn.number, page

    def _until_failure(self, begun: _Read[_T], pages: Iterator[_T]) -> Iterator[_T]:
        """Yields pages until any read fails, so that no request follows the failure."""
        try:
            while True:
                self._wait_for_room(begun)
                if self._has_failed or self._is_stopped:
                    return
                page = next(pages, None)
                self._note_size(begun, page)
                if page is None:
                    return
                yield page
        except Exception:
            self._has_failed = True
            raise

    def _wait_for_room(self, begun: _Read[_T]) -> None:
        """Waits until the pages in memory, with the next page of a read, are not too large.

        The first read never waits here, so dlt always gets a page, after which another read has room.
        """
        with self._changed:
            begun.asks = True
            begun.forget_size()
            self._tell_of_room()
            self._without_room += 1
            while not (self._is_stopped or self._has_failed or self._has_room(begun)):
                self._changed.wait()
            self._without_room -= 1
            begun.is_reading = True

    def _tell_of_room(self) -> None:
        if self._without_room:  # to wake all reads for each small page would take time
            self._changed.notify_all()

    def _has_room(self, begun: _Read[_T]) -> bool:
        if not self._begun or begun is self._begun[0]:
            return True
        expected = sum(one.size + self._largest * one.is_reading for one in self._begun)
        return expected + self._largest <= MOST_BYTES_AHEAD

    def _note_size(self, begun: _Read[_T], page: _T | None) -> None:
        with self._changed:
            size: int = getattr(getattr(page, "response", None), "size", 0)
            begun.size += size
            begun.asks = begun.is_reading = False
            self._largest = max(self._largest, size)
            self._tell_of_room()

    def _begin_some(self, reads: Iterable[tuple[int, Callable[[], Iterator[_T]]]]) -> None:
        for number, read in reads:
            begun: _Read[_T] = _Read(number)
            with self._changed:
                self._begun.append(begun)  # before it runs, so that its page counts
            self.threads.submit(self._run, begun, read)

    def _run(self, begun: _Read[_T], read: Callable[[], Iterator[_T]]) -> None:
        error: BaseException | None = None
        try:
            for page in self._change(self._until_failure(begun, read())):
                with self._changed:
                    while len(begun.waiting) >= _MOST_WAITING and not self._is_stopped:
                        self._changed.wait()
                    if self._is_stopped:
                        return
                    begun.waiting.append(page)
                    self._changed.notify_all()
        except BaseException as found:  # noqa: BLE001  raised again in the thread of the caller
            error = found
        finally:
            with self._changed:
                begun.error, begun.has_ended = error, True
                begun.asks, begun.is_reading = True, False
                begun.forget_size()
                self._changed.notify_all()


def _turn(begun: list[_Read[_T]], *, in_order: bool) -> _Read[_T] | None:
    """Returns the read that has an error, or whose turn it is; None if there is nothing to do."""
    failed = next((one for one in begun if one.error is not None), None)
    allowed = begun[:1] if in_order else begun
    ready = (one for one in allowed if one.waiting or one.has_ended)
    return failed or next(ready, None)

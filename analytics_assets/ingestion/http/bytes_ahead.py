"""Bounds the bytes of pages that arrive before their turn, also if no page before was as large."""

from __future__ import annotations

from itertools import count
from threading import Lock


class NoRoomError(Exception):
    """A page that is read ahead has no room in memory, and is requested again at its turn."""


class BytesAhead:
    """The bytes of the pages that are arriving, or have arrived and wait for their turn. The class is thread-safe.

    Args:
        most: the most bytes. The page whose turn is next has room in any case.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._numbers = count(1)
        self._sizes: dict[int, int] = {}

    def begin(self) -> int:
        """Counts a page from now on, and returns its number. Pages begin in the order of their turns."""
        with self._lock:
            number = next(self._numbers)
            self._sizes[number] = 0
        return number

    def note(self, number: int, size: int, *, is_its_turn: bool = False) -> None:
        """Notes how many bytes of a page have come.

        Raises:
            NoRoomError: the page has no room, and it is not its turn.
        """
        with self._lock:
            self._sizes[number] = size
            has_room = is_its_turn or number == min(self._sizes) or sum(self._sizes.values()) <= self._most
            if not has_room:
                self._sizes[number] = 0  # it keeps its place, so that no later page has its turn
                raise NoRoomError

    def end(self, number: int) -> None:
        """Counts a page no longer."""
        with self._lock:
            self._sizes.pop(number, None)

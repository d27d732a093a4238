"""The hashes of the rows of a large page, in 8 bytes each. A set takes some 100 bytes for each hash."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

PACKED_FROM = 100_000
"""The number of rows of a large page, whose hashes would take as much memory as its rows."""

_PARTS = 32
"""The number of parts. Only one of them is a set at a time."""


class PackedHashes:
    """Some hashes.

    Args:
        hashes: the hashes, each of 64 bits with a sign.

    Attributes:
        total: the sum of the hashes.
    """

    def __init__(self, hashes: Iterable[int]) -> None:
        self._parts = [array("q") for _ in range(_PARTS)]
        add = [part.append for part in self._parts]
        for one in hashes:
            add[one % _PARTS](one)
        self.total = sum(map(sum, self._parts))

    def __len__(self) -> int:
        """The number of hashes."""
        return sum(map(len, self._parts))

    @property
    def has_twice(self) -> bool:
        """Whether a hash is there twice."""
        return any(len(set(part)) < len(part) for part in self._parts)

    def unpacked(self) -> set[int]:
        """Returns the hashes as a set."""
        return set[int]().union(*self._parts)

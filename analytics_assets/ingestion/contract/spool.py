"""A list of items on disk, for items that are too many for memory."""

from __future__ import annotations

import pickle
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import IO, Any

_BATCH = 1000


class Spool:
    """Items in a temporary file, which has no name and ends with the process or with this object."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None

    def add(self, items: Sequence[Any]) -> None:
        """Adds items at the end."""
        if not items:
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  the file lives as long as the object
            weakref.finalize(self, self._file.close)
        self._file.seek(0, 2)
        for start in range(0, len(items), _BATCH):
            pickle.dump(items[start : start + _BATCH], self._file, pickle.HIGHEST_PROTOCOL)

    def batches(self) -> Iterator[list[Any]]:
        """Yields all items, in batches."""
        position = 0
        while self._file is not None:
            self._file.seek(position)
            try:
                batch = pickle.load(self._file)  # noqa: S301  this process wrote it
            except EOFError:
                return
            position = self._file.tell()
            yield list(batch)

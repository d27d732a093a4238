"""Refuses a response whose headers are cut off.

For `http.client`, the end of the connection also ends the headers. A response that broke off there would be a complete
one with an empty body.
"""

from __future__ import annotations

from http.client import HTTPResponse, IncompleteRead
from typing import Any


class _Lines:
    """The lines of a response up to its body. Everything else is as in the file itself."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._has_begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def readline(self, limit: int = -1) -> bytes:
        """Reads a line.

        Raises:
            IncompleteRead: the connection ended after the first line.
        """
        line: bytes = self._file.readline(limit)
        if not line and self._has_begun:
            raise IncompleteRead(b"")
        self._has_begun = True
        return line


class WholeHeaders(HTTPResponse):
    """A response of `http.client` whose headers must end with an empty line."""

    def begin(self) -> None:
        """Reads the status line and the headers.

        Raises:
            IncompleteRead: the connection ended before the empty line.
        """
        file: Any = self.fp
        self.fp: Any = _Lines(file)
        try:
            super().begin()
        finally:
            if self.fp is not None:  # it is None if the response has no body
                self.fp = file

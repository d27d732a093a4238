"""The bounds of one read: the most pages, the most pages without a new row, how far the API pages, and the memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from analytics_assets.ingestion.errors import (
    EndlessReadError,
    Fault,
    NoNewRowsError,
    RangeTooLargeError,
    SyncHalted,
)
from analytics_assets.ingestion.http.packed_hashes import PACKED_FROM, PackedHashes
from analytics_assets.ingestion.http.row_key import hash_of, key_of, keys_of

_PART = 100
"""The most rows that are joined at once. More rows cost no less time, and each may be large."""

MOST_BYTES_AHEAD = 64_000_000
"""The bytes of answers that may be in memory before dlt gets them. The next page in order is read in any case.

A page that is still to come counts as much as the largest page so far."""

REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
"""The statuses with which APIs refuse an offset, a page number or a cursor that leads too far."""

_LEAST_OFFSET = 1000  # no API is known that pages through fewer rows; a refusal before has another cause


def refused_page(halted: SyncHalted, rows: int, place: str) -> SyncHalted:
    """Returns the failure for a page after the first that the API refuses.

    Args:
        halted: the failure of the request.
        rows: the number of rows that the read has brought before.
        place: the clause that says which page the API refuses.

    Returns:
        A `RangeTooLargeError` if the API probably pages only that far; otherwise `halted`.
    """
    if halted.status not in REFUSALS or rows < _LEAST_OFFSET:
        return halted
    reason = f"{halted.reason}; the API refuses {place} after {rows:,} rows"
    return RangeTooLargeError(
        halted.resource,
        halted.endpoint,
        halted.status,
        halted.attempts,
        reason,
        fault=halted.fault,
        rows=rows,
    )


@dataclass(frozen=True)
class ReadBounds:
    """The bounds of a read.

    Attributes:
        max_pages: the most pages of a read.
        max_empty_pages: the most pages in succession without a new row.
        accepts_repeated_rows: whether the API may send a row on several pages.
        max_offset: the most rows that the API pages through; None if unknown.
        suspect_total: a total that the API may send for any larger one; None if the read cannot be made smaller.
        keeps_rows: whether the rows up to the limit are kept, so that another read continues from them.
    """

    max_pages: int = 1_000_000
    max_empty_pages: int = 3
    accepts_repeated_rows: bool = False
    max_offset: int | None = None
    suspect_total: int | None = None
    keeps_rows: bool = False


class _NoKeyError(Exception):
    """A row lacks the primary key."""


def _hash_of_known(key: tuple[Any, ...] | None) -> int:
    if key is None:
        raise _NoKeyError
    return hash_of(key)


class BoundedRead:
    """Ends one read that brings no new row, or that has no end.

    Args:
        resource: the dlt resource of the read.
        primary_key: the primary key fields of a row; empty if the resource has no primary key.
        bounds: the bounds of the read.

    Attributes:
        is_capped: whether the total that the API reports may stand for any larger one.
    """

    def __init__(self, resource: str, primary_key: tuple[str, ...], bounds: ReadBounds) -> None:
        self._resource = resource
        self._primary_key = primary_key
        self._bounds = bounds
        self.is_capped = False
        self._empty_pages = 0
        self._seen: set[int] = set()
        self._packed: PackedHashes | None = None  # of a first, large page, until another page comes

    def judge(
        self, endpoint: str, pages: int, more: Callable[[], str], *, is_new: bool, has_next: bool
    ) -> None:
        """Judges a page.

        Args:
            endpoint: the method and path of the request, for the error text.
            pages: the number of pages read, with this one.
            more: a function that returns the clause with which a single page would say that there is more.
            is_new: whether the page has a new row.
            has_next: whether the API says that there is another page.

        Raises:
            NoNewRowsError: too many pages in succession had no new row, and there is another page.
            EndlessReadError: there is a page beyond the most pages of a read.
        """
        self._empty_pages = 0 if is_new else self._empty_pages + 1
        if has_next and self._empty_pages >= self._bounds.max_empty_pages:
            raise NoNewRowsError(self._resource, endpoint, self._empty_pages, more())
        if has_next and pages >= self._bounds.max_pages:
            raise EndlessReadError(self._resource, endpoint, pages)

    def judge_total(self, endpoint: str, total: int) -> None:
        """Judges the total that the first page reports. If the rows up to the limit are kept, it is judged there.

        Raises:
            RangeTooLargeError: the API does not page through so many rows, or reports this total for any larger one.
        """
        self.is_capped = total == self._bounds.suspect_total
        if not self._bounds.keeps_rows:
            self.judge_size(endpoint, total + 1 if self.is_capped else total)

    def judge_size(self, endpoint: str, rows: int) -> None:
        """Judges the number of rows that a read has at least.

        Raises:
            RangeTooLargeError: the API does not page through so many rows.
        """
        most = self._bounds.max_offset
        if most is not None and rows > most:
            raise self._too_large(endpoint, f"it has {rows:,} rows or more, and ends at {most:,}", most)
        most = self._bounds.suspect_total
        if self.is_capped and most is not None and rows > most:
            reason = f"its total is exactly {most:,}, which many APIs send for any larger one"
            raise self._too_large(endpoint, reason, most)

    def _too_large(self, endpoint: str, reason: str, rows: int) -> RangeTooLargeError:
        return RangeTooLargeError(self._resource, endpoint, None, 1, reason, fault=Fault.CONFIG, rows=rows)

    def has_new_row(self, rows: Sequence[Any]) -> bool:
        """Whether one of some rows is new, by its primary key. The rows may be JSON text."""
        if self._packed:
            self._seen, self._packed = self._packed.unpacked(), None
        keys = keys_of(rows, self._primary_key)
        try:
            if len(rows) > PACKED_FROM and not self._seen:
                self._packed = PackedHashes(map(_hash_of_known, keys))
                return True
            new = {*map(_hash_of_known, keys)} - self._seen
        except _NoKeyError:
            return self.is_new_page(rows)
        self._seen |= new
        return bool(new)

    def is_new_page(self, rows: Sequence[Any]) -> bool:
        """Whether a page is new: by the primary key of its first row, or without a primary key by all its rows.

        The rows may be JSON text. To look at every row would cost more than all other checks of a page.
        """
        if not rows:
            return False
        key = key_of(rows[0], self._primary_key)
        if key is not None:
            page = hash_of(key)
        elif self._bounds.accepts_repeated_rows:
            return True
        elif all(type(row) is msgspec.Raw for row in rows):
            parts = (rows[start : start + _PART] for start in range(0, len(rows), _PART))
            page = hash(tuple(hash(b"\n".join(part)) for part in parts))
        else:
            page = hash(str(rows))
        is_new = page not in self._seen
        self._seen.add(page)
        return is_new

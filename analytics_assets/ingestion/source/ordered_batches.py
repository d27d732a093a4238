"""Ends a read in the order of its cursor after the rows of one batch. The next batch continues from the stored cursor.

What belongs here: when a read may end early, and where the next one starts. `batches.py` runs the batches.

If the API pages only through so many rows, the read ends there, too.

The rows after the end may have the same cursor value as the last row. An API may leave out the rows at exactly the
start that it gets. So the next batch starts at the value before, and a few rows are merged twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from dlt.extract.incremental import Incremental, IncrementalResourceWrapper
from dlt.extract.resource import DltResource

from analytics_assets.ingestion.contract.cursor_watch import CursorWatch, comparable, continue_from
from analytics_assets.ingestion.errors import RangeTooLargeError
from analytics_assets.ingestion.plan import batch_targets


class OrderedBatch:
    """Ends the read of a resource between two pages, after enough rows or seconds.

    Args:
        resource: the dlt resource, whose API sorts the rows by the cursor.
        watch: the counts of cursor values, which say whether the rows are in order so far.
        clock: a function that returns the time in seconds.

    Attributes:
        has_ended_early: whether the API may have more rows.
    """

    def __init__(
        self, resource: DltResource, watch: CursorWatch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.has_ended_early = False
        self._resource = resource
        self._watch = watch
        self._clock = clock

    def pages(self, pages: Iterator[Any]) -> Iterator[Any]:
        """Yields pages until there are enough for a batch, or the API pages no further.

        Raises:
            RangeTooLargeError: the API pages no further, and the next batch would get the same rows.
        """
        rows, until, may_end = 0, self._clock() + batch_targets.TARGET_SECONDS, True
        for page in self._up_to_the_limit(pages):
            yield page
            # Here the page has been through all steps of the pipe.
            rows += len(page) if isinstance(page, list) else 1
            old = self._watch.before_start
            if rows - old < batch_targets.TARGET_ROWS and self._clock() < until:
                continue
            # An API that ignores the start sends all rows before it again, and so for each batch.
            may_end = may_end and old <= (rows - old) / 2
            if may_end and self._watch.in_order and self._continue():
                self.has_ended_early = True
                return

    def _up_to_the_limit(self, pages: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from pages
        except RangeTooLargeError:
            if not (self._watch.in_order and self._continue()):
                raise
            self.has_ended_early = True

    def _continue(self) -> bool:
        """Stores where the next batch starts.

        Returns:
            Whether it starts later than this one. Many rows may have the same cursor value.
        """
        wrapper = self._resource.incremental
        found: Incremental[Any] | None = (
            wrapper.incremental if isinstance(wrapper, IncrementalResourceWrapper) else wrapper
        )
        value = self._watch.before_last
        if found is None or value is None or value > comparable(found.last_value):
            return False  # the value after it is in the future
        start = comparable(found.start_value)
        if start is not None and value <= start:
            return False
        continue_from(found, value)
        return True

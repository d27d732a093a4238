"""Runs a plan of partitions in batches: consecutive windows that one load package brings, oldest first.

What belongs here: how many windows a batch has, the order of the batches, and the split of a window that is too large
for the API. `sync.py` runs one batch, or one part of a window.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from analytics_assets.ingestion.errors import RangeTooLargeError, RangeTooSlowError
from analytics_assets.ingestion.http.breaker_client import CircuitStore
from analytics_assets.ingestion.plan import batch_targets
from analytics_assets.ingestion.plan.load_plan import LoadPlan
from analytics_assets.ingestion.plan.range_limits import RangeLimits
from analytics_assets.ingestion.sync import run_sync
from analytics_assets.ingestion.sync_result import SyncResult

log = logging.getLogger("analytics_assets")

MOST_GROWTH = 8
"""The most windows of a batch for each window of the batch before, because one batch says little about the next."""

PAGES_OF_RANGE = 3
"""The fewest pages of a range that is read beside others, because each range costs up to one more request."""


class BatchSize:
    """Decides how many windows the next batch has. The first batch has one.

    Attributes:
        windows: the number of windows of the next batch.
    """

    def __init__(self) -> None:
        self.windows = 1
        self._most: int | None = None
        self._ranges = 1
        self._further_pages = 0.0  # of a window
        self._may_divide = True

    def learn(
        self,
        windows: int,
        rows: int,
        seconds: float,
        *,
        pages: int = 0,
        most_rows: int | None = None,
        restarted: bool = False,
    ) -> None:
        """Sizes the next batch by the work of a batch.

        Args:
            windows: the number of windows that the batch had.
            rows: the number of rows that the batch fetched.
            seconds: the duration of the batch.
            pages: the number of pages that the batch fetched.
            most_rows: the most rows that the API pages through; None if unknown.
            restarted: whether the batch started over. If it had ranges, later batches have none.
        """
        target = batch_targets.TARGET_ROWS
        most = min(target, most_rows or target)
        share = max(rows / most, seconds / batch_targets.TARGET_SECONDS, 1 / MOST_GROWTH)
        grown = int(windows / share)
        self.windows = max(1, min(grown, self._most or grown))
        self._may_divide = self._may_divide and not (restarted and self._ranges > 1)
        # The first page of a range says nothing about the pages that it needs.
        self._further_pages = max(0, pages - self._ranges) / windows

    def halve(self, windows: int, *, for_good: bool) -> None:
        """Makes the next batch half as large as one that was too large for the API.

        Args:
            windows: the number of windows that the batch had.
            for_good: whether no later batch has more windows than the next.
        """
        self.windows = windows // 2
        if for_good:
            self._most = self.windows

    def ranges(self, windows: int) -> int:
        """Decides how many ranges of the next batch are worth a read of their own.

        Args:
            windows: the number of windows of the batch.
        """
        worth = int(self._further_pages * windows / PAGES_OF_RANGE) if self._may_divide else 1
        self._ranges = min(windows, max(1, worth))
        return self._ranges


@dataclass(frozen=True)
class Batch:
    """A batch that is in the warehouse.

    Attributes:
        plan: the plan of the batch.
        result: the result of the batch.
    """

    plan: LoadPlan
    result: SyncResult


def run_batches(
    plan: LoadPlan, circuit: CircuitStore, run_id: str = "", clock: Callable[[], float] = time.monotonic
) -> Iterator[Batch]:
    """Runs a plan batch by batch. A plan with a limit of pages is one batch.

    Without partitions, a plan is one batch, too, unless its API sorts the rows by the cursor.

    What was yielded is in the warehouse, whatever happens later. The next batch begins when the caller asks for it.

    Args:
        plan: the plan of the run.
        circuit: the store of the API's circuit.
        run_id: the id of the Dagster run, for log and error messages.
        clock: a function that returns the time in seconds.

    Yields:
        Each batch after its load.

    Raises:
        SyncError: a batch failed in a way that a user can act on. The batches before it are loaded.
    """
    keys = list(plan.windows)
    # A limit of pages is one for the whole run: with more pages, the run loads nothing.
    if not keys or plan.max_pages is not None:
        yield from _to_the_end(plan, circuit, run_id)
        return
    size, done, rows, began = BatchSize(), 0, 0, clock()
    while done < len(keys):
        next_keys, started = keys[done : done + size.windows], clock()
        batch = plan.batch(next_keys, size.ranges(len(next_keys)))
        result = _attempt(batch, circuit, run_id)
        if isinstance(result, RangeTooLargeError):
            plan = replace(plan, limits=_limits_after(batch, result))
            if len(batch.windows) > 1:
                size.halve(len(batch.windows), for_good=isinstance(result, RangeTooSlowError))
                log.info("%s. The next batch has %d partitions.", _what(result), size.windows)
                continue
            result, limits = _in_parts(plan.batch(list(batch.windows)), circuit, run_id, result)
            plan = replace(plan, limits=limits)
        plan = replace(plan, limits=plan.limits.after_answer())
        fetched = result.requests.rows_fetched
        size.learn(
            len(batch.windows),
            fetched,
            clock() - started,
            pages=result.requests.pages,
            most_rows=plan.limits.max_offset,
            restarted=bool(result.requests.restarts),
        )
        done += len(batch.windows)
        rows += fetched
        if done < len(keys) or done > len(batch.windows):
            log.info("%s", _progress(plan.resource.name, done, len(keys), rows, clock() - began))
        yield Batch(batch, result)


def _to_the_end(plan: LoadPlan, circuit: CircuitStore, run_id: str) -> Iterator[Batch]:
    """Runs a plan without partitions: one batch, or several in the order of the cursor."""
    result = run_sync(plan, circuit, run_id)
    while result.continues:
        log.info("%s: %s", plan.resource.name, _so_far(result))
        yield Batch(plan, result)
        result = run_sync(plan, circuit, run_id)
    yield Batch(plan, result)


def _attempt(plan: LoadPlan, circuit: CircuitStore, run_id: str) -> SyncResult | RangeTooLargeError:
    """Runs a sync, and returns the error if its range is too large."""
    if plan.is_too_long:
        endpoint = f"{plan.resource.method} {plan.resource.path}"
        return RangeTooSlowError(plan.resource.name, endpoint, None, 0, "")
    try:
        return run_sync(plan, circuit, run_id)
    except RangeTooLargeError as error:
        return error


def _in_parts(
    plan: LoadPlan, circuit: CircuitStore, run_id: str, error: RangeTooLargeError
) -> tuple[SyncResult, RangeLimits]:
    """Loads a window in two halves of its time, and a half that is too large in halves again.

    Args:
        plan: the plan of one window.
        circuit: the store of the API's circuit.
        run_id: the id of the Dagster run.
        error: why the window is too large.

    Returns:
        The result of all parts together, and what is known about other ranges afterwards.

    Raises:
        RangeTooLargeError: a part is too large, and the API cannot be asked for a smaller one.
    """
    parts, total, limits = _halves(plan, error), None, plan.limits
    while parts:
        part = replace(parts.pop(0), limits=limits)
        result = _attempt(part, circuit, run_id)
        if isinstance(result, RangeTooLargeError):
            limits = _limits_after(part, result)
            parts = [*_halves(part, result), *parts]
        else:
            limits = limits.after_answer()
            total = total.followed_by(result) if total else result
    assert total is not None
    return total, limits


def _limits_after(plan: LoadPlan, error: RangeTooLargeError) -> RangeLimits:
    assert plan.window is not None
    return plan.limits.after(error, plan.window)


def _halves(plan: LoadPlan, error: RangeTooLargeError) -> list[LoadPlan]:
    halves = plan.halves()
    if halves is None:
        raise error
    first, second = (one for half in halves for one in half.windows.values())
    log.info("%s. It is read in parts of %s and %s.", _what(error), first.length, second.length)
    return [*halves]


def _what(error: RangeTooLargeError) -> str:
    return f"{error.resource}: {error.cause}"


def _so_far(result: SyncResult) -> str:
    rows = result.requests.rows_fetched
    return f"{rows:,} rows up to {result.cursor_to} loaded. The next batch continues from there."


def _progress(resource: str, done: int, of: int, rows: int, seconds: float) -> str:
    rate = f", {rows / seconds:,.0f} rows/s" if seconds > 0 else ""
    left = f", about {seconds / done * (of - done):,.0f} s left" if done < of else ""
    return f"{resource}: {done:,} of {of:,} partitions loaded, {rows:,} rows{rate}{left}"

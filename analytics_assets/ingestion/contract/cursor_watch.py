"""Watches the cursor values of the rows: rows outside the window, and rows in the future.

dlt's incremental step drops rows outside the window, and stores the highest cursor value. A row of the year 2099 would
so end an incremental sync for good, because no later row is newer. Of a page that only a range of the window asked for,
the watch drops the rows outside the range, because another page brings them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.typing import TDataItems
from dlt.extract.incremental import Incremental

from analytics_assets.ingestion.contract.cursor_steps import StepOfPipe
from analytics_assets.ingestion.contract.page_range import PageRange
from analytics_assets.ingestion.time_window import Cursor, Window

_MOST_KEYS = 1_000_000
"""The most dropped rows whose keys the watch remembers, which take 100 MB. The check `complete` warns long before."""


class CursorWatch:
    """Counts the cursor values of all valid rows of one sync.

    Args:
        cursor: the cursor of the resource, whose values are times.
        window: the window of the sync; None for a sync that continues from a stored cursor.
        latest: the latest moment that is plausible for a cursor value.
        asked: a function that returns the times of the rows that the API may return for a window.
        key: the columns of the primary key; empty if the resource has none.
        page_range: the range of the page; the whole window if the page has none.

    Attributes:
        outside: the number of rows that a request for the window does not explain; 0 without a window.
        strays: the number of rows that the request for the range of their page does not explain, and that are in the
            window. Nobody knows whether another request brings them, too.
        before_start: the number of rows below the stored cursor value, which dlt drops; 0 with a window.
        repeated: the number of dropped rows that came before with the same primary key and cursor value. The load
            package has no dropped rows, so only the watch can see that they came twice.
        future: the number of rows later than `latest`; 0 with a window.
        in_order: whether no page has a cursor value below those of the pages before.
        before_last: the highest cursor value below the highest one, for pages in order; None if there is none.
        plausible: the highest cursor value that is not later than `latest`; None if there is none.
    """

    def __init__(
        self,
        cursor: Cursor,
        window: Window | None,
        latest: datetime,
        *,
        asked: Callable[[Window], Window] = lambda window: window,
        key: Sequence[str] = (),
        page_range: PageRange | None = None,
    ) -> None:
        self.outside = 0
        self.strays = 0
        self.before_start = 0
        self.repeated = 0
        self.future = 0
        self.in_order = True
        self.before_last: Any = None
        self._highest: Any = None
        self.plausible: Any = None
        self._column = cursor.column
        self._cursor = cursor
        self._window = window
        self._asked = asked
        self._page_range = page_range or PageRange()
        self._latest: Any = cursor.bound(latest) if cursor.data_type in ("timestamp", "date") else None
        self._key = key
        self._dropped: set[int] = set()

    def look(self, item: TDataItems, start: Any = None) -> TDataItems:
        """Counts the cursor values of a page.

        Args:
            item: the page, an Arrow table or a list of validated rows.
            start: the stored cursor value from which the sync continues; None in a first sync.

        Returns:
            The page, without the rows outside its range if the page has a range.
        """
        values = _values(item, self._column)
        if values is None or not len(values) - values.null_count:
            return item
        bounds = pc.min_max(values).as_py()
        low, high = comparable(bounds["min"]), comparable(bounds["max"])
        self._compare_with_before(values, low, high)
        stored = comparable(start)
        # dlt itself reports a stored value of another kind than the rows have.
        window = self._page_range.window or self._window
        first, end = (
            self._bounds(window) if window else (stored if _kind(stored) == _kind(low) else None, None)
        )
        if (first is not None and low < first) or (end is not None and high >= end):
            times = list(map(comparable, values.to_pylist()))
            dropped = [
                place for place, one in enumerate(times) if one is not None and not _is_in(one, first, end)
            ]
            if window:
                asked = self._bounds(self._asked(window))
                unexplained = [times[place] for place in dropped if not _is_in(times[place], *asked)]
                self.outside += len(unexplained)
                if self._page_range.window and self._window:
                    whole = self._bounds(self._window)
                    self.strays += sum(_is_in(one, *whole) for one in unexplained)
            else:
                self.before_start += len(dropped)
            self._compare_dropped(item, dropped)
            if self._page_range.window:
                item = _without(item, dropped)
        if not self._window and self._latest is not None:
            self._compare_with_now(values, high)
        return item

    def _compare_with_before(self, values: pa.Array, low: Any, high: Any) -> None:
        before, self._highest = self._highest, high
        self.in_order = self.in_order and (before is None or low >= before)
        if low != high:
            self.before_last = comparable(pc.max(values.filter(pc.less(values, pc.max(values)))).as_py())
        elif high != before:
            self.before_last = before

    def _bounds(self, window: Window) -> tuple[Any, Any]:
        return self._cursor.bound(window.start), self._cursor.bound(window.end)

    def _compare_dropped(self, item: TDataItems, places: Sequence[int]) -> None:
        names = [*self._key, self._column]
        if not self._key or len(self._dropped) >= _MOST_KEYS:
            return
        if isinstance(item, pa.Table):
            if not set(names) <= set(item.column_names):
                return
            found = item.select(names).take(places).to_pylist()
        else:
            rows = item if isinstance(item, list) else [item]
            found = [{name: rows[place].get(name) for name in names} for place in places]
        # Two ranges may both bring a row that is in neither of them.
        in_range = self._page_range.window
        hashes = [hash((in_range, str([row[name] for name in names]))) for row in found]
        before = len(self._dropped)
        self._dropped.update(hashes)
        self.repeated += len(hashes) - (len(self._dropped) - before)

    def _compare_with_now(self, values: pa.Array, high: Any) -> None:
        if high > self._latest:
            found = [comparable(one) for one in values.to_pylist() if one is not None]
            good = [one for one in found if one <= self._latest]
            self.future += len(found) - len(good)
            high = max(good, default=None)
        if high is not None and (self.plausible is None or high > self.plausible):
            self.plausible = high

    def limit(self, incremental: Incremental[Any]) -> None:
        """Lowers the stored cursor value of dlt to the highest plausible value, if it is in the future.

        Args:
            incremental: dlt's incremental, after a page. Its transforms store their last value after each page.
        """
        state: Any = incremental._cached_state
        last, start = comparable(state["last_value"]), state.get("start_value")
        if (
            self._latest is None
            or last is None
            or not isinstance(last, (date, datetime))
            or last <= self._latest
        ):
            return
        known = [
            one for one in (self.plausible, comparable(start)) if one is not None and one <= self._latest
        ]
        continue_from(incremental, max(known, default=self._latest))


def continue_from(incremental: Incremental[Any], value: Any) -> None:
    """Stores a cursor value, from which the next sync continues.

    Args:
        incremental: dlt's incremental, after a page.
        value: the cursor value, which is lower than the stored one.
    """
    state: Any = incremental._cached_state
    state["last_value"], state["unique_hashes"] = value, []
    for transform in incremental._transformers.values():
        transform.last_value, transform.unique_hashes, transform.last_rows = value, set(), []


class WatchCursorStep(StepOfPipe):
    """The step that shows each page to a `CursorWatch`, before dlt's incremental step drops rows.

    Args:
        watch: the watch of the sync.
    """

    placement_affinity = 0.95

    def __init__(self, watch: CursorWatch) -> None:
        super().__init__()
        self._watch = watch

    def __call__(self, item: TDataItems, meta: Any = None) -> TDataItems:  # noqa: ARG002  dlt passes it
        """Returns the page, without the rows outside its range."""
        if item is not None and len(item):
            incremental = self.wrapper.incremental
            # With another function, the start is not the value below which dlt drops rows.
            drops_older = incremental is not None and incremental.last_value_func is max
            return self._watch.look(item, incremental.start_value if incremental and drops_older else None)
        return item


class LimitCursorStep(StepOfPipe):
    """The step that keeps the stored cursor out of the future, after dlt's incremental step has stored it.

    Args:
        watch: the watch of the sync.
    """

    placement_affinity = 1.02

    def __init__(self, watch: CursorWatch) -> None:
        super().__init__()
        self._watch = watch

    def __call__(self, item: TDataItems, meta: Any = None) -> TDataItems:  # noqa: ARG002  dlt passes it
        """Returns the page unchanged."""
        incremental = self.wrapper.incremental if self._watch.future else None
        if incremental is not None:
            self._watch.limit(incremental)
        return item


def latest_plausible(hours: float) -> datetime:
    """Returns the latest plausible moment of a cursor value for a sync that starts now."""
    return datetime.now(UTC) + timedelta(hours=hours)


def _values(item: TDataItems, column: str) -> pa.Array | None:
    if isinstance(item, pa.Table):
        return item[column] if column in item.column_names else None
    rows: Sequence[Any] = item if isinstance(item, list) else [item]
    return pa.array([row.get(column) if isinstance(row, dict) else None for row in rows])


def _without(item: TDataItems, places: Sequence[int]) -> TDataItems:
    """Returns a page without the rows at some places."""
    rows: Any = item if isinstance(item, (pa.Table, list)) else [item]
    kept = sorted({*range(len(rows))}.difference(places))
    return (
        rows.take(pa.array(kept, pa.int64()))
        if isinstance(rows, pa.Table)
        else [rows[place] for place in kept]
    )


def _is_in(moment: Any, first: Any, end: Any) -> bool:
    return (first is None or moment >= first) and (end is None or moment < end)


def _kind(value: Any) -> type[Any]:
    """The base type of a cursor value. A datetime is also a date, and the two cannot be compared."""
    return next((kind for kind in (datetime, date, int) if isinstance(value, kind)), type(value))


def comparable(value: Any) -> Any:
    """Returns a time with a time zone, so that any two times can be compared."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value

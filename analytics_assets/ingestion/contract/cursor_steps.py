"""Two steps around dlt's incremental step, which let one start and one last cursor value hold for a whole sync.

What belongs here: what dlt's incremental step does wrongly with pages of different kinds.

- dlt has one transform for Arrow tables and one for rows. Each has a last cursor value of its own, and stores it after
  each of its pages. After an Arrow page and a row page, the stored value would be that of the last page.
- If no row of an Arrow table has a cursor value, dlt takes the table for one beyond the end of an ordered range, and
  ends the reading (dlt issue 4284).
- For each page of parents, dlt starts the range of the children again at the newest child so far. It would drop all
  older children of these parents.
"""

from __future__ import annotations

from typing import Any, Self

import pyarrow as pa
from dlt.common.typing import TDataItems
from dlt.extract.incremental import Incremental, IncrementalResourceWrapper
from dlt.extract.incremental.transform import ArrowIncremental, IncrementalTransform, JsonIncremental
from dlt.extract.items_transform import ItemTransform
from dlt.extract.pipe import Pipe


class NullCursors:
    """Keeps the rows of an Arrow page without any cursor value away from dlt's incremental step.

    Args:
        column: the column of the cursor.
        includes: whether rows without a cursor value are loaded (dlt's `on_cursor_value_missing: include`).
    """

    def __init__(self, column: str, *, includes: bool) -> None:
        self._column = column
        self._includes = includes
        self._aside: pa.Table | None = None

    def set_aside(self, page: pa.Table) -> pa.Table:
        """Returns the page, or an empty page if no row has a cursor value."""
        if self._column not in page.column_names or page[self._column].null_count < len(page):
            return page
        self._aside = page if self._includes else None
        return page.slice(0, 0)

    def bring_back(self, page: TDataItems) -> TDataItems:
        """Returns the page that was set aside in place of the empty page."""
        aside, self._aside = self._aside, None
        return page if aside is None else aside


class StepOfPipe(ItemTransform[Any, Any]):
    """A step that needs dlt's incremental step of its own pipe. It has no function, so subclasses define `__call__`."""

    def __init__(self) -> None:
        super().__init__(lambda item: item)
        self._pipe: Pipe | None = None

    def bind(self, pipe: Any) -> Self:  # noqa: D102  described by dlt
        self._pipe = pipe
        return self

    @property
    def wrapper(self) -> IncrementalResourceWrapper:
        """The incremental step of dlt in the pipe, whose resource has a cursor."""
        assert self._pipe is not None
        return next(one for one in self._pipe.steps if isinstance(one, IncrementalResourceWrapper))


class BeforeIncrementalStep(StepOfPipe):
    """The step before dlt's incremental step.

    Args:
        nulls: the rows without a cursor value.
    """

    placement_affinity = 0.97

    def __init__(self, nulls: NullCursors) -> None:
        super().__init__()
        self._nulls = nulls
        self._latest: type[IncrementalTransform] | None = None

    def __call__(self, item: TDataItems, meta: Any = None) -> TDataItems:  # noqa: ARG002  dlt passes it
        """Returns a page for dlt's incremental step."""
        wrapper = self.wrapper
        assert self._pipe is not None
        if self._latest is None and self._pipe.has_parent:
            _keep_bound(wrapper)
        if wrapper.incremental is not None and wrapper.incremental.last_value_func in (max, min):
            self._share(
                wrapper.incremental, ArrowIncremental if isinstance(item, pa.Table) else JsonIncremental
            )
        return self._nulls.set_aside(item) if isinstance(item, pa.Table) and len(item) else item

    def _share(self, incremental: Incremental[Any], kind: type[IncrementalTransform]) -> None:
        """Lets the transform of this page go on where the transform of the page before stopped."""
        before, self._latest = self._latest, kind
        if before is None:
            # Both read the keys that the last sync stored, so both must be made before the first page.
            for one in (ArrowIncremental, JsonIncremental):
                incremental._make_or_get_transformer(one)
            return
        old, new = incremental._transformers[before], incremental._transformers[kind]
        if old is new or not old.seen_data:
            return
        for name in ("start_value", "end_value", "last_value", "seen_data", "unique_hashes_legacy"):
            setattr(new, name, getattr(old, name))
        new.unique_hashes = set((incremental._cached_state or {}).get("unique_hashes") or ())
        new.last_rows = []


def _keep_bound(wrapper: IncrementalResourceWrapper) -> None:
    """Keeps dlt from binding the incremental step again, and so from moving its start, for the next page of parents."""
    wrapper._from_hints = True  # dlt then keeps the bound `Incremental`
    wrapper._resource_name = ""  # dlt then does not bind it


class AfterIncrementalStep(ItemTransform[Any, Any]):
    """The step after dlt's incremental step.

    Args:
        nulls: the rows without a cursor value.
    """

    placement_affinity = 1.01

    def __init__(self, nulls: NullCursors) -> None:
        super().__init__(lambda item: item)
        self._nulls = nulls

    def __call__(self, item: TDataItems, meta: Any = None) -> TDataItems:  # noqa: ARG002  dlt passes it
        """Returns the page, with the rows that were set aside."""
        return self._nulls.bring_back(item)

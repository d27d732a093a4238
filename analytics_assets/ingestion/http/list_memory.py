"""Remembers, from one sync to the next, that the rows of a resource came as lists, and which fields they had.

What belongs here: the note in dlt's state of the source, and the columns in dlt's stored schema, which also has the
rows of versions without the note. dlt clears the state of a resource that each run replaces. `row_selection.py`
decides what an object means.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from dlt.common.exceptions import PipelineStateNotAvailable, SourceSectionNotAvailable
from dlt.common.schema.utils import has_table_seen_data
from dlt.extract.exceptions import CurrentSourceSchemaNotAvailable
from dlt.pipeline.current import source_schema, source_state

CAME_AS_LIST = "rows_came_as_list"
"""The key in dlt's state of a source. By resource name, it has whether the rows came as a list: true, or false for one
object. Stored, so it never changes."""


class ListMemory:
    """Whether the rows of a resource came as a list, in this sync or an earlier one.

    Args:
        resource: the dlt resource name.
        table: the table of the resource.
    """

    def __init__(self, resource: str, table: str) -> None:
        self._resource = resource
        self._table = table
        self._came = False

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        """Returns the same memory, because dlt copies a paginator for each parent row."""
        return self

    @property
    def came_before(self) -> bool:
        """Whether a list came before."""
        return self._came or bool(self._noted)

    def columns_before(self) -> set[str]:
        """Returns the names of the columns and child tables of the rows of a version without the note.

        The result is empty if no row was loaded, or if a note says how the rows came.
        """
        if self._noted is not None:
            return set()
        with suppress(CurrentSourceSchemaNotAvailable):
            schema = source_schema()
            name = schema.naming.normalize_table_identifier(self._table)
            table = schema.tables.get(name)
            if table and has_table_seen_data(table):
                tables = [*schema.tables]  # the thread of dlt may add one
                children = (one.removeprefix(f"{name}__") for one in tables if one.startswith(f"{name}__"))
                return {*table["columns"], *children}
        return set()

    def remember(self) -> None:
        """Notes that a list came. The load stores the note."""
        if not self._came:
            self._came = True
            self._state.setdefault(CAME_AS_LIST, {})[self._resource] = True

    def remember_object(self) -> None:
        """Notes that an object came as the only row, unless a list has come."""
        if not self.came_before:
            self._state.setdefault(CAME_AS_LIST, {})[self._resource] = False

    @property
    def _noted(self) -> bool | None:
        """The note of an earlier sync; None if there is none."""
        noted: dict[str, bool] = self._state.get(CAME_AS_LIST, {})
        return noted.get(self._resource)

    @property
    def _state(self) -> dict[str, Any]:
        # The threads of a `parallelized` resource have no state.
        with suppress(PipelineStateNotAvailable, SourceSectionNotAvailable):
            return source_state()
        return {}


def without_cursors(sources: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the part of dlt's state of sources that has nothing but these notes."""
    return {
        source: {CAME_AS_LIST: state[CAME_AS_LIST]}
        for source, state in sources.items()
        if CAME_AS_LIST in state
    }

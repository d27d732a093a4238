"""How a load changes the table: dlt's write disposition and merge strategy, as one decision."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from analytics_assets.config.rest_api import disposition_of

_HISTORY = ("scd2", "insert-only")
_RETIRING = ("scd2", "cdc")


class WriteMode(StrEnum):
    """What a load does to the rows that are in the table."""

    REPLACE = "replace"  # the load is all there is
    MERGE = "merge"  # a row replaces the row of the same key
    APPEND = "append"  # rows are added
    HISTORY = "history"  # earlier versions of a row stay: dlt's strategies scd2 and insert-only
    SKIP = "skip"  # nothing is loaded


def write_mode_of(disposition: Any) -> WriteMode:
    """The mode of a write disposition, written short or as a mapping with a strategy."""
    return (
        WriteMode.HISTORY if strategy_of(disposition) in _HISTORY else WriteMode(disposition_of(disposition))
    )


def strategy_of(disposition: Any) -> str | None:
    """The merge strategy that is written; None where none is."""
    return disposition.get("strategy") if isinstance(disposition, Mapping) else None


def retires_unfetched_rows(disposition: Any) -> bool:
    """Whether a row that a load does not bring is gone by this strategy."""
    return strategy_of(disposition) in _RETIRING


def can_replace_all(disposition: Any) -> bool:
    """Whether one load by this disposition can stand for all rows.

    Merge strategies other than `delete-insert` keep rows with the load id of an older load.
    """
    return strategy_of(disposition) in (None, "delete-insert") and disposition_of(disposition) in (
        "append",
        "merge",
        "replace",
    )

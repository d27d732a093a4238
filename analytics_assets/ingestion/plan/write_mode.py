"""The write mode: dlt's write disposition and merge strategy as one value."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from analytics_assets.config.rest_api import disposition_of

_HISTORY = ("scd2", "insert-only")
_RETIRING = ("scd2", "cdc")


class WriteMode(StrEnum):
    """How a load changes the rows in the table."""

    REPLACE = "replace"  # the loaded rows replace all rows of the table
    MERGE = "merge"  # a loaded row replaces the row with the same key
    APPEND = "append"  # the load adds rows
    HISTORY = "history"  # the table keeps earlier versions of a row: dlt's strategies scd2 and insert-only
    SKIP = "skip"  # the load writes nothing


def write_mode_of(disposition: Any) -> WriteMode:
    """The write mode of a write disposition. The write disposition is a name, or a mapping with a strategy."""
    return (
        WriteMode.HISTORY if strategy_of(disposition) in _HISTORY else WriteMode(disposition_of(disposition))
    )


def strategy_of(disposition: Any) -> str | None:
    """The merge strategy in a write disposition; None if the write disposition has no strategy."""
    return disposition.get("strategy") if isinstance(disposition, Mapping) else None


def retires_unfetched_rows(disposition: Any) -> bool:
    """Whether the merge strategy deletes rows that are not in the load, or ends their validity."""
    return strategy_of(disposition) in _RETIRING


def can_replace_all(disposition: Any) -> bool:
    """Whether a full refresh is possible with this write disposition.

    A full refresh deletes the rows that have an older load id. With a merge strategy other than `delete-insert`, an
    unchanged row keeps its older load id, so a full refresh would delete the row.
    """
    return strategy_of(disposition) in (None, "delete-insert") and disposition_of(disposition) in (
        "append",
        "merge",
        "replace",
    )

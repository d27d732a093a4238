"""Configures dlt's incremental step of a resource: its range, the range in the request, and the deduplication.

What belongs here: every change to `endpoint.incremental` before dlt gets the config.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from analytics_assets.ingestion.plan.api_filter import ApiFilter
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.time_window import Window


@dataclass(frozen=True)
class WriteBound:
    """Writes the start or the end of a range as the API wants it. This is dlt's option `convert`.

    Attributes:
        filter: how the resource asks the API for a range.
        end: the end of the range; None if there is none. Any other value is a start.
    """

    filter: ApiFilter
    end: Any

    def __call__(self, value: Any) -> Any:
        """Writes the start or the end; None if there is none."""
        return self.filter.write(value, end=self.end)


def follow_cursor(resource: dict[str, Any], info: ResourceInfo, window: Window | None) -> None:
    """Configures the incremental step of the resource that a sync loads.

    Args:
        resource: the config of the resource, after dlt has applied its defaults. The function changes it.
        info: the facts about the resource, which has a cursor.
        window: the window of the sync; None for a sync that continues from a stored cursor.
    """
    cursor, column = info.cursor, info.cursor_column
    assert cursor is not None
    columns = resource["columns"]
    if info.write_disposition == "merge" and not any("dedup_sort" in hints for hints in columns.values()):
        # Without `dedup_sort`, dlt keeps the first version of a row in a load instead of the newest.
        columns[cursor.column] = {
            "name": cursor.column,
            **columns.get(cursor.column, {}),
            "dedup_sort": "desc",
        }
    incremental = resource["endpoint"]["incremental"]
    if info.write_disposition == "merge":
        # By default, dlt skips a row with the last cursor value if an earlier run has loaded the row.
        # But a merge must load such a row again.
        incremental.setdefault("primary_key", [])
    if column:
        incremental["cursor_path"] = column.name  # a validated row has column names, not field names
    if info.filter:
        for bound in ("initial_value", "end_value"):
            if bound in incremental:
                incremental[bound] = info.filter.bound(incremental[bound])
        if window:
            incremental["initial_value"] = cursor.bound(window.start)
            incremental["end_value"] = cursor.bound(window.end)
        incremental.setdefault("convert", WriteBound(info.filter, incremental.get("end_value")))
    if info.parent:
        _start_alike(resource["endpoint"])


def filter_parents(resources: dict[str, Any], info: ResourceInfo) -> None:
    """Configures how the parents of the resource that a sync loads ask for their range.

    Args:
        resources: the configs of all resources by name. The function changes them.
        info: the facts about the resource.
    """
    for name, api_filter in info.parent_filters.items():
        incremental = resources[name]["endpoint"]["incremental"]
        incremental["convert"] = WriteBound(api_filter, incremental.get("end_value"))


def _start_alike(endpoint: dict[str, Any]) -> None:
    """Makes the requests for the children of all parents ask from the same start.

    dlt asks for the children of each further page of parents from the newest cursor value so far. The older rows of
    these parents would be missing.
    """
    incremental = endpoint["incremental"]
    for key in ("path", "params", "json", "data", "headers"):
        if key in endpoint:
            endpoint[key] = _with_start_value(endpoint[key])
    if incremental.get("start_param"):
        write = incremental.get("convert") or (lambda value: value)
        incremental["convert"] = _FirstStart(write, incremental.get("end_value"))


def _with_start_value(part: Any) -> Any:
    if isinstance(part, str):
        return part.replace("{incremental.last_value", "{incremental.start_value")
    if isinstance(part, dict):
        return {key: _with_start_value(value) for key, value in part.items()}
    return [_with_start_value(one) for one in part] if isinstance(part, list) else part


class _FirstStart:
    """Writes each start as the first one. dlt asks for the start of a range before it has read a row.

    Args:
        write: the function that writes a start or an end.
        end: the end of the range; None if there is none.
    """

    def __init__(self, write: Callable[[Any], Any], end: Any) -> None:
        self._write = write
        self._end = end
        self._starts: list[Any] = []

    def __call__(self, value: Any) -> Any:
        """Writes the start or the end of a range."""
        if self._end is not None and value == self._end:
            return self._write(value)
        self._starts.append(value)
        return self._write(self._starts[0])

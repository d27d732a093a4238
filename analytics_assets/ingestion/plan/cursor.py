"""The incremental cursor of a resource, from its config and its declared columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from analytics_assets.config.assets import PartitionsConfig
from analytics_assets.ingestion.contract.columns import Column, Contract, column_name
from analytics_assets.ingestion.errors import UnfitCursorError, UnfitResourceError
from analytics_assets.ingestion.time_window import Cursor


def cursor_of(
    name: str, incremental: Mapping[str, Any], contract: Contract, partitions: PartitionsConfig | None
) -> Cursor | None:
    """Returns the cursor of a resource, or None if the resource has no cursor.

    Args:
        name: the dlt resource name.
        incremental: the value of `endpoint.incremental` in the `defs.yaml`, or an empty mapping.
        contract: the declared columns.
        partitions: the partitions of the asset, or None.

    Raises:
        UnfitResourceError: the cursor field is inside an object that is declared as one column, or the cursor is a
            time, and `initial_value` or `end_value` is no time.
        UnfitCursorError: the asset is partitioned, and its cursor does not fit the partitions.
    """
    if not incremental:
        return None
    path = str(incremental["cursor_path"]).removeprefix("$.")
    _refuse_inside_a_column(name, path, contract)
    declared = contract.column(column_name(path))
    written = declared.data_type if declared and declared.data_type else ""
    unit = partitions.cursor_unit if partitions else None
    cursor = Cursor(
        path,
        column_name(path),
        _data_type(written, unit, partitioned=partitions is not None),
        partitions.timezone if partitions else "UTC",
        unit,
    )
    if partitions:
        _refuse_unfit(name, cursor, written, partitions)
    for bound in ("initial_value", "end_value"):
        try:
            cursor.as_bound(incremental.get(bound))
        except ValueError:
            or_seconds = ", or as a number of seconds since 1970" if cursor.data_type == "timestamp" else ""
            raise UnfitResourceError(
                name,
                f"{bound} `{incremental[bound]}` is no {cursor.data_type}",
                f"Write it as the cursor is, in ISO 8601{or_seconds}",
            ) from None
    return cursor


def filter_params(endpoint: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the parameters with which an endpoint asks the API for the start and for the end of the cursor range.

    Args:
        endpoint: the endpoint, with all defaults of dlt applied.
    """
    incremental = endpoint.get("incremental") or {}
    return tuple(
        found
        for param, value in (("start_param", "start_value"), ("end_param", "end_value"))
        if (found := incremental.get(param) or _placeholder(endpoint, f"{{incremental.{value}"))
    )


def _placeholder(part: Any, mark: str, name: str = "path") -> str:
    """Returns the name of the first parameter or field whose text contains a placeholder; empty if there is none."""
    if isinstance(part, str):
        return name if mark in part else ""
    if isinstance(part, Mapping):
        return next((one for key, value in part.items() if (one := _placeholder(value, mark, str(key)))), "")
    if isinstance(part, list):
        return next((one for value in part if (one := _placeholder(value, mark, name))), "")
    return ""


def cursor_column_of(cursor: Cursor | None, contract: Contract) -> Column | None:
    """The column of the cursor; None if the data type of the cursor is unknown."""
    if cursor is None:
        return None
    declared = contract.column(cursor.column)
    if declared and declared.data_type:
        return declared
    if cursor.data_type is None:
        return None
    return Column(
        name=cursor.column,
        data_type=cursor.data_type,
        nullable=True,
        primary_key=False,
        unique=False,
        description=None,
        hints={"name": cursor.column, "data_type": cursor.data_type, "nullable": True},
    )


def _data_type(
    written: str, unit: str | None, *, partitioned: bool
) -> Literal["timestamp", "date", "bigint"] | None:
    if written == "date":
        return "date"
    if unit and (written.startswith("bigint") or not written):
        return "bigint"
    if written.startswith("timestamp") or (partitioned and not written):
        return "timestamp"  # a partition window is a range of time, so the cursor of a partitioned resource is a time
    return None


def _refuse_inside_a_column(name: str, path: str, contract: Contract) -> None:
    *outer, _ = path.split(".")
    for depth in range(1, len(outer) + 1):
        around = ".".join(outer[:depth])
        if contract.column(column_name(around)):
            raise UnfitResourceError(
                name,
                f"the cursor `{path}` is inside `{around}`, which is declared and so becomes one column",
                f"Declare `{column_name(path)}` instead, and the other fields of `{around}` that you need",
            )


def _refuse_unfit(name: str, cursor: Cursor, written: str, partitions: PartitionsConfig) -> None:
    is_whole_number = written.startswith("bigint")
    if cursor.unit and cursor.data_type != "bigint":
        raise UnfitCursorError(
            name,
            f"cursor_unit is for whole numbers, and the cursor `{cursor.path}` is a {written}",
            "Remove cursor_unit, or declare the cursor as bigint",
        )
    if cursor.data_type is None:
        raise UnfitCursorError(
            name,
            f"partitions are ranges of time, and the cursor `{cursor.path}` is "
            f"{'a bigint' if is_whole_number else written}",
            "Set cursor_unit to what it counts since 1970: seconds, milliseconds or microseconds"
            if is_whole_number
            else "Declare it as timestamp or date",
        )
    if cursor.data_type == "date" and partitions.type == "hourly":
        raise UnfitCursorError(
            name,
            f"the partitions are hourly, and the cursor `{cursor.path}` is a whole day",
            "Use daily partitions, or a timestamp cursor",
        )

"""The incremental cursor of a resource, from its config and its declared columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from analytics_assets.config.assets import AssetConfig, PartitionsConfig
from analytics_assets.config.models import PLAIN_PATH
from analytics_assets.ingestion.contract.columns import Column, Contract, column_name
from analytics_assets.ingestion.errors import UnfitCursorError, UnfitFilterError, UnfitResourceError
from analytics_assets.ingestion.time_window import Cursor


def cursor_of(
    name: str, incremental: Mapping[str, Any], contract: Contract, asset: AssetConfig
) -> Cursor | None:
    """Returns the cursor of a resource, or None if the resource has no cursor.

    Args:
        name: the dlt resource name.
        incremental: the value of `endpoint.incremental` in the `defs.yaml`, or an empty mapping.
        contract: the declared columns.
        asset: the keys under `assets.<resource>`.

    Raises:
        UnfitResourceError: the cursor field is inside an object that is declared as one column, or nobody can compare
            `initial_value` with `end_value`.
        UnfitCursorError: the asset is partitioned, and its cursor does not fit the partitions.
        UnfitFilterError: the unit of the cursor is set twice.
    """
    if not incremental:
        return None
    path = str(incremental["cursor_path"]).removeprefix("$.")
    _refuse_inside_a_column(name, path, contract)
    declared = contract.column(column_name(path))
    written = declared.data_type if declared and declared.data_type else ""
    partitions, unit = asset.partitions, asset.filter.cursor_unit if asset.filter else None
    if partitions and unit:
        raise UnfitFilterError(
            name,
            "`filter` has a cursor_unit, and the resource is partitioned",
            "Set partitions.cursor_unit instead",
        )
    unit = partitions.cursor_unit if partitions else unit
    is_time = partitions is not None or (asset.filter is not None and PLAIN_PATH.fullmatch(path) is not None)
    cursor = Cursor(
        path,
        column_name(path),
        _data_type(written, unit, is_time=is_time),
        partitions.timezone if partitions else "UTC",
        unit,
    )
    if partitions:
        _refuse_unfit(name, cursor, written, partitions)
    if cursor.data_type is None:  # otherwise the bounds are converted to the type of the cursor
        _refuse_two_types(name, cursor, incremental)
    return cursor


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
    written: str, unit: str | None, *, is_time: bool
) -> Literal["timestamp", "date", "bigint"] | None:
    if written == "date":
        return "date"
    if unit and (written.startswith("bigint") or not written):
        return "bigint"
    if written.startswith("timestamp") or (is_time and not written):
        return "timestamp"  # a partition window is a range of time, and a filter writes times
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


def _refuse_two_types(name: str, cursor: Cursor, incremental: Mapping[str, Any]) -> None:
    start, end = incremental.get("initial_value"), incremental.get("end_value")
    if (
        start is None
        or end is None
        or incremental.get("last_value_func") not in (None, "max", "min", max, min)
    ):
        return
    try:
        _ = start < end
    except TypeError:
        raise UnfitResourceError(
            name,
            f"initial_value `{start}` and end_value `{end}` are of two types, and cannot be compared",
            f"Write both as the API writes `{cursor.path}`. If it is a time, declare its column as timestamp",
        ) from None


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

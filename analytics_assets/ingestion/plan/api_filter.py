"""Writes the start and the end of a cursor range as the API wants them, so that no row of the range is left out.

What belongs here: the format of a time in a request, and how far a request must reach. A request may ask for more rows
than the range has, because dlt's incremental step drops them. A request must never ask for fewer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from analytics_assets.config.filter import EPOCHS, FilterConfig, has_offset
from analytics_assets.ingestion.errors import UnfitFilterError, UnfitResourceError
from analytics_assets.ingestion.time_window import Cursor, Window, epoch_unit

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND, _SECOND, _HOUR, _DAY = (
    timedelta(**{unit: 1}) for unit in ("microseconds", "seconds", "hours", "days")
)
_UNITS = {"%f": _MICROSECOND, "%S": _SECOND, "%M": timedelta(minutes=1), "%H": _HOUR, "%I": _HOUR}


@dataclass(frozen=True)
class FilterFormat:
    """The format of a time in a request.

    Attributes:
        write: the function that writes a time.
        unit: the resolution of the format.
        step: how much earlier to start if the API leaves out the rows at its start.
        is_local: whether the text says nothing about its time zone.
    """

    write: Callable[[datetime], Any]
    unit: timedelta
    step: timedelta
    is_local: bool = False


@dataclass(frozen=True, kw_only=True)
class ApiFilter:
    """How one resource asks the API for a range of its cursor.

    Attributes:
        cursor: the cursor, whose values are times.
        format: the format of a time.
        zones: the IANA names of the time zones in which the API may read a time; the first is the one written.
        excludes_bounds: whether the API leaves out the rows at exactly the start that it gets.
        is_descending: whether dlt reads backwards in time (`last_value_func: min`), from the latest row on.
        has_closed_end: whether the range includes its end (dlt's `range_end: closed`).
        number_unit: what a number in the config counts since 1970; None to judge by its size.
    """

    cursor: Cursor
    format: FilterFormat
    zones: tuple[str, ...] = ("UTC",)
    excludes_bounds: bool = False
    is_descending: bool = False
    has_closed_end: bool = False
    number_unit: str | None = None

    def bound(self, value: Any) -> Any:
        """Converts an `initial_value` or `end_value` of the config to the type of the cursor.

        Raises:
            ValueError: the value is no time, or a number in another unit.
        """
        return self.cursor.as_bound(value, self.number_unit)

    def write(self, value: Any, end: Any = None) -> Any:
        """Writes the start or the end of a range. dlt's option `convert` calls this function.

        Args:
            value: the start or the end; None if there is none.
            end: the end of the range; None if there is none. Any other value is a start.
        """
        if value is None:
            return None
        is_end = end is not None and value == end
        time_of = self._latest if is_end != self.is_descending else self._earliest
        try:
            return self.format.write(time_of(value))
        except (ValueError, TypeError):
            return value  # dlt stored it before the cursor was declared, and now says that it cannot compare the two

    def asked(self, window: Window) -> Window:
        """The times of all rows that the API may return for a window, however it reads the written bounds."""
        start, end = self.cursor.bound(window.start), self.cursor.bound(window.end)
        earliest, latest = self._earliest(start), self._latest(end) + self.format.unit
        return Window(min(self._readings(earliest)), max(self._readings(latest)))

    def _earliest(self, value: Any) -> datetime:
        step = self.format.step if self.excludes_bounds else timedelta()
        if self._is_plain_day(value):
            return _floor(datetime.combine(value, time()) - step, self.format.unit)
        target = self.cursor.moment(value) - step
        found = _floor(self._local(target), self.format.unit)
        while max(self._readings(found)) > target:
            found -= max(self.format.unit, _HOUR)
        return found

    def _latest(self, value: Any) -> datetime:
        includes = self.has_closed_end or self.is_descending
        step = self.format.step if self.excludes_bounds and includes else timedelta()
        if includes and self.cursor.data_type == "date":
            step += _DAY  # the day of the end is in the range as a whole
        if self._is_plain_day(value):
            return _ceil(datetime.combine(value, time()) + step, self.format.unit)
        target = self.cursor.moment(value) + step
        found = _ceil(self._local(target), self.format.unit)
        while min(self._readings(found)) < target:
            found += max(self.format.unit, _HOUR)
        return found

    def _is_plain_day(self, value: Any) -> bool:
        """Whether a value is a day that the format can write without a time zone."""
        return self.format.is_local and isinstance(value, date) and not isinstance(value, datetime)

    def _local(self, moment: datetime) -> datetime:
        found = moment.astimezone(ZoneInfo(self.zones[0]))
        return found.replace(tzinfo=None) if self.format.is_local else found

    def _readings(self, written: datetime) -> Iterator[datetime]:
        """Yields the moments that a written time may mean. When the clock goes back, a local time comes twice."""
        if written.tzinfo:
            yield written.astimezone(UTC)
            return
        for zone in self.zones:
            for fold in (0, 1):
                yield written.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def api_filter_of(
    name: str, cursor: Cursor | None, config: FilterConfig | None, endpoint: Mapping[str, Any]
) -> ApiFilter | None:
    """Decides how a resource asks the API for a range of its cursor. Returns None if the cursor is no time.

    Args:
        name: the dlt resource name.
        cursor: the cursor of the resource; None if it has none.
        config: the keys under `assets.<resource>.filter`; None if absent.
        endpoint: the endpoint, with all defaults of dlt applied.

    Raises:
        UnfitFilterError: `filter` is set, and the resource has no use for it.
        UnfitResourceError: `initial_value` or `end_value` is no time.
    """
    incremental = endpoint.get("incremental") or {}
    if config:
        _refuse_unfit(name, cursor, config, endpoint)
    if cursor is None or cursor.data_type is None:
        return None
    config = config or FilterConfig()
    found = _format_of(config.format or _default(cursor, incremental))
    zones: tuple[str, ...] = (config.timezone or "UTC",)
    if found.is_local and cursor.data_type == "date":
        _refuse_timezone_of_days(name, cursor, config)
        zones = (cursor.timezone,)
    elif found.is_local and config.timezone is None:
        zones = tuple(dict.fromkeys(("UTC", cursor.timezone)))
    api_filter = ApiFilter(
        cursor=cursor,
        format=found,
        zones=zones,
        excludes_bounds=config.bounds == "exclusive",
        is_descending=incremental.get("last_value_func") in ("min", min),
        has_closed_end=incremental.get("range_end") == "closed",
        number_unit=EPOCHS.get(config.format or ""),
    )
    for key in ("initial_value", "end_value"):
        try:
            api_filter.bound(incremental.get(key))
        except ValueError:
            unit = cursor.unit or api_filter.number_unit or "seconds"
            or_number = "" if cursor.data_type == "date" else f", or as a number of {unit} since 1970"
            raise UnfitResourceError(
                name,
                f"{key} `{incremental[key]}` is no {cursor.data_type}",
                f"Write it as the cursor is, in ISO 8601{or_number}",
            ) from None
    return api_filter


@dataclass(frozen=True)
class FilterParams:
    """The names of the parameters with which an endpoint asks the API for a range of its cursor.

    Attributes:
        start: the parameter of the start; empty if there is none.
        end: the parameter of the end; empty if there is none.
        follows_cursor: whether the start is the stored cursor, and not always the `initial_value`.
        has_end_value: whether the range has an end without partitions.
        is_forward: whether the range begins with its lowest cursor value.
    """

    start: str
    end: str
    follows_cursor: bool
    has_end_value: bool
    is_forward: bool


def filter_params(endpoint: Mapping[str, Any]) -> FilterParams:
    """Finds the parameters with which an endpoint asks the API for a range of its cursor.

    Args:
        endpoint: the endpoint, with all defaults of dlt applied.
    """
    incremental = endpoint.get("incremental") or {}
    stored = incremental.get("start_param") or _placeholder(endpoint, r"\{incremental\.(start|last)_value")
    return FilterParams(
        start=stored or _placeholder(endpoint, r"\{incremental\.initial_value"),
        end=incremental.get("end_param") or _placeholder(endpoint, r"\{incremental\.end_value"),
        follows_cursor=bool(stored),
        has_end_value=incremental.get("end_value") is not None,
        is_forward=is_forward(incremental),
    )


def is_forward(incremental: Mapping[str, Any]) -> bool:
    """Whether a cursor goes from low values to high ones, as it does unless `last_value_func` is set."""
    return incremental.get("last_value_func") in (None, "max", max)


def _placeholder(part: Any, mark: str, name: str = "path") -> str:
    """Returns the name of the first parameter or field whose text contains a placeholder; empty if there is none."""
    if isinstance(part, str):
        return name if re.search(mark, part) else ""
    if isinstance(part, Mapping):
        return next((one for key, value in part.items() if (one := _placeholder(value, mark, str(key)))), "")
    if isinstance(part, list):
        return next((one for value in part if (one := _placeholder(value, mark, name))), "")
    return ""


def _refuse_unfit(
    name: str, cursor: Cursor | None, config: FilterConfig, endpoint: Mapping[str, Any]
) -> None:
    incremental = endpoint.get("incremental") or {}
    if cursor is None:
        raise UnfitFilterError(
            name,
            "`filter` writes the range of a cursor, and the resource has no cursor",
            "Set `endpoint.incremental`, or remove `filter`",
        )
    if config.cursor_unit and cursor.data_type != "bigint":
        raise UnfitFilterError(
            name,
            f"filter.cursor_unit is for whole numbers, and the cursor `{cursor.path}` is a {cursor.data_type}",
            "Remove it, or declare the cursor as bigint",
        )
    if cursor.data_type is None:
        raise UnfitFilterError(
            name,
            f"`filter` writes times, and the cursor `{cursor.path}` is not declared as one",
            "Declare it as timestamp or date, or as bigint with filter.cursor_unit",
        )
    params = filter_params(endpoint)
    if not params.start and not params.end:
        raise UnfitFilterError(
            name,
            "`filter` is set, and no request has the start or the end of the cursor range",
            "Set `start_param` of endpoint.incremental, or remove `filter`",
        )
    if incremental.get("convert") or incremental.get("transform"):
        raise UnfitFilterError(
            name,
            "both `filter` and `convert` of endpoint.incremental write the times of a request",
            "Keep one of them",
        )


def _refuse_timezone_of_days(name: str, cursor: Cursor, config: FilterConfig) -> None:
    if config.timezone:
        raise UnfitFilterError(
            name,
            f"filter.timezone is set, and the cursor `{cursor.path}` is a day, which has no time zone",
            "Remove it",
        )


def _default(cursor: Cursor, incremental: Mapping[str, Any]) -> str:
    """The format of `initial_value` or `end_value` as the file writes it, or else that of the cursor."""
    if cursor.data_type == "date":
        return "date"
    written = next(
        (incremental[key] for key in ("initial_value", "end_value") if incremental.get(key) is not None), None
    )
    if written is None:
        return f"epoch_{cursor.unit}" if cursor.unit else "iso"
    if isinstance(written, (int, float)):
        return f"epoch_{cursor.unit or epoch_unit(written)}"
    return "iso"


def _format_of(name: str) -> FilterFormat:
    if name in EPOCHS:
        unit = timedelta(**{EPOCHS[name]: 1})
        return FilterFormat(lambda moment: (moment - _EPOCH) // unit, unit, unit)
    if name == "iso":  # as many digits as the time has
        return FilterFormat(_iso("auto"), _MICROSECOND, _SECOND)
    if name in ("iso_seconds", "iso_milliseconds"):
        unit = timedelta(**{name.removeprefix("iso_"): 1})
        return FilterFormat(_iso(name.removeprefix("iso_")), unit, unit)
    pattern = "%Y-%m-%d" if name == "date" else name
    unit = next((unit for mark, unit in _UNITS.items() if mark in pattern), _DAY)
    return FilterFormat(lambda moment: moment.strftime(pattern), unit, unit, is_local=not has_offset(pattern))


def _iso(digits: str) -> Callable[[datetime], str]:
    return lambda moment: moment.isoformat(timespec=digits).replace("+00:00", "Z")


def _floor(moment: datetime, unit: timedelta) -> datetime:
    """The latest time of the clock that is a whole `unit`, and is not after `moment`."""
    return (moment - (moment.replace(tzinfo=None) - datetime.min) % unit).replace(fold=moment.fold)  # noqa: DTZ901


def _ceil(moment: datetime, unit: timedelta) -> datetime:
    found = _floor(moment, unit)
    return found if found == moment else (found + unit).replace(fold=moment.fold)

"""The filters of real APIs: each format of a time, bounds that the API leaves out, and each place in a request.

One line is one habit: the format, what the file says, and how the API compares. The table has the rows of the window.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import pytest
import yaml
from pydantic import ValidationError

from analytics_assets import RestApiSync
from analytics_assets.ingestion.errors import CursorValueError
from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Project, check_of
from analytics_assets_tests.real_api import defs

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NIGHT = datetime(2026, 1, 5, tzinfo=UTC)
EDGES = (timedelta(), timedelta(microseconds=1), timedelta(milliseconds=500), timedelta(minutes=30))
HOURS = (-26, -25, -24, -1, 0, 1, 2, 3, 4, 5, 23, 24, 25, 47, 48, 49)
MOMENTS = [NIGHT + timedelta(hours=hour) + edge for hour in HOURS for edge in (-EDGES[1], *EDGES)]
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def _seconds(text: Any) -> datetime:
    return EPOCH + timedelta(seconds=int(text))


def _milliseconds(text: Any) -> datetime:
    return EPOCH + timedelta(milliseconds=int(text))


def _strict(pattern: str, zone: str = "UTC") -> Any:
    """Reads texts of one pattern only, as an API does that answers others with an error."""

    def read(text: str) -> datetime:
        found = datetime.strptime(text, pattern)  # noqa: DTZ007
        return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)

    return read


@dataclass
class Api:
    """An API with rows at `MOMENTS` that filters by `since` and perhaps `until`.

    Attributes:
        read: the function that reads a bound.
        unit: the API compares whole units, such as days; None to compare moments.
        excludes: whether it leaves out the rows at exactly a bound.
        as_number: whether its rows have milliseconds since 1970 in place of ISO 8601.
        zone: the time zone of its units.
        now: the time until which it has rows.
    """

    read: Any
    unit: timedelta | None = None
    excludes: bool = False
    as_number: bool = False
    zone: str = "UTC"
    now: datetime = NIGHT + 3 * DAY
    asked: list[Any] = field(default_factory=list)

    def __call__(self, request: Asked) -> Any:
        sent = {**request.params, **(json.loads(request.body) if request.body else {})}
        if request.path.startswith("/things/"):
            sent["since"] = unquote(request.path.split("/")[2])
        self.asked.append((sent.get("since"), sent.get("until")))
        since, until = (self.read(sent[one]) if one in sent else None for one in ("since", "until"))
        return {
            "data": [
                self._row(n) for n, at in enumerate(MOMENTS) if at < self.now and self._fits(at, since, until)
            ]
        }

    def _fits(self, at: datetime, since: datetime | None, until: datetime | None) -> bool:
        at = self._whole(at)
        starts = since is None or (at > since if self.excludes else at >= since)
        return starts and (until is None or (at < until if self.excludes else at <= until))

    def _whole(self, at: datetime) -> datetime:
        if self.unit is None:
            return at
        local = at.astimezone(ZoneInfo(self.zone))
        return (local - (local.replace(tzinfo=None) - datetime.min) % self.unit).astimezone(UTC)  # noqa: DTZ901

    def _row(self, number: int) -> dict[str, Any]:
        at = MOMENTS[number]
        value = (at - EPOCH) // timedelta(milliseconds=1) if self.as_number else at.isoformat()
        return {"id": number, "at": value}


def ids(start: datetime, end: datetime) -> list[int]:
    return [number for number, at in enumerate(MOMENTS) if start <= at < end]


def loaded(project: Project) -> list[int]:
    return [row["id"] for row in project.query("SELECT id FROM api.things ORDER BY id")]


def things(url: str, config: Any, place: Any = None, **options: Any) -> str:
    cursor = options.pop("cursor", {"data_type": "timestamp"})
    resource = {
        "write_disposition": "merge",
        "columns": {"id": {"data_type": "bigint"}, **({"at": cursor} if cursor else {})},
    }
    asset = {**({"filter": config} if config else {}), **options.pop("asset", {})}
    where = place or {"incremental": {"cursor_path": "at", "start_param": "since", "end_param": "until"}}
    return defs(url, paginator="single_page", resource=resource, asset=asset, **where, **options)


DATES, COMPACT, SPACED = _strict("%Y-%m-%d"), _strict("%Y%m%d"), _strict("%Y-%m-%d %H:%M:%S")
OFFSET, NEW_YORK = _strict("%Y-%m-%dT%H:%M:%S%z"), "America/New_York"
ISO_SECONDS, ISO_DIGITS = _strict("%Y-%m-%dT%H:%M:%SZ"), _strict("%Y-%m-%dT%H:%M:%S.%fZ")
EXCLUSIVE = {"bounds": "exclusive"}
HABITS: list[tuple[str, dict[str, Any], Api]] = [
    ("days, whole", {"format": "date"}, Api(DATES, DAY)),
    ("seconds since 1970", {"format": "epoch_seconds"}, Api(_seconds)),
    ("ISO seconds, excluded", {"format": "iso_seconds", **EXCLUSIVE}, Api(ISO_SECONDS, excludes=True)),
    ("days, whole, excluded", {"format": "date", **EXCLUSIVE}, Api(DATES, DAY, excludes=True)),
    ("days, midnights", {"format": "date"}, Api(DATES)),
    ("days, midnights, excluded", {"format": "date", **EXCLUSIVE}, Api(DATES, excludes=True)),
    ("compact days", {"format": "%Y%m%d"}, Api(COMPACT, DAY)),
    ("spaces", {"format": "%Y-%m-%d %H:%M:%S"}, Api(SPACED)),
    ("spaces, whole, excluded", {"format": "%Y-%m-%d %H:%M:%S", **EXCLUSIVE}, Api(SPACED, SECOND, excludes=True)),
    ("ISO seconds, whole", {"format": "iso_seconds"}, Api(ISO_SECONDS, SECOND)),
    ("ISO milliseconds, excluded", {"format": "iso_milliseconds", **EXCLUSIVE}, Api(ISO_DIGITS, excludes=True)),
    ("offset", {"format": "%Y-%m-%dT%H:%M:%S%z", "timezone": "Asia/Kolkata"}, Api(OFFSET)),
    ("milliseconds, excluded", {"format": "epoch_milliseconds", **EXCLUSIVE}, Api(_milliseconds, excludes=True)),
    ("seconds, whole, excluded", {"format": "epoch_seconds", **EXCLUSIVE}, Api(_seconds, SECOND, excludes=True)),
    ("days there", {"format": "date", "timezone": NEW_YORK}, Api(_strict("%Y-%m-%d", NEW_YORK), DAY, zone=NEW_YORK)),
    ("no filter in the file", {}, Api(datetime.fromisoformat)),
    ("ISO, excluded", EXCLUSIVE, Api(datetime.fromisoformat, excludes=True)),
]  # fmt: skip


def habits() -> list[Any]:
    return [pytest.param(config, api, id=name) for name, config, api in HABITS]


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("hours", [1, 24], ids=["hourly", "daily"])
@pytest.mark.parametrize(("config", "habit"), habits())
def test_a_partition_has_all_rows_of_its_window(
    project: Project, config: Any, habit: Api, hours: int
) -> None:
    kind, keys = (
        ("hourly", ["2026-01-05-03:00", "2026-01-05-04:00"]) if hours == 1 else ("daily", ["2026-01-05"])
    )
    start = NIGHT + timedelta(hours=3 if hours == 1 else 0)
    with answering(habit) as url:
        text = things(url, config, asset={"partitions": {"type": kind, "start_date": "2026-01-01"}})
        project.load(text, "things", *keys[:1])
        assert loaded(project) == ids(start, start + timedelta(hours=hours))
        project.load(text, "things", *keys)
    assert loaded(project) == ids(start, start + timedelta(hours=hours) * len(keys))


PLACES: dict[str, Any] = {
    "start_param": {"incremental": {"cursor_path": "at", "start_param": "since"}},
    "params": {"params": {"since": {"type": "incremental", "cursor_path": "at"}}},
    "placeholder": {"params": {"since": "{incremental.start_value}"}, "incremental": {"cursor_path": "at"}},
    "last_value": {"params": {"since": "{incremental.last_value}"}, "incremental": {"cursor_path": "at"}},
    "json": {
        "method": "POST",
        "json": {"since": "{incremental.start_value}"},
        "incremental": {"cursor_path": "at"},
    },
    "path": {"path": "things/{incremental.start_value}", "incremental": {"cursor_path": "at"}},
}


def in_places() -> list[Any]:
    """The first two habits in each place, and the others in turn."""
    pairs = [(habit, place) for habit in HABITS[:2] for place in PLACES]
    pairs += zip(HABITS[2:], cycle(PLACES), strict=False)
    return [
        pytest.param(config, api, PLACES[place], id=f"{name}, {place}")
        for (name, config, api), place in pairs
    ]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(("config", "habit", "place"), in_places())
def test_an_incremental_sync_continues_in_each_place(
    project: Project, config: Any, habit: Api, place: Any
) -> None:
    """The first sync sees the rows up to a moment, and the second all others."""
    api, where = replace(habit, now=NIGHT + timedelta(hours=3)), copy.deepcopy(place)
    cursor = where.get("incremental") or where["params"]["since"]
    cursor["initial_value"] = NIGHT.isoformat()
    with answering(api) as url:
        text = things(url, config, where)
        project.load(text, "things")
        assert loaded(project) == ids(NIGHT, api.now)
        api.now += 3 * DAY
        project.load(text, "things")
    assert loaded(project) == ids(NIGHT, api.now)


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("cursor", "config", "read"),
    [
        ({"data_type": "bigint"}, {"format": "iso_seconds", "cursor_unit": "milliseconds"}, ISO_SECONDS),
        (None, {"format": "date", "cursor_unit": "milliseconds"}, DATES),
        ({"data_type": "bigint"}, {"cursor_unit": "milliseconds"}, ISO_SECONDS),
    ],
)
def test_rows_that_are_numbers_with_a_filter_that_is_text(
    project: Project, cursor: Any, config: Any, read: Any
) -> None:
    api = Api(read, as_number=True)
    place = {"incremental": {"cursor_path": "at", "start_param": "since", "initial_value": "2026-01-05"}}
    with answering(api) as url:
        text = things(url, config, place, cursor=cursor)
        project.load(text, "things")
        # In whole milliseconds, the row just before the start is before it, too.
        assert loaded(project) == ids(NIGHT, NIGHT + 3 * DAY)
        project.load(text, "things")
    assert all(since for since, _ in api.asked)


@pytest.mark.matrix(keep=0)
def test_partitions_of_numbers_with_a_filter_of_days(project: Project) -> None:
    api = Api(DATES, DAY, as_number=True)
    partitions = {"type": "hourly", "start_date": "2026-01-01", "cursor_unit": "milliseconds"}
    with answering(api) as url:
        text = things(
            url, {"format": "date"}, asset={"partitions": partitions}, cursor={"data_type": "bigint"}
        )
        project.load(text, "things", "2026-01-05-23:00")
    assert loaded(project) == ids(NIGHT + timedelta(hours=23), NIGHT + DAY)
    assert api.asked == [("2026-01-05", "2026-01-06")]


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize(
    ("zone", "hour"), [("America/New_York", "2026-01-04-22:00"), ("Asia/Kolkata", "2026-01-05-05:00")]
)
def test_days_cover_those_of_utc_and_of_the_partitions(project: Project, zone: str, hour: str) -> None:
    """The file does not say in which time zone the API reads a day, so the request covers both."""
    for read_in in ("UTC", zone):
        api = Api(_strict("%Y-%m-%d", read_in), DAY, zone=read_in)
        with answering(api) as url:
            partitions = {"type": "hourly", "start_date": "2026-01-01", "timezone": zone}
            text = things(url, {"format": "date"}, asset={"partitions": partitions})
            project.load(text, "things", hour)
        start = datetime.strptime(hour, "%Y-%m-%d-%H:%M").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        assert loaded(project) == ids(start, start + timedelta(hours=1))


def test_complete_expects_the_other_rows_of_a_day(project: Project) -> None:
    """Of an hour, a filter of days returns mostly other rows. They are no sign of a filter by another field."""
    api = Api(DATES, DAY)
    with answering(api) as url:
        text = things(
            url, {"format": "date"}, asset={"partitions": {"type": "hourly", "start_date": "2026-01-01"}}
        )
        result = project.run(project.definitions(text), "things", "2026-01-05-03:00", source="api")
    complete = check_of(result, "complete")
    assert complete.passed, complete.description
    assert loaded(project) == ids(NIGHT + timedelta(hours=3), NIGHT + timedelta(hours=4))


@pytest.mark.matrix(keep=0)
def test_the_children_of_all_parents_are_asked_for_from_the_same_start(project: Project) -> None:
    """dlt itself asks for the children of the second page of parents from the newest child so far."""
    asked: list[tuple[str | None, str | None]] = []

    def reply(request: Asked) -> Any:
        if request.path == "/shops":
            last = request.params.get("cursor")
            return {"data": [{"id": 2 if last else 1}], "next": None if last else "c"}
        shop = int(request.path.split("/")[2])
        asked.append((request.params.get("since"), request.params.get("also")))
        at = f"2026-01-0{8 - shop}T00:00:00Z"
        return {"data": [{"id": shop, "at": at}] if at >= (request.params.get("since") or "") else []}

    shops = {"path": "shops", "data_selector": "data", "paginator": {"type": "cursor", "cursor_path": "next"}}
    with answering(reply) as url:
        for initial in ({}, {"initial_value": "2026-01-01"}):
            place = {
                "path": "shops/{resources.shops.id}/things",
                "params": {"also": "{incremental.last_value}"} if initial else {},
                "incremental": {"cursor_path": "at", "start_param": "since", **initial},
            }
            project.load(
                things(url, {}, place, parents=({"name": "shops", "endpoint": shops},)),
                "things",
                full_refresh=bool(initial),
            )
    assert loaded(project) == [1, 2]
    assert asked == [(None, None)] * 2 + [("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")] * 2


def test_the_filter_of_a_parent_is_written_in_the_sync_of_its_child(project: Project) -> None:
    asked: list[str] = []

    def reply(request: Asked) -> Any:
        if request.path == "/shops":
            asked.append(request.params["since"])
            return {"data": [{"id": 1, "at": "2026-01-05T10:00:00Z"}]}
        return {"data": [{"id": 7}]}

    shops = {
        "path": "shops",
        "data_selector": "data",
        "paginator": "single_page",
        "incremental": {"cursor_path": "at", "start_param": "since", "initial_value": "2026-01-05T00:00:00Z"},
    }
    parent = {"name": "shops", "endpoint": shops, "columns": {"at": {"data_type": "timestamp"}}}
    with answering(reply) as url:
        text = defs(url, paginator="single_page", path="shops/{resources.shops.id}/things", parents=(parent,),
                    resource={"write_disposition": "merge"})  # fmt: skip
        document = yaml.safe_load(text)
        document["attributes"]["assets"]["shops"] = {"filter": {"format": "%Y%m%d"}}
        for _ in range(2):
            project.load(yaml.safe_dump(document), "things")
    assert asked == ["20260105", "20260105"]


@pytest.mark.matrix(keep=0)
def test_a_filter_for_a_cursor_that_was_text_needs_a_full_refresh(project: Project) -> None:
    api = Api(DATES)
    place = {"params": {"since": {"type": "incremental", "cursor_path": "at", "initial_value": "2026-01-05"}}}
    with answering(api) as url:
        project.load(things(url, {}, place, cursor=None), "things")
        text = things(url, {"format": "date"}, place, cursor=None)
        with pytest.raises(CursorValueError, match="run once with full_refresh: true"):
            project.load(text, "things")
        project.load(text, "things", full_refresh=True)
    assert loaded(project) == ids(NIGHT, NIGHT + 3 * DAY)


@pytest.mark.parametrize(
    ("asset", "incremental", "place", "sentence"),
    [
        ({"filter": {"format": "date"}}, None, ("filter",), "the resource has no cursor"),
        ({"filter": {"format": "date"}}, {}, ("filter",), "Set `start_param` of endpoint.incremental"),
        ({"filter": {"format": "dates"}}, {"start_param": "a"}, ("filter", "format"), "Did you mean `date`?"),
        ({"filter": {"cursor_unit": "seconds"}}, {"start_param": "a"}, ("filter",), "is for whole numbers"),
        (
            {
                "filter": {"cursor_unit": "seconds"},
                "partitions": {"type": "daily", "start_date": "2026-01-01"},
            },
            {"start_param": "a"},
            ("filter",),
            "Set partitions.cursor_unit instead",
        ),
    ],
)
def test_a_filter_that_does_not_fit_fails_the_file(
    asset: Any, incremental: Any, place: tuple[str, ...], sentence: str
) -> None:
    cursor = {} if incremental is None else {"incremental": {"cursor_path": "at", **incremental}}
    text = things("http://api", None, {"path": "things", **cursor}, asset=asset)
    with pytest.raises(ValidationError) as caught:
        RestApiSync(**yaml.safe_load(text)["attributes"])
    assert caught.value.errors()[0]["loc"] == ("assets", "things", *place)
    assert sentence in str(caught.value)

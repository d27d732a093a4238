"""Every row is in exactly one partition, for any time zone, cursor type and kind of API filter."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import yaml

from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Clock, Project
from analytics_assets_tests.ticking import ranges, tick

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")

Row = dict[str, Any]


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Readings:
    """An API of readings `{id, at, value}`, filtered by `since` and `until`.

    Attributes:
        rows: the rows of the API.
        read: a function that converts a cursor or a bound to a comparable value.
        includes_end: whether the API also returns rows at exactly `until`.
        asked: the filters of the requests, in order.
    """

    rows: list[Row] = field(default_factory=list)
    read: Callable[[Any], Any] = datetime.fromisoformat
    includes_end: bool = False
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)

    def has(self, rows: list[Row], read: Callable[[Any], Any], *, includes_end: bool) -> None:
        self.rows, self.read, self.includes_end = rows, read, includes_end

    def reply(self, request: Asked) -> Any:
        since, until = request.params.get("since"), request.params.get("until")
        self.asked.append((since, until))
        return {"data": [row for row in self.rows if self._is_wanted(self.read(row["at"]), since, until)]}

    def _is_wanted(self, at: Any, since: str | None, until: str | None) -> bool:
        if since is not None and at < self.read(since):
            return False
        end = None if until is None else self.read(until)
        return end is None or at < end or (self.includes_end and at == end)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Readings]:
    """The API of `defs`, served on loopback."""
    api = Readings()
    with answering(api.reply) as url:
        monkeypatch.setenv("READINGS_URL", url)
        yield api


def defs(
    cursor: dict[str, Any],
    partitions: dict[str, Any] | None,
    incremental: dict[str, Any] | None = None,
    **asset: Any,
) -> str:
    resource = {
        "name": "readings",
        "primary_key": "id",
        "write_disposition": "merge",
        "endpoint": {
            "path": "/readings",
            "data_selector": "data",
            "paginator": "single_page",
            "incremental": {"cursor_path": "at", "start_param": "since", "end_param": "until"}
            | (incremental or {}),
        },
        "columns": {
            "id": {"data_type": "bigint", "nullable": False},
            "at": {"nullable": False} | cursor,
            "value": {"data_type": "bigint", "nullable": False},
        },
    }
    attributes: dict[str, Any] = {
        "name": "sensors",
        "rest_api": {"client": {"base_url": "{{ env.READINGS_URL }}"}, "resources": [resource]},
        "assets": {"readings": {"max_quarantined": "100%"} | asset},
    }
    if partitions:
        attributes["assets"]["readings"]["partitions"] = partitions
    return yaml.safe_dump({"type": "analytics_assets.RestApiSync", "attributes": attributes})


def loaded(project: Project) -> list[int]:
    return [row["id"] for row in project.query("SELECT id FROM sensors.readings ORDER BY id")]


def counts(result: dg.ExecuteInProcessResult) -> dict[str | None, Any]:
    """The row count of each partition, from the materializations."""
    events = [
        one.step_materialization_data.materialization for one in result.get_asset_materialization_events()
    ]
    return {one.partition: one.metadata["dagster/partition_row_count"].value for one in events}


def keys_of(definitions: dg.Definitions, until: datetime) -> list[str]:
    partitions = definitions.resolve_assets_def(dg.AssetKey(["sensors", "readings"])).partitions_def
    assert partitions is not None
    with dg.partition_loading_context(effective_dt=until):
        return list(partitions.get_partition_keys())


def run(project: Project, definitions: dg.Definitions, *keys: str) -> dg.ExecuteInProcessResult:
    result = project.run(definitions, "readings", *keys, source="sensors")
    assert result.success
    return result


def every(step: timedelta, start: datetime, end: datetime) -> list[datetime]:
    return [start + step * n for n in range(-(-(end - start) // step))]


def rows_at(moments: list[datetime]) -> list[Row]:
    return [{"id": n, "at": iso(moment), "value": n} for n, moment in enumerate(moments)]


@pytest.mark.parametrize(
    ("day", "hours", "asked"),
    [
        ("2025-03-30", 23, ("2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z")),
        ("2025-10-26", 25, ("2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z")),
    ],
)
def test_a_day_on_which_the_clock_changes_is_one_window(
    project: Project, readings: Readings, day: str, hours: int, asked: tuple[str, str]
) -> None:
    start = datetime.fromisoformat(asked[0])
    moments = every(timedelta(minutes=30), start - timedelta(hours=6), start + timedelta(days=2))
    readings.rows = rows_at(moments)
    text = defs(
        {"data_type": "timestamp"}, {"type": "daily", "start_date": "2025-03-01", "timezone": "Europe/Berlin"}
    )
    result = run(project, project.definitions(text), day)
    assert readings.asked == [asked]
    assert counts(result) == {day: 2 * hours}
    assert loaded(project) == list(range(12, 12 + 2 * hours))


SPRING = ("2025-03-29T23:00Z", ["00:00", "01:00", "03:00", "04:00"])
AUTUMN = ("2025-10-25T22:00Z", ["00:00", "01:00", "02:00", "02:00+0100", "03:00"])


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize(
    ("start", "hours", "as_a_range"), [(*AUTUMN, False), (*SPRING, True), (*AUTUMN, True)]
)
def test_every_hour_of_a_clock_change_once(
    project: Project, readings: Readings, start: str, hours: list[str], as_a_range: bool
) -> None:
    """In autumn there are two hours named 02:00, and in spring there is no such hour."""
    midnight = datetime.fromisoformat(start)
    end = midnight + timedelta(hours=len(hours))
    readings.has(
        rows_at(every(timedelta(minutes=10), midnight, end)), datetime.fromisoformat, includes_end=True
    )
    partitions = {"type": "hourly", "start_date": str(midnight), "timezone": "Europe/Berlin"}
    definitions = project.definitions(defs({"data_type": "timestamp"}, partitions))
    keys = keys_of(definitions, end)
    day = f"{midnight.astimezone(BERLIN):%Y-%m-%d}"
    assert keys == [f"{day}-{hour}" for hour in hours]
    if as_a_range:
        assert counts(run(project, definitions, keys[0], keys[-1])) == dict.fromkeys(keys, 6)
    else:
        for key in keys[::-2] + keys[-2::-2]:
            assert counts(run(project, definitions, key)) == {key: 6}
    assert loaded(project) == list(range(6 * len(hours)))


@dataclass(frozen=True)
class Kind:
    """A kind of cursor.

    Attributes:
        column: the declaration of the cursor column.
        write: a function that writes a moment in the API's format.
        read: a function that converts the API's format to a comparable value.
        partitions: additional keys under `partitions`.
    """

    column: dict[str, Any]
    write: Callable[[datetime], Any]
    read: Callable[[Any], Any]
    partitions: dict[str, Any] = field(default_factory=dict)


def counting(unit: str, column: dict[str, Any]) -> Kind:
    one = timedelta(**{unit: 1})
    return Kind(column, lambda moment: (moment - EPOCH) // one, int, {"cursor_unit": unit})


CURSORS = {
    "timestamp": Kind({"data_type": "timestamp"}, iso, datetime.fromisoformat),
    "date": Kind({"data_type": "date"}, lambda moment: f"{moment:%Y-%m-%d}", date.fromisoformat),
    "seconds": counting("seconds", {"data_type": "bigint"}),
    "milliseconds": counting("milliseconds", {"data_type": "bigint"}),
    "microseconds": counting("microseconds", {}),
}


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("cursor", "kind", "includes_end"),
    [
        ("date", "daily", True),
        ("timestamp", "weekly", True),
        ("milliseconds", "monthly", False),
        ("date", "daily", False),
        *(("date", kind, included) for kind in ("weekly", "monthly") for included in (True, False)),
        ("timestamp", "daily", False),
        ("seconds", "daily", True),
        ("microseconds", "daily", False),
    ],
)
def test_no_row_is_lost_or_doubled_whether_the_api_includes_the_end_or_not(
    project: Project, readings: Readings, cursor: str, kind: str, includes_end: bool
) -> None:
    """Good and bad rows are at both edges of each window, and a row at an edge belongs to the later window."""
    is_of = CURSORS[cursor]
    starts = {
        "daily": [
            datetime(2026, 3, day, tzinfo=BERLIN) for day in (28, 29, 30, 31)
        ],  # daylight saving time starts on the 29th
        "weekly": [datetime(2026, 3, day, tzinfo=BERLIN) for day in (8, 15, 22, 29)],
        "monthly": [datetime(2026, month, 1, tzinfo=BERLIN) for month in (2, 3, 4, 5)],
    }[kind]
    moments = [
        one + shift
        for one in starts
        for shift in (-timedelta(microseconds=1), timedelta(), timedelta(hours=23))
    ]
    rows = [{"id": n, "at": is_of.write(moment), "value": n} for n, moment in enumerate(moments)]
    bad = [{"id": 100 + n, "at": is_of.write(moment), "value": None} for n, moment in enumerate(starts)]
    readings.has(rows + bad, is_of.read, includes_end=includes_end)
    partitions = {
        "type": kind,
        "start_date": f"{starts[0]:%Y-%m-%d}",
        "timezone": BERLIN.key,
    } | is_of.partitions
    text = defs(is_of.column, partitions)
    keys = [f"{one:%Y-%m-%d}" for one in starts[:-1]]
    for key in (keys[1], keys[0], keys[2]):
        project.load(text, "readings", key)
    homes = {
        row["key__id"]: row["partition"]
        for row in project.query("SELECT * FROM sensors.readings__quarantine")
    }
    assert loaded(project) == list(range(1, 10)), (
        "from the first moment of the first to the last of the last window"
    )
    assert homes == {100 + n: key for n, key in enumerate(keys)}
    result = run(project, project.definitions(text), keys[0], keys[-1])
    assert counts(result) == dict.fromkeys(keys, 3)
    assert loaded(project) == list(range(1, 10))
    checks = [one for one in result.get_asset_check_evaluations() if one.check_name == "schema_nullability"]
    assert {one.partition for one in checks if not one.passed} >= {*keys}


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("cursor", "asked"),
    [
        ("timestamp", ("2026-01-05T05:00:00Z", "2026-01-06T05:00:00Z")),
        ("date", ("2026-01-05", "2026-01-06")),
        ("seconds", ("1767589200", "1767675600")),
        ("milliseconds", ("1767589200000", "1767675600000")),
        ("microseconds", ("1767589200000000", "1767675600000000")),
    ],
)
def test_the_api_is_asked_in_what_its_cursor_is(
    project: Project, readings: Readings, cursor: str, asked: tuple[str, str]
) -> None:
    is_of = CURSORS[cursor]
    partitions = {
        "type": "daily",
        "start_date": "2026-01-01",
        "timezone": "America/New_York",
    } | is_of.partitions
    project.load(defs(is_of.column, partitions), "readings", "2026-01-05")
    assert readings.asked == [asked]


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("cursor", ["timestamp", "date", "seconds"])
def test_rows_that_go_through_dlts_normalizer_fall_into_the_same_windows(
    project: Project, readings: Readings, cursor: str
) -> None:
    is_of = CURSORS[cursor]
    moments = every(
        timedelta(hours=12), datetime(2026, 1, 5, tzinfo=BERLIN), datetime(2026, 1, 8, tzinfo=BERLIN)
    )
    rows = [{"id": n, "at": is_of.write(one), "value": n, "undeclared": "x"} for n, one in enumerate(moments)]
    readings.has(rows, is_of.read, includes_end=True)
    partitions = {"type": "daily", "start_date": "2026-01-05", "timezone": "Europe/Berlin"} | is_of.partitions
    definitions = project.definitions(defs(is_of.column, partitions))
    for key in ("2026-01-06", "2026-01-05"):
        assert counts(run(project, definitions, key)) == {key: 2}
    assert loaded(project) == [0, 1, 2, 3]


def test_an_incremental_of_whole_numbers_fetches_only_new_rows(project: Project, readings: Readings) -> None:
    """Without partitions a number needs no unit, because dlt stores the largest value."""
    rows = [{"id": n, "at": 1767225600 + n, "value": n} for n in range(5)]
    readings.has(rows, int, includes_end=False)
    definitions = project.definitions(defs({"data_type": "bigint"}, None, {"initial_value": 1767225602}))
    run(project, definitions)
    assert loaded(project) == [2, 3, 4]
    readings.rows.append({"id": 5, "at": 1767225604, "value": 5})
    readings.rows.append({"id": 6, "at": 1767225700, "value": 6})
    run(project, definitions)
    assert loaded(project) == [2, 3, 4, 5, 6]
    assert [since for since, _ in readings.asked] == ["1767225602", "1767225604"]


ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "America/Havana", "Africa/Cairo", "Asia/Kolkata",
    "Australia/Lord_Howe", "Pacific/Auckland", "Atlantic/Azores", "Pacific/Chatham",
)  # fmt: skip


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [
        ("hourly", "2025-10-26", "2025-10-27"),
        ("weekly", "2025-08-31", "2025-11-16"),
        ("hourly", "2025-03-30", "2025-03-31"),
        ("daily", "2025-03-06", "2025-04-26"),
        ("monthly", "2025-06-01", "2026-02-01"),
    ],
)
def test_partitions_in_any_order_give_the_rows_of_the_api(
    project: Project, readings: Readings, kind: str, start: str, end: str
) -> None:
    """A test case with random time zone, cursor and rows, and an API that includes the end or not."""
    chance = random.Random(f"{kind} {start}")  # noqa: S311
    zone = ZoneInfo(chance.choice(ZONES))
    first, last = (datetime.fromisoformat(one).replace(tzinfo=zone) for one in (start, end))
    cursor = chance.choice([one for one in CURSORS if kind != "hourly" or one != "date"])
    is_of = CURSORS[cursor]
    length = (last - first).total_seconds()
    moments = [(first + timedelta(seconds=chance.uniform(0, length))).astimezone(zone) for _ in range(150)]
    edges = every(timedelta(minutes=30), first.astimezone(UTC), last.astimezone(UTC))
    moments += [one.astimezone(zone) for one in chance.sample(edges, min(len(edges), 50))]
    rows = [{"id": n, "at": is_of.write(moment), "value": n} for n, moment in enumerate(moments)]
    readings.has(rows, is_of.read, includes_end=chance.random() < 0.5)
    partitions = {"type": kind, "start_date": start, "timezone": zone.key} | is_of.partitions
    text = defs(is_of.column, partitions)
    keys = keys_of(project.definitions(text), last)
    cuts = sorted({0, len(keys), *(chance.randrange(1, len(keys)) for _ in range(3))})
    spans = [keys[one:other] for one, other in pairwise(cuts)]
    chance.shuffle(spans)
    found: dict[str, int] = {}
    for span in [*spans, spans[0]]:
        found |= project.load(text, "readings", span[0], span[-1]).rows_by_partition
    assert loaded(project) == list(range(len(rows)))
    assert sum(found.values()) == len(rows), "each is in one partition"


TODAY = {"type": "daily", "start_date": "2026-03-01", "timezone": "Europe/Berlin", "end_offset": 1}


def test_a_day_that_is_not_over_is_loaded_as_far_as_it_is_and_whole_afterwards(
    project: Project, readings: Readings, clock: Clock
) -> None:
    project.keep_on_disk()
    clock.move_to("2026-03-10T17:00")
    moments = every(
        timedelta(hours=1), datetime(2026, 3, 9, tzinfo=BERLIN), datetime(2026, 3, 11, tzinfo=BERLIN)
    )
    readings.rows = rows_at(moments[:42])  # the rows of the day so far
    text = defs({"data_type": "timestamp"}, TODAY, schedule="0 * * * *", catch_up=0)
    definitions = project.definitions(text)
    name = "sensors__readings__schedule"
    assert ranges(tick(project, definitions, name, "2026-03-10T17:00")) == ["2026-03-09...2026-03-10"]
    result = run(project, definitions, "2026-03-09", "2026-03-10")
    midnights = ["2026-03-08T23:00:00Z", "2026-03-09T23:00:00Z", "2026-03-10T23:00:00Z"]
    assert readings.asked == [*pairwise(midnights)], "the first batch of a run has one partition"
    assert counts(result) == {"2026-03-09": 24, "2026-03-10": 18}
    readings.rows = rows_at(moments)
    clock.move_to("2026-03-10T23:00")
    assert ranges(tick(project, definitions, name, "2026-03-10T23:00")) == ["2026-03-10...2026-03-11"]
    assert counts(run(project, definitions, "2026-03-10", "2026-03-11")) == {
        "2026-03-10": 24,
        "2026-03-11": 0,
    }
    assert loaded(project) == list(range(48))


def test_what_began_before_the_day_was_over_is_not_whole(
    project: Project, readings: Readings, clock: Clock
) -> None:
    """The run may start in the last minute of the day, and end in the first minute of the next day."""
    project.keep_on_disk()
    clock.move_to("2026-03-10T22:59")
    text = defs({"data_type": "timestamp"}, TODAY, schedule="0 * * * *", catch_up=2)
    definitions = project.definitions(text)

    def read_after_midnight(text: str) -> datetime:
        clock.move_to("2026-03-10T23:01")
        return datetime.fromisoformat(text)

    readings.read = read_after_midnight
    readings.rows = rows_at([datetime(2026, 3, 10, 12, tzinfo=UTC)])
    run(project, definitions, "2026-03-07", "2026-03-10")
    clock.move_to("2026-03-12T02:00")
    name = "sensors__readings__schedule"
    assert ranges(tick(project, definitions, name, "2026-03-12T02:00")) == ["2026-03-10...2026-03-12"]

"""The main promise, as a property: a sync of an API that tells the truth ends green with exactly its rows, or red.

Hypothesis draws an API (how it pages, orders, counts, ends) and a config that fits the API or does not. Each
example is a whole sync over HTTP into a DuckDB file.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from analytics_assets.ingestion.errors import SyncError
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.examples import examples
from analytics_assets_tests.real_api import defs

Row = dict[str, Any]
LOWER_BOUND = 7
"""The highest total that an API of `total_is_capped` reports."""


@dataclass(frozen=True)
class Api:
    """An API with one list of rows.

    Attributes:
        rows: the rows, in the order of the API.
        ties_seed: the seed by which rows with the same `grp` change their order at each request; None if they do not.
        paging: how the API pages.
        size: the number of rows of a page.
        base_page: the number of the first page.
        wrapper: the names of the fields that lead to the rows; empty if a page is the list itself.
        total: the field, or with a capital letter the header, that holds the number of rows; None for no total.
        total_is_capped: whether the total is only a lower bound.
        more: the field that says whether there is another page; None for no field.
        beyond: what the API sends for a page beyond the last.
    """

    rows: tuple[Row, ...]
    ties_seed: int | None
    paging: str
    size: int
    base_page: int
    wrapper: tuple[str, ...]
    total: str | None
    total_is_capped: bool
    more: str | None
    beyond: str

    @property
    def pages(self) -> int:
        return -(-len(self.rows) // self.size)

    def tells_of_more(self) -> bool:
        """Whether each answer tells that there are further rows. If not, only the fitting paginator finds them."""
        if self.pages < 2 or self.paging == "none":
            return True
        counted = self.total is not None and not self.total_is_capped and self.beyond != "204"
        return counted or self.more is not None or self.paging in ("json_link", "header_link", "cursor")

    def reply(self, asked: Asked, shuffle: random.Random) -> Any:
        start = self._start(asked.params)
        limit = self.size
        if self.paging == "offset":
            limit = min(limit, int(asked.params.get("limit", limit)))
        if self.paging == "none":
            limit = len(self.rows)
        rows = self._ordered(shuffle)
        if start >= len(rows) and start:
            if self.beyond in ("204", "404", "416"):
                return Reply(b"", int(self.beyond))
            start = (self.pages - 1) * self.size if self.beyond == "last" else start
        page, after = rows[start : start + limit], start + limit
        return self._page(page, after if after < len(rows) else None)

    def _start(self, params: dict[str, str]) -> int:
        if self.paging == "offset":
            return max(int(params.get("offset", 0)), 0)
        if self.paging in ("cursor", "json_link", "header_link"):
            return int(params.get("after", 0))
        if self.paging == "page_number":
            return max(int(params.get("page", self.base_page)) - self.base_page, 0) * self.size
        return 0

    def _ordered(self, shuffle: random.Random) -> list[Row]:
        if self.ties_seed is None:
            return list(self.rows)
        return sorted(shuffle.sample(self.rows, len(self.rows)), key=lambda row: row["grp"])

    def _page(self, rows: list[Row], after: int | None) -> Any:
        headers: dict[str, str] = {}
        total = min(len(self.rows), LOWER_BOUND) if self.total_is_capped else len(self.rows)
        link = None if after is None else f"/things?after={after}"
        if self.total and self.total[0].isupper():
            headers[self.total] = str(total)
        if self.paging == "header_link" and link:
            headers["Link"] = f'<{link}>; rel="next"'
        if not self.wrapper:
            return Reply(rows, headers=headers)
        answer: dict[str, Any] = {}
        if self.total and not self.total[0].isupper():
            _put(answer, self.total, total)
        if self.more:
            _put(answer, self.more, after is not None)
        if self.paging == "json_link":
            answer["next"] = link
        if self.paging == "cursor":
            answer["next_cursor"] = None if after is None else str(after)
        if rows or self.beyond != "absent":
            _put(answer, ".".join(self.wrapper), None if not rows and self.beyond == "null" else rows)
        return Reply(answer, headers=headers)


def _put(answer: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for name in above:
        answer = answer.setdefault(name, {})
    answer[last] = value


@dataclass(frozen=True)
class Config:
    """What a user wrote about the API. With `fits`, it is what the API's documentation says."""

    paginator: Any
    selector: str | None
    key: str | None
    disposition: str
    empty_answer: str | None
    fits: bool


def _fitting_paginator(api: Api) -> Any:
    in_body = api.total if api.total and not api.total[0].isupper() else None
    if api.paging == "offset":
        return {"type": "offset", "limit": api.size, "total_path": in_body, "has_more_path": api.more}
    if api.paging == "page_number":
        return {
            "type": "page_number",
            "base_page": api.base_page,
            "total_path": None,
            "has_more_path": api.more,
        }
    return {
        "none": "single_page",
        "cursor": {"type": "cursor", "cursor_path": "next_cursor", "cursor_param": "after"},
        "json_link": {"type": "json_link", "next_url_path": "next"},
        "header_link": "header_link",
    }[api.paging]


OTHER_PAGINATORS: list[Any] = [
    None,
    "single_page",
    "header_link",
    {"type": "json_link", "next_url_path": "next"},
    {"type": "json_link", "next_url_path": "links.next"},
    {"type": "cursor", "cursor_path": "next_cursor", "cursor_param": "after"},
    {"type": "offset", "limit": 5},
    {"type": "offset", "limit": 5, "total_path": None},
    {"type": "page_number", "base_page": 1, "total_path": None},
    {"type": "page_number", "base_page": 0, "total_path": None},
]  # fmt: skip


@st.composite
def apis(draw: st.DrawFn) -> Api:
    paging = draw(st.sampled_from(["none", "offset", "page_number", "cursor", "json_link", "header_link"]))
    in_body = paging in ("cursor", "json_link")
    wrappers = [("data",), ("result", "items"), ("results",)] + ([] if in_body else [()])
    wrapper = draw(st.sampled_from(wrappers))
    totals = ["total", "meta.total", "totalCount"] if wrapper else []
    ids = draw(st.lists(st.integers(1, 60), unique=True, max_size=24))
    text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4)
    rows = tuple({"id": one, "grp": draw(st.integers(0, 3)), "name": draw(text)} for one in ids)
    ties_seed = draw(st.one_of(st.none(), st.integers(0, 99)))
    return Api(
        rows=rows if ties_seed is None else tuple(sorted(rows, key=lambda row: row["grp"])),
        ties_seed=ties_seed,
        paging=paging,
        size=draw(st.integers(1, 8)),
        base_page=draw(st.integers(0, 1)),
        wrapper=wrapper,
        total=draw(st.sampled_from([None, "X-Total-Count", *totals])),
        total_is_capped=draw(st.booleans()),
        more=draw(st.sampled_from([None, "has_more", "meta.hasMore"])) if wrapper else None,
        beyond=draw(st.sampled_from(["empty", "absent", "null", "404", "416", "204", "last"])),
    )


@st.composite
def configs(draw: st.DrawFn, api: Api) -> Config:
    paginator_fits = draw(st.booleans()) or not api.tells_of_more()
    selector_fits = draw(st.booleans())
    ends_clearly = (
        api.beyond != "last" or api.paging != "page_number"
    )  # the last page again looks like a page too much
    # Without a key, nothing can tell that rows changed places.
    key = draw(st.sampled_from(["id", "grp", None] if api.ties_seed is None else ["id"]))
    # `absent` accepts any answer without the selected field, so only the right selector can prove anything.
    empty = {"null": "null", "absent": "absent"}.get(api.beyond) if selector_fits else None
    return Config(
        paginator=_fitting_paginator(api) if paginator_fits else draw(st.sampled_from(OTHER_PAGINATORS)),
        selector=".".join(api.wrapper) or "$"
        if selector_fits
        else draw(st.sampled_from([None, "data", "rows"])),
        key=key,
        disposition=draw(st.sampled_from(["replace", "append", *(["merge"] if key else [])])),
        empty_answer=empty,
        fits=paginator_fits and selector_fits and ends_clearly and key != "grp" and api.ties_seed is None,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server whose API each example sets anew. Yields its URL, and the list that holds the API's answer."""
    current: list[Callable[[Asked], Any]] = []
    with answering(lambda asked: current[-1](asked)) as url:  # noqa: PLW0108  the list is still empty
        yield url, current


def whole_syncs(number: int, few: int) -> Callable[[Any], Any]:
    """The settings of a property whose every example is a sync. A failure is not shrunk, because that takes minutes."""
    return settings(
        max_examples=examples(number, few),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@given(st.data())
@whole_syncs(2000, 25)
def test_a_sync_is_green_with_exactly_the_rows_or_red(server: Any, data: st.DataObject) -> None:
    url, current = server
    api = data.draw(apis())
    config = data.draw(configs(api))
    shuffle = random.Random(api.ties_seed)  # noqa: S311  no secret
    current[:] = [lambda asked: api.reply(asked, shuffle)]
    loaded = _sync(url, config)
    if isinstance(loaded, SyncError):
        assert not config.fits, loaded
    else:
        assert loaded == sorted(api.rows, key=lambda row: row["id"])


def _sync(url: str, config: Config) -> list[Row] | SyncError:
    """Syncs into a new warehouse. Returns the rows in the table, or the error of the sync."""
    text = defs(
        url,
        resource={"primary_key": config.key, "write_disposition": config.disposition},
        asset={"empty_answer": config.empty_answer} if config.empty_answer else None,
        paginator=config.paginator,
        data_selector=config.selector,
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        project = Project(Path(folder))
        try:
            project.load(text, "things")
        except SyncError as error:
            return error
        return _rows_of(project)


def _rows_of(project: Project) -> list[Row]:
    return _query(project, "SELECT id, grp, name FROM api.things ORDER BY id")


def _query(project: Project, sql: str) -> list[Row]:
    """The result of a query; empty if no load has brought a row."""
    exists = "SELECT 1 FROM information_schema.tables WHERE table_schema = 'api' AND table_name = 'things'"
    return project.query(sql) if project.query(exists) else []


@dataclass
class Feed:
    """An API with a filter by time, whose rows change.

    Attributes:
        rows: the rows by id. `at` is the hour of the last change since the first of January.
        filters: whether the API knows the filter; if not, it sends every row.
        size: the number of rows of a page.
    """

    rows: dict[int, Row]
    filters: bool
    size: int

    def reply(self, asked: Asked) -> Any:
        since, until = (_hour_of(asked.params.get(name)) for name in ("since", "until"))
        found = [
            {**row, "at": _moment(row["at"])}
            for _, row in sorted(self.rows.items())
            if not self.filters
            or ((since is None or row["at"] >= since) and (until is None or row["at"] < until))
        ]
        start = int(asked.params["offset"])
        return {"data": found[start : start + self.size], "total": len(found)}


def _moment(hour: int) -> str:
    return (_FIRST + timedelta(hours=hour)).isoformat()


def _hour_of(text: str | None) -> float | None:
    return None if text is None else (datetime.fromisoformat(text) - _FIRST) / timedelta(hours=1)


_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_DAYS = 3


def _feed_config(url: str, feed: Feed, *, arrow: bool, partitioned: bool) -> str:
    columns = {"id": "bigint", "at": "timestamp", **({"version": "bigint"} if arrow else {})}
    return defs(
        url,
        resource={
            "write_disposition": "merge",
            "columns": {name: {"data_type": kind} for name, kind in columns.items()},
        },
        asset={"partitions": {"type": "daily", "start_date": "2026-01-01"}} if partitioned else {},
        paginator={"type": "offset", "limit": feed.size},
        incremental={
            "cursor_path": "at",
            "start_param": "since",
            **({"end_param": "until"} if partitioned else {}),
        },
    )


def _change(data: st.DataObject, feed: Feed, earliest: int) -> None:
    """Adds, changes and deletes rows. An added or changed row gets a time from `earliest` on."""
    for key in data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=6)):
        version = feed.rows.get(key, {"version": 0})["version"] + 1
        if version > 1 and data.draw(st.integers(0, 3)) == 0:
            del feed.rows[key]
        else:
            hour = data.draw(st.integers(earliest, 24 * _DAYS - 1))
            feed.rows[key] = {"id": key, "at": hour, "version": version}


@pytest.mark.parametrize("partitioned", [True, False], ids=["partitions", "incremental"])
@given(data=st.data())
@whole_syncs(500, 3)
def test_the_table_keeps_up_with_rows_that_change(
    server: Any, data: st.DataObject, *, partitioned: bool
) -> None:
    """What a sync must do to the table is done here to a dict: replace the partitions, and the rows by key."""
    url, current = server
    feed = Feed({}, data.draw(st.booleans()), data.draw(st.integers(2, 8)))
    current[:] = [feed.reply]
    text = _feed_config(url, feed, arrow=data.draw(st.booleans()), partitioned=partitioned)
    expected: dict[int, Row] = {}
    start, end = 0, 24 * _DAYS
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        project = Project(Path(folder))
        for _ in range(data.draw(st.integers(1, 3))):
            _change(data, feed, 0 if partitioned else start)
            days: list[str] = []
            if partitioned:
                low, high = sorted(data.draw(st.tuples(st.integers(1, _DAYS), st.integers(1, _DAYS))))
                days, start, end = [f"2026-01-0{low}", f"2026-01-0{high}"], 24 * (low - 1), 24 * high
                expected = {key: row for key, row in expected.items() if not start <= row["at"] < end}
            expected |= {key: row for key, row in feed.rows.items() if start <= row["at"] < end}
            project.load(text, "things", *days)
            assert _changing_rows_of(project) == {
                key: (row["at"], row["version"]) for key, row in expected.items()
            }
            if not partitioned:
                start = max([start, *(row["at"] for row in expected.values())])


def _changing_rows_of(project: Project) -> dict[int, tuple[float, int]]:
    rows = _query(project, "SELECT * FROM api.things")
    return {row["id"]: ((row["at"] - _FIRST) / timedelta(hours=1), row["version"]) for row in rows}

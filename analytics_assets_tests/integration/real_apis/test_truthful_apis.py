"""The main promise, as a property: a sync of an API that tells the truth ends green with exactly its rows, or red.

Hypothesis draws an API (how it pages, orders, counts, ends) and a config that fits the API or does not. Each
example is a whole sync over HTTP into a DuckDB file.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
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
        fits=paginator_fits and selector_fits and key != "grp" and api.ties_seed is None,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server whose API each example sets anew. Yields its URL, and the list that holds the API."""
    current: list[tuple[Api, random.Random]] = []
    with answering(lambda asked: current[-1][0].reply(asked, current[-1][1])) as url:
        yield url, current


@given(st.data())
@settings(
    max_examples=examples(2000, 200),
    deadline=None,
    phases=[
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ],  # a failure is small already, and each step costs a sync
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_sync_is_green_with_exactly_the_rows_or_red(server: Any, data: st.DataObject) -> None:
    url, current = server
    api = data.draw(apis())
    config = data.draw(configs(api))
    current[:] = [(api, random.Random(api.ties_seed))]  # noqa: S311  no secret
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
    exists = "SELECT 1 FROM information_schema.tables WHERE table_schema = 'api' AND table_name = 'things'"
    return project.query("SELECT id, grp, name FROM api.things ORDER BY id") if project.query(exists) else []

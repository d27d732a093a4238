"""Rows and settings with which dlt fails: each failure has one sentence and a code."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from analytics_assets.ingestion.errors import SyncError
from analytics_assets_tests.answering import Reply, answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.real_api import defs

ROWS = b'{"data": [{"id": 1}, {"id": 2, "o": {"a": 1}}], "total": 2}'
OFFSET = {"type": "offset", "limit": 100}
SHOPS = {"name": "shops", "endpoint": {"path": "shops", "data_selector": "data", "paginator": "single_page"}}
SINCE = {"cursor_path": "at", "start_param": "since"}


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("body", "config", "code", "words"),
    [
        (ROWS, {"data_selector": "data.`sub(/a/, b)`"}, "unfit_json_path", "`sub(/a/, b)` in a JSONPath"),
        (ROWS, {"paginator": {**OFFSET, "total_path": "total.`sub(/a/, b)`"}}, "unfit_json_path", "`sub(/a/, b)`"),
        (
            b'{"data": [{"id": 1}], "next": null}',
            {"paginator": {"type": "json_link", "next_url_path": "next.`sub(/a/, b)`"}},
            "unfit_json_path",
            "`sub(/a/, b)`",
        ),
        (ROWS, {"incremental": SINCE}, "cursor_value", "`at` is missing"),
        (ROWS, {"incremental": {**SINCE, "cursor_path": "o.at"}}, "cursor_value", "`o.at` is missing"),
        (b'{"data": [{"id": 1, "at": null}]}', {"incremental": SINCE}, "cursor_value", "`at` is null"),
        (b'{"data": [{"id": 1, "at": 5}, {"id": 2, "at": "x"}]}', {"incremental": SINCE}, "cursor_value", "one kind"),
        (ROWS, {"path": "things/{resources.shops.o.a}", "parents": (SHOPS,)}, "missing_parent_field", "`o.a`"),
        (ROWS, {"params": {"s": "{resources.shops.no}"}, "parents": (SHOPS,)}, "missing_parent_field", "`no`"),
        (
            ROWS,
            {"path": "things/{resources.shops.id}", "parents": (SHOPS,), "resource": {"include_from_parent": ["no"]}},
            "missing_parent_field",
            "`no`",
        ),
        (
            b'{"data": [{"id": 1, "x": 1}, {"id": 2, "x": "abc"}]}',
            {"resource": {"columns": {"id": {"data_type": "bigint"}, "x__v_text": {"data_type": "timestamp"}}}},
            "uncoercible_value",
            "`things.x__v_text` is timestamp",
        ),
    ],
)  # fmt: skip
def test_a_row_with_which_dlt_fails(
    project: Project, body: bytes, config: Any, code: str, words: str
) -> None:
    with answering(lambda _: Reply(body)) as url, pytest.raises(SyncError) as failure:
        project.load(defs(url, **{"paginator": "single_page", **config}), "things")
    assert failure.value.code == code
    assert words in str(failure.value)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"data_selector": "data[?("}, "data_selector `data[?(` is no JSONPath"),
        ({"paginator": {**OFFSET, "total_path": "$..[["}}, "paginator.total_path `$..[[` is no JSONPath"),
        ({"paginator": {"type": "json_link", "next_url_path": "a[["}}, "paginator.next_url_path"),
        (
            {"paginator": {"type": "cursor", "cursor_path": "a[[", "cursor_param": "c"}},
            "paginator.cursor_path",
        ),
        ({"client": {"paginator": {"type": "json_link", "next_url_path": "a[["}}}, "paginator.next_url_path"),
        ({"incremental": {**SINCE, "cursor_path": "a[["}}, "cursor_path `a[[` is no JSONPath"),
    ],
)
def test_a_setting_that_is_no_json_path_is_refused_at_load(project: Project, config: Any, words: str) -> None:
    with pytest.raises(ValidationError) as failure:
        project.load(defs("http://127.0.0.1:1", **config), "things")
    assert words in str(failure.value)


TWO_ROWS = [{"id": 1}, {"id": 2}]
LIMIT = {"limit": 2}


@pytest.mark.parametrize(
    ("answer", "config", "written"),
    [
        ({"@rows.all": TWO_ROWS}, {"data_selector": "@rows.all"}, "\"'@rows.all'\""),
        ({"d": {"a.b": TWO_ROWS}}, {"data_selector": "d.a.b"}, "d.'a.b'"),
        ({"d": {"a.b": {"c": TWO_ROWS}}}, {"data_selector": "$.d.a.b.c"}, "d.'a.b'.c"),
        ({"data": TWO_ROWS, "a.n": 2}, {"paginator": {**OFFSET, "total_path": "a.n"}}, "\"'a.n'\""),
        (
            {"data": TWO_ROWS, "meta": {"next.link": None}},
            {"paginator": {"type": "json_link", "next_url_path": "meta.next.link"}, "params": LIMIT},
            "meta.'next.link'",
        ),
    ],
)  # fmt: skip
def test_a_name_with_dots_is_shown_in_quotes(
    project: Project, answer: Any, config: Any, written: str
) -> None:
    with answering(lambda _: answer) as url, pytest.raises(SyncError) as failure:
        project.load(defs(url, **{"paginator": "single_page", **config}), "things")
    assert f"; for the name with dots write `{written}`)" in str(failure.value)

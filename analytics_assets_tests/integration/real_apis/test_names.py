"""Fields of real APIs that would become one column or one child table: told, never mixed, and cured by `rename`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from analytics_assets_tests.answering import answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.real_api import defs

Rows = list[dict[str, Any]]

MEETINGS: list[tuple[str, Rows, dict[str, str], dict[str, str], str]] = [
    # name, rows, declared columns, the cure, the words of the reason for the last row
    ("object and field, one row", [{"utm__source": "a", "utm": {"source": "b"}}],
     {}, {"utm__source": "utm_flat"}, "`utm__source`"),
    ("object and field, two rows", [{"utm__source": "a"}, {"utm": {"source": "b"}}],
     {}, {"utm.source": "utm_nested"}, "`utm.source`"),
    ("declared and nested, one row", [{"a__b": 1, "a": {"b": 2}}], {"a__b": "bigint"}, {"a.b": "nested_b"}, "`a.b`"),
    ("declared and nested, two rows", [{"a__b": 1}, {"a": {"b": 2}}],
     {"a__b": "bigint"}, {"a.b": "nested_b"}, "`a.b`"),
    ("not latin", [{"名前": "a"}, {"住所": "b"}], {}, {"住所": "address"}, "`住所`"),
    ("not latin, declared", [{"名前": "a"}, {"住所": "b"}], {"x": "text"}, {"住所": "address"}, "`住所`"),
    ("characters", [{"na!e": "a"}, {"na%e": "b"}], {}, {"na%e": "percent"}, "`na%e`"),
    ("case", [{"orderId": 1}, {"order_id": 2}], {}, {"orderId": "order_number"}, "`order_id`"),
    ("case, declared", [{"orderId": 1}, {"order_id": 2}],
     {"order_id": "bigint"}, {"orderId": "number"}, "`order_id`"),
    ("dots", [{"a.b": 1}, {"a_b": 2}], {}, {"a.b": "dotted"}, "`a_b`"),
    ("lists", [{"a": {"b": [{"y": 1}]}, "a__b": [{"y": 2}]}], {}, {"a.b": "ab_list"}, "one table"),
    ("lists, two rows", [{"a": {"b": [{"y": 1}]}}, {"a__b": [{"y": 2}]}], {}, {"a.b": "ab_list"}, "one table"),
    ("in a list", [{"l": [{"na!e": 1}, {"na%e": 2}]}], {}, {"l.na%e": "percent"}, "`l.na%e`"),
    ("in a list, two rows", [{"l": [{"na!e": 1}]}, {"l": [{"na%e": 2}]}], {}, {"l.na%e": "percent"}, "`l.na%e`"),
    ("in a list in an object", [{"o": {"l": [{"A": 1}]}}, {"o": {"l": [{"a": 2}]}}], {}, {"o.l.A": "big"}, "`o.l.a`"),
    ("reserved", [{"_dlt_id": "mine"}], {}, {"_dlt_id": "their_id"}, "reserves"),
    ("the quarantine", [{"quarantine": [{"y": 1}]}], {}, {"quarantine": "held"}, "quarantine"),
]  # fmt: skip


def load(
    project: Project, rows: Rows, columns: dict[str, str], rename: dict[str, str], *, paged: bool
) -> None:
    numbered = [{"id": number, **row} for number, row in enumerate(rows)]
    hints = {"id": {"data_type": "bigint"}, **{name: {"data_type": kind} for name, kind in columns.items()}}
    asset = {"max_quarantined": "100%", **({"rename": rename} if rename else {})}
    paginator = {"type": "offset", "limit": 1 if paged else 100}

    def reply(asked: Any) -> Any:
        start = int(asked.params["offset"])
        return {"data": numbered[start : start + int(asked.params["limit"])], "total": len(numbered)}

    with answering(reply) as url:
        project.load(defs(url, resource={"columns": hints}, asset=asset, paginator=paginator), "things")


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("paged", [False, True])
@pytest.mark.parametrize(
    ("rows", "columns", "rename", "words"), [pytest.param(*one[1:], id=one[0]) for one in MEETINGS]
)
def test_fields_that_meet_are_told_and_cured(
    project: Project, rows: Rows, columns: dict[str, str], rename: dict[str, str], words: str, paged: bool
) -> None:
    load(project, rows, columns, {}, paged=paged)
    quarantined = project.query('SELECT reason, "row" FROM api.things__quarantine')
    assert [json.loads(one["row"])["id"] for one in quarantined] == [len(rows) - 1]
    assert words in quarantined[0]["reason"]
    assert "rename" in quarantined[0]["reason"]

    load(project, rows, columns, rename, paged=paged)
    assert project.query("SELECT count(*) AS n FROM api.things") == [{"n": len(rows)}]
    [column] = rename.values()
    tables = project.query(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'api'"
    )
    names = {one["column_name"] for one in tables} | {
        one["table_name"].removeprefix("things__") for one in tables
    }
    assert column in names


@pytest.mark.parametrize("rows", [
    [{"orderId": 1}, {"orderId": None, "order_id": None}, {"order_id": None, "orderId": 2}],
    [{"orderId": 1, "order_id": 1}, {"order_id": 2, "orderId": 2}],
    [{"a": {"b": 1}}, {"a": [{"b": 1}]}, {"a": 5}],
])  # fmt: skip
def test_fields_that_do_not_meet(project: Project, rows: Rows) -> None:
    load(project, rows, {}, {}, paged=False)
    assert project.query("SELECT count(*) AS n FROM api.things") == [{"n": len(rows)}]


def test_two_fields_may_be_declared_one(project: Project) -> None:
    """The API renamed a field. Where a row has both fields with different values, the row goes to quarantine."""
    rows = [{"orderId": 1}, {"order_id": 2}, {"orderId": 3, "order_id": 3}, {"orderId": 4, "order_id": 5}]
    for paged in (False, True):
        load(project, rows, {"order_id": "bigint"}, {"orderId": "order_id"}, paged=paged)
        assert project.query("SELECT order_id FROM api.things ORDER BY id") == [
            {"order_id": n} for n in (1, 2, 3)
        ]
        [row] = project.query("SELECT reason FROM api.things__quarantine")
        assert "`orderId`, renamed to `order_id`, beside another `order_id`" in row["reason"]


def test_a_renamed_cursor_is_refused(project: Project) -> None:
    cursor = {"cursor_path": "at", "start_param": "since"}
    text = defs("http://127.0.0.1:1", incremental=cursor, asset={"rename": {"at": "moment"}})
    with pytest.raises(ValidationError, match="`rename` changes which field is the cursor, `at`"):
        project.load(text, "things")


@pytest.mark.parametrize("disposition", ["merge", "replace"])
def test_an_api_may_have_the_name_of_another_with_staging(project: Project, disposition: str) -> None:
    """dlt's own name for the staging dataset of `shop` is `shop_staging`."""

    def load(name: str, rows: Rows) -> None:
        with answering(lambda _: {"data": rows}) as url:
            text = defs(url, resource={"write_disposition": disposition}, paginator="single_page")
            project.load(text.replace("name: api", f"name: {name}"), "things")

    load("shop_staging", [{"id": 1}, {"id": 2}])
    load("shop", [{"id": 7}])
    load("shop", [{"id": 8}])
    assert project.query("SELECT id FROM shop_staging.things ORDER BY id") == [{"id": 1}, {"id": 2}]
    assert {"id": 8} in project.query("SELECT id FROM shop.things")

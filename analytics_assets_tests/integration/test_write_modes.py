"""A resource whose write mode changes keeps its table, and each child row keeps its parent."""

from __future__ import annotations

from typing import Any

import pytest

from analytics_assets_tests.answering import answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.real_api import defs


def row(number: int, version: int = 0) -> dict[str, Any]:
    parts = [{"n": number, "marks": [{"m": version}, {"m": number}]}, {"n": version}]
    return {"id": number, "name": f"v{version}", "parts": parts}


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("first", ["append", "replace"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_merge_after_another_write_mode(project: Project, first: str, times: int) -> None:
    """Only a merge writes which root row a child row has. The merges replace rows that an earlier mode has loaded."""
    rows = [row(number) for number in range(4)]
    with answering(lambda _: {"data": rows}) as url:

        def load(disposition: str) -> None:
            project.load(
                defs(url, resource={"write_disposition": disposition}, paginator="single_page"), "things"
            )

        load(first)
        for version in range(1, times + 1):
            rows[0] = row(0, version)
            del rows[1:3]
            rows.append(row(3 + version))
            load("merge")
    loaded = [row(number) for number in range(1, 3)]  # a merge of all rows deletes none
    expected = {one["id"]: one for one in [*loaded, *rows, row(3)]}
    if times == 2:
        expected |= {4: row(4), 0: row(0, 2)}
    assert_equal(project, list(expected.values()))


def assert_equal(project: Project, rows: list[dict[str, Any]]) -> None:
    there = project.query("SELECT id, name FROM api.things ORDER BY id")
    assert there == sorted(
        ({"id": one["id"], "name": one["name"]} for one in rows), key=lambda one: one["id"]
    )
    parts = project.query(
        "SELECT t.id, p.n, p._dlt_root_id = t._dlt_id AS rooted FROM api.things__parts AS p "
        "LEFT JOIN api.things AS t ON t._dlt_id = p._dlt_parent_id"
    )
    assert all(one["rooted"] for one in parts)
    true_parts = [(one["id"], part["n"]) for one in rows for part in one["parts"]]
    assert sorted((one["id"], one["n"]) for one in parts) == sorted(true_parts)
    marks = project.query(
        "SELECT p.n, m.m, m._dlt_root_id = p._dlt_root_id AS rooted FROM api.things__parts__marks AS m "
        "LEFT JOIN api.things__parts AS p ON p._dlt_id = m._dlt_parent_id"
    )
    assert all(one["rooted"] for one in marks)
    true_marks = [
        (part["n"], mark["m"]) for one in rows for part in one["parts"] for mark in part.get("marks", [])
    ]
    assert sorted((one["n"], one["m"]) for one in marks) == sorted(true_marks)

"""Primary keys that are not unique, versions of a row, and rows that come twice because they moved."""

from __future__ import annotations

import random
from typing import Any

import pytest

from analytics_assets.ingestion.dry_run import run_dry
from analytics_assets.ingestion.errors import KeyNotUniqueError, RowsMovedError
from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Project, check_of, circuit_of
from analytics_assets_tests.real_api import defs

DAY = "2026-01-05"


def of_day(number: int, **fields: Any) -> dict[str, Any]:
    return {"day": DAY, "campaign": f"c{number}", "clicks": number, **fields}


COLUMNS = {"day": {"data_type": "date"}, "campaign": {"data_type": "text"}, "clicks": {"data_type": "bigint"}}


def keyed(key: Any, disposition: Any = "merge", columns: Any = COLUMNS) -> dict[str, Any]:
    return {"primary_key": key, "write_disposition": disposition, "columns": columns}


@pytest.mark.matrix(keep=4)
@pytest.mark.parametrize(
    ("rows", "resource", "missing"),
    [
        ([of_day(n) for n in range(120)], keyed("day"), ("campaign",)),
        ([of_day(n) for n in range(120)], keyed("day", "replace"), ("campaign",)),
        ([of_day(n) for n in range(120)], keyed("day", "append"), ("campaign",)),
        ([of_day(n) for n in range(120)], keyed("day", columns=None), ("campaign",)),
        (
            [of_day(n % 2, country=f"k{n // 2}", clicks=n) for n in range(8)],
            keyed("day", columns={**COLUMNS, "country": {"data_type": "text"}}),
            ("campaign", "country"),
        ),
        ([{"day": DAY, "clicks": 1.5}, {"day": DAY, "clicks": 2.5}], keyed("day", columns=None), ()),
        ([{"id": 2.0**53, "n": 0.5}, {"id": 2.0**53, "n": 1.5}], keyed("id", columns=None), ()),
    ],
    ids=["merge", "replace", "append", "undeclared", "two columns", "no column", "floats"],
)  # fmt: skip
def test_a_key_that_is_not_unique_fails_before_the_load(
    project: Project, rows: list[dict[str, Any]], resource: dict[str, Any], missing: tuple[str, ...]
) -> None:
    with answering(lambda _: {"data": rows}) as url, pytest.raises(KeyNotUniqueError) as caught:
        project.load(defs(url, paginator="single_page", resource=resource), "things")
    assert caught.value.missing == missing
    if missing:
        key = ", ".join((resource["primary_key"], *missing))
        assert f"Set `primary_key: [{key}]`" in str(caught.value)
    assert project.query("SELECT table_name FROM information_schema.tables WHERE table_name = 'things'") == []


def test_a_dry_run_says_that_a_key_is_not_unique(project: Project) -> None:
    """The dry run writes nothing, not even the file of the warehouse."""
    with answering(lambda _: {"data": [of_day(n) for n in range(120)]}) as url:
        plan = project.plan(defs(url, paginator="single_page", resource=keyed("day")), "things", dry_run=True)
        with pytest.raises(KeyNotUniqueError) as caught:
            run_dry(plan, circuit_of(plan))
    assert caught.value.missing == ("campaign",)
    assert not project.database.exists()


@pytest.mark.parametrize("columns", [COLUMNS, None], ids=["declared", "undeclared"])
def test_the_key_of_the_error_works(project: Project, columns: Any) -> None:
    with answering(lambda _: {"data": [of_day(n) for n in range(120)]}) as url:
        resource = keyed(["day", "campaign"], columns=columns)
        config = defs(url, paginator="single_page", resource=resource)
        result = project.run(project.definitions(config), "things", source="api")
    assert result.success
    assert check_of(result, "complete").metadata["rows_kept"].value == 120


def test_versions_of_a_row_are_counted_and_the_newest_wins(project: Project) -> None:
    rows = [
        {"id": n % 30, "at": f"2026-01-05T00:{n // 30:02}:00Z", "clicks": n} for n in range(60)
    ]  # each id comes twice
    resource = keyed("id", columns={"id": {"data_type": "bigint"}, "at": {"data_type": "timestamp"}})
    with answering(lambda _: {"data": rows}) as url:
        config = defs(url, paginator="single_page", resource=resource, incremental={"cursor_path": "at"})
        result = project.run(project.definitions(config), "things", source="api")
    assert result.success
    complete = check_of(result, "complete")
    assert complete.passed
    assert "60 loaded, 0 in quarantine, 30 of them replaced by a newer version" in str(complete.description)
    assert project.query("SELECT min(clicks) AS low, count(*) AS n FROM api.things") == [{"low": 30, "n": 30}]


def test_the_same_version_with_other_values_is_no_version(project: Project) -> None:
    rows = [{"id": 1, "at": "2026-01-05T00:00:00Z", "clicks": n} for n in range(2)]
    resource = keyed("id", columns={"id": {"data_type": "bigint"}, "at": {"data_type": "timestamp"}})
    with answering(lambda _: {"data": rows}) as url:
        config = defs(url, paginator="single_page", resource=resource, incremental={"cursor_path": "at"})
        with pytest.raises(KeyNotUniqueError):
            project.load(config, "things")


def test_identical_rows_of_one_page_are_one_row(project: Project) -> None:
    with answering(lambda _: {"data": [of_day(1), of_day(1), of_day(2)]}) as url:
        config = defs(url, paginator="single_page", resource=keyed(["day", "campaign"]))
        result = project.load(config, "things")
    assert (result.rows_loaded, result.rows_repeated, result.rows_kept) == (3, 1, 2)


def _ties(seed: int) -> Any:
    """An API that sorts by a coarse field: the order of rows with the same value is another at each request."""
    shuffle = random.Random(seed)  # noqa: S311  no secret
    rows = [{"id": n, "day": n // 4} for n in range(80)]

    def reply(asked: Asked) -> Any:
        shuffled = [row for tie in range(20) for row in shuffle.sample(rows[4 * tie : 4 * tie + 4], 4)]
        start = int(asked.params.get("offset", 50 * (int(asked.params.get("page", "1")) - 1)))
        more = start + 50 < len(rows)
        return {"data": shuffled[start : start + 50], "total": 80, "next": "2" if more else None}

    return reply


@pytest.mark.parametrize(
    "paginator",
    [
        {"type": "offset", "limit": 50},
        {"type": "offset", "limit": 50, "total_path": None},
        {"type": "cursor", "cursor_path": "next", "cursor_param": "page"},
    ],
    ids=["offset", "offset without total", "cursor"],
)
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.matrix(keep=3)
def test_ties_in_an_unstable_order_lose_no_row(project: Project, seed: int, paginator: Any) -> None:
    with answering(_ties(seed)) as url:
        config = defs(url, paginator=paginator, requests={"page_overlap": False})
        try:
            result = project.load(config, "things")
        except RowsMovedError as moved:
            assert "sort them by a unique field" in str(moved)  # noqa: PT017  both outcomes are right
        else:
            assert result.rows_kept == 80


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("path", ["arrow", "rows"])
@pytest.mark.parametrize("partitioned", [True, False], ids=["partition", "incremental"])
def test_a_row_that_came_twice_beside_the_window_shows_that_rows_moved(
    project: Project, path: str, *, partitioned: bool
) -> None:
    """Row 1 is read twice and not loaded. Row 2 of the window is not read."""
    old, new = "2026-01-04T00:00:00Z", "2026-01-05T00:00:00Z"
    moved: list[list[dict[str, Any]]] = [[{"id": 1, "at": old}], [{"id": 1, "at": old}, {"id": 3, "at": new}]]
    quiet: list[list[dict[str, Any]]] = [[{"id": 1, "at": old}], [{"id": 2, "at": new}, {"id": 3, "at": new}]]
    for row in [*moved[0], *quiet[0]] if path == "rows" else ():
        row["note"] = "undeclared"
    pages = quiet

    def reply(asked: Asked) -> Any:
        page = int(asked.params.get("cursor", "0"))
        return {"data": pages[page], "next": "1" if page == 0 else None}

    resource = keyed("id", columns={"id": {"data_type": "bigint"}, "at": {"data_type": "timestamp"}})
    partitions = {"partitions": {"type": "daily", "start_date": "2026-01-01"}}
    with answering(reply) as url:
        config = defs(
            url,
            paginator={"type": "cursor", "cursor_path": "next"},
            resource=resource,
            asset=partitions if partitioned else {},
            incremental={"cursor_path": "at"},
        )
        of_run = ("2026-01-05",) if partitioned else ()
        project.load(config, "things", *of_run)
        pages = moved
        with pytest.raises(RowsMovedError) as caught:
            project.load(config, "things", *of_run)
        plan = project.plan(config, "things", *of_run, dry_run=True, max_pages=2)
        with pytest.raises(
            (RowsMovedError, KeyNotUniqueError)
        ) as dry:  # without its cursor, row 1 is a row to load
            run_dry(plan, circuit_of(plan))
    assert "1 of 3 rows came twice" in str(caught.value)
    assert isinstance(dry.value, RowsMovedError) or not partitioned
    assert project.query("SELECT count(*) AS n FROM api.things WHERE id > 1") == [{"n": 2}]


def test_an_api_that_repeats_rows_has_a_way_out(project: Project) -> None:
    def reply(asked: Asked) -> Any:
        page = int(asked.params.get("cursor", "0"))
        return {"data": [{"id": page}, {"id": 99}], "next": str(page + 1) if page < 3 else None}

    with answering(reply) as url:
        paginator = {"type": "cursor", "cursor_path": "next"}
        resource = {"write_disposition": "merge"}
        with pytest.raises(RowsMovedError) as caught:
            project.load(defs(url, paginator=paginator, resource=resource), "things")
        assert caught.value.attempts == 2
        assert "set assets.things.accept_repeated_rows: true" in str(caught.value)
        accepting = defs(url, paginator=paginator, resource=resource, asset={"accept_repeated_rows": True})
        result = project.load(accepting, "things")
    assert (result.rows_loaded, result.rows_repeated, result.rows_kept) == (8, 3, 5)


def test_the_same_child_under_two_parents_is_one_row(project: Project) -> None:
    parent = {
        "name": "parents",
        "endpoint": {"path": "parents", "data_selector": "data", "paginator": "single_page"},
        "columns": {"id": {"data_type": "bigint"}},
    }

    def reply(asked: Asked) -> Any:
        return {"data": [{"id": 1}, {"id": 2}] if asked.path == "/parents" else [{"id": 7}]}

    with answering(reply) as url:
        config = defs(
            url,
            parents=(parent,),
            resource={"write_disposition": "merge"},
            path="parents/{resources.parents.id}/things",
            paginator="single_page",
        )
        assert project.load(config, "things").rows_kept == 1


def test_an_append_with_two_versions_says_what_to_do(project: Project) -> None:
    rows = [{"id": 1, "n": 1}]
    with answering(lambda _: {"data": rows}) as url:
        definitions = project.definitions(
            defs(url, paginator="single_page", resource=keyed("id", "append", None))
        )
        assert check_of(project.run(definitions, "things", source="api"), "primary_key_unique").passed
        rows[0]["n"] = 2
        check = check_of(project.run(definitions, "things", source="api"), "primary_key_unique")
    assert not check.passed
    assert "use `merge` to keep the newest, or remove the primary key to keep all" in str(check.description)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"tags": ["a"]}, {"tags": ["b"]}),
        ({"tags": ["a"]}, {"tags": ["a", "b"]}),
        ({"tags": ["a", "b"]}, {"tags": ["b", "a"]}),
        ({"tags": ["a"]}, {}),
        ({"lines": [{"n": 1, "taxes": [{"t": 1}]}]}, {"lines": [{"n": 1, "taxes": [{"t": 2}]}]}),
        ({"lines": [{"n": 1, "taxes": [{"t": 1}]}]}, {"lines": [{"n": 1}]}),
        ({"of": {"tags": ["a"]}}, {"of": {"tags": ["b"]}}),
    ],
)
@pytest.mark.matrix(keep=1)
def test_rows_that_differ_only_in_their_lists_are_not_the_same_row(
    project: Project, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """In the table of the rows they are equal. dlt's merge would keep one of them, with its lists."""
    resource = {"write_disposition": "merge"}
    with answering(lambda _: {"data": [{"id": 1, **first}, {"id": 1, **second}, {"id": 2, **first}]}) as url:
        config = defs(url, paginator="single_page", resource=resource)
        with pytest.raises(KeyNotUniqueError) as caught:
            project.load(config, "things")
    assert caught.value.examples == ("1",)
    same = [{"id": 1, **first}, {"id": 1, **first}, {"id": 2, **second}]
    with answering(lambda _: {"data": same}) as url:
        result = project.load(defs(url, paginator="single_page", resource=resource), "things")
    assert (result.rows_repeated, result.rows_kept) == (1, 2)

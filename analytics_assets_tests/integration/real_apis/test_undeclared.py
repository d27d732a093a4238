"""Undeclared fields whose values change their kind: each value is stored as sent, in its column or a variant column."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from analytics_assets_tests.answering import answering
from analytics_assets_tests.conftest import Project, check_of
from analytics_assets_tests.real_api import defs

MOMENT = "2026-01-05T10:00:00Z"
AT = datetime(2026, 1, 5, 10, tzinfo=UTC)

CHANGES: list[tuple[Any, Any, str, Any]] = [
    # the first value, a later value, the column of the later value, its stored value
    (MOMENT, "7", "x__v_text", "7"),
    (MOMENT, "00501", "x__v_text", "00501"),
    (MOMENT, "1712345678901", "x__v_text", "1712345678901"),
    (MOMENT, "2026-01-05", "x__v_text", "2026-01-05"),
    (MOMENT, "2026-01-05+02:00", "x__v_text", "2026-01-05+02:00"),
    (MOMENT, "2026-01-05T10:00:00.1234567Z", "x__v_text", "2026-01-05T10:00:00.1234567Z"),
    (MOMENT, 7, "x__v_bigint", 7),
    (MOMENT, 7.5, "x__v_double", 7.5),
    (MOMENT, True, "x__v_bool", True),
    (MOMENT, "2026-01-05 13:00:00+02:00", "x", AT.replace(hour=11)),
    (MOMENT, "2026-01-05T10:00:00.1230000Z", "x", AT.replace(microsecond=123_000)),
    (True, "no", "x__v_text", "no"),
    (True, "yes", "x__v_text", "yes"),
    (True, 2, "x__v_bigint", 2),
    (True, 0.5, "x__v_double", 0.5),
    (True, 1, "x__v_bigint", 1),
    (False, 0, "x__v_bigint", 0),
    (True, 1.0, "x__v_double", 1.0),
    (True, "1", "x__v_text", "1"),
    (False, "true", "x__v_text", "true"),
    (True, "false", "x__v_text", "false"),
    (True, "True", "x__v_text", "True"),
    (True, MOMENT, "x__v_text", MOMENT),
    (0, False, "x__v_bool", False),
    (1.5, True, "x__v_bool", True),
    ("2", 1, "x", "1"),
    ("2", True, "x__v_bool", True),
    ("true", True, "x__v_bool", True),
    (1, "00501", "x__v_text", "00501"),
    (1, " 5", "x__v_text", " 5"),
    (1, "0x1F", "x__v_text", "0x1F"),
    (1, "1_000", "x__v_text", "1_000"),
    (1, "+5", "x__v_text", "+5"),
    (1, "-0", "x__v_text", "-0"),
    (1, "9" * 20, "x__v_text", "9" * 20),
    (1, "9223372036854775808", "x__v_text", "9223372036854775808"),
    (1, MOMENT, "x__v_text", MOMENT),
    (1, "501", "x", 501),
    (1, 5.0, "x", 5),
    (1, 5.5, "x__v_double", 5.5),
    (1, 1e22, "x__v_double", 1e22),
    (1, 1e300, "x__v_double", 1e300),
    (1, True, "x__v_bool", True),
    (MOMENT, "9999-12-31T23:59:59-05:00", "x__v_text", "9999-12-31T23:59:59-05:00"),
    ("0001-01-01T00:00:00+02:00", MOMENT, "x", MOMENT),
    (1.5, 2**53 + 1, "x__v_bigint", 2**53 + 1),
    (1.5, 2**53, "x", 2.0**53),
    (1.5, "1.10", "x__v_text", "1.10"),
    (1.5, "nan", "x__v_text", "nan"),
    (1.5, "1e5", "x__v_text", "1e5"),
    (1.5, "2.5", "x", 2.5),
    ("a", 5, "x", "5"),
    ("a", 1.5, "x", "1.5"),
    ("a", True, "x__v_bool", True),
    ("a", MOMENT, "x", MOMENT),
    ("2026-01-05", "2026-01-06", "x", "2026-01-06"),
    ("2026-01-05T10:00:00.1234567Z", MOMENT, "x", MOMENT),
    ("20260105", MOMENT, "x", MOMENT),
]


def row(number: int, values: list[Any], place: str) -> dict[str, Any]:
    fields = {f"f{i}": value for i, value in enumerate(values)}
    return {"id": number, **{"top": fields, "object": {"o": fields}, "list": {"l": [fields]}}[place]}


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize("loads", ["one", "two"])
@pytest.mark.parametrize(
    ("place", "table", "prefix"),
    [("top", "things", ""), ("object", "things", "o__"), ("list", "things__l", "")],
)
def test_a_value_that_its_column_cannot_hold_goes_to_a_variant(
    project: Project, place: str, table: str, prefix: str, loads: str
) -> None:
    """Each change has a field of its own."""
    first = row(1, [one for one, *_ in CHANGES], place)
    later = row(2, [one for _, one, *_ in CHANGES], place)
    pages = [[first, later]] if loads == "one" else [[first], [later]]
    answers = iter(pages)
    with answering(lambda _: {"data": next(answers)}) as url:
        text = defs(url, resource={"write_disposition": "append"}, paginator="single_page")
        for _ in pages:
            project.load(text, "things")
    rows = project.query(f"SELECT * FROM api.{table}")
    for i, (before, after, column, expected) in enumerate(CHANGES):
        name = prefix + column.replace("x", f"f{i}", 1)
        [holder] = [one for one in rows if one[name] == expected and (before != after or one is rows[-1])]
        filled = {
            key for key, value in holder.items() if key.startswith(f"{prefix}f{i}__v") and value is not None
        }
        assert filled <= {name}, (before, after)


IN_JSON: list[tuple[Any, str]] = [
    # a value after an object, and the column that holds it
    ('{"a":1}', "x"),
    ("[1]", "x"),
    ('{"a": 1}', "x__v_text"),
    ('"abc"', "x__v_text"),
    ('"5"', "x__v_text"),
    ("null", "x__v_text"),
    ("", "x__v_text"),
    (5, "x__v_bigint"),
    (True, "x__v_bool"),
]


def test_a_text_in_a_column_of_json_is_stored_as_sent(project: Project) -> None:
    values = [{"a": 1}, *(value for value, _ in IN_JSON)]
    rows = [{"id": number, "x": value} for number, value in enumerate(values)]
    with answering(lambda _: {"data": rows}) as url:
        project.load(
            defs(url, paginator="single_page", resource={"max_table_nesting": 0, "columns": None}), "things"
        )
    stored = project.query("SELECT * FROM api.things ORDER BY id")[1:]
    for (value, column), row in zip(IN_JSON, stored, strict=True):
        filled = {key: one for key, one in row.items() if key.startswith("x") and one is not None}
        assert filled == {column: value}


def test_variants_are_told_by_schema_drift(project: Project) -> None:
    answers: list[list[dict[str, Any]]] = [
        [{"id": 1, "x": 1, "l": [{"y": 1}]}],
        [{"id": 1, "x": "00501", "l": [{"y": "00501"}]}],
    ]
    answer = answers[0]
    with answering(lambda _: {"data": answer}) as url:
        definitions = project.definitions(defs(url, paginator="single_page"))
        assert check_of(project.run(definitions, "things", source="api"), "schema_drift").passed
        answer = answers[1]
        drift = check_of(project.run(definitions, "things", source="api"), "schema_drift")
        assert not drift.passed
        assert "`things.x__v_text` holds values that `x`, a bigint, cannot hold" in str(drift.description)
        assert "`things__l.y__v_text` holds values that `y`, a bigint, cannot hold" in str(drift.description)
        drift = check_of(project.run(definitions, "things", source="api"), "schema_drift")
        assert drift.passed


def test_variants_of_the_first_sync_are_told(project: Project) -> None:
    rows = [{"id": 1, "x": True}, {"id": 2, "x": "no"}]
    with answering(lambda _: {"data": rows}) as url:
        definitions = project.definitions(defs(url, paginator="single_page"))
        drift = check_of(project.run(definitions, "things", source="api"), "schema_drift")
    assert not drift.passed
    assert "`things.x__v_text` holds values that `x`, a bool, cannot hold" in str(drift.description)


def test_drift_says_that_only_the_declaration_has_changed(project: Project) -> None:
    columns = {"id": {"data_type": "bigint"}, "x": {"data_type": "text"}}
    with answering(lambda _: {"data": [{"id": 1, "x": "5"}]}) as url:
        before = project.definitions(defs(url, paginator="single_page", resource={"columns": columns}))
        assert check_of(project.run(before, "things", source="api"), "schema_drift").passed
        columns["x"] = {"data_type": "bigint"}
        after = project.definitions(defs(url, paginator="single_page", resource={"columns": columns}))
        drift = check_of(project.run(after, "things", source="api", checks_only=True), "schema_drift")
    assert not drift.passed
    assert "`x` was text and is now declared as bigint" in str(drift.description)

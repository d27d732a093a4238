"""Cursors of real APIs: rows in the future, filters on another field, and filters that the API does not know."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import yaml
from pydantic import ValidationError

from analytics_assets import RestApiSync
from analytics_assets.ingestion.errors import EmptyLoadError, TooManyRemovedError
from analytics_assets.ingestion.warehouse.reconcile import _Statements
from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Project, check_of
from analytics_assets_tests.real_api import defs

FAR = "2099-01-01T00:00:00Z"


def incremental(
    data_type: str = "timestamp", disposition: str = "merge", extra: Any = None
) -> dict[str, Any]:
    columns = {"id": {"data_type": "bigint"}, "at": {"data_type": data_type}, **(extra or {})}
    return {"write_disposition": disposition, "columns": columns}


def _moment(ago: timedelta, data_type: str) -> str:
    moment = datetime.now(UTC) - ago
    return moment.date().isoformat() if data_type == "date" else moment.isoformat()


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("data_type", ["timestamp", "date"])
@pytest.mark.parametrize("path", ["arrow", "rows"])
def test_a_row_in_the_future_does_not_end_an_incremental_sync(
    project: Project, data_type: str, path: str
) -> None:
    asked: list[str | None] = []
    far = FAR[:10] if data_type == "date" else FAR
    rows: list[dict[str, Any]] = [
        {"id": 1, "at": _moment(timedelta(days=3), data_type)},
        {"id": 2, "at": far},
    ]
    if path == "rows":
        rows[0]["note"] = "undeclared"

    def reply(request: Asked) -> Any:
        asked.append(request.params.get("since"))
        return {"data": rows}

    with answering(reply) as url:
        config = defs(
            url,
            paginator="single_page",
            resource=incremental(data_type),
            incremental={"cursor_path": "at", "start_param": "since"},
        )
        definitions = project.definitions(config)
        first = project.run(definitions, "things", source="api")
        rows.append({"id": 3, "at": _moment(timedelta(days=2), data_type)})
        second = project.run(definitions, "things", source="api")
    assert first.success
    assert second.success
    assert str(asked[-1])[:10] == rows[0]["at"][:10], "the next sync continues after the newest plausible row"
    assert {1, 2, 3} <= {row["id"] for row in project.query("SELECT id FROM api.things")}
    complete = check_of(first, "complete")
    assert (complete.passed, complete.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "`at` is in the future in 1 row. The stored cursor does not follow." in str(complete.description)


def test_an_append_says_that_it_repeats_a_row_in_the_future(project: Project) -> None:
    resource = {**incremental(disposition="append"), "primary_key": None}
    rows = [{"id": 1, "at": _moment(timedelta(days=3), "timestamp")}, {"id": 2, "at": FAR}]
    with answering(lambda _: {"data": rows}) as url:
        config = defs(url, paginator="single_page", resource=resource, incremental={"cursor_path": "at"})
        result = project.run(project.definitions(config), "things", source="api")
    assert "Each sync appends them again: use `merge`." in str(check_of(result, "complete").description)


def test_how_far_the_future_is_plausible_is_in_the_file(project: Project) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=30)).isoformat()
    asked: list[str | None] = []

    def reply(request: Asked) -> Any:
        asked.append(request.params.get("since"))
        return {"data": [{"id": 1, "at": soon}]}

    with answering(reply) as url:
        config = defs(
            url,
            paginator="single_page",
            resource=incremental(),
            asset={"future_hours": 48},
            incremental={"cursor_path": "at", "start_param": "since"},
        )
        assert project.load(config, "things").rows_in_future == 0
        project.load(config, "things")
    assert str(asked[-1])[:10] == soon[:10]


def _filtering(rows: list[dict[str, Any]], field: str, *, ends: bool = True) -> Any:
    """An API that filters by `field`, which is perhaps another one than the cursor."""

    def reply(asked: Asked) -> Any:
        since, until = asked.params["since"][:10], asked.params["until"][:10] if ends else "9999"
        return {"data": [row for row in rows if since <= row[field][:10] < until]}

    return reply


def _daily(**params: str) -> dict[str, Any]:
    return {
        "paginator": "single_page",
        "resource": incremental(extra={"created": {"data_type": "timestamp"}}),
        "asset": {"partitions": {"type": "daily", "start_date": "2026-01-01"}},
        "incremental": {"cursor_path": "at", **params},
    }


def test_an_api_that_filters_by_another_field_turns_complete_red(project: Project) -> None:
    rows = [
        {"id": n, "created": "2026-01-05T10:00:00Z", "at": f"2026-01-{5 + n % 3:02}T10:00:00Z"}
        for n in range(90)
    ]
    with answering(_filtering(rows, "created")) as url:
        config = defs(url, **_daily(start_param="since", end_param="until"))
        result = project.run(project.definitions(config), "things", "2026-01-05", source="api")
    complete = check_of(result, "complete")
    assert (complete.passed, complete.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "60 of the 90 rows that the API returned for this window are outside it" in str(
        complete.description
    )
    assert "Does `since` filter by another field than `at`?" in str(complete.description)


def test_rows_that_a_load_should_have_replaced_turn_complete_red(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a bug can leave them there, so the test removes the statement that deletes them."""
    rows = [{"id": n, "at": "2026-01-05T10:00:00Z"} for n in range(3)]
    with answering(_filtering(rows, "at")) as url:
        definitions = project.definitions(defs(url, **_daily(start_param="since", end_param="until")))
        assert project.run(definitions, "things", "2026-01-05", source="api").success
        rows.pop()
        monkeypatch.setattr(_Statements, "drop_gone", lambda *_: 0)
        result = project.run(definitions, "things", "2026-01-05", source="api")
    complete = check_of(result, "complete")
    assert (complete.passed, complete.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "The table has rows that this sync should have replaced, in 2026-01-05 (1)" in str(
        complete.description
    )


def test_a_few_rows_outside_what_was_asked_for_are_warned_of(project: Project) -> None:
    """The API filters by local time, which its rows have without a time zone. They are read as UTC."""
    rows: list[dict[str, Any]] = [{"id": hour, "at": f"2026-01-05 {hour:02}:30:00"} for hour in range(24)]

    def reply(asked: Asked) -> Any:
        since, until = (
            datetime.fromisoformat(asked.params[name]).astimezone(ZoneInfo("America/New_York"))
            for name in ("since", "until")
        )
        return {"data": [row for row in rows if f"{since:%F %T}" <= row["at"] < f"{until:%F %T}"]}

    daily = _daily(start_param="since", end_param="until")
    daily["asset"]["partitions"]["timezone"] = "America/New_York"
    with answering(reply) as url:
        definitions = project.definitions(defs(url, **daily))
        result = project.run(definitions, "things", "2026-01-05", source="api")
    assert result.success
    complete = check_of(result, "complete")
    assert (complete.passed, complete.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "5 of the 24 rows fetched are outside the range that the request asked for" in str(
        complete.description
    )


def test_rows_beside_the_window_are_shown_and_warned_of(project: Project) -> None:
    rows = [{"id": n, "at": f"2026-01-{5 + n % 20:02}T10:00:00Z"} for n in range(100)]
    with answering(_filtering(rows, "at", ends=False)) as url:
        config = defs(url, **_daily(start_param="since"))
        result = project.run(project.definitions(config), "things", "2026-01-05", source="api")
    assert result.success
    complete = check_of(result, "complete")
    assert (complete.passed, complete.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "95 of the 100 rows fetched are outside the window" in str(complete.description)
    assert "Set `end_param`" in str(complete.description)


def test_an_inclusive_end_is_no_other_field(project: Project) -> None:
    rows = [{"id": n, "at": f"2026-01-05T{n:02}:00:00Z"} for n in range(24)]
    rows.append({"id": 99, "at": "2026-01-06T00:00:00Z"})
    with answering(lambda _: {"data": rows}) as url:
        config = defs(url, **_daily(start_param="since", end_param="until"))
        result = project.run(project.definitions(config), "things", "2026-01-05", source="api")
    assert check_of(result, "complete").passed
    assert project.query("SELECT count(*) AS n FROM api.things") == [{"n": 24}]


def test_a_first_sync_of_nothing_warns(project: Project) -> None:
    with answering(lambda _: {"data": []}) as url:
        definitions = project.definitions(defs(url, paginator="single_page"))
        result = project.run(definitions, "things", source="api")
    assert result.success
    complete = check_of(result, "complete")
    assert (complete.passed, complete.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "No row has ever come" in str(complete.description)


@pytest.fixture
def emptied(project: Project) -> Iterator[tuple[Project, list[dict[str, Any]], str]]:
    """A project whose table has ten rows, the rows that its API returns, and its base URL."""
    rows = [{"id": number} for number in range(10)]
    with answering(lambda _: {"data": rows}) as url:
        project.load(defs(url, paginator="single_page"), "things")
        yield project, rows, url


def test_nothing_does_not_replace_something(emptied: tuple[Project, list[dict[str, Any]], str]) -> None:
    project, rows, url = emptied
    rows.clear()
    with pytest.raises(EmptyLoadError) as caught:
        project.load(defs(url, paginator="single_page"), "things")
    assert caught.value.rows == 10
    assert "assets.things.allow_empty: true" in str(caught.value)
    assert project.query("SELECT count(*) AS n FROM api.things") == [{"n": 10}]
    allowing = defs(url, paginator="single_page", asset={"allow_empty": True})
    assert project.load(allowing, "things").row_count == 0


def test_a_full_load_may_not_lose_too_many_rows(emptied: tuple[Project, list[dict[str, Any]], str]) -> None:
    project, rows, url = emptied
    config = defs(url, paginator="single_page", asset={"max_removed": "20%"})
    del rows[7:]
    with pytest.raises(TooManyRemovedError) as caught:
        project.load(config, "things")
    assert (caught.value.removed, caught.value.rows) == (3, 10)
    assert project.query("SELECT count(*) AS n FROM api.things") == [{"n": 10}]
    rows.append({"id": 8})
    assert project.load(config, "things").row_count == 8


def test_max_removed_needs_rows_that_are_replaced() -> None:
    config = defs("http://api", paginator="single_page", resource=incremental(), asset={"max_removed": 1})
    with pytest.raises(
        ValidationError, match="`max_removed` needs partitions or `write_disposition: replace`"
    ):
        RestApiSync(**yaml.safe_load(config)["attributes"])


def test_a_cursor_without_a_path_fails_the_file() -> None:
    config = defs("http://api", paginator="single_page", incremental={"start_param": "since"})
    with pytest.raises(ValidationError, match=r"things: `endpoint\.incremental` has no `cursor_path`"):
        RestApiSync(**yaml.safe_load(config)["attributes"])

"""After a green run, a window holds the API's current rows, for any changes in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
import yaml

from analytics_assets import read_warehouse
from analytics_assets.ingestion.errors import NoWarehouseFileError
from analytics_assets.ingestion.sync_result import SyncResult
from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Clock, Project, check_of, failure_of, metadata_of

COLUMNS: dict[str, Any] = {
    "id": {"data_type": "bigint", "nullable": False},
    "name": {"data_type": "text", "nullable": False},
    "at": {"data_type": "timestamp", "nullable": False},
}


def row(number: int, day: int, name: str = "a", **more: Any) -> dict[str, Any]:
    return {"id": number, "name": name, "at": f"2026-01-{day:02}T12:00:00Z", **more}


class Api:
    """An API of one list with a cursor filter, which a test changes. One request calls `meanwhile`."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.meanwhile: Callable[[], None] | None = None
        self.asked = 0

    def reply(self, asked: Asked) -> Any:
        self.asked += 1
        since, until = asked.params["since"], asked.params["until"]
        found = [one for one in self.rows if since <= one["at"] < until]
        offset, limit = int(asked.params["offset"]), int(asked.params["limit"])
        answer = {"data": found[offset : offset + limit], "total": len(found)}
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        return answer


@pytest.fixture
def changing() -> Iterator[tuple[Api, str]]:
    api = Api()
    with answering(api.reply) as url:
        yield api, url


def defs(url: str, **asset: Any) -> str:
    resource = {
        "name": "things",
        "primary_key": "id",
        "write_disposition": "merge",
        "endpoint": {
            "path": "/things",
            "data_selector": "data",
            "paginator": {"type": "offset", "limit": 100},
            "incremental": {"cursor_path": "at", "start_param": "since", "end_param": "until"},
        },
        "columns": COLUMNS,
    }
    attributes = {
        "name": "api",
        "rest_api": {"client": {"base_url": url}, "resources": [resource]},
        "assets": {"things": {"partitions": {"type": "daily", "start_date": "2026-01-01"}, **asset}},
    }
    return yaml.safe_dump({"type": "analytics_assets.RestApiSync", "attributes": attributes})


def defs_with(url: str, strategy: str, **hints: Any) -> str:
    document = yaml.safe_load(defs(url))
    [resource] = document["attributes"]["rest_api"]["resources"]
    resource |= {"write_disposition": {"disposition": "merge", "strategy": strategy}, **hints}
    return str(yaml.safe_dump(document))


def wait_for_log(caplog: pytest.LogCaptureFixture, text: str) -> None:
    give_up = time.monotonic() + 60
    while text not in caplog.text:
        assert time.monotonic() < give_up, f"nobody says `{text}`"
        time.sleep(0.02)


class Things:
    """The asset, with methods that materialize and read it."""

    def __init__(self, project: Project, text: str) -> None:
        self._project, self._text = project, text
        self.definitions = project.definitions(text)

    def load(self, *days: str) -> SyncResult:
        """Loads a window without Dagster."""
        return self._project.load(self._text, "things", *days)

    def run(self, *days: str, **asked: Any) -> dg.ExecuteInProcessResult:
        return self._project.run(self.definitions, "things", *days, source="api", asked=asked)

    def metadata(self, *days: str) -> dict[str, Any]:
        result = self.run(*days)
        assert result.success
        recorded = result.asset_materializations_for_node("api__things")[-1].metadata
        return {name: value.value for name, value in recorded.items()}

    def rows(
        self, columns: str = 'id, name, CAST(EXTRACT(day FROM "at") AS INT) AS day'
    ) -> list[tuple[Any, ...]]:
        found = self._project.query(f"SELECT {columns} FROM api.things ORDER BY id")
        return [tuple(one.values()) for one in found]


def test_a_window_read_again_holds_what_the_api_has_now(project: Project, changing: tuple[Api, str]) -> None:
    api, url = changing
    things = Things(project, defs(url))
    api.rows = [row(1, 5), row(2, 5), row(3, 6), row(4, 7)]
    assert things.load("2026-01-05", "2026-01-07").rows_removed == 0

    # Row 1 is deleted, row 2 has changed, rows 3 and 4 have moved, and row 5 is new.
    api.rows = [row(2, 5, "b"), row(3, 5), row(4, 6), row(5, 5)]
    assert things.load("2026-01-05").rows_removed == 1
    assert things.rows() == [(2, "b", 5), (3, "a", 5), (4, "a", 7), (5, "a", 5)], "4 is another window's"
    assert things.load("2026-01-06").rows_removed == 0
    assert things.rows() == [(2, "b", 5), (3, "a", 5), (4, "a", 6), (5, "a", 5)]

    # The window is empty now, alone and within a range.
    api.rows = [row(4, 6)]
    assert things.load("2026-01-05").rows_removed == 3
    assert things.rows() == [(4, "a", 6)]
    api.rows = []
    assert things.load("2026-01-05", "2026-01-08").rows_removed == 1
    assert things.rows() == []
    assert things.load("2026-01-05").rows_removed == 0


def test_what_is_gone_takes_its_child_tables_rows_along(project: Project, changing: tuple[Api, str]) -> None:
    api, url = changing
    things = Things(project, defs(url, child_tables=["parts"]))
    api.rows = [row(1, 5, parts=[{"n": 1}, {"n": 2}]), row(2, 5, parts=[{"n": 3}])]
    things.load("2026-01-05")
    api.rows.pop(0)
    result = things.run("2026-01-05")
    assert result.success
    assert [one["n"] for one in project.query("SELECT n FROM api.things__parts")] == [3]
    child = dg.AssetKey(["api", "things__parts"])
    recorded = [one for one in result.get_asset_materialization_events() if one.asset_key == child]
    assert [one.partition for one in recorded] == ["2026-01-05"]
    api.rows.clear()
    things.load("2026-01-05")
    assert project.query("SELECT n FROM api.things__parts") == []


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(("allowed", "recorded"), [("20%", "20%"), (1, "1")])
def test_a_large_drop_is_refused_where_the_user_says_so(
    project: Project, changing: tuple[Api, str], allowed: int | str, recorded: str
) -> None:
    api, url = changing
    things = Things(project, defs(url, max_removed=allowed))
    api.rows = [*(row(number, 5) for number in range(10)), *(row(number, 6) for number in range(100, 200))]
    things.load("2026-01-05", "2026-01-06")
    gone = [api.rows.pop(0) for _ in range(3)]
    failure = failure_of(things.run("2026-01-05", "2026-01-06"))
    assert metadata_of(failure) >= {
        ("code", "max_removed_exceeded"),
        ("partition", "2026-01-05"),
        ("removed", 3),
        ("rows", 10),
        ("limit", recorded),
    }
    assert len(things.rows()) == 110
    api.rows = gone[:2] + api.rows
    assert things.load("2026-01-05").rows_removed == 1
    assert len(things.rows()) == 109


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("minutes", [0, -43_200, -60, 60])
def test_a_row_that_moves_while_two_windows_are_read_ends_where_it_is_newest(
    project: Project, changing: tuple[Api, str], clock: Clock, minutes: int
) -> None:
    """The old window of the row is read first and loaded last, and must not replace the newer version.

    Meanwhile the clock jumps by some minutes.
    """
    api, url = changing
    things = Things(project, defs(url))
    api.rows = [row(1, 5), row(2, 5)]

    def moves_and_is_loaded() -> None:
        api.rows = [row(1, 6, "moved"), row(2, 5)]
        clock.jump(minutes)
        other = threading.Thread(target=lambda: done.append(things.run("2026-01-06").success))
        other.start()
        other.join(60)

    done: list[bool] = []
    api.meanwhile = moves_and_is_loaded
    assert things.metadata("2026-01-05")["restarts"] == 1
    assert done == [True], "no lock keeps another partition waiting"
    assert things.rows() == [(1, "moved", 6), (2, "a", 5)]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("minutes", [0, -43_200, 43_200])
def test_columns_that_two_windows_bring_at_once_are_both_kept(
    project: Project, changing: tuple[Api, str], clock: Clock, minutes: int
) -> None:
    """dlt stores one document per schema, so the last writer must know the columns of the other run."""
    api, url = changing
    things = Things(project, defs(url))
    api.rows = [row(1, 5, one=1), row(2, 6, two="x", one="text")]
    done: list[bool] = []

    def is_loaded() -> None:
        clock.jump(minutes)
        other = threading.Thread(target=lambda: done.append(things.run("2026-01-06").success))
        other.start()
        other.join(60)

    api.meanwhile = is_loaded
    assert things.metadata("2026-01-05")["restarts"] == 1
    assert done == [True]
    assert things.rows("id, one, two") == [(1, "1", None), (2, "text", "x")]
    things.load("2026-01-05", "2026-01-06")
    assert things.rows("id, one, two") == [(1, "1", None), (2, "text", "x")]


def test_a_partition_waits_for_its_own_run_and_says_for_whom(
    project: Project,
    changing: tuple[Api, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("analytics_assets.ingestion.warehouse.locks.NOTICE_AFTER", 0.1)
    api, url = changing
    things = Things(project, defs(url))
    api.rows = [row(1, 5)]
    second = threading.Thread(target=lambda: things.run("2026-01-04", "2026-01-06"))

    def start_the_second_run() -> None:
        second.start()
        wait_for_log(caplog, "waiting for its turn at the same rows, after things, run ")
        api.rows = [row(1, 5, "newer")]
        assert api.asked == 1, "the second has asked nothing yet"

    api.meanwhile = start_the_second_run
    assert things.run("2026-01-05").success
    second.join(60)
    assert things.rows() == [(1, "newer", 5)]


@pytest.mark.duckdb
def test_a_reader_waits_for_a_load_and_a_load_for_a_reader(
    project: Project,
    changing: tuple[Api, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("analytics_assets.ingestion.warehouse.locks.NOTICE_AFTER", 0.1)
    with (
        pytest.raises(NoWarehouseFileError, match=r"there is no .*analytics\.duckdb yet"),
        read_warehouse(),
    ):
        pass
    api, url = changing
    things = Things(project, defs(url))
    api.rows = [row(1, 5)]
    things.load("2026-01-05")
    api.rows = [row(2, 5)]
    done: list[bool] = []
    loading = threading.Thread(target=lambda: done.append(things.run("2026-01-05").success))
    with read_warehouse() as connection:
        loading.start()
        wait_for_log(caplog, "waiting for the warehouse, after a reader")
        assert not done
        assert connection.execute("SELECT id FROM api.things").fetchall() == [(1,)]
    loading.join(60)
    assert done == [True]
    with read_warehouse() as connection:
        assert connection.execute("SELECT id FROM api.things").fetchall() == [(2,)]


def test_an_append_that_was_killed_halfway_is_not_doubled(
    project: Project, changing: tuple[Api, str]
) -> None:
    """A killed append leaves rows of a load that is not in dlt's loads table."""
    api, url = changing
    document = yaml.safe_load(defs(url))
    [resource] = document["attributes"]["rest_api"]["resources"]
    resource["write_disposition"] = "append"
    del document["attributes"]["assets"], resource["endpoint"]["incremental"]["end_param"]
    resource["endpoint"]["params"] = {"until": "3000"}
    resource["endpoint"]["incremental"]["initial_value"] = "2026-01-01T00:00:00Z"
    things = Things(project, yaml.safe_dump(document))
    api.rows = [row(1, 5, parts=[{"n": 1}])]
    things.load()
    api.rows.append(row(2, 6, parts=[{"n": 2}]))
    things.load()
    # This simulates a second load that was killed before dlt stored the load and its state.
    project.execute(
        """DELETE FROM api._dlt_loads WHERE load_id = (SELECT MAX(load_id) FROM api._dlt_loads);
        DELETE FROM api._dlt_pipeline_state WHERE _dlt_load_id NOT IN (SELECT load_id FROM api._dlt_loads)"""
    )
    api.rows.append(row(3, 7, parts=[{"n": 3}]))
    things.load()
    assert things.rows() == [(1, "a", 5), (2, "a", 6), (3, "a", 7)]
    assert project.query("SELECT n FROM api.things__parts ORDER BY n") == [{"n": n} for n in (1, 2, 3)]


def test_a_run_by_hand_may_look_back(project: Project, changing: tuple[Api, str]) -> None:
    api, url = changing
    things = Things(project, defs(url))
    api.rows = [row(1, 3), row(2, 4), row(3, 5)]
    assert things.run("2026-01-03", "2026-01-05").success
    api.rows = [row(1, 3, "late"), row(2, 4, "late"), row(4, 4, "late"), row(3, 5, "late")]
    result = things.run("2026-01-05", lookback=1)
    assert result.success
    assert things.rows() == [(1, "a", 3), (2, "late", 4), (3, "late", 5), (4, "late", 4)]
    recorded = {
        one.partition: one.step_materialization_data.materialization.metadata[
            "dagster/partition_row_count"
        ].value
        for one in result.get_asset_materialization_events()
    }
    assert recorded == {"2026-01-04": 2, "2026-01-05": 1}
    checked = {
        one.partition
        for one in result.get_asset_check_evaluations()
        if one.check_name == "schema_nullability"
    }
    assert checked == {"2026-01-04", "2026-01-05", None}
    statuses = project.instance.get_status_by_partition(
        dg.AssetKey(["api", "things"]), [f"2026-01-0{day}" for day in range(1, 7)], partitions()
    )
    assert {key for key, status in (statuses or {}).items() if status} == {
        f"2026-01-0{day}" for day in (3, 4, 5)
    }
    api.rows = []
    assert things.metadata("2026-01-01")["partitions_in_run"] == 1
    assert things.run("2026-01-02", lookback=1000).success, "there is no partition before the first"


def partitions() -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition("2026-01-01")


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("strategy", ["cdc", "scd2"])
def test_strategies_that_retire_rows_leave_other_windows_alone(
    project: Project, changing: tuple[Api, str], strategy: str
) -> None:
    api, url = changing
    things = Things(project, defs_with(url, strategy, merge_key="on"))
    api.rows = [row(1, 5, on=5), row(2, 5, on=5), row(3, 6, on=6)]
    things.load("2026-01-05")
    things.load("2026-01-06")
    api.rows = [row(1, 5, "b", on=5), row(3, 6, on=6)]
    things.load("2026-01-05")
    valid = "WHERE _dlt_valid_to IS NULL" if strategy == "scd2" else ""
    assert project.query(f"SELECT id, name FROM api.things {valid} ORDER BY id") == [
        {"id": 1, "name": "b"},
        {"id": 3, "name": "a"},
    ]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("strategy", ["upsert", "insert-only"])
def test_a_key_that_comes_twice_is_refused_where_dlt_would_load_both(
    project: Project, changing: tuple[Api, str], strategy: str
) -> None:
    api, url = changing
    things = Things(project, defs_with(url, strategy))
    api.rows = [row(1, 5), row(2, 5)]
    things.load("2026-01-05")
    api.rows = [row(1, 5), row(1, 5, "b"), row(3, 5), row(3, 5)]
    assert metadata_of(failure_of(things.run("2026-01-05"))) >= {
        ("code", "duplicate_keys"),
        ("keys", 2),
        ("examples", "1; 3"),
        ("strategy", strategy),
    }
    assert things.rows() == [(1, "a", 5), (2, "a", 5)]


@pytest.mark.parametrize("days", [["2026-01-05"], ["2026-01-05", "2026-01-06"]], ids=["one", "range"])
def test_a_check_that_blocks_fails_the_run_of_one_partition_as_that_of_many(
    project: Project, changing: tuple[Api, str], days: list[str]
) -> None:
    api, url = changing
    checks = {"schema_nullability": {"blocking": True}}
    api.rows = [row(1, 5), {**row(2, 5), "name": None}]
    result = Things(project, defs(url, checks=checks)).run(*days)
    assert not check_of(result).passed
    assert not result.success


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("strategy", ["insert-only", "upsert"])
def test_another_strategy_holds_from_the_next_run_on(
    project: Project, changing: tuple[Api, str], strategy: str
) -> None:
    """dlt would use the old strategy, and rows that it left unchanged would look as if they were gone."""
    api, url = changing
    api.rows = [row(1, 5), row(2, 6)]
    assert Things(project, defs_with(url, strategy)).run("2026-01-05", "2026-01-06").success
    api.rows = [row(1, 5, "b"), row(2, 6, "b")]
    things = Things(project, defs(url, max_removed="10%"))
    things.load("2026-01-05")
    assert things.rows() == [(1, "b", 5), (2, "a", 6)]


def test_a_hint_that_is_removed_from_the_file_is_gone(project: Project, changing: tuple[Api, str]) -> None:
    api, url = changing
    document = yaml.safe_load(defs(url))
    [resource] = document["attributes"]["rest_api"]["resources"]
    resource["columns"]["gone"] = {"data_type": "bool", "hard_delete": True}
    api.rows = [row(1, 5, gone=False), row(2, 5, gone=True)]
    assert Things(project, yaml.safe_dump(document)).run("2026-01-05").success
    assert [one["id"] for one in project.query("SELECT id FROM api.things")] == [1]
    del resource["columns"]["gone"]["hard_delete"]
    assert Things(project, yaml.safe_dump(document)).run("2026-01-05").success
    assert [one["id"] for one in project.query("SELECT id FROM api.things ORDER BY id")] == [1, 2]


def test_a_row_that_has_become_bad_is_not_gone(project: Project, changing: tuple[Api, str]) -> None:
    api, url = changing
    things = Things(project, defs(url, max_removed="20%", max_quarantined="100%"))
    api.rows = [row(number, 5) for number in range(1, 6)]
    things.load("2026-01-05")
    api.rows = [{**one, "name": None} if one["id"] > 2 else one for one in api.rows]
    recorded = things.metadata("2026-01-05")
    assert (recorded["rows_quarantined"], recorded["rows_removed"]) == (3, 0)
    assert [one for one, *_ in things.rows()] == [1, 2]
    assert [one["id"] for one in project.query("SELECT key__id AS id FROM api.things__quarantine")] == [
        3,
        4,
        5,
    ]


def test_a_large_drop_that_is_refused_again_and_again_heaps_up_nothing(
    project: Project, changing: tuple[Api, str]
) -> None:
    api, url = changing
    things = Things(project, defs(url, max_removed="20%"))
    api.rows = [row(number, 5) for number in range(1, 6)]
    things.load("2026-01-05")
    api.rows = [row(4, 5), row(5, 5), {**row(6, 5), "name": None}]
    for _ in range(3):
        assert "3 of the 5 rows of 2026-01-05 are gone" in str(
            failure_of(things.run("2026-01-05")).description
        )
        assert project.query("SELECT key__id AS id FROM api.things__quarantine") == [{"id": 6}]
        assert len(things.rows()) == 5


def test_the_query_of_a_check_shows_the_rows_of_its_partition(
    project: Project, changing: tuple[Api, str]
) -> None:
    api, url = changing
    things = Things(project, defs(url))
    for day in (5, 6):
        api.rows += [row(day, day), row(10 + day, day), {**row(20 + day, day), "name": None}]
    result = things.run("2026-01-05", "2026-01-06")
    assert queried(project, check_of(result)) == [2]
    for partition in ("2026-01-05", "2026-01-06"):
        assert queried(project, check_of(result, partition=partition)) == [1]
        assert queried(project, check_of(things.run(partition))) == [1]
    project.execute("INSERT INTO api.things SELECT * FROM api.things WHERE id IN (5, 6)")
    project.execute("UPDATE api.things SET name = NULL WHERE id > 10")
    result = project.run(things.definitions, "things", checks_only=True, source="api")
    assert queried(project, check_of(result, "primary_key_unique")) == [4]
    assert queried(project, check_of(result)) == [2, 2]


def queried(project: Project, evaluation: dg.AssetCheckEvaluation) -> list[int]:
    """The rows that each query of a check returns."""
    text = str(evaluation.metadata["query"].value)
    return [
        len(project.query(one.strip(" \n`").removeprefix("sql")))
        for one in text.split(";")
        if one.strip(" \n`")
    ]


def test_the_latest_materialization_is_of_the_requested_partition(
    project: Project, changing: tuple[Api, str]
) -> None:
    api, url = changing
    api.rows = [row(number, number) for number in range(1, 8)]
    assert Things(project, defs(url)).run("2026-01-05", lookback=3).success
    key = dg.AssetKey(["api", "things"])
    recorded = [one.partition_key for one in project.instance.fetch_materializations(key, limit=9).records]
    assert recorded == ["2026-01-05", "2026-01-04", "2026-01-03", "2026-01-02"], "newest first"

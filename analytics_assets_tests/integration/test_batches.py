"""A run of many partitions commits batch by batch. What it has loaded stays, and is materialized at once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from analytics_assets import RestApiSync
from analytics_assets.ingestion.plan import batch_targets
from analytics_assets.orchestration.alerts.failed_syncs import FailedSyncs
from analytics_assets.orchestration.alerts.finished_runs import FinishedRun
from analytics_assets.orchestration.alerts.run_events import events_of_run
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project, check_of, failure_of
from analytics_assets_tests.integration.test_reconcile import defs, row
from analytics_assets_tests.integration.test_warehouse_file import no_file_above

THINGS = dg.AssetKey(["api", "things"])
DAYS = [f"2026-01-{day:02}" for day in range(1, 13)]
BATCHES = [DAYS[:1], DAYS[1:9], DAYS[9:]]


@dataclass
class Days:
    """An API with three rows on each of twelve days. A test changes its rows and its answers.

    Attributes:
        rows: the rows.
        ranges: the ranges that requests asked for, without repetitions, in order.
        fails_at: the first day of the range that the API refuses; None for no such day.
        look: called with the first day of a range before the API answers.
    """

    rows: list[dict[str, Any]] = field(
        default_factory=lambda: [row(day * 10 + n, day) for day in range(1, 13) for n in range(3)]
    )
    ranges: list[tuple[str, str]] = field(default_factory=list)
    fails_at: str | None = None
    look: Callable[[str], object] = str

    def reply(self, asked: Asked) -> Any:
        since, until = (asked.params[one][:10] for one in ("since", "until"))
        if (since, until) not in self.ranges:
            self.ranges.append((since, until))
            self.look(since)
        if self.fails_at and since <= self.fails_at < until:
            return Reply({"message": "no such report"}, status=400)
        found = [one for one in self.rows if asked.params["since"] <= one["at"] < asked.params["until"]]
        if "offset" in asked.params:
            return {"data": found, "total": len(found)}
        after = int(asked.params.get("after") or 0)
        return {"data": found[after : after + 1], "next": str(after + 1) if after + 1 < len(found) else None}


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Days, str]]:
    """The API. The size of a batch does not depend on the speed of the machine."""
    monkeypatch.setattr(batch_targets, "TARGET_SECONDS", 1e9)
    api = Days()
    with answering(api.reply) as url:
        yield api, url


def loaded(project: Project) -> list[str]:
    found = project.query(
        """SELECT DISTINCT CAST(CAST("at" AS DATE) AS VARCHAR) AS day FROM api.things ORDER BY day"""
    )
    return [one["day"] for one in found]


def materialized(instance: dg.DagsterInstance) -> list[str]:
    """The partitions of all materializations, in the order of the log."""
    records = instance.fetch_materializations(THINGS, limit=100, ascending=True).records
    return [str(one.partition_key) for one in records]


def statuses(instance: dg.DagsterInstance) -> dict[str, list[str]]:
    found = instance.get_status_by_partition(THINGS, DAYS, dg.DailyPartitionsDefinition("2026-01-01")) or {}
    by_status: dict[str, list[str]] = {}
    for day, status in found.items():
        by_status.setdefault(status.value if status else "MISSING", []).append(day)
    return by_status


def test_each_batch_is_in_the_warehouse_and_materialized_before_the_next_is_fetched(
    project: Project, days: tuple[Days, str]
) -> None:
    api, url = days
    definitions = project.definitions(defs(url))
    project.keep_on_disk()  # the thread of the API reads it, too
    seen: list[tuple[str, list[str], list[str]]] = []

    def look(since: str) -> None:
        in_dagster = materialized(project.instance)
        seen.append((since, loaded(project) if in_dagster else [], in_dagster))

    api.look = look
    result = project.run(definitions, "things", DAYS[0], DAYS[-1], source="api")
    assert result.success
    assert [one for one, _, _ in seen] == ["2026-01-01", "2026-01-02", "2026-01-10"]
    assert [in_table for _, in_table, _ in seen] == [[], DAYS[:1], DAYS[:9]]
    assert [in_dagster for _, _, in_dagster in seen] == [[], DAYS[:1], DAYS[:9]]
    assert loaded(project) == materialized(project.instance) == DAYS, "each once"
    pages = {
        one.partition: one.step_materialization_data.materialization.metadata
        for one in result.get_asset_materialization_events()
    }
    assert {day: pages[day]["dagster/partition_row_count"].value for day in DAYS} == dict.fromkeys(DAYS, 3)
    assert [pages[day]["rows_fetched"].value for day in (DAYS[0], DAYS[1], DAYS[9])] == [3, 24, 9]
    assert {pages[day]["partitions_in_run"].value for day in DAYS} == {12}
    for check in ("schema_nullability", "primary_key_unique", "complete"):
        found = [one for one in result.get_asset_check_evaluations() if one.check_name == check]
        assert [one.partition for one in found] == [*DAYS, None]
        assert all(one.passed for one in found)
    assert check_of(result, "complete").description == (
        "All 36 rows that the API has in the range that was asked for were fetched; 36 loaded, 0 in quarantine."
    )


def test_a_failed_run_keeps_what_it_has_loaded_and_says_so(project: Project, days: tuple[Days, str]) -> None:
    api, url = days
    definitions = project.definitions(defs(url))
    api.fails_at = "2026-01-11"
    result = project.run(definitions, "things", DAYS[0], DAYS[-1], source="api")
    failure = failure_of(result)
    assert str(failure.description).endswith(
        ". Kept 9 of 12 partitions, which are loaded. Materialize the rest to go on."
    )
    assert "Kept" not in str(failure.metadata["reason"].value)
    assert loaded(project) == materialized(project.instance) == DAYS[:9]
    assert statuses(project.instance) == {"MATERIALIZED": DAYS[:9], "FAILED": DAYS[9:]}
    api.fails_at = None
    assert project.run(definitions, "things", DAYS[9], DAYS[-1], source="api").success
    assert loaded(project) == materialized(project.instance) == DAYS
    assert statuses(project.instance) == {"MATERIALIZED": DAYS}


def test_a_run_that_fails_at_once_keeps_nothing_and_says_nothing(
    project: Project, days: tuple[Days, str]
) -> None:
    api, url = days
    api.fails_at = DAYS[0]
    result = project.run(project.definitions(defs(url)), "things", DAYS[0], DAYS[-1], source="api")
    assert "Kept" not in str(failure_of(result).description)
    assert materialized(project.instance) == []


def test_a_re_execution_from_failure_asks_only_for_what_is_missing(
    project: Project, days: tuple[Days, str]
) -> None:
    """Two re-executions, one of the other. A re-execution of all asks for all."""
    api, url = days
    here = dg.Definitions(executor=dg.in_process_executor)
    job = dg.Definitions.merge(project.definitions(defs(url)), here).resolve_implicit_global_asset_job_def()
    failed = [project.run(project.definitions(defs(url)), "things", DAYS[0], DAYS[-1], source="api")]
    api.ranges.clear()

    def again(parent: str, *, from_failure: bool) -> dg.DagsterRun:
        tags = {
            "dagster/asset_partition_range_start": DAYS[0],
            "dagster/asset_partition_range_end": DAYS[-1],
            **({"dagster/resume_retry": "true"} if from_failure else {}),
        }
        run = project.instance.create_run_for_job(
            job,
            tags=tags,
            asset_selection=frozenset({THINGS}),
            parent_run_id=parent,
            root_run_id=failed[0].run_id,
        )
        execute_run(InMemoryJob(job), run, project.instance)
        stored = project.instance.get_run_by_id(run.run_id)
        assert stored is not None
        return stored

    assert again(failed[0].run_id, from_failure=True).is_success, "nothing is left to load"
    assert api.ranges == []
    project.instance.wipe_assets([THINGS])
    api.fails_at = "2026-01-11"
    failed = [project.run(project.definitions(defs(url)), "things", DAYS[0], DAYS[-1], source="api")]
    api.ranges.clear()
    second = again(failed[0].run_id, from_failure=True)
    assert second.is_failure
    config = RestApiSync.rendered(yaml.safe_load(defs(url))["attributes"])
    syncs = FailedSyncs(project.instance, config, {THINGS: "things"})
    events = events_of_run(project.instance, second.run_id, {THINGS: "things"})
    [outcome] = syncs.outcomes(FinishedRun(second, 7, 0.0, retried=False), events)
    assert outcome.wrong == {"2026-01-11 to 2026-01-12": 7}, "the run before has loaded the others"
    assert api.ranges == [("2026-01-10", "2026-01-11"), ("2026-01-11", "2026-01-13")]
    api.ranges.clear()
    api.fails_at = None
    assert again(second.run_id, from_failure=True).is_success
    assert api.ranges == [("2026-01-11", "2026-01-12"), ("2026-01-12", "2026-01-13")]
    assert loaded(project) == materialized(project.instance) == DAYS
    api.ranges.clear()
    assert again(second.run_id, from_failure=False).is_success
    assert api.ranges[0] == ("2026-01-01", "2026-01-02")


def test_a_limit_of_pages_loads_all_or_nothing(project: Project, days: tuple[Days, str]) -> None:
    api, url = days
    definitions = project.definitions(defs(url))
    asked = {"max_pages": 1}
    assert project.run(definitions, "things", DAYS[0], DAYS[-1], source="api", asked=asked).success
    assert api.ranges == [("2026-01-01", "2026-01-13")]


def test_a_blocking_check_that_fails_stops_no_later_batch(project: Project, days: tuple[Days, str]) -> None:
    api, url = days
    document = yaml.safe_load(defs(url))
    assets = document["attributes"]["assets"]
    assets["things"] |= {"max_quarantined": "90%", "checks": {"schema_nullability": {"blocking": True}}}
    api.rows[4]["name"] = None
    definitions = project.definitions(yaml.safe_dump(document))
    result = project.run(definitions, "things", DAYS[0], DAYS[-1], source="api")
    assert not result.success
    assert loaded(project) == materialized(project.instance) == DAYS
    found = [one for one in result.get_asset_check_evaluations() if one.check_name == "schema_nullability"]
    assert [one.partition for one in found if not one.passed] == ["2026-01-02", None]


def test_a_failed_check_is_shown_last_where_a_later_batch_fails(
    project: Project, days: tuple[Days, str]
) -> None:
    """The UI shows the last evaluation of a check, which would be that of a good partition."""
    api, url = days
    api.rows[4]["name"] = None
    api.fails_at = "2026-01-11"
    definitions = project.definitions(defs(url, max_quarantined="90%"))
    result = project.run(definitions, "things", DAYS[0], DAYS[-1], source="api")
    found = [one for one in result.get_asset_check_evaluations() if one.check_name == "schema_nullability"]
    assert [(one.partition, one.passed) for one in (found[0], found[-2], found[-1])] == [
        ("2026-01-01", True),
        ("2026-01-09", True),
        (None, False),
    ]
    assert "1 row in quarantine: name is null in 1 row" in str(found[-1].description)
    assert failure_of(result)


def test_what_depends_on_the_asset_runs_in_the_same_run(project: Project, days: tuple[Days, str]) -> None:
    _, url = days
    definitions = project.definitions(defs(url))

    @dg.asset(deps=[THINGS], partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
    def reports() -> None: ...

    both = dg.Definitions.merge(definitions, dg.Definitions([reports]))
    for days_of_run in ((DAYS[0], DAYS[-1]), (DAYS[0], DAYS[0])):
        result = both.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[THINGS, reports.key],
            tags={
                "dagster/asset_partition_range_start": days_of_run[0],
                "dagster/asset_partition_range_end": days_of_run[1],
            },
            instance=project.instance,
        )
        assert result.success
        made = [one.partition for one in result.asset_materializations_for_node("reports")]
        assert (made[0], made[-1]) == days_of_run


def test_the_log_says_how_far_the_run_is(
    project: Project, days: tuple[Days, str], caplog: pytest.LogCaptureFixture
) -> None:
    _, url = days
    with caplog.at_level("INFO", "analytics_assets"):
        assert project.run(project.definitions(defs(url)), "things", DAYS[0], DAYS[-1], source="api").success
    said = re.findall(
        r"things: (\d+ of 12 partitions loaded, \d+ rows), [\d,]+ rows/s(, about)?", caplog.text
    )
    assert said == [
        ("1 of 12 partitions loaded, 3 rows", ", about"),
        ("9 of 12 partitions loaded, 27 rows", ", about"),
        ("12 of 12 partitions loaded, 36 rows", ""),
    ]


def in_ranges(url: str) -> str:
    """The file for an API that pages by a cursor, so that each later batch is read in several ranges."""
    document = yaml.safe_load(defs(url))
    [things] = document["attributes"]["rest_api"]["resources"]
    things["endpoint"]["paginator"] = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}
    return str(yaml.safe_dump(document))


def ranges_of(asked: list[tuple[str, str]], batch: list[str]) -> int:
    """The number of ranges that requests asked for within a batch."""
    return len({one for one in asked if batch[0] <= one[0] <= batch[-1]})


def code_of_last_run(project: Project) -> Any:
    """The code of the failed step of the last run."""
    [run] = project.instance.get_runs(limit=1)
    events = [one.dagster_event for one in project.instance.all_logs(run.run_id)]
    [failed] = [one.step_failure_data for one in events if one and one.is_step_failure]
    assert failed.user_failure_data is not None
    return failed.user_failure_data.metadata["code"].value


_KILLED_RUN = """
import os, signal, sys
from pathlib import Path
import dagster as dg
from analytics_assets import RestApiSync
from analytics_assets.ingestion.plan import batch_targets
from analytics_assets.orchestration.alerts.failed_syncs import FailedSyncs
from analytics_assets.orchestration.alerts.finished_runs import FinishedRun
from analytics_assets.orchestration.alerts.run_events import events_of_run
from analytics_assets.ingestion.warehouse.reconcile import Reconcile
from analytics_assets.orchestration.sync.run_record import RunRecord
from dlt.pipeline.pipeline import Pipeline

where, number, folder, home, first, last = sys.argv[1:]
batch_targets.TARGET_SECONDS = 1e9
owner, name = {
    "extract": (Pipeline, "extract"),
    "normalize": (Pipeline, "normalize"),
    "load": (Pipeline, "load"),
    "merge": (Reconcile, "during"),
    "after the load": (Reconcile, "after"),
    "record": (RunRecord, "batch"),
    "checks": (RunRecord, "_evaluations"),
}[where]
original, calls = getattr(owner, name), []

def dies(*args, **kwargs):
    calls.append(1)
    if len(calls) == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)

setattr(owner, name, dies)
sys.path.insert(0, folder)
job = dg.load_from_defs_folder(path_within_project=Path(folder)).resolve_implicit_global_asset_job_def()
with dg.DagsterInstance.from_config(home) as instance:
    job.execute_in_process(
        asset_selection=[dg.AssetKey(["api", "things"])],
        tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
        instance=instance,
    )
"""


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("text_of", "number"),
    [(in_ranges, 2), (in_ranges, 1), (in_ranges, 3), (defs, 2)],
    ids=["ranges 2", "ranges 1", "ranges 3", "one read 2"],
)
@pytest.mark.parametrize(
    "where", ["extract", "normalize", "load", "merge", "after the load", "record", "checks"]
)
def test_a_run_that_is_killed_keeps_what_is_materialized_and_one_more_run_completes_it(
    project: Project, days: tuple[Days, str], text_of: Callable[[str], str], where: str, number: int
) -> None:
    """What is materialized is in the warehouse. At the kill, the batch may be in the warehouse and not recorded."""
    api, url = days
    definitions = project.definitions(text_of(url))
    project.keep_on_disk()
    run = [where, str(number), str(project.folder), str(project.folder / "home"), DAYS[0], DAYS[-1]]
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED_RUN, *run], cwd=project.folder, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    kept = materialized(project.instance)
    recorded = number if where == "checks" else number - 1
    assert kept == [day for batch in BATCHES[:recorded] for day in batch]
    in_table = loaded(project) if project.database.exists() and kept else kept
    assert in_table[: len(kept)] == kept
    committed = number if where in ("after the load", "record", "checks") else number - 1
    assert len(in_table) <= sum(map(len, BATCHES[:committed]))
    for batch in BATCHES[1 : number - (where == "extract")]:
        assert (ranges_of(api.ranges, batch) > 1) == (text_of is in_ranges)
    api.rows = [one for one in api.rows if one["id"] % 10]
    rest = DAYS[len(kept) :]
    if rest:
        assert project.run(definitions, "things", rest[0], rest[-1], source="api").success
    assert materialized(project.instance) == DAYS
    ids = [one["id"] for one in project.query("SELECT id FROM api.things ORDER BY id")]
    of_kept = [day * 10 for day in range(1, len(kept) + 1)]
    assert ids == sorted([*of_kept, *(one["id"] for one in api.rows)])


@pytest.mark.matrix(keep=0)
@pytest.mark.parametrize("end", ["halt", "kill", "full disk"])
def test_a_run_that_ends_while_ranges_are_read_keeps_the_batches_before(
    project: Project, days: tuple[Days, str], end: str
) -> None:
    """The run ends at the second page of a range of the second batch. Then one more run completes it."""
    api, url = days
    project.keep_on_disk()
    running: list[subprocess.Popen[bytes]] = []
    pages: list[str] = []
    ended = threading.Event()

    def reply(asked: Asked) -> Any:
        pages.append(asked.params["since"])
        if asked.params["until"] <= DAYS[5] or "after" not in asked.params:
            return api.reply(asked)
        ended.set()
        if end == "halt":
            return Reply({}, status=400)
        if end == "kill":
            running[0].kill()
        found = api.reply(asked)
        for one in found["data"] if end == "full disk" else ():
            one["name"] = os.urandom(2_000_000).hex()
        return found

    with answering(reply) as bad:
        definitions = project.definitions(in_ranges(bad))
        if end == "halt":
            failed = project.run(definitions, "things", DAYS[0], DAYS[-1], source="api")
            assert failure_of(failed).metadata["code"].value == "halted"
        else:
            run = ["load", "9", str(project.folder), str(project.folder / "home"), DAYS[0], DAYS[-1]]
            with no_file_above(6_000_000) if end == "full disk" else nullcontext():  # the process inherits it
                running.append(
                    subprocess.Popen(
                        [sys.executable, "-c", _KILLED_RUN, *run], cwd=project.folder, stderr=subprocess.PIPE
                    )
                )
            _, said = running[0].communicate(timeout=120)
            assert running[0].returncode == (-signal.SIGKILL if end == "kill" else 1)
            assert end == "kill" or code_of_last_run(project) == "disk_full", said[-2000:]
    assert ended.is_set()
    assert len({one for one in pages if one > DAYS[1]}) > 1, "in ranges"
    assert materialized(project.instance) == loaded(project) == DAYS[:1]
    rest = project.definitions(in_ranges(url))
    assert project.run(rest, "things", DAYS[1], DAYS[-1], source="api").success
    assert materialized(project.instance) == DAYS
    found = project.query("SELECT id, name FROM api.things ORDER BY id")
    assert found == [{"id": one["id"], "name": one["name"]} for one in api.rows]

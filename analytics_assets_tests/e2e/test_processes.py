"""Several processes on one DuckDB file, the daemon of the UI, and the demo."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from analytics_assets_tests.conftest import DemoApi
from analytics_assets_tests.processes import Home, dagster_dev, finished, launch_backfill
from analytics_assets_tests.truth import table, truth


def test_runs_side_by_side_lose_no_row(home: Home, api: DemoApi) -> None:
    """Runs partitions, a range and full refreshes in parallel, with the README's command."""
    processes = [
        home.materialize("transactions", "--partition", "2026-01-05"),
        home.materialize("transactions", "--partition", "2026-01-06"),
        home.materialize("transactions", "--partition-range", "2026-01-07...2026-01-10"),
        home.materialize("customers"),
        home.materialize("events"),
    ]
    for process in processes:
        finished(process)
    expected = sorted(row["id"] for row in api.rows("transactions", "2026-01-05", "2026-01-11"))
    assert home.ids("transactions") == expected
    assert home.ids("customers") == sorted(row["id"] for row in api.rows("customers"))
    assert home.ids("events") == sorted(row["id"] for row in api.rows("events"))


CHECK = """query ($key: AssetKeyInput!) {
  assetCheckExecutions(assetKey: $key, checkName: "schema_nullability", limit: 25) {
    status evaluation { success description partition targetMaterialization { runId } } } }"""
KEY = {"path": ["analytics_api", "transactions"]}


NULLABILITY = {"assetKey": KEY, "name": "schema_nullability"}


def test_the_ui_materializes_a_partition_a_backfill_and_runs_the_check_alone(
    home: Home, api: DemoApi
) -> None:
    with dagster_dev(home) as ui:
        # One partition, as the Materialize button requests it, with its check.
        run_id = ui.launch([KEY], [NULLABILITY], partition="2026-01-05")
        assert ui.wait_for("end of the run", lambda: ui.run_status(run_id)) == "SUCCESS"
        executions = ui.ask(CHECK, key=KEY)["assetCheckExecutions"]
        assert len(executions) == 1, executions
        checked = executions[0]
        assert checked["evaluation"]["success"]
        assert checked["evaluation"]["targetMaterialization"]["runId"] == run_id

        # A backfill over several partitions.
        days = [f"2026-01-{day:02d}" for day in range(6, 16)]
        done = launch_backfill(ui, KEY["path"], days)
        assert done["status"] == "COMPLETED_SUCCESS"
        assert len(done["runs"]) == 1, "a contiguous range is one run"
        expected = sorted(row["id"] for row in api.rows("transactions", "2026-01-05", "2026-01-16"))
        assert home.ids("transactions") == expected

        # The check alone, as its Execute button requests it.
        alone = ui.launch([], [NULLABILITY])
        assert ui.wait_for("end of the check", lambda: ui.run_status(alone)) == "SUCCESS"
        latest = ui.ask(CHECK, key=KEY)["assetCheckExecutions"][0]["evaluation"]
        assert (
            latest["description"]
            == f"No NULL where none is allowed, in {len(expected)} rows; none in quarantine."
        )
        history = ui.ask(CHECK, key=KEY)["assetCheckExecutions"]
        assert {one["status"] for one in history} == {"SUCCEEDED"}
        assert {one["evaluation"]["partition"] for one in history} == {None, "2026-01-05", *days}


def test_the_demo_prints_what_arrived(home: Home) -> None:
    """The command of `make demo` prints the same table twice, and loads every value of the API."""
    tables = []
    today = datetime.now(UTC).date()
    for _ in range(2):
        process = subprocess.run(
            [sys.executable, "-m", "analytics_assets.demo"],
            cwd=home.folder,
            env=home.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "data/analytics.duckdb" in process.stdout
        assert process.stderr == ""
        rows = re.findall(r"✓ analytics_api/(\w+)\s+([\d,]+)\s+(\S+)\s+5 of 5", process.stdout)
        assert [row[0] for row in rows] == ["customers", "products", "transactions", "events"]
        assert [row[2] for row in rows] == ["-", "-", "7", "-"]
        tables.append(rows)
    assert tables[0] == tables[1]
    api = DemoApi("", today)
    for name in ("customers", "products", "events"):
        assert table(home.database, name) == truth(api.rows(name))
    counts = {row[0]: int(row[1].replace(",", "")) for row in tables[0]}
    assert counts["events"] == len(api.rows("events")), "without its child table's"
    week = f"{today - timedelta(days=7)}"
    assert table(home.database, "transactions") == truth(api.rows("transactions", week, f"{today}"))
    assert datetime.now(UTC).date() == today, "the day ended while the demo ran: once more, please"

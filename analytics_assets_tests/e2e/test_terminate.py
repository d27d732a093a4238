"""A person terminates a run in the UI while the API does not answer."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import DemoApi
from analytics_assets_tests.processes import Home, dagster_dev
from analytics_assets_tests.raw_server import no_room

TERMINATE = """mutation ($id: String!) { terminateRun(runId: $id) { __typename } }"""
EVENTS = """query ($id: ID!) { runOrError(runId: $id) { ... on Run { startTime endTime
  eventConnection { events { __typename ... on MessageEvent { timestamp message } } } } } }"""
PAGINATORS: dict[str, Any] = {
    "offset": {"type": "offset", "limit": 2},
    "cursor": {"type": "cursor", "cursor_path": "next", "cursor_param": "offset"},
}


def defs(url: str, kind: str, **asset: Any) -> str:
    resource = {
        "name": "things",
        "write_disposition": "replace",
        "endpoint": {"path": "/things", "data_selector": "data"},
    }
    attributes = {
        "name": "analytics_api",
        "rest_api": {"client": {"base_url": url, "paginator": PAGINATORS[kind]}, "resources": [resource]},
        "assets": {"things": asset},
    }
    return yaml.safe_dump({"type": "analytics_assets.RestApiSync", "attributes": attributes})


@pytest.mark.parametrize(
    ("kind", "asset"),
    [
        ("offset", {}),
        ("cursor", {"retry_policy": {"max_retries": 2, "delay": 1}}),
    ],
)
def test_a_terminated_run_ends_at_once_and_leaves_nothing(
    tmp_path: Path, api: DemoApi, kind: str, asset: dict[str, Any]
) -> None:
    hangs, until = threading.Event(), threading.Event()

    def reply(asked: Asked) -> Any:
        offset = int(asked.params.get("offset", 0))
        if offset >= 4:
            hangs.set()
            until.wait(120)
        rows = [{"id": one} for one in range(offset, min(offset + 2, 10))]
        return {"data": rows, "total": 10, "next": offset + 2 if offset < 8 else None}

    with answering(reply) as url:
        home = Home(tmp_path, api, defs(url, kind, **asset))
        workdirs = tmp_path / "tmp"
        workdirs.mkdir()
        home.environment["TMPDIR"] = str(workdirs)
        with dagster_dev(home) as ui:
            run_id = ui.launch([{"path": ["analytics_api", "things"]}], [])
            assert hangs.wait(120)
            time.sleep(1)  # the threads wait for the responses
            asked = time.time()
            ui.ask(TERMINATE, id=run_id)
            assert ui.wait_for("end of the run", lambda: ui.run_status(run_id)) == "CANCELED"
            events = ui.ask(EVENTS, id=run_id)["runOrError"]["eventConnection"]["events"]
            kinds = [one["__typename"] for one in events]
            assert "ExecutionStepFailureEvent" in kinds  # Dagster's record of an interrupted step
            ended = next(one for one in events if one["__typename"] == "ExecutionStepFailureEvent")
            took = float(ended["timestamp"]) / 1000 - asked
            assert took < 30, "the API does not answer within two minutes"
            assert not [one for one in workdirs.rglob("*") if "analytics_assets" in one.name]
            until.set()
            again = ui.launch([{"path": ["analytics_api", "things"]}], [])
            assert ui.wait_for("end of the run", lambda: ui.run_status(again)) == "SUCCESS"


def connecting(url: str) -> int:
    """The number of connections to a server on loopback that are not yet made."""
    port = int(url.rsplit(":", 1)[1])
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(state == "02" and int(remote.split(":")[1], 16) == port for _, _, remote, state, *_ in lines)


def test_a_terminated_run_does_not_wait_for_a_connection(tmp_path: Path, api: DemoApi) -> None:
    with no_room() as url:
        home = Home(
            tmp_path,
            api,
            defs(url, "offset").replace("attributes:", "attributes:\n  requests: {connect_timeout: 120}"),
        )
        workdirs = tmp_path / "tmp"
        workdirs.mkdir()
        home.environment["TMPDIR"] = str(workdirs)
        before = connecting(url)
        with dagster_dev(home) as ui:
            run_id = ui.launch([{"path": ["analytics_api", "things"]}], [])
            ui.wait_for("connection", lambda: connecting(url) > before)
            asked = time.time()
            ui.ask(TERMINATE, id=run_id)
            assert ui.wait_for("end of the run", lambda: ui.run_status(run_id), 30) == "CANCELED"
            run = ui.ask(EVENTS, id=run_id)["runOrError"]
            assert run["endTime"] - asked < 2
            assert not [one for one in workdirs.rglob("*") if "analytics_assets" in one.name]


def test_a_terminated_run_in_ranges_keeps_its_batches_and_one_more_run_completes_it(
    tmp_path: Path, api: DemoApi
) -> None:
    """The API hangs in the second batch, whose ranges are in flight together."""
    days = [f"2026-01-{day:02}" for day in range(1, 10)]
    rows = [{"id": n, "at": f"{day}T{n % 24:02}:00:00Z"} for n, day in enumerate(sorted(days * 24))]
    until, lock = threading.Event(), threading.Lock()
    hanging: list[str] = []

    def reply(asked: Asked) -> Any:
        offset = int(asked.params.get("after", 0))
        if asked.params["since"] > days[1] and offset and not until.is_set():
            with lock:
                hanging.append(asked.params["since"])
            until.wait(120)
        found = [one for one in rows if asked.params["since"] <= str(one["at"]) < asked.params["until"]]
        return {
            "data": found[offset : offset + 4],
            "next": str(offset + 4) if offset + 4 < len(found) else None,
        }

    with answering(reply) as url:
        document = yaml.safe_load(defs(url, "cursor", partitions={"type": "daily", "start_date": days[0]}))
        attributes = document["attributes"]
        attributes["rest_api"]["client"]["paginator"]["cursor_param"] = "after"
        [things] = attributes["rest_api"]["resources"]
        things |= {"write_disposition": "merge", "primary_key": "id"}
        things["columns"] = {
            "id": {"data_type": "bigint", "nullable": False},
            "at": {"data_type": "timestamp", "nullable": False},
        }
        things["endpoint"]["incremental"] = {
            "cursor_path": "at",
            "start_param": "since",
            "end_param": "until",
        }
        home = Home(tmp_path, api, yaml.safe_dump(document))
        key = ["analytics_api", "things"]

        def materialized() -> list[str]:
            with dg.DagsterInstance.from_config(home.environment["DAGSTER_HOME"]) as instance:
                records = instance.fetch_materializations(dg.AssetKey(key), limit=50, ascending=True).records
            return [str(one.partition_key) for one in records]

        def run(first: str, last: str) -> str:
            ends = {"asset_partition_range_start": first, "asset_partition_range_end": last}
            return ui.launch([{"path": key}], [], **ends)

        with dagster_dev(home) as ui:
            run_id = run(days[0], days[-1])
            ui.wait_for("ranges in flight", lambda: len(set(hanging)) > 4)
            asked = len(hanging)
            ui.ask(TERMINATE, id=run_id)
            assert ui.wait_for("end of the run", lambda: ui.run_status(run_id)) == "CANCELED"
            assert len(hanging) <= max(asked, 8), "no request follows"
            assert materialized() == days[:1]
            assert home.ids("things") == list(range(24))
            until.set()
            again = run(days[1], days[-1])
            assert ui.wait_for("end of the run", lambda: ui.run_status(again)) == "SUCCESS"
            assert materialized() == days
            assert home.ids("things") == list(range(9 * 24))

"""A person terminates a run in the UI while the API does not answer."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import DemoApi
from analytics_assets_tests.processes import Home, dagster_dev

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

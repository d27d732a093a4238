"""A backfill that the UI launches through the daemon, with one run per partition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import SHIPPED_DEFS, DemoApi
from analytics_assets_tests.processes import Home, dagster_dev, launch_backfill

DAYS = ["2026-01-05", "2026-01-06", "2026-01-07", "2026-01-09"]
BAD = "2026-01-06"


def reply(asked: Asked) -> Any:
    """Returns as many rows as the day of the month. The rows of one day break the contract."""
    day = asked.params["updated_since"][:10]
    rows = [
        {
            "id": int(day[-2:]) * 100 + n,
            "amount": "a lot" if day == BAD else "1.50",
            "updated_at": f"{day}T12:00:00Z",
        }
        for n in range(int(day[-2:]))
    ]
    offset = int(asked.params["offset"])
    return {"data": rows[offset : offset + 100], "total": len(rows)}


def defs_yaml(url: str) -> str:
    document = yaml.safe_load(SHIPPED_DEFS.read_text())
    attributes = document["attributes"]
    [transactions] = [one for one in attributes["rest_api"]["resources"] if one["name"] == "transactions"]
    transactions["columns"] = {
        "id": {"data_type": "bigint", "nullable": False},
        "amount": {"data_type": "decimal", "precision": 18, "scale": 2, "nullable": False},
        "updated_at": {"data_type": "timestamp", "nullable": False},
    }
    attributes["rest_api"]["client"]["base_url"] = url
    attributes["rest_api"]["resources"] = [transactions]
    policy = {"max_partitions_per_run": 1}
    attributes["assets"] = {
        "transactions": {**attributes["assets"]["transactions"], "backfill_policy": policy}
    }
    return yaml.safe_dump(document)


def test_one_bad_partition_fails_alone(tmp_path: Path, api: DemoApi) -> None:
    with answering(reply) as url:
        home = Home(tmp_path, api, defs_yaml(url))
        with dagster_dev(home) as ui:
            done = launch_backfill(ui, ["analytics_api", "transactions"], DAYS)
            statuses = {run: ui.run_status(run) for run in done["runs"]}
    assert done["status"] == "COMPLETED_FAILED"
    assert sorted(map(str, statuses.values())) == ["FAILURE", "SUCCESS", "SUCCESS", "SUCCESS"]
    good = [day for day in DAYS if day != BAD]
    assert home.ids("transactions") == [int(day[-2:]) * 100 + n for day in good for n in range(int(day[-2:]))]
    with dg.DagsterInstance.from_config(home.environment["DAGSTER_HOME"]) as instance:
        records = instance.fetch_materializations(
            dg.AssetKey(["analytics_api", "transactions"]), limit=10
        ).records
        materialized = {record.partition_key: record.asset_materialization for record in records}
        pools = instance.get_concurrency_config().pool_config
    assert sorted(map(str, materialized)) == good
    for day, materialization in materialized.items():
        assert materialization is not None
        assert materialization.metadata["dagster/partition_row_count"].value == int(str(day)[-2:])
        assert materialization.metadata["partitions_in_run"].value == 1
    assert pools.default_pool_limit == 4, "as shipped"

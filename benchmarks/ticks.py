"""Measures a tick of the alert sensors: 50 APIs, of which one has 5,000 failed partitions that are not loaded yet.

Dagster's storage is SQLite, in a new folder. The script prints seconds of CPU and bytes of the cursor.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable
from tempfile import TemporaryDirectory

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.alerts.sensor import failure_sensor

FIRST_DAY = "2012-01-01"
RESOURCE = "orders"


def config_of(number: int) -> SyncConfig:
    return SyncConfig(
        name=f"api_{number}",
        rest_api={
            "client": {"base_url": "http://127.0.0.1:9"},
            "resources": [
                {
                    "name": RESOURCE,
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": RESOURCE,
                        "incremental": {"cursor_path": "updated_at", "start_param": "since"},
                    },
                }
            ],
        },
        assets={RESOURCE: {"partitions": {"type": "daily", "start_date": FIRST_DAY}}},
    )


class Sensor:
    """One alert sensor with its cursor."""

    def __init__(self, instance: dg.DagsterInstance, number: int) -> None:
        self._instance = instance
        config = config_of(number)
        self._sensor = failure_sensor(config, {dg.AssetKey([config.name, RESOURCE]): RESOURCE})
        self.cursor: str | None = None

    def tick(self) -> str:
        """Evaluates one tick, and returns what it reports."""
        context = dg.build_sensor_context(instance=self._instance, cursor=self.cursor)
        data = self._sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return str(data.skip_message)


def cursor_of_0_1_0(days: list[str]) -> str:
    """Returns a cursor that both 0.1.0 and later versions read: each day has failed just now, in a run of its own."""
    failures = {f"{day} to {day}": time.time() for day in days}
    reported = [{"resource": RESOURCE, "reason": f"{RESOURCE}: not JSON", "failures": failures}]
    return json.dumps(
        {"memory": {"circuit_event": -1, "run_failure": 0, "waiting": [], "told": reported}, "outbox": []}
    )


def load(instance: dg.DagsterInstance, days: list[str]) -> None:
    """Records a materialization of each day."""
    key = dg.AssetKey(["api_0", RESOURCE])
    for day in days:
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=day))


@dg.op
def broken() -> None:
    raise ValueError


@dg.job
def another_job() -> None:
    broken()


def cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, default=5_000, help="failed partitions of one API (5,000)")
    parser.add_argument("--apis", type=int, default=50, help="APIs, each with a sensor (50)")
    parser.add_argument("--rounds", type=int, default=5, help="measured ticks (5)")
    asked = parser.parse_args()
    logging.disable()
    definition = dg.DailyPartitionsDefinition(FIRST_DAY)
    days = [*definition.get_partition_keys()[: asked.partitions]]
    with TemporaryDirectory() as home, dg.DagsterInstance.local_temp(home) as instance:
        os.environ.pop("SOURCES__ALERTS", None)
        load(instance, days)
        another_job.execute_in_process(instance=instance, raise_on_error=False)
        sensors = [Sensor(instance, number) for number in range(asked.apis)]
        for sensor in sensors:
            sensor.tick()
        busy = sensors[0]
        busy.cursor = cursor_of_0_1_0(days)
        sys.stdout.write(f"{len(days):,} failed partitions, {asked.apis} APIs, SQLite\n")
        sys.stdout.write(f"first tick after the upgrade     {cpu(busy.tick):8.3f} s\n")
        one = statistics.median(cpu(busy.tick) for _ in range(asked.rounds))
        sys.stdout.write(
            f"tick of the API with failures    {one:8.3f} s, cursor {len(busy.cursor or ''):,} bytes\n"
        )
        idle = statistics.median(cpu(sensors[-1].tick) for _ in range(asked.rounds))
        cursor = len(sensors[-1].cursor or "")
        sys.stdout.write(f"tick of an API without failures  {idle:8.3f} s, cursor {cursor:,} bytes\n")
        every = statistics.median(cpu(lambda: [one.tick() for one in sensors]) for _ in range(asked.rounds))
        sys.stdout.write(f"one tick of each API             {every:8.3f} s\n")
        load(instance, days)
        said = ""

        def last() -> None:
            nonlocal said
            said = busy.tick()

        sys.stdout.write(f"tick after all were loaded       {cpu(last):8.3f} s: {said}\n")


if __name__ == "__main__":
    main()

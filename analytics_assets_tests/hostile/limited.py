"""Runs syncs in a process with a limit of memory and of time, so that a bound that is gone fails only the test."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import resource
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import yaml

from analytics_assets import RestApiSync
from analytics_assets.ingestion.errors import SyncError
from analytics_assets.ingestion.http.circuit_breaker import policy_of
from analytics_assets.ingestion.plan.load_plan import plan_load
from analytics_assets.ingestion.sync import run_sync
from analytics_assets_tests.memory_circuit import MemoryCircuit

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(  # the imports take 4 seconds
    ["analytics_assets_tests.hostile.limited", "sqlalchemy", "dlt.destinations.impl.duckdb.duck"]
)
_MB = 1_000_000
_SLACK = 2000 * _MB
"""The memory that threads, dlt and DuckDB reserve and do not use, for the hard limit."""


@dataclass(frozen=True)
class Outcome:
    """What the last of some syncs did.

    Attributes:
        code: the code of the error; empty for a success; the name of the class for an error that is no `SyncError`.
        text: the text of the error.
        rows: the number of loaded rows.
        quarantined: the number of rows in quarantine.
        requests: the number of requests of the last sync, if it succeeded.
        megabytes: the most memory that the process used, above what it used before.
        seconds: the seconds of all syncs.
    """

    code: str = ""
    text: str = ""
    rows: int = 0
    quarantined: int = 0
    requests: int = 0
    megabytes: float = 0
    seconds: float = 0


def sync_limited(
    folder: Path, defs_yaml: str, *, megabytes: float = 300, seconds: float = 30, syncs: int = 1
) -> Outcome:
    """Syncs the resource `things` in a process of its own, which ends at twice the memory or at the time.

    Args:
        folder: the working directory of the process, which gets the warehouse.
        defs_yaml: the text of the `defs.yaml`.
        megabytes: the memory that the syncs may use.
        seconds: the time after which the process is killed.
        syncs: the number of syncs, one after the other; the first error ends them.
    """
    here, there = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=_sync, args=(there, folder, defs_yaml, megabytes, syncs), daemon=True)
    process.start()
    there.close()
    try:
        outcome = here.recv() if here.poll(seconds) else Outcome("still there", seconds=seconds)
    except EOFError:
        process.join(10)
        outcome = Outcome(f"died with {process.exitcode}")
    process.kill()
    process.join(10)
    assert isinstance(outcome, Outcome)
    return outcome


def _sync(to: Connection, folder: Path, defs_yaml: str, megabytes: float, syncs: int) -> None:
    os.chdir(folder)
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"
    logging.disable(logging.CRITICAL)
    before, begun = _memory("VmRSS"), time.monotonic()
    limit = int(_memory("VmData") + 2 * megabytes * _MB + _SLACK)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    found = Outcome()
    try:
        for _ in range(syncs):
            found = _sync_once(defs_yaml)
    except SyncError as error:
        found = Outcome(error.code, str(error))
    except BaseException as error:  # noqa: BLE001  the process ends here, and the test reports it
        found = Outcome(type(error).__name__, str(error)[:2000])
    used = (_memory("VmHWM") - before) / _MB
    to.send(
        Outcome(
            found.code,
            found.text,
            found.rows,
            found.quarantined,
            found.requests,
            round(used),
            round(time.monotonic() - begun, 1),
        )
    )
    to.close()
    os._exit(0)  # threads of a failed sync may still wait


def _sync_once(defs_yaml: str) -> Outcome:
    config = RestApiSync.rendered(yaml.safe_load(defs_yaml)["attributes"])
    plan = plan_load(config, config.resources["things"])
    result = run_sync(plan, MemoryCircuit(policy_of(config), config.name))
    return Outcome(
        "",
        "",
        result.row_count or 0,
        result.rows_quarantined,
        result.requests.requests,
    )


def _memory(name: str) -> int:
    """A value of the process in bytes: `VmRSS` is in use, `VmHWM` the most so far, `VmData` also what is reserved."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024

"""Syncs in processes of their own, as workers on several machines run them, with one PostgreSQL."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from adbc_driver_manager import dbapi

from analytics_assets.ingestion.errors import SyncError
from analytics_assets.ingestion.sync import run_sync
from analytics_assets_tests.conftest import circuit_of, plan_of

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["analytics_assets_tests.on_postgres.workers"])


@dataclass
class Worker:
    """One sync in a process of its own.

    Attributes:
        process: the process.
        results: receives the number of loaded rows, or the code of the error.
    """

    process: BaseProcess
    results: Connection

    def result(self, seconds: float = 60) -> int | str:
        """Waits for the end, and returns the number of loaded rows, or the code of the error."""
        assert self.results.poll(seconds), "the worker is still there"
        found: int | str = self.results.recv()
        self.process.join(10)
        return found

    def kill(self) -> None:
        """Kills the process, if it is still there."""
        self.process.kill()
        self.process.join(10)


def start(
    folder: Path,
    settings: dict[str, str],
    text: str,
    *partitions: str,
    stops_before_commit: bool = False,
    **options: Any,
) -> Worker:
    """Starts a sync of the resource `things`.

    Args:
        folder: the working directory, of this worker alone.
        settings: environment variables.
        text: the text of the `defs.yaml`.
        partitions: the first and the last partition.
        stops_before_commit: whether the process stops (SIGSTOP) before it commits its first copied file.
        options: the options of the run.
    """
    folder.mkdir(exist_ok=True)
    here, there = _PROCESSES.Pipe(duplex=False)
    arguments = (there, folder, settings, text, partitions, stops_before_commit, options)
    process = _PROCESSES.Process(target=_sync, args=arguments, daemon=True)
    process.start()
    there.close()
    return Worker(process, here)


def _sync(
    to: Connection,
    folder: Path,
    settings: dict[str, str],
    text: str,
    partitions: tuple[str, ...],
    stops_before_commit: bool,
    options: dict[str, Any],
) -> None:
    os.chdir(folder)
    os.environ |= settings
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    logging.disable(logging.CRITICAL)
    if stops_before_commit:
        _stop_before_commit()
    try:
        plan = plan_of(text, "things", *partitions, **options)
        to.send(run_sync(plan, circuit_of(plan), folder.name).rows_loaded)
    except SyncError as error:
        to.send(error.code)
    except BaseException as error:  # noqa: BLE001  the process ends here, and the test reports it
        to.send("".join(traceback.format_exception(error))[-3000:])


def _stop_before_commit() -> None:
    commit = dbapi.Connection.commit

    def stop_once(connection: dbapi.Connection) -> None:
        patch.undo()
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.5)  # the signal reaches each thread a little later
        commit(connection)

    patch = pytest.MonkeyPatch()
    patch.setattr(dbapi.Connection, "commit", stop_once)

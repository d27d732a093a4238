"""Finds the runs that ended since the last poll, by three queries for any number of runs.

A failed run that Dagster will retry is not over: it is read when the retry has begun.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import dagster as dg

from analytics_assets.orchestration.alerts.cursor import IncidentState

_FIRST_POLL_REACH = 3600.0  # the first poll reads runs that ended up to this many seconds ago
# After a run has ended, Dagster needs up to three seconds to store its status, and whether it will retry the run.
_RETRY_DECISION_DELAY = 3.0
_CLOCK_AHEAD = (
    60.0  # an event further in the future is not waited for, because the clock of its machine is wrong
)
_RETRY_PATIENCE = 3600.0  # if no retry has begun after this many seconds, the failure is final
_PAGE = 1000  # the most failures that one query reads to find old failures
_MAX_RUNS = 200  # the most runs of each status that one poll reads

Position = Literal["run_failure", "run_success", "run_canceled"]

_Event = Literal[
    dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_CANCELED
]

_EVENTS: dict[Position, _Event] = {
    "run_failure": dg.DagsterEventType.RUN_FAILURE,
    "run_success": dg.DagsterEventType.RUN_SUCCESS,
    "run_canceled": dg.DagsterEventType.RUN_CANCELED,
}


@dataclass(frozen=True)
class FinishedRun:
    """A run that ended.

    Attributes:
        run: the run.
        storage_id: the storage id of the event that ended the run. Later materializations have larger ids.
        at: the time of the end, in seconds since 1970, but not in the future.
        retried: whether Dagster has retried the failed run.
    """

    run: dg.DagsterRun
    storage_id: int
    at: float
    retried: bool

    @property
    def failed(self) -> bool:
        """Whether the run failed."""
        return self.run.status is dg.DagsterRunStatus.FAILURE


class FinishedRuns:
    """The finished runs of a Dagster instance.

    Args:
        instance: the Dagster instance.
        clock: a function that returns the time in seconds since 1970.
    """

    def __init__(self, instance: dg.DagsterInstance, clock: Callable[[], float]) -> None:
        self._instance = instance
        self._clock = clock

    def poll(
        self, state: IncidentState, statuses: Iterable[Position]
    ) -> tuple[list[FinishedRun], IncidentState]:
        """Returns the runs that ended since the last poll, oldest first, and the new positions.

        Args:
            state: the state after the last poll.
            statuses: the statuses to read. The position of any other status is forgotten.
        """
        ended: dict[str, int] = dict(state.awaiting_retry)
        positions: dict[str, int | None] = dict.fromkeys(_EVENTS)
        for status in statuses:
            position = getattr(state, status)
            positions[status], found = self._ended_since(status, position)
            ended |= found
        awaiting_retry: dict[str, int] = {}
        runs: list[FinishedRun] = []
        for record in self._records(ended):
            run = record.dagster_run
            at = min(record.end_time or self._clock(), self._clock())
            one = FinishedRun(run, ended[run.run_id], at, "dagster/auto_retry_run_id" in run.tags)
            waits = run.is_complete_and_waiting_to_retry and at > self._clock() - _RETRY_PATIENCE
            if waits or not run.is_finished:
                awaiting_retry[run.run_id] = one.storage_id
            else:
                runs.append(one)
        runs.sort(key=lambda one: one.storage_id)
        return runs, state.model_copy(update={**positions, "awaiting_retry": awaiting_retry})

    def last_failures_before(self, moments: Iterable[float]) -> dict[float, int]:
        """Returns the storage id of the last run failure up to each of some times; 0 if there is none.

        Args:
            moments: the times in seconds since 1970. A millisecond more is read, because of rounded times.
        """
        found = {}
        left = sorted(moments)
        while left:
            wanted = dg.RunStatusChangeRecordsFilter(
                event_type=dg.DagsterEventType.RUN_FAILURE, before_timestamp=left[-1] + 0.001
            )
            page = self._instance.fetch_run_status_changes(wanted, limit=_PAGE).records
            failures = [(record.timestamp - 0.001, record.storage_id) for record in page]
            while left and failures:
                if failures[0][0] < left[-1]:
                    found[left.pop()] = failures[0][1]
                else:
                    del failures[0]
            if len(page) < _PAGE:
                break
        return found | dict.fromkeys(left, 0)

    def _last_before(self, status: Position, moment: float) -> int:
        wanted = dg.RunStatusChangeRecordsFilter(event_type=_EVENTS[status], before_timestamp=moment)
        records = self._instance.fetch_run_status_changes(wanted, limit=1).records
        return records[0].storage_id if records else 0

    def _ended_since(self, status: Position, position: int | None) -> tuple[int, dict[str, int]]:
        """Returns the new position, and the storage ids of the events that ended runs, by run id."""
        if position is None:
            position = self._last_before(status, self._clock() - _FIRST_POLL_REACH)
        wanted = dg.RunStatusChangeRecordsFilter(event_type=_EVENTS[status], after_storage_id=position)
        ended: dict[str, int] = {}
        for change in self._instance.fetch_run_status_changes(
            wanted, limit=_MAX_RUNS, ascending=True
        ).records:
            if -_CLOCK_AHEAD < self._clock() - change.timestamp < _RETRY_DECISION_DELAY:
                break
            position = change.storage_id
            ended[change.run_id] = change.storage_id
        return position, ended

    def _records(self, ended: dict[str, int]) -> list[dg.RunRecord]:
        """Returns the records of runs. A run that a person has deleted has none."""
        if not ended:
            return []
        return [*self._instance.get_run_records(dg.RunsFilter(run_ids=[*ended]))]

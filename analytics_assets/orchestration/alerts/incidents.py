"""From Dagster's records to what a person is to be told: an incident once, and once when it is over.

What belongs here: which events and failed runs make an incident, and its words. Nothing is remembered here beyond the
`Memory` that is handed in, and nothing is sent.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.http.circuit_breaker import Circuit, Event, Kind, policy_of, utc
from analytics_assets.orchestration.automation.catch_up import run_partitions
from analytics_assets.orchestration.circuit.event_log import CircuitLog
from analytics_assets.orchestration.sync.run_config import is_dry_run
from analytics_assets.orchestration.translator import CIRCUIT_KEY, SOURCE_KEY

_FIRST_LOOK_BACK = 3600.0  # seconds: what failed longer ago than that, before the first look, is history
_SETTLED_AFTER = 3.0  # seconds from a run's failure until Dagster has written down whether it will be retried
_AT_ONCE = 200  # failed runs in one look; more wait for the next
_TOLD = 100  # failed syncs that are remembered until they are made good; older ones are forgotten

_STEP_EVENTS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.STEP_FAILURE,
}


@dataclass(frozen=True)
class Alert:
    """What a person is told.

    Attributes:
        title: one line.
        facts: by name, in order.
        good: whether it is the end of an incident.
    """

    title: str
    facts: Mapping[str, str]
    good: bool = False

    @property
    def body(self) -> str:
        """The facts, a line each."""
        return "\n".join(f"{name}: {value}" for name, value in self.facts.items())


class Told(BaseModel):
    """A failed sync that no circuit tells of, told and not made good yet.

    Attributes:
        resource: dlt resource name.
        reason: why, as it was told.
        failures: by first and last partition, or "" for an asset without: when it failed, in seconds since 1970.
    """

    resource: str
    reason: str
    failures: dict[str, float]


class Memory(BaseModel):
    """How far the records have been looked at.

    Attributes:
        circuit_event: the last event of the circuit.
        run_failure: the last failure of a run; None before the first look.
        waiting: failed runs that Dagster is about to retry: their retry decides.
        told: failed syncs that were told.
    """

    circuit_event: int | None = None
    run_failure: int | None = None
    waiting: list[str] = Field(default_factory=list)
    told: list[Told] = Field(default_factory=list)


class Incidents:
    """The incidents of one source.

    Args:
        instance: whose records are looked at.
        config: the source.
        clock: seconds since 1970.

    Attributes:
        log: of the circuit.
    """

    def __init__(
        self, instance: dg.DagsterInstance, config: SyncConfig, clock: Callable[[], float] = time.time
    ) -> None:
        self._instance = instance
        self._config = config
        self.log = CircuitLog(instance, config)
        self._clock = clock

    def news(self, memory: Memory) -> Iterator[Alert]:
        """What is new since `memory`, which is brought up to date."""
        yield from self._circuit(memory)
        yield from self._recovered(memory)
        yield from self._failed(memory)

    def _circuit(self, memory: Memory) -> Iterator[Alert]:
        circuit = Circuit(policy_of(self._config))
        events = self.log.events()
        if memory.circuit_event is None:  # of what was before, only what is still so
            now = circuit.after(events)
            memory.circuit_event = now.since.id - 1 if now.since else events[-1].id if events else -1
        for event in events:
            before, circuit = circuit, circuit.after([event])
            if event.id <= memory.circuit_event:
                continue
            memory.circuit_event = event.id
            if event.kind is Kind.NOTE:
                yield Alert(
                    f"{self._config.name}: what was reported on the circuit changes nothing",
                    {
                        "reported": event.reason,
                        "instead": "begin the description with `reset`, or with `open`",
                    },
                )
            elif before.since is None and circuit.since is not None:
                yield self._opened(event, circuit)
            elif before.since is not None and circuit.since is None:
                yield self._closed(before.since, event)

    def _opened(self, event: Event, circuit: Circuit) -> Alert:
        source = self._config.name
        if event.kind is Kind.HELD:
            return Alert(
                f"{source}: opened by hand, no sync asks the API",
                {
                    "source": source,
                    "reason": event.reason or "none given",
                    "next probe": f"none, until the job {source}__circuit_reset has run",
                    **self._run(event.run_id),
                },
            )
        halted = event.cause
        assert halted is not None
        return Alert(
            f"{source}: halted, {halted.reason}",
            {
                "source": source,
                "resource": halted.resource,
                "endpoint": halted.endpoint,
                "status": str(halted.answer),
                "attempts": str(halted.attempts),
                "reason": halted.reason,
                **self._run(event.run_id),
                "next probe": f"after {utc(circuit.until)}" if circuit.until else "none",
                "until then": "no run asks the API",
                "after that": "assets whose schedule is on find out by themselves, and make up for what they missed",
            },
        )

    def _closed(self, since: Event, event: Event) -> Alert:
        minutes = (event.at - since.at) / 60
        back = event.kind is Kind.CLOSED
        return Alert(
            f"{self._config.name}: {'the API is back' if back else 'reset by hand'}, after {minutes:.0f} min",
            {
                "source": self._config.name,
                "closed by": "a probe that was answered" if back else event.reason or "no reason was given",
                "since": utc(since.at),
                **self._run(event.run_id),
            },
            good=True,
        )

    def _failed(self, memory: Memory) -> Iterator[Alert]:
        """Failed syncs that no circuit tells of: a mistake in the config, an answer nobody can read, a bug."""
        for record in self._final_failures(memory):
            run = record.dagster_run
            for resource, reason in self._failed_resources(run):
                span, at = " to ".join(run_partitions(run.tags) or ()), record.end_time or self._clock()
                known = [one for one in memory.told if (one.resource, one.reason) == (resource, reason)]
                if known:
                    known[0].failures[span] = at
                    continue
                memory.told = [*memory.told, Told(resource=resource, reason=reason, failures={span: at})][
                    -_TOLD:
                ]
                facts = {
                    "source": self._config.name,
                    "resource": resource,
                    "reason": reason,
                    **self._run(run.run_id),
                }
                yield Alert(f"{self._config.name}: the sync of {resource} failed", facts)

    def _final_failures(self, memory: Memory) -> Iterator[dg.RunRecord]:
        """Failed runs since the last look, and those whose retry has come to nothing, without those to be retried."""
        if memory.run_failure is None:
            memory.run_failure = self._last_failure_before(self._clock() - _FIRST_LOOK_BACK)
        waiting, memory.waiting = memory.waiting, []
        failed = [*waiting]
        wanted = dg.RunStatusChangeRecordsFilter(
            event_type=dg.DagsterEventType.RUN_FAILURE, after_storage_id=memory.run_failure
        )
        for change in self._instance.fetch_run_status_changes(wanted, limit=_AT_ONCE, ascending=True).records:
            if change.timestamp > self._clock() - _SETTLED_AFTER:
                break
            memory.run_failure = change.storage_id
            failed.append(change.run_id)
        for run_id in failed:
            record = self._instance.get_run_record_by_id(run_id)
            if record is None or record.dagster_run.status is not dg.DagsterRunStatus.FAILURE:
                continue  # deleted
            if record.dagster_run.is_complete_and_waiting_to_retry:
                memory.waiting.append(run_id)
            elif "dagster/auto_retry_run_id" not in record.dagster_run.tags:
                yield record

    def _last_failure_before(self, moment: float) -> int:
        wanted = dg.RunStatusChangeRecordsFilter(
            event_type=dg.DagsterEventType.RUN_FAILURE, before_timestamp=moment
        )
        records = self._instance.fetch_run_status_changes(wanted, limit=1).records
        return records[0].storage_id if records else 0

    def _failed_resources(self, run: dg.DagsterRun) -> Iterator[tuple[str, str]]:
        """The resources of this source that `run` was to sync and did not, with the reason."""
        planned: set[str] = set()
        done: set[str] = set()
        failures = {}
        for record in self._instance.get_records_for_run(run.run_id, of_type=_STEP_EVENTS).records:
            event = record.event_log_entry.dagster_event
            assert event is not None
            if event.is_step_failure and event.step_key:
                failures[event.step_key] = event.step_failure_data
            elif event.asset_key and event.asset_key.path[0] == self._config.name:
                (done if event.is_step_materialization else planned).add(event.asset_key.path[-1])
        for resource in sorted(planned - done):
            if is_dry_run(run, dg.AssetKey([self._config.name, resource])):
                continue  # nothing is missing, and who asked sees it
            failure = failures.get(f"{self._config.name}__{resource}")
            if failure is None:
                yield resource, "the run ended before the sync said why"
                continue
            metadata: Mapping[str, Any] = (
                failure.user_failure_data.metadata if failure.user_failure_data else {}
            )
            if CIRCUIT_KEY in metadata:
                continue
            if SOURCE_KEY in metadata:
                yield resource, str(metadata["reason"].value)
            else:
                error = failure.error
                while error and error.cause:
                    error = error.cause
                # Not its text: it may hold rows.
                yield resource, f"{error.cls_name if error else 'an error'}; its text is in the run's log"

    def _recovered(self, memory: Memory) -> Iterator[Alert]:
        """Failed syncs that were told, and have been made good: each of their partitions."""
        for one in [*memory.told]:
            one.failures = {
                span: at for span, at in one.failures.items() if not self._made_good(one.resource, span, at)
            }
            if one.failures:
                continue
            memory.told.remove(one)
            facts = {
                "source": self._config.name,
                "resource": one.resource,
                "it had failed with": one.reason,
            }
            yield Alert(f"{self._config.name}: {one.resource} is synced again", facts, good=True)

    def _made_good(self, resource: str, span: str, at: float) -> bool:
        """Whether both ends of a span have been loaded since."""
        asset = dg.AssetKey([self._config.name, resource])
        return all(
            self._instance.fetch_materializations(
                dg.AssetRecordsFilter(asset, asset_partitions=[end] if end else None, after_timestamp=at),
                limit=1,
            ).records
            for end in span.split(" to ")
        )

    def _run(self, run_id: str) -> dict[str, str]:
        if not run_id:
            return {}
        run = self._instance.get_run_by_id(run_id)
        partitions = run_partitions(run.tags) if run else None
        window = {"window": " to ".join(dict.fromkeys(partitions))} if partitions else {}
        return {**window, "run": f"{self._config.alerts.dagster_url.rstrip('/')}/runs/{run_id}"}

"""A schedule per asset, and the job it starts, from the asset's cron expression."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from analytics_assets.config.assets import AssetConfig
from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.http.circuit_breaker import Phase
from analytics_assets.orchestration.automation.catch_up import Span, at_once, due_spans, in_runs_of
from analytics_assets.orchestration.circuit.event_log import CircuitLog


@dataclass(frozen=True)
class ScheduledSync:
    """An asset that has a schedule.

    Attributes:
        config: the API.
        resource: dlt resource name.
        key: the asset.
        partitions: its partitions, if any.
    """

    config: SyncConfig
    resource: str
    key: dg.AssetKey
    partitions: dg.TimeWindowPartitionsDefinition | None

    @property
    def asset(self) -> AssetConfig:
        """What the file says of the asset; its `schedule` is set."""
        return self.config.asset(self.resource)

    @property
    def cron(self) -> str:
        """When it ticks, in `timezone`."""
        assert self.asset.schedule is not None
        return self.asset.schedule

    @property
    def timezone(self) -> str:
        """That of the partitions, so that a tick after midnight is one after their midnight; UTC without any."""
        return self.partitions.timezone if self.partitions else "UTC"

    @property
    def job_name(self) -> str:
        """`<source>__<resource>__sync`."""
        return f"{self._name}__sync"

    @cached_property
    def job(self) -> Any:
        """The job that materializes the asset and runs its checks; its type has no public name."""
        return dg.define_asset_job(self.job_name, dg.AssetSelection.assets(self.key))

    @cached_property
    def schedule(self) -> dg.ScheduleDefinition:
        """A schedule on the asset's cron, in the time zone of its partitions, off until it is turned on in the UI.

        For a partitioned asset each tick asks for the last partition that is complete at the tick's time, for the
        `lookback` before it, for those that are not over yet (`end_offset`), and for those of the `catch_up` before it
        that are missing. While the circuit is open it asks for nothing; when the circuit is due to be probed, for one
        run.
        """
        return dg.ScheduleDefinition(
            name=f"{self._name}__schedule",
            job_name=self.job_name,  # the recovery sensor brings the job: Dagster takes an asset job from one only
            cron_schedule=self.cron,
            execution_timezone=self.timezone,
            execution_fn=self._tick,
            description=self._description,
        )

    def is_on(self, instance: dg.DagsterInstance) -> bool:
        """Whether somebody has turned the schedule on."""
        return any(
            state.instigator_name == f"{self._name}__schedule" and state.status.value == "RUNNING"
            for state in instance.all_instigator_state()
        )

    def keys(self) -> Sequence[str]:
        """The partitions that a tick looks at, oldest first."""
        assert self.partitions is not None
        looked_at = max(self.asset.catch_up, self.asset.lookback)
        return self.partitions.get_partition_keys()[-1 - self.partitions.end_offset - looked_at :]

    def due(
        self,
        context: dg.ScheduleEvaluationContext | dg.SensorEvaluationContext,
        keys: Sequence[str],
        moment: datetime,
        always: Collection[str] = (),
    ) -> list[Span]:
        """What is to be asked for of the partitions `keys` at `moment`, in runs as the backfill policy has them."""
        assert self.partitions is not None
        spans = due_spans(
            context, self.key, self.job_name, self.partitions, keys, moment=moment, always=always
        )
        return in_runs_of(self.asset.backfill_policy.max_partitions_per_run, spans, keys)

    def _tick(self, context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        moment, now = context.scheduled_execution_time, time.time()
        circuit = CircuitLog(context.instance, self.config).circuit()
        if circuit.refuses("", now):
            yield dg.SkipReason(f"Not asked for, as {circuit.sentence(self.config.name, now)}.")
        elif self.partitions is None:
            yield dg.RunRequest(run_key=moment.isoformat())
        else:
            yield from self._partitions_due(context, circuit.phase(now))

    def _partitions_due(
        self, context: dg.ScheduleEvaluationContext, phase: Phase
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        assert self.partitions is not None
        moment = context.scheduled_execution_time
        with dg.partition_loading_context(effective_dt=moment):
            keys = self.keys()
        if not keys:
            here = moment.astimezone(ZoneInfo(self.timezone))
            yield dg.SkipReason(f"No partition is complete yet at {here:%Y-%m-%d %H:%M} {self.timezone}.")
            return
        always = keys[-self._newest :]
        spans = self.due(context, keys, moment, always)
        if not spans:
            yield dg.SkipReason(f"{keys[-1]} is queued or running, and nothing before it is missing.")
        elif phase is Phase.DUE:
            spans = spans[:1]
        behind = [span for span in spans if span.last not in always]
        for span in [*at_once(behind), *spans[len(behind) :]]:
            yield span.request(f"{span.first}@{moment.isoformat()}")

    @property
    def _description(self) -> str:
        if self.partitions is None:
            return "A full sync at each tick."
        again = f", the {self.asset.lookback} before it" if self.asset.lookback else ""
        again += ", what is not over yet" if self.partitions.end_offset else ""
        return (
            f"The last complete partition{again}, and what is missing of the {self.asset.catch_up} before it."
        )

    @property
    def _newest(self) -> int:
        """How many partitions a tick asks for in any case: the last complete one, those before and after it."""
        assert self.partitions is not None
        return self.asset.lookback + 1 + self.partitions.end_offset

    @property
    def _name(self) -> str:
        return f"{self.config.name}__{self.resource}"

"""How the syncs of an asset are requested: its job, its schedule, and its automation condition.

The schedule is of the cron expression in the `defs.yaml`. `recovery.py` requests what an outage kept from running.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from zoneinfo import ZoneInfo

import dagster as dg

from analytics_assets.config.assets import AssetConfig
from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.http.breaker_client import describe, read_circuit
from analytics_assets.ingestion.http.circuit_breaker import CircuitState
from analytics_assets.orchestration.automation.catch_up import (
    Candidates,
    EvaluationContext,
    RangeRequest,
    first_requests,
    missing_ranges,
    split_by_policy,
)
from analytics_assets.orchestration.automation.status import is_evaluated, is_running
from analytics_assets.orchestration.circuit.event_log import EventLogCircuit
from analytics_assets.orchestration.dagster_internals import OneAssetJob
from analytics_assets.orchestration.runs import sync_job_name

_MAX_RUNTIME = "dagster/max_runtime"
"""Dagster's run tag for the most seconds of a run."""


@dataclass(frozen=True)
class AutomatedSync:
    """An asset whose syncs Dagster requests.

    Attributes:
        config: the config of the API.
        resource: the dlt resource name.
        key: the asset key.
        partitions: the partitions definition of the asset; None for an unpartitioned asset.
    """

    config: SyncConfig
    resource: str
    key: dg.AssetKey
    partitions: dg.TimeWindowPartitionsDefinition | None

    @cached_property
    def asset(self) -> AssetConfig:
        """The settings of the asset in the `defs.yaml`."""
        return self.config.asset(self.resource)

    @property
    def timezone(self) -> str:
        """The time zone of the schedule: the time zone of the partitions, or else of the file, or UTC."""
        return self.partitions.timezone if self.partitions else self.asset.timezone or "UTC"

    @property
    def job_name(self) -> str:
        """The name of the job, `<source>__<resource>__sync`."""
        return sync_job_name(self.step)

    @cached_property
    def job(self) -> OneAssetJob:
        """The job that materializes the asset and runs its checks."""
        limit = {} if self.asset.max_runtime is None else {_MAX_RUNTIME: str(self.asset.max_runtime)}
        return OneAssetJob.of(self.job_name, self.key, {**self.asset.run_tags, **limit})

    @cached_property
    def schedule(self) -> dg.ScheduleDefinition | None:
        """The schedule of the asset; None without a cron expression.

        A tick of a partitioned asset requests the last complete partition, the `lookback` partitions before it, and the
        partitions that have not ended (`end_offset`). The tick also requests missing partitions among the last
        `catch_up` partitions.
        While the circuit is open, a tick requests no run. While the circuit is half-open, a tick requests one run.
        """
        if self.asset.schedule is None:
            return None
        return dg.ScheduleDefinition(
            name=self._schedule_name,
            job_name=self.job_name,  # only the job's name, because the recovery sensor defines the job
            cron_schedule=self.asset.schedule,
            execution_timezone=self.timezone,
            execution_fn=self._tick,
            description=self._description,
            default_status=self._default_status,
        )

    def is_scheduled(self, instance: dg.DagsterInstance) -> bool:
        """Whether the asset has a schedule that is on."""
        return self.asset.schedule is not None and is_running(
            instance, self._schedule_name, self._default_status
        )

    def has_condition(self, context: EvaluationContext) -> bool:
        """Whether the asset has an automation condition that is evaluated."""
        return is_evaluated(context, self.key)

    def keys(self) -> Sequence[str]:
        """The partition keys that a tick considers, oldest first."""
        assert self.partitions is not None
        before = max(self.asset.catch_up, self.asset.lookback)
        return self.partitions.get_partition_keys()[-1 - self.partitions.end_offset - before :]

    def missing(self, context: EvaluationContext, candidates: Candidates) -> list[RangeRequest]:
        """Returns the missing partitions of a tick, in ranges that the backfill policy allows."""
        assert self.partitions is not None
        ranges = missing_ranges(context, self.key, self.partitions, candidates)
        return split_by_policy(ranges, candidates.keys, self.asset.backfill_policy.max_partitions_per_run)

    def _tick(self, context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        moment, now = context.scheduled_execution_time, time.time()
        store = EventLogCircuit(context.instance, self.config)
        circuit = read_circuit(store, now, by=self._schedule_name)
        state = circuit.state(now)
        if state.refuses(by=""):
            yield dg.SkipReason(f"No run requested: {describe(store, circuit, now)}.")
        elif self.partitions is None:
            yield dg.RunRequest(run_key=moment.isoformat())
        else:
            yield from self._partition_requests(context, state)

    def _partition_requests(
        self, context: dg.ScheduleEvaluationContext, circuit: CircuitState
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
        ranges = self.missing(context, Candidates(keys, moment, always))
        if not ranges:
            yield dg.SkipReason(f"{keys[-1]} is queued or running, and nothing before it is missing.")
        elif circuit.probe_is_free:
            ranges = ranges[:1]
        behind = [one for one in ranges if one.partitions.last not in always]
        for one in [*first_requests(behind), *ranges[len(behind) :]]:
            yield one.run_request(f"{one.partitions.first}@{moment.isoformat()}")

    @property
    def _default_status(self) -> dg.DefaultScheduleStatus:
        return dg.DefaultScheduleStatus[self.asset.default_status.upper()]

    @property
    def _schedule_name(self) -> str:
        return f"{self.step}__schedule"

    @property
    def _description(self) -> str:
        if self.partitions is None:
            return "Requests a full sync at each tick."
        also = f", the {self.asset.lookback} before it" if self.asset.lookback else ""
        also += ", those that are not over yet" if self.partitions.end_offset else ""
        return (
            f"Requests the last complete partition{also}, and those of the {self.asset.catch_up} before it that are "
            "missing."
        )

    @property
    def _newest(self) -> int:
        """The number of partitions that a tick always requests: one, plus `lookback`, plus `end_offset`."""
        assert self.partitions is not None
        return self.asset.lookback + 1 + self.partitions.end_offset

    @property
    def step(self) -> str:
        """The key of the asset's step, `<source>__<resource>`."""
        return f"{self.config.name}__{self.resource}"

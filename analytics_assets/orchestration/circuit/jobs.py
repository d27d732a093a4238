"""The jobs that open and reset a circuit by hand, and the asset check that fails while the circuit is open."""

from collections.abc import Sequence
from typing import Literal

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.http.circuit_breaker import CircuitEventKind
from analytics_assets.orchestration.circuit.event_log import (
    CLOSED_CHECK,
    EventLogCircuit,
    circuit_key,
    closed_check_evaluation,
    reset_job_name,
)


def circuit_jobs(config: SyncConfig) -> Sequence[dg.JobDefinition]:
    """Returns the jobs `<source>__circuit_reset` and `<source>__circuit_open`, which send no request to the API."""
    return _job(config, "reset"), _job(config, "open")


def circuit_check(config: SyncConfig) -> dg.AssetChecksDefinition:
    """Returns the asset check `closed` of `<source>/circuit`.

    The alert sensor also records an evaluation of the check `closed`, after each poll that finds new circuit events.
    """

    @dg.asset_check(
        asset=circuit_key(config.name),
        name=CLOSED_CHECK,
        description=f"Whether runs may ask {config.name}. The sensor {config.name}__sync_failure keeps it up to date.",
    )
    def closed(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        evaluation = closed_check_evaluation(EventLogCircuit(context.instance, config))
        return dg.AssetCheckResult(passed=evaluation.passed, description=evaluation.description)

    return closed


def _job(config: SyncConfig, action: Literal["open", "reset"]) -> dg.JobDefinition:
    source = config.name
    if action == "reset":
        name, kind = reset_job_name(source), CircuitEventKind.RESET
        description = f"Closes the circuit of {source}: the next run asks the API again."
    else:
        name, kind = f"{source}__circuit_open", CircuitEventKind.FORCED_OPEN
        description = f"Opens the circuit of {source}: no run asks the API until the circuit is reset."

    @dg.op(
        name=f"{name}_by_hand",
        description=description,
        config_schema={
            "reason": dg.Field(
                str, default_value="", description="Why. The history of the circuit and the alerts show it."
            )
        },
    )
    def by_hand(context: dg.OpExecutionContext) -> None:
        store = EventLogCircuit(context.instance, config)
        store.append(kind, run_id=context.run.run_id, reason=context.op_config["reason"])
        context.log.info(f"{name}: done. The asset {source}/circuit has the history.")

    @dg.job(name=name, description=description, executor_def=dg.in_process_executor)
    def job() -> None:
        by_hand()

    return job

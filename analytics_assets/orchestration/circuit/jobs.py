"""What a person does about a circuit from the UI: the jobs that open and reset it, and the check that looks."""

from collections.abc import Sequence

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.http.circuit_breaker import Kind
from analytics_assets.orchestration.circuit.event_log import (
    CLOSED_CHECK,
    CircuitLog,
    circuit_key,
    circuit_state,
)


def circuit_jobs(config: SyncConfig) -> Sequence[dg.JobDefinition]:
    """`<source>__circuit_reset` and `<source>__circuit_open`. Neither asks the API anything."""
    name = config.name
    return (
        _job(config, "reset", Kind.RESET, f"Closes the circuit of {name}: the next run asks the API again."),
        _job(
            config, "open", Kind.HELD, f"Opens the circuit of {name}: no run asks the API until it is reset."
        ),
    )


def circuit_check(config: SyncConfig) -> dg.AssetChecksDefinition:
    """The check `closed` of `<source>/circuit`; the alert sensor evaluates it too, when something has happened."""

    @dg.asset_check(
        asset=circuit_key(config.name),
        name=CLOSED_CHECK,
        description=f"Whether runs may ask {config.name}. The sensor {config.name}__sync_failure keeps it up to date.",
    )
    def closed(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        state = circuit_state(CircuitLog(context.instance, config))
        return dg.AssetCheckResult(passed=state.passed, description=state.description)

    return closed


def _job(config: SyncConfig, word: str, kind: Kind, description: str) -> dg.JobDefinition:
    name = f"{config.name}__circuit_{word}"

    @dg.op(
        name=f"{name}_by_hand",
        description=description,
        config_schema={
            "reason": dg.Field(
                str, default_value="", description="Why: told to whoever finds the circuit this way."
            )
        },
    )
    def by_hand(context: dg.OpExecutionContext) -> None:
        log = CircuitLog(context.instance, config)
        log.append(kind, run_id=context.run.run_id, reason=context.op_config["reason"])
        context.log.info(f"{name}: done; the history is in the asset {log.source}/circuit")

    @dg.job(name=name, description=description, executor_def=dg.in_process_executor)
    def job() -> None:
        by_hand()

    return job

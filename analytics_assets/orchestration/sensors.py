"""The sensor that knows a failed sync of ours from any other failed run, and says what happened."""

from collections.abc import Iterator, Mapping

import dagster as dg

from analytics_assets.orchestration.translator import RESOURCE_KEY, SOURCE_KEY

_FACTS = (RESOURCE_KEY, "endpoint", "status", "attempts", "reason")


def failure_sensor(source: str) -> dg.SensorDefinition:
    """A run-failure sensor, on by default, that logs every sync of `source` that failed.

    It looks at the metadata our steps fail with, so runs of other jobs, and runs that died before a step
    started, pass by.
    """

    @dg.run_failure_sensor(
        name=f"{source}__sync_failure",
        description=f"Logs which resource of {source} failed, at which endpoint, with what status.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sync_failure(context: dg.RunFailureSensorContext) -> None:
        for facts in failed_syncs(context, source):
            said = ", ".join(f"{name} {value}" for name, value in facts.items())
            context.log.error(f"Sync of {source} failed in run {context.dagster_run.run_id}: {said}")

    return sync_failure


def failed_syncs(context: dg.RunFailureSensorContext, source: str) -> Iterator[Mapping[str, object]]:
    """Per failed step of a sync of `source` in this run: resource, endpoint, status, attempts, reason."""
    for event in context.get_step_failure_events():
        failure = event.step_failure_data.user_failure_data
        metadata = failure.metadata if failure else {}
        if SOURCE_KEY in metadata and metadata[SOURCE_KEY].value == source:
            yield {
                name.removeprefix("analytics_assets/"): metadata[name].value
                for name in _FACTS
                if name in metadata
            }

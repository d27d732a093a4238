"""Helpers that tick a schedule, read the requested partitions, and create runs and materializations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from analytics_assets_tests.conftest import Project

TRANSACTIONS = dg.AssetKey(["analytics_api", "transactions"])
SCHEDULE = "analytics_api__transactions__schedule"
MORNING = "2026-01-11T02:00"  # the partition of this tick is 2026-01-10


def tick(project: Project, definitions: dg.Definitions, name: str, moment: str) -> Any:
    schedule = next(
        one
        for one in definitions.schedules or ()
        if isinstance(one, dg.ScheduleDefinition) and one.name == name
    )
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime.fromisoformat(moment).replace(tzinfo=UTC),
        repository_def=definitions.get_repository_def(),
        instance=project.instance,
    )
    return schedule.evaluate_tick(context)


def ranges(data: Any) -> list[str]:
    """The partitions of each requested run."""
    found = []
    for request in data.run_requests:
        ends = [request.tags.get(f"dagster/asset_partition_range_{end}", "") for end in ("start", "end")]
        found.append(request.partition_key or "...".join(ends).replace("...", "all", not any(ends)))
    return found


def plan(project: Project, definitions: dg.Definitions, *partitions: str) -> dg.DagsterRun:
    """Creates a run of these partitions that is queued and has not started."""
    tags = {"dagster/partition": partitions[0]}
    if len(partitions) > 1:
        tags = {
            "dagster/asset_partition_range_start": partitions[0],
            "dagster/asset_partition_range_end": partitions[-1],
        }
    job = definitions.resolve_job_def("analytics_api__transactions__sync")
    return project.instance.create_run_for_job(job, tags=tags)


def materialize(project: Project, *days: str) -> None:
    for day in days:
        project.instance.report_runless_asset_event(dg.AssetMaterialization(TRANSACTIONS, partition=day))

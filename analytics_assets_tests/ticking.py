"""A tick of a schedule, and what it asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from analytics_assets_tests.conftest import Project


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


def spans(data: Any) -> list[str]:
    """The partitions that were asked for, a run each."""
    found = []
    for request in data.run_requests:
        ends = [request.tags.get(f"dagster/asset_partition_range_{end}", "") for end in ("start", "end")]
        found.append(request.partition_key or "...".join(ends).replace("...", "all", not any(ends)))
    return found

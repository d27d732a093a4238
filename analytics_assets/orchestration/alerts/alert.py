"""An alert: a title and details, for the log and the channels."""

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.runs import run_partitions


@dataclass(frozen=True)
class Alert:
    """One message to people.

    Attributes:
        title: one line.
        details: by name, in order.
        good: whether it ends an incident.
    """

    title: str
    details: Mapping[str, str]
    good: bool = False

    @property
    def body(self) -> str:
        """The details, a line each."""
        return "\n".join(f"{name}: {value}" for name, value in self.details.items())

    @property
    def log_line(self) -> str:
        """The alert in one line."""
        return f"{self.title}: {'; '.join(f'{name} {value}' for name, value in self.details.items())}"


def run_details(instance: dg.DagsterInstance, config: SyncConfig, run_id: str) -> dict[str, str]:
    """The window and the link of a run; nothing without a run."""
    if not run_id:
        return {}
    run = instance.get_run_by_id(run_id)
    partitions = run_partitions(run.tags) if run else None
    window = {"window": partitions.label(" to ")} if partitions else {}
    return {**window, "run": f"{config.alerts.dagster_url.rstrip('/')}/runs/{run_id}"}

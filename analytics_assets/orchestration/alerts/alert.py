"""An alert has a title and details, and goes to the log and to the channels."""

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.runs import run_partitions


@dataclass(frozen=True)
class Alert:
    """One message about an incident.

    Attributes:
        title: the title, in one line.
        details: the details by name, in order.
        good: whether the message reports the end of an incident.
    """

    title: str
    details: Mapping[str, str]
    good: bool = False

    @property
    def body(self) -> str:
        """The details, with one line per detail."""
        return "\n".join(f"{name}: {value}" for name, value in self.details.items())

    @property
    def log_line(self) -> str:
        """The title and the details in one line."""
        return f"{self.title}: {'; '.join(f'{name} {value}' for name, value in self.details.items())}"


def run_details(instance: dg.DagsterInstance, config: SyncConfig, run_id: str) -> dict[str, str]:
    """Returns the partitions of a run and the link to the run; empty without a run."""
    if not run_id:
        return {}
    run = instance.get_run_by_id(run_id)
    partitions = run_partitions(run.tags) if run else None
    window = {"window": partitions.label(" to ")} if partitions else {}
    return {**window, "run": f"{config.alerts.dagster_url.rstrip('/')}/runs/{run_id}"}

"""What a check is given, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.time_window import Window
from analytics_assets.ingestion.warehouse.reader import Table
from analytics_assets.orchestration.metadata import Metadata


@dataclass(frozen=True)
class CheckContext:
    """What a check may look at.

    Attributes:
        table: the resource's table, open for reading.
        resource: the resource, as its config declares it.
        window: the partition to look at; None for the whole table, and for a check of the sync.
        previous: metadata of the latest sync before this run; None if there was none.
        current: metadata of the sync of this run; None if the run only checks.
    """

    table: Table
    resource: ResourceInfo
    window: Window | None
    previous: Metadata | None
    current: Metadata | None


@dataclass(frozen=True)
class CheckOutcome:
    """What a check found.

    Attributes:
        passed: whether all is well.
        sentence: what a person reads first.
        metadata: what a person needs to act.
    """

    passed: bool
    sentence: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

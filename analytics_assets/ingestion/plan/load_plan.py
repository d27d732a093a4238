"""What one sync of one resource does: decided once, frozen, and passed down.

What belongs here: every decision that several packages act on. How each is carried out is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from analytics_assets.config.assets import AssetConfig
from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.contract.quarantine import Limit, Quarantine
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.plan.write_mode import WriteMode
from analytics_assets.ingestion.time_window import Window, whole_window


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a person may ask of one run.

    Attributes:
        full_refresh: whether the sync starts from the beginning, and replaces all rows.
        dry_run: whether it only looks at `max_pages`, or one page, and writes nothing.
        max_pages: the most pages it may fetch; None for all there are.
    """

    full_refresh: bool = False
    dry_run: bool = False
    max_pages: int | None = None


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """What one sync of one resource does.

    Attributes:
        config: the API, as the file has it.
        resource: what to load, with its contract.
        windows: the partitions to load, by partition key, in order of time and contiguous; empty for a resource
            without partitions.
        write_mode: what the load does to the rows that are in the table.
        full_refresh: whether all there is replaces what is in the table, and the cursor starts from the beginning.
        dry_run: whether nothing is written.
        max_pages: the most pages to fetch of each resource; None for all.
        max_quarantined: how many rows may break the contract.
        max_removed: how many rows of a partition may be gone from the API; None for any number.
    """

    config: SyncConfig
    resource: ResourceInfo
    windows: Mapping[str, Window]
    write_mode: WriteMode
    full_refresh: bool
    dry_run: bool
    max_pages: int | None
    max_quarantined: Limit
    max_removed: Limit | None

    @property
    def asset(self) -> AssetConfig:
        """What the file says about the resource for Dagster."""
        return self.config.asset(self.resource.name)

    @property
    def window(self) -> Window | None:
        """All windows as one; None without any."""
        return whole_window(self.windows)

    @property
    def replaces_windows(self) -> bool:
        """Whether the load leaves in its windows what it has read, and nothing else."""
        return bool(self.windows) and self.write_mode is WriteMode.MERGE

    @property
    def reads_everything(self) -> bool:
        """Whether the sync reads all rows that the API has."""
        return self.full_refresh or self.resource.cursor is None or self.write_mode is WriteMode.REPLACE

    def new_quarantine(self) -> Quarantine:
        """An empty quarantine for one attempt of this sync."""
        return Quarantine(
            self.resource.name,
            self.resource.table,
            self.resource.contract,
            self.resource.cursor,
            self.windows,
            self.max_quarantined,
            halts=not self.dry_run,
        )


def plan_load(
    config: SyncConfig,
    resource: ResourceInfo,
    windows: Mapping[str, Window] | None = None,
    options: RunOptions | None = None,
) -> LoadPlan:
    """Decides what one sync does.

    Args:
        config: the API.
        resource: the resource, as `describe` gives it.
        windows: the partitions to load, by partition key, in order of time and contiguous.
        options: what a person asks of this run.
    """
    options, asset = options or RunOptions(), config.asset(resource.name)
    return LoadPlan(
        config=config,
        resource=resource,
        windows=MappingProxyType(dict(windows or {})),
        write_mode=_refresh_mode(resource) if options.full_refresh else resource.write_mode,
        full_refresh=options.full_refresh,
        dry_run=options.dry_run,
        max_pages=options.max_pages,
        max_quarantined=Limit.parse(asset.max_quarantined),
        max_removed=None if asset.max_removed is None else Limit.parse(asset.max_removed),
    )


def _refresh_mode(resource: ResourceInfo) -> WriteMode:
    """How all rows are replaced: by a merge where rows have a key, and otherwise by a table in place of the old one."""
    mergeable = resource.has_key and resource.write_mode is WriteMode.MERGE
    return WriteMode.MERGE if mergeable else WriteMode.REPLACE

"""The plan of one sync of one resource. Each run makes one plan, and nothing changes the plan afterwards.

What belongs here: each choice about a sync, if several packages need the choice. What does not belong here: the code
that carries out a choice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Self

from analytics_assets.config.assets import AssetConfig
from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.contract.quarantine import Limit, Quarantine
from analytics_assets.ingestion.plan.range_limits import RangeLimits
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.plan.write_mode import WriteMode
from analytics_assets.ingestion.time_window import Window, groups, halves, whole_window

MOST_ASKED = 1.5
"""How much longer the range of a request may be than the range that is wanted. The rows between come twice."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options that a user may set for one run.

    Attributes:
        full_refresh: whether the sync starts without a cursor value, and replaces all rows.
        dry_run: whether the sync only reads `max_pages` pages, or one page, and writes nothing.
        max_pages: the most pages that the sync may fetch; None for no limit.
    """

    full_refresh: bool = False
    dry_run: bool = False
    max_pages: int | None = None


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """The plan of one sync of one resource.

    Attributes:
        config: the config of the API, from its `defs.yaml`.
        resource: the resource to load, with its contract.
        windows: the windows of the partitions to load, by partition key, contiguous and in order of time; empty for a
            resource without partitions.
        write_mode: how the load changes the rows in the table.
        full_refresh: whether the load replaces all rows in the table, and the cursor starts without a value.
        dry_run: whether the sync writes nothing.
        max_pages: the most pages to fetch of each resource; None for no limit.
        max_quarantined: the most rows that may break the contract.
        max_removed: the most rows of a partition that the load may remove; None for no limit.
        limits: what is known about the ranges that the API answers.
        most_ranges: the most ranges that are read side by side, where paging by cursor or link is sequential.
        partitions: the windows of whole partitions, if `windows` has a part of a partition; otherwise empty.
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
    limits: RangeLimits
    most_ranges: int = 1
    partitions: Mapping[str, Window] = field(default_factory=dict)

    @property
    def asset(self) -> AssetConfig:
        """The Dagster settings of the resource, from `assets.<resource>` in the `defs.yaml`."""
        return self.config.asset(self.resource.name)

    @property
    def window(self) -> Window | None:
        """One window that spans the windows of all partitions; None for a sync without partitions."""
        return whole_window(self.windows)

    @property
    def pages_of_dry_run(self) -> int:
        """The most pages that a dry run reads of each resource."""
        return self.max_pages or 1

    @property
    def replaces_windows(self) -> bool:
        """Whether, after the load, the table has exactly the rows of this sync in the windows of the partitions."""
        return bool(self.windows) and self.write_mode is WriteMode.MERGE

    @property
    def reads_everything(self) -> bool:
        """Whether the sync reads all rows of the API."""
        return self.full_refresh or self.resource.cursor is None or self.write_mode is WriteMode.REPLACE

    @property
    def commits_in_order(self) -> bool:
        """Whether the sync may end after some rows, so that they are loaded before the next are fetched.

        The request has to ask for the rows from the stored cursor on. A few rows come twice, so only a merge will do.
        """
        resource = self.resource
        continues = (
            resource.continues_in_order
            and resource.filter is not None
            and resource.filter_params.follows_cursor
        )
        merges = self.write_mode is WriteMode.MERGE and self.keeps_each_key and not self.full_refresh
        return continues and merges and not self.windows and not self.dry_run and self.max_pages is None

    @property
    def keeps_each_key(self) -> bool:
        """Whether, after the load, the table has one row of this load for each key, or each row without a key.

        The strategies `insert-only`, `scd2` and `cdc`, and rows that are marked as deleted, leave rows out.
        """
        return self.resource.keeps_each_key and self.write_mode is not WriteMode.SKIP

    def batch(self, partitions: Sequence[str], most_ranges: int = 1) -> Self:
        """The plan of a batch: the same sync, with the windows of consecutive partitions.

        Args:
            partitions: the keys of some partitions of this plan, in order of time.
            most_ranges: the most ranges to read side by side.
        """
        windows = MappingProxyType({key: self.windows[key] for key in partitions})
        return replace(self, windows=windows, most_ranges=min(most_ranges, len(windows)))

    @property
    def ranges(self) -> Sequence[Window]:
        """The ranges of time to read side by side; one or none if there is one read for all.

        Each range begins and ends with a partition. The API has to return only the rows of a range, and some more.
        """
        windows, api_filter = [*self.windows.values()], self.resource.filter
        count = self.most_ranges
        params = self.resource.filter_params
        if api_filter is None or not (params.start and params.end) or not self.resource.has_ranges:
            return windows[:0]
        while count > 1:
            found = groups(windows, count)
            if all(api_filter.asked(one).length <= MOST_ASKED * one.length for one in found):
                return found
            count //= 2
        return windows[:0]

    def halves(self) -> tuple[Self, Self] | None:
        """Two plans that split the only window of this plan by time.

        Returns:
            The plans, the earlier one first. None if there is no smaller range for which the API can be asked.
        """
        cursor, api_filter = self.resource.cursor, self.resource.filter
        if len(self.windows) != 1 or cursor is None or api_filter is None:
            return None
        [(partition, whole)] = self.windows.items()
        found = halves(whole, cursor)
        asked = api_filter.asked(whole)
        if found is None or any(api_filter.asked(half).length >= asked.length for half in found):
            return None
        partitions = self.partitions or self.windows
        first, second = (
            replace(self, windows=MappingProxyType({partition: half}), partitions=partitions)
            for half in found
        )
        return first, second

    @property
    def can_shrink(self) -> bool:
        """Whether less time can be asked for than the time of this plan, in a sync of its own.

        A smaller range of a resource is no smaller range of its parents.
        """
        is_alone = self.resource.parent is None and self.max_pages is None and not self.dry_run
        return is_alone and (len(self.windows) > 1 or self.halves() is not None)

    @property
    def is_too_long(self) -> bool:
        """Whether the API took too long for as long a range, and a smaller one can be asked for."""
        whole, too_long = self.window, self.limits.too_long
        is_long = too_long is not None and whole is not None and whole.length >= too_long
        return is_long and self.can_shrink

    @property
    def locked_windows(self) -> Collection[Window]:
        """The windows whose locks the sync takes. The parts of a partition share its lock."""
        return (self.partitions or self.windows).values()

    def new_quarantine(self, redact: Callable[[str], str] = str) -> Quarantine:
        """An empty quarantine for one attempt of this sync.

        Args:
            redact: a function that replaces the secrets in a text.
        """
        return Quarantine(
            self.resource.name,
            self.resource.table,
            self.resource.contract,
            self.resource.cursor,
            self.windows,
            self.max_quarantined,
            halts=not self.dry_run,
            redact=redact,
        )


def plan_load(
    config: SyncConfig,
    resource: ResourceInfo,
    windows: Mapping[str, Window] | None = None,
    options: RunOptions | None = None,
) -> LoadPlan:
    """Makes the plan of one sync.

    Args:
        config: the config of the API.
        resource: the resource, as `describe` returns it.
        windows: the windows of the partitions to load, by partition key, contiguous and in order of time.
        options: the options that the user sets for this run.
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
        limits=RangeLimits(max_offset=config.requests.max_offset),
    )


def _refresh_mode(resource: ResourceInfo) -> WriteMode:
    """Returns `MERGE` for a full refresh of a resource that merges by a key, and otherwise `REPLACE`."""
    mergeable = resource.has_key and resource.write_mode is WriteMode.MERGE
    return WriteMode.MERGE if mergeable else WriteMode.REPLACE

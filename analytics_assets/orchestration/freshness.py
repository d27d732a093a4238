"""Dagster's freshness policy of an asset, from the keys of the `defs.yaml` or from its schedule."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import dagster as dg

from analytics_assets.config.asset_defaults import FreshnessConfig
from analytics_assets.config.assets import AssetConfig

_TICKS = 64
"""How many ticks of a schedule are compared. Each takes Dagster about two milliseconds."""


def freshness_policy(asset: AssetConfig) -> dg.FreshnessPolicy | None:
    """Builds the freshness policy of an asset; None if any age will do.

    Without a policy in the file, a schedule that is on from the start has one: the asset is overdue after two ticks
    without a load.
    """
    config = asset.freshness
    if config is None:
        if asset.schedule is None or asset.default_status != "running":
            return None
        gap = longest_gap(asset.schedule, _zone(asset))
        return dg.FreshnessPolicy.time_window(fail_window=max(2 * gap, timedelta(minutes=2)))
    return declared_policy(config, _zone(asset))


def declared_policy(config: FreshnessConfig, timezone: str = "UTC") -> dg.FreshnessPolicy:
    """Builds the freshness policy that the file declares.

    Args:
        config: the key `freshness` of an asset.
        timezone: the IANA time zone of a deadline that names none.

    Raises:
        CheckError: Dagster does not accept a time.
    """
    if config.deadline_cron is not None:
        assert config.lower_bound_hours is not None
        return dg.FreshnessPolicy.cron(
            deadline_cron=config.deadline_cron,
            lower_bound_delta=timedelta(hours=config.lower_bound_hours),
            timezone=config.timezone or timezone,
        )
    assert config.fail_after_hours is not None
    warn = config.warn_after_hours
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=config.fail_after_hours),
        warn_window=timedelta(hours=warn) if warn else None,
    )


@lru_cache
def longest_gap(cron: str, timezone: str) -> timedelta:
    """Returns the longest time between two ticks of a cron expression.

    Args:
        cron: a valid cron expression.
        timezone: the IANA time zone of the ticks.
    """
    start = datetime(2000, 1, 1, tzinfo=UTC)
    ticks = dg.TimeWindowPartitionsDefinition(
        start=start, fmt="%Y-%m-%dT%H:%M", cron_schedule=cron, timezone=timezone
    )
    longest, window = timedelta(), ticks.get_first_partition_window()
    for _ in range(_TICKS):
        if window is None:
            break
        longest = max(longest, timedelta(seconds=window.end.timestamp() - window.start.timestamp()))
        window = ticks.get_next_partition_window(window.end)
    return longest


def _zone(asset: AssetConfig) -> str:
    return asset.partitions.timezone if asset.partitions else asset.timezone or "UTC"

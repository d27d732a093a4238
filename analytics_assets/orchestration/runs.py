"""Reads a Dagster run: its assets, its partitions, what it has materialized, and whether the run is a dry run.

This module also defines the keys that mark runs, assets and failures of this project. The module imports no other
module of `orchestration`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import dagster as dg

SOURCE_KEY = "analytics_assets/source"
"""The metadata key for the source, on assets of this project and on failures of a sync."""

RESOURCE_KEY = "analytics_assets/resource"
"""The metadata key for the dlt resource, on assets of this project and on failures of a sync."""

CIRCUIT_KEY = "analytics_assets/circuit"
"""The metadata key of a failure that opened the circuit, or found the circuit open. The same key is a tag of the run.

The value of the tag is the id of the run that failed. A re-execution copies the tags of the earlier run, so the value
shows whether the tag is a copy.
"""

REFUSED_KEY = "analytics_assets/refused"
"""The tag of a run of a backfill that was refused for an option before it did anything: the id of the run."""

NO_RETRY_KEY = "analytics_assets/no_retry"
"""The tag of a run whose retries by Dagster a failure stopped: the id of the run, and what its tag for retries said."""

OPTION_PREFIX = "analytics_assets/"
"""The start of the run tags that set an option of a sync, such as `analytics_assets/dry_run`."""

BACKFILL_TAG = "dagster/backfill"
"""Dagster's tag of the runs of a backfill. Its value is the id of the backfill."""

RESUMES_TAG = "dagster/resume_retry"
"""Dagster's tag of a run that re-executes its parent run from the failure. Its value is `true`."""

_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class PartitionRange:
    """A range of consecutive partitions.

    Attributes:
        first: the first partition key.
        last: the last partition key, which may equal the first.
    """

    first: str
    last: str

    @classmethod
    def of_keys(cls, keys: Sequence[str]) -> Self:
        """Makes a range from consecutive partition keys, which are in order."""
        return cls(keys[0], keys[-1])

    @property
    def is_single(self) -> bool:
        """Whether the range has only one partition."""
        return self.first == self.last

    @property
    def tags(self) -> dict[str, str]:
        """The run tags with which Dagster loads the whole range in one run."""
        return {_RANGE_START: self.first, _RANGE_END: self.last}

    @property
    def key(self) -> str:
        """The range as text `first to last`, for run keys and sensor cursors."""
        return f"{self.first} to {self.last}"

    @classmethod
    def from_key(cls, key: str) -> Self:
        """Parses the text of `PartitionRange.key`."""
        return cls(*key.split(" to "))

    def label(self, between: str) -> str:
        """Returns the first key of a single partition, or the first and last key with a text between them."""
        return self.first if self.is_single else f"{self.first}{between}{self.last}"


def run_partitions(tags: Mapping[str, str]) -> PartitionRange | None:
    """Reads the partitions of a run from its tags; None for a run without partitions."""
    if "dagster/partition" in tags:
        return PartitionRange(tags["dagster/partition"], tags["dagster/partition"])
    first, last = tags.get(_RANGE_START), tags.get(_RANGE_END)
    return PartitionRange(first, last) if first and last else None


def sync_job_name(step: str) -> str:
    """Returns the name of the job of one asset, by the key of its step."""
    return f"{step}__sync"


def is_of(run: dg.DagsterRun, asset: dg.AssetKey, job: str) -> bool:
    """Whether a run loads `asset`: the run selects the asset, or the run executes the asset's job `job`."""
    return asset in run.asset_selection if run.asset_selection else run.job_name == job


def is_dry_run(run: dg.DagsterRun, step: str) -> bool:
    """Whether a run is a dry run of the asset whose step has the key `step`, by its tags or by its run config."""
    if run.tags.get(f"{OPTION_PREFIX}dry_run", "").lower() == "true":
        return True
    ops: Any = run.run_config.get("ops") or {}
    op = ops.get(step) or {}
    return bool((op.get("config") or {}).get("dry_run"))


def loaded_in_run(instance: dg.DagsterInstance, run_id: str, asset: dg.AssetKey) -> set[str]:
    """Returns the keys of the partitions that a run has materialized.

    Args:
        instance: the Dagster instance.
        run_id: the id of the run.
        asset: the key of the asset.
    """
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    events = (record.event_log_entry.dagster_event for record in found)
    return {event.partition for event in events if event and event.asset_key == asset and event.partition}


def loaded_in_resumed_runs(instance: dg.DagsterInstance, run: dg.DagsterRun, asset: dg.AssetKey) -> set[str]:
    """Returns the keys of the partitions that the runs have materialized which a run re-executes from their failure.

    Args:
        instance: the Dagster instance.
        run: the run, which may be no re-execution.
        asset: the key of the asset.
    """
    loaded = set[str]()
    resumed: dg.DagsterRun | None = run
    while resumed and resumed.parent_run_id and resumed.tags.get(RESUMES_TAG) == "true":
        loaded |= loaded_in_run(instance, resumed.parent_run_id, asset)
        resumed = instance.get_run_by_id(resumed.parent_run_id)
    return loaded

"""What a Dagster run says about itself: which asset and partitions it loads, and whether it writes anything.

The lowest module of `orchestration`: it also holds the keys that mark runs, assets and failures as ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import dagster as dg

SOURCE_KEY = "analytics_assets/source"
"""Metadata key of our assets, and of the failure of a sync: the source."""

RESOURCE_KEY = "analytics_assets/resource"
"""Metadata key of our assets, and of the failure of a sync: the dlt resource."""

CIRCUIT_KEY = "analytics_assets/circuit"
"""Metadata key of a failure that opened the circuit, or found it open. The run has it as a tag too.

The tag's value is the id of the run itself, because a re-execution copies the tags of the run before.
"""

_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class PartitionRange:
    """Consecutive partitions of a run.

    Attributes:
        first: partition key.
        last: partition key; may equal the first.
    """

    first: str
    last: str

    @classmethod
    def of_keys(cls, keys: Sequence[str]) -> Self:
        """The range of partition keys that are consecutive and in order."""
        return cls(keys[0], keys[-1])

    @property
    def is_single(self) -> bool:
        """Whether it is one partition."""
        return self.first == self.last

    @property
    def tags(self) -> dict[str, str]:
        """The run tags by which Dagster runs the range as one run."""
        return {_RANGE_START: self.first, _RANGE_END: self.last}

    @property
    def key(self) -> str:
        """`first to last`, as run keys and sensor cursors hold it."""
        return f"{self.first} to {self.last}"

    @classmethod
    def from_key(cls, key: str) -> Self:
        """The range of a `key`."""
        return cls(*key.split(" to "))

    def label(self, between: str) -> str:
        """`first`, or `first` and `last` with a text between them."""
        return self.first if self.is_single else f"{self.first}{between}{self.last}"


def run_partitions(tags: Mapping[str, str]) -> PartitionRange | None:
    """The partitions of a run, by its tags; None for a run without partitions."""
    if "dagster/partition" in tags:
        return PartitionRange(tags["dagster/partition"], tags["dagster/partition"])
    first, last = tags.get(_RANGE_START), tags.get(_RANGE_END)
    return PartitionRange(first, last) if first and last else None


def is_of(run: dg.DagsterRun, asset: dg.AssetKey, job: str) -> bool:
    """Whether a run loads `asset`: a run of its job `job`, or one that a person or a backfill launched."""
    return run.job_name == job if run.asset_selection is None else asset in run.asset_selection


def is_dry_run(run: dg.DagsterRun, asset: dg.AssetKey) -> bool:
    """Whether a run reads rows for `asset` and writes none."""
    ops: Any = run.run_config.get("ops") or {}
    op = ops.get("__".join(asset.path)) or {}
    return bool((op.get("config") or {}).get("dry_run"))

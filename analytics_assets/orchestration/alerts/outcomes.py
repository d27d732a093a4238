"""What a finished run says about one incident: that it goes on, or that parts of it are over."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import dagster as dg

from analytics_assets.orchestration.alerts.cursor import Kind

WHOLE_ASSET = ""
"""The part that stands for an asset without partitions, and for the whole table."""

ALL_CHECKS = ""
"""The reason of a `failed_check` of an asset whose checks could not be executed."""


@dataclass(frozen=True)
class Outcome:
    """What one run says about one incident.

    Attributes:
        kind: the kind of the incident.
        asset: the asset key.
        reason: the reason of a failed sync or the name of a check; empty for a quarantine, and `ALL_CHECKS`
            for checks that could not be executed. With `kind` and `asset` it
            names the incident.
        run_id: the id of the run.
        at: the time when the run ended, in seconds since 1970.
        storage_id: the storage id of the event that ended the run.
        wrong: the parts that are wrong. A value is the storage id, or the number of rows in quarantine.
        right: the parts that are right again.
        all_right: whether every part is right again.
        details: the details for the alert, by name.
    """

    kind: Kind
    asset: dg.AssetKey
    reason: str
    run_id: str
    at: float
    storage_id: int
    wrong: Mapping[str, int] = field(default_factory=dict)
    right: frozenset[str] = frozenset()
    all_right: bool = False
    details: Mapping[str, str] = field(default_factory=dict)

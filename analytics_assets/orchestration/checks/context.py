"""The types of the input and of the result of a check function."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import dagster as dg

from analytics_assets.ingestion.errors import shown
from analytics_assets.ingestion.errors.shown import MOST_NAMES
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.time_window import Window
from analytics_assets.ingestion.warehouse.reader import Table
from analytics_assets.orchestration.metadata import Metadata

_LONGEST_SENTENCE = 4000


@dataclass(frozen=True)
class CheckContext:
    """The input of a check function.

    Attributes:
        table: the resource's table, open for reading.
        resource: the facts about the resource from its config.
        window: the window of the partition to check; None for the whole table, and for a check of scope `PER_SYNC`.
        previous: the metadata of the latest sync before this run; None if there was no sync.
        current: the metadata of the sync of this run; None if the run only checks.
        lost_partitions: the partitions, without those of this run, whose rows went with a dropped table.
        reported_by_hand: whether a person reported the latest materialization before this run, so that no sync made it.
    """

    table: Table
    resource: ResourceInfo
    window: Window | None
    previous: Metadata | None
    current: Metadata | None
    lost_partitions: tuple[str, ...] = ()
    reported_by_hand: bool = False


@dataclass(frozen=True)
class CheckOutcome:
    """The result of a check function.

    Attributes:
        passed: whether the check passes.
        sentence: the description of the evaluation in the UI.
        metadata: the metadata of the evaluation, such as counts, primary keys and a query.
        is_warning: whether a failure is only a warning, whatever the severity of the check is.
    """

    passed: bool
    sentence: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_warning: bool = False

    def __post_init__(self) -> None:
        """Cuts and escapes the sentence, which may have names and primary keys of the API."""
        object.__setattr__(self, "sentence", shown(self.sentence, _LONGEST_SENTENCE))


def records(rows: Iterable[Mapping[str, str | int]]) -> dg.TableMetadataValue:
    """Returns a table for the metadata of an outcome, with its first rows."""
    first = islice(rows, MOST_NAMES)
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord(
                {name: shown(one, 500) if isinstance(one, str) else one for name, one in row.items()}
            )
            for row in first
        ]
    )

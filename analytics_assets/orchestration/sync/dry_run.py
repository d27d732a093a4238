"""The Dagster record of a dry run: an observation of the asset.

The log of the Dagster run also gets the description of the observation.
"""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from analytics_assets.ingestion.dry_run import DryRunResult
from analytics_assets.ingestion.errors import counted, names_shown
from analytics_assets.ingestion.errors.shown import MOST_NAMES
from analytics_assets.ingestion.time_window import Window
from analytics_assets.orchestration.metadata import (
    DECLARED_BUT_NOT_SENT,
    DRY_RUN,
    MAX_QUARANTINED,
    MAX_QUARANTINED_EXCEEDED,
    PARTITIONS,
    REASONS,
    ROWS_READ,
    ROWS_TO_LOAD,
    ROWS_TO_QUARANTINE,
    UNDECLARED_FIELDS,
    without_secrets,
)


def observation(
    key: dg.AssetKey, found: DryRunResult, windows: Mapping[str, Window], redact: Callable[[str], str]
) -> dg.AssetObservation:
    """Builds the observation of a dry run.

    Args:
        key: the asset key.
        found: the result of the dry run.
        windows: the windows of the run's partitions, by partition key.
        redact: a function that replaces the secrets in a text.
    """
    metadata: dict[str, Any] = {
        DRY_RUN: True,
        ROWS_READ: found.read,
        ROWS_TO_LOAD: found.loading,
        ROWS_TO_QUARANTINE: found.quarantined,
        REASONS: list(found.reasons),
        MAX_QUARANTINED: str(found.limit),
        MAX_QUARANTINED_EXCEEDED: found.too_many,
        UNDECLARED_FIELDS: {name: found.undeclared[name] for name in sorted(found.undeclared)[:MOST_NAMES]},
        DECLARED_BUT_NOT_SENT: list(found.unsent),
        **found.requests.to_metadata(),
    }
    keys = list(windows)
    if keys:
        metadata[PARTITIONS] = keys[0] if len(keys) == 1 else f"{keys[0]}...{keys[-1]}"
    return dg.AssetObservation(
        asset_key=key,
        partition=keys[0] if len(keys) == 1 else None,
        description=redact(sentence(found)),
        metadata=without_secrets(metadata, redact),
    )


def sentence(found: DryRunResult) -> str:
    """Summarizes a dry run in sentences."""
    parts = [f"{found.loading:,} would load", f"{found.quarantined:,} would go to quarantine"]
    others = found.read - found.loading - found.quarantined
    if others > 0:
        parts.append(f"{others:,} are of another window")
    pages = "the first page" if found.pages == 1 else f"at most {found.pages:,} pages"
    read = f"{counted(found.read, 'row')} of {pages}"
    sentences = [f"Dry run, nothing was written: of {read} {', '.join(parts)}."]
    if found.reasons:
        sentences.append(f"In quarantine: {'; '.join(found.reasons)}.")
    if found.too_many:
        sentences.append(
            f"That is more than max_quarantined ({found.limit}) allows: a sync of these rows would fail."
        )
    if found.undeclared:
        sentences.append(f"Not declared: {', '.join(names_shown(sorted(found.undeclared)))}.")
    if found.unsent:
        sentences.append(f"Declared but not sent: {', '.join(found.unsent)}.")
    return " ".join(sentences)

"""Finds the syncs that a failed run did not load, with the reason, and finds out which of them were loaded since.

What belongs here: incidents of the kind `failed_sync`. A failed dry run is no incident, because the person who launched
it sees the failure. `circuit_alerts.py` reports failures because of the circuit.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.alerts.cursor import Incident, Kind
from analytics_assets.orchestration.alerts.finished_runs import FinishedRun
from analytics_assets.orchestration.alerts.outcomes import WHOLE_ASSET, Outcome
from analytics_assets.orchestration.alerts.run_events import AssetEvents
from analytics_assets.orchestration.partitions import partitions_def
from analytics_assets.orchestration.runs import (
    CIRCUIT_KEY,
    SOURCE_KEY,
    PartitionRange,
    is_dry_run,
    loaded_in_resumed_runs,
    run_partitions,
)

_OF_A_CHECK = "DagsterAssetCheckFailedError"  # a blocking check of the step failed; its evaluation says so
_BETWEEN = " to "


class FailedSyncs:
    """The failed syncs of one source.

    Args:
        instance: the Dagster instance.
        config: the config of the API.
        assets: the dlt resource names, by asset key.
    """

    def __init__(
        self, instance: dg.DagsterInstance, config: SyncConfig, assets: Mapping[dg.AssetKey, str]
    ) -> None:
        self._instance = instance
        self._config = config
        self._assets = assets
        self._loads: dict[dg.AssetKey, Mapping[str, int]] = {}

    def outcomes(self, run: FinishedRun, events: Mapping[dg.AssetKey, AssetEvents]) -> Iterator[Outcome]:
        """Yields an outcome for each asset that a failed run planned to load and did not load, or only in part."""
        for asset, found in events.items():
            if not run.failed or not found.planned or is_dry_run(run.run, found.step):
                continue
            missing = self._missing(run.run, asset, found)
            reason = reason_of_events(found, missing) if missing else None
            if reason is None:
                continue
            yield Outcome(
                Kind.FAILED_SYNC,
                asset,
                reason,
                run.run.run_id,
                run.at,
                run.storage_id,
                wrong=dict.fromkeys(missing, run.storage_id),
            )

    def not_loaded(self, incident: Incident, asset: dg.AssetKey) -> Incident | None:
        """Returns the incident with the parts that no run has loaded since; None if all are loaded."""
        loads = self._latest_loads(asset)
        parts = {
            part: failed
            for part, failed in incident.parts.items()
            if not self._is_loaded(asset, part, failed)
        }
        if not parts:
            return None
        good_since = loads[WHOLE_ASSET] > incident.last_failure
        return incident.model_copy(update={"parts": parts, "good_since": good_since})

    def _missing(self, run: dg.DagsterRun, asset: dg.AssetKey, found: AssetEvents) -> list[str]:
        """Returns the parts that a run was to load and did not load: a range of partitions, or `WHOLE_ASSET`.

        A run with partitions may have an asset without. A run loads its partitions in order of time.
        """
        partitions = run_partitions(run.tags)
        if partitions is None or self._config.asset(self._assets[asset]).partitions is None:
            return [] if found.materialized and found.failure is None else [WHOLE_ASSET]
        keys = self._keys_between(asset, partitions.first, partitions.last)
        loaded = found.materialized | loaded_in_resumed_runs(self._instance, run, asset)
        rest = [key for key in keys if key not in loaded]
        if rest:
            return [PartitionRange.of_keys(rest).label(_BETWEEN)]
        # Everything is loaded, and the step failed later; or the file has other partitions now.
        return [partitions.label(_BETWEEN)] if found.failure or not keys else []

    def _latest_loads(self, asset: dg.AssetKey) -> Mapping[str, int]:
        """Returns the storage id of the latest materialization by partition, and of all as `WHOLE_ASSET`.

        This is at most two queries for an asset, whatever number of partitions has failed.
        """
        if asset not in self._loads:
            latest = self._instance.fetch_materializations(asset, limit=1).records
            loads: dict[str, int] = {}
            if self._config.asset(self._assets[asset]).partitions is not None:
                event = dg.DagsterEventType.ASSET_MATERIALIZATION
                loads |= self._instance.get_latest_storage_id_by_partition(asset, event)
            self._loads[asset] = loads | {WHOLE_ASSET: latest[0].storage_id if latest else 0}
        return self._loads[asset]

    def _is_loaded(self, asset: dg.AssetKey, part: str, failed: int) -> bool:
        """Whether each partition of a part was materialized after the failure with this storage id."""
        loads = self._latest_loads(asset)
        if self._config.asset(self._assets[asset]).partitions is None:
            return loads[WHOLE_ASSET] > failed  # the asset may have had partitions when the sync failed
        first, _, last = part.partition(_BETWEEN)
        if any(loads.get(key, 0) <= failed for key in (first, last or first)):
            return False
        return not last or all(loads.get(key, 0) > failed for key in self._keys_between(asset, first, last))

    def _keys_between(self, asset: dg.AssetKey, first: str, last: str) -> list[str]:
        definition = partitions_def(self._config.asset(self._assets[asset]).partitions)
        if definition is None or not all(map(definition.has_partition_key, (first, last))):
            return []  # since the failure, the partitions in the `defs.yaml` have changed
        return [*definition.get_partition_keys_in_range(dg.PartitionKeyRange(first, last))]


def part_of(partitions: str) -> str:
    """Converts the text of `PartitionRange.key` to a part."""
    return PartitionRange.from_key(partitions).label(_BETWEEN) if partitions else WHOLE_ASSET


def same_reason(one: str, other: str) -> bool:
    """Whether two reasons are the same but for their numbers, such as counts of rows and dates."""
    return re.sub(r"\d+", "0", one) == re.sub(r"\d+", "0", other)


def reason_of_events(found: AssetEvents, missing: Sequence[str] = ()) -> str | None:
    """Returns why an asset was not loaded or checked, or why its step failed later.

    Args:
        found: the events of the asset in the run.
        missing: the parts of the asset that the run was to load and did not load.

    Returns:
        The reason; None if there is nothing to report: no failure, a failure because of the circuit, or a failed check.
    """
    if found.failure is None:
        is_loaded = found.materialized and not missing
        return None if is_loaded else "the run ended before the sync could report a reason"
    if found.failure.error == _OF_A_CHECK or CIRCUIT_KEY in found.failure.metadata:
        return None
    if SOURCE_KEY in found.failure.metadata:
        return str(found.failure.metadata["reason"].value)
    # The reason does not contain the text of the error, because the text may contain rows.
    return f"{found.failure.error}; the log of the run has its text"

"""Reads what the checks of a run say: which checks failed as an error, and which rows are in quarantine.

What belongs here: incidents of the kinds `failed_check` and `quarantine`. A check that only warns is none.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.errors.shown import shown
from analytics_assets.orchestration import metadata as keys
from analytics_assets.orchestration.alerts.cursor import Kind
from analytics_assets.orchestration.alerts.failed_syncs import reason_of_events
from analytics_assets.orchestration.alerts.finished_runs import FinishedRun
from analytics_assets.orchestration.alerts.outcomes import ALL_CHECKS, WHOLE_ASSET, Outcome
from analytics_assets.orchestration.alerts.run_events import AssetEvents
from analytics_assets.orchestration.checks.registry import CHECKS, Scope
from analytics_assets.orchestration.runs import is_dry_run, run_partitions

_LONGEST_RESULT = 1000
_COUNTS_QUARANTINE = "schema_nullability"
"""The check that fails also for rows in quarantine, and counts them."""


class CheckResults:
    """The results of the checks of one source.

    Args:
        config: the config of the API.
        assets: the dlt resource names, by asset key.
    """

    def __init__(self, config: SyncConfig, assets: Mapping[dg.AssetKey, str]) -> None:
        self._config = config
        self._assets = assets

    def outcomes(self, run: FinishedRun, events: Mapping[dg.AssetKey, AssetEvents]) -> Iterator[Outcome]:
        """Yields an outcome for each check that a run executed or failed to execute, and for the quarantine."""
        for asset, found in events.items():
            by_name: dict[str, dict[str | None, dg.AssetCheckEvaluation]] = {}
            for evaluation in found.evaluations:
                by_name.setdefault(evaluation.check_name, {})[evaluation.partition] = evaluation
            for name, evaluations in by_name.items():
                yield self._of_check(run, asset, name, evaluations)
            if _COUNTS_QUARANTINE in by_name:
                yield self._of_quarantine(run, asset, by_name[_COUNTS_QUARANTINE])
            elif found.materialized:
                yield _of_load_without_checks(run, asset, found)
            yield from self._not_executed(run, asset, found)

    def _of_check(
        self,
        run: FinishedRun,
        asset: dg.AssetKey,
        name: str,
        evaluations: Mapping[str | None, dg.AssetCheckEvaluation],
    ) -> Outcome:
        parts = self._parts(run, asset, evaluations, lambda one: run.storage_id if _is_error(one) else 0)
        results = [shown(one.description, _LONGEST_RESULT) for one in evaluations.values() if _is_error(one)]
        details = {"check": name, **({"result": results[-1]} if results else {})}
        return _outcome(Kind.FAILED_CHECK, run, asset, name, **parts, details=details)

    def _of_quarantine(
        self, run: FinishedRun, asset: dg.AssetKey, evaluations: Mapping[str | None, dg.AssetCheckEvaluation]
    ) -> Outcome:
        parts = self._parts(run, asset, evaluations, _rows_in_quarantine)
        results = [
            shown(one.description, _LONGEST_RESULT)
            for one in evaluations.values()
            if _rows_in_quarantine(one)
        ]
        details = {
            "rows": str(sum(parts["wrong"].values())),
            **({"result": results[-1]} if results else {}),
        }
        return _outcome(Kind.QUARANTINE, run, asset, "", **parts, details=details)

    def _parts(
        self,
        run: FinishedRun,
        asset: dg.AssetKey,
        evaluations: Mapping[str | None, dg.AssetCheckEvaluation],
        value: Callable[[dg.AssetCheckEvaluation], int],
    ) -> dict[str, Any]:
        """Returns which parts of an asset are wrong and right.

        A run of several partitions has an evaluation for each partition, and a summary without partition. A check that
        runs alone has only an evaluation of the whole table.

        Args:
            run: the run.
            asset: the asset key.
            evaluations: the evaluations of one check, by partition.
            value: a function that returns 0 if an evaluation is right, or else the value for `Outcome.wrong`.
        """
        values = {partition: value(one) for partition, one in evaluations.items()}
        wrong = {partition: found for partition, found in values.items() if partition and found}
        right = {partition for partition, found in values.items() if partition and not found}
        all_right = False
        if None in values:
            is_summary = len(values) > 1
            partitions = run_partitions(run.run.tags) if is_summary else None
            part = partitions.label(" to ") if partitions else WHOLE_ASSET
            if not values[None]:
                right.add(part)
                all_right = not is_summary and self._judges_whole_table(asset, evaluations[None].check_name)
            elif not wrong:
                wrong[part] = values[None]
        return {"wrong": wrong, "right": frozenset(right), "all_right": all_right}

    def _judges_whole_table(self, asset: dg.AssetKey, check: str) -> bool:
        """Whether an evaluation without partition is about all partitions, and not only about the latest sync."""
        partitions = self._config.asset(self._assets[asset]).partitions
        return partitions is None or CHECKS[check].scope is Scope.PER_WINDOW

    def _not_executed(self, run: FinishedRun, asset: dg.AssetKey, found: AssetEvents) -> Iterator[Outcome]:
        """Yields an outcome for a run that was only to check an asset: the checks have no result, or have one again."""
        if found.evaluations:
            yield _outcome(Kind.FAILED_CHECK, run, asset, ALL_CHECKS, all_right=True)
        elif run.failed and found.checks_planned and not found.planned:
            reason = reason_of_events(found)
            if reason and not is_dry_run(run.run, found.step):
                wrong = {WHOLE_ASSET: run.storage_id}
                yield _outcome(
                    Kind.FAILED_CHECK, run, asset, ALL_CHECKS, wrong=wrong, details={"reason": reason}
                )


def _of_load_without_checks(run: FinishedRun, asset: dg.AssetKey, found: AssetEvents) -> Outcome:
    """Returns what a load says about the quarantine.

    A load of only new rows does not say whether rows of earlier loads are still in quarantine.
    """
    parts = {partition or WHOLE_ASSET for partition in found.materialized}
    rows = found.rows_quarantined
    if rows:
        return _outcome(
            Kind.QUARANTINE, run, asset, "", wrong=dict.fromkeys(parts, rows), details={"rows": str(rows)}
        )
    return _outcome(Kind.QUARANTINE, run, asset, "", right=frozenset(parts if found.read_all else ()))


def _outcome(kind: Kind, run: FinishedRun, asset: dg.AssetKey, reason: str, **others: Any) -> Outcome:
    return Outcome(kind, asset, reason, run.run.run_id, run.at, run.storage_id, **others)


def _rows_in_quarantine(evaluation: dg.AssetCheckEvaluation) -> int:
    return int(keys.read(evaluation.metadata, keys.ROWS_IN_QUARANTINE, 0) or 0)


def _is_error(evaluation: dg.AssetCheckEvaluation) -> bool:
    """Whether a check failed as an error. Rows in quarantine are an incident of their own."""
    if evaluation.passed or evaluation.severity is not dg.AssetCheckSeverity.ERROR:
        return False
    if evaluation.check_name != _COUNTS_QUARANTINE or not _rows_in_quarantine(evaluation):
        return True
    return not evaluation.metadata.keys().isdisjoint({keys.NULLS, keys.MISSING_COLUMNS})

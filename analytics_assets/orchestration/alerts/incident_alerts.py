"""The texts of the alerts about failed syncs, failed checks and quarantines: when one begins, and when it is over."""

import dagster as dg

from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.alerts.alert import Alert, run_details
from analytics_assets.orchestration.alerts.cursor import Incident, Kind
from analytics_assets.orchestration.alerts.outcomes import ALL_CHECKS, WHOLE_ASSET, Outcome


def began(instance: dg.DagsterInstance, config: SyncConfig, resource: str, outcome: Outcome) -> Alert:
    """Returns the alert about an outcome that is wrong."""
    match outcome.kind:
        case Kind.FAILED_SYNC:
            title, details = f"the sync of {resource} failed", {"reason": outcome.reason}
        case Kind.QUARANTINE:
            title, details = f"rows of {resource} are in quarantine", dict(outcome.details)
        case Kind.FAILED_CHECK:
            failed = f"the check {outcome.reason} of {resource} failed"
            title = failed if outcome.reason != ALL_CHECKS else f"the checks of {resource} were not executed"
            details = dict(outcome.details)
    of_run = run_details(instance, config, outcome.run_id)
    missing = ", ".join(outcome.wrong)
    if outcome.kind is Kind.FAILED_SYNC and missing not in (WHOLE_ASSET, of_run.get("window")):
        details["not loaded"] = missing  # the run has loaded its other partitions
    return Alert(
        f"{config.name}: {title}",
        {"source": config.name, "resource": resource, **details, **of_run},
    )


def ended(config: SyncConfig, resource: str, incident: Incident) -> Alert:
    """Returns the alert about the end of an incident."""
    details = {"source": config.name, "resource": resource}
    match incident.kind:
        case Kind.FAILED_SYNC:
            title = f"{resource} is synced again"
            details["it had failed with"] = incident.reason
        case Kind.QUARANTINE:
            title = f"no row of {resource} is in quarantine"
        case Kind.FAILED_CHECK:
            passes = f"the check {incident.reason} of {resource} does not fail any more"
            title = (
                passes if incident.reason != ALL_CHECKS else f"the checks of {resource} are executed again"
            )
    return Alert(f"{config.name}: {title}", details, good=True)

"""Judges the attributes of assets that only Dagster can judge: tags, kinds, groups, cron expressions and conditions."""

from typing import Any

import dagster as dg

from analytics_assets.config.asset_defaults import AssetDefaults
from analytics_assets.config.validation_errors import Location, error_at

_OF_SPEC = ("tags", "kinds", "group_name")


def judge_attributes(here: Location, asset: AssetDefaults) -> None:
    """Judges the keys of one resource, or of `asset_defaults`.

    Args:
        here: the place of the keys in the `defs.yaml`.
        asset: the keys.

    Raises:
        ValidationError: Dagster does not accept a value.
    """
    for name in _OF_SPEC:
        attribute: dict[str, Any] = {name: getattr(asset, name)}
        try:
            dg.AssetSpec("probe", **attribute)
        except (dg.DagsterInvalidDefinitionError, dg.DagsterInvariantViolationError) as error:
            raise error_at((*here, name), " ".join(str(error).split())) from None
    if asset.schedule is not None:
        _judge_cron((*here, "schedule"), asset.schedule)
    if asset.freshness is not None and asset.freshness.deadline_cron is not None:
        _judge_cron((*here, "freshness", "deadline_cron"), asset.freshness.deadline_cron)
    condition = asset.automation_condition
    if condition is not None and not isinstance(condition, dg.AutomationCondition):
        raise error_at(
            (*here, "automation_condition"),
            "this is no automation condition. Write it as in Dagster's components, such as "
            '`"{{ dg.AutomationCondition.on_cron(\'0 2 * * *\') }}"` or `"{{ dg.AutomationCondition.eager() }}"`.',
        )


def _judge_cron(place: Location, cron: str) -> None:
    try:
        dg.ScheduleDefinition(name="probe", cron_schedule=cron, job_name="probe")
    except dg.DagsterInvalidDefinitionError:
        raise error_at(
            place,
            f"`{cron}` is not a cron expression. Write one such as `0 2 * * *`, which is daily at 02:00.",
        ) from None

"""Judges the attributes of assets that only Dagster can judge: tags, kinds, groups, cron expressions and conditions."""

from typing import Any

import dagster as dg

from analytics_assets.config.asset_defaults import AssetDefaults
from analytics_assets.config.time_zone import no_such_zone
from analytics_assets.config.validation_errors import Location, error_at
from analytics_assets.orchestration.dagster_internals import CheckError
from analytics_assets.orchestration.freshness import declared_policy

_OF_SPEC = ("kinds", "group_name", "owners")

_OF_THE_SYNC = ("dagster/row_count", "dagster/table_name", "dagster/column_schema")
"""Metadata by which Dagster shows the table."""

_OF_A_RUN = (
    "dagster/partition",
    "dagster/asset_partition_range_",
    "dagster/backfill",
    "dagster/run_key",
    "dagster/schedule_name",
    "dagster/sensor_name",
    "dagster/parent_run_id",
    "dagster/root_run_id",
)
"""How tags begin by which Dagster says what one run is about."""


def judge_attributes(here: Location, asset: AssetDefaults) -> None:
    """Judges the keys of one resource, or of `asset_defaults`.

    Args:
        here: the place of the keys in the `defs.yaml`.
        asset: the keys.

    Raises:
        ValidationError: Dagster does not accept a value.
    """
    for tag, text in asset.tags.items():
        _judge_tag((*here, "tags", tag), tag, text)
    for name in _OF_SPEC:
        attribute: dict[str, Any] = {name: getattr(asset, name)}
        try:
            dg.AssetSpec("probe", **attribute)
        except (dg.DagsterInvalidDefinitionError, dg.DagsterInvariantViolationError) as error:
            reason = " ".join(str(error).split())
            if name == "group_name":
                reason = (
                    f"`{asset.group_name}` is not a valid name of a group. Write letters, digits and underscores, or "
                    "remove the key."
                )
            raise error_at((*here, name), reason) from None
    for field in asset.metadata:
        if field in _OF_THE_SYNC:
            raise error_at((*here, "metadata", field), f"the sync sets `{field}`. Remove it.")
    _judge_step_and_runs(here, asset)
    if asset.schedule is not None:
        _judge_cron((*here, "schedule"), asset.schedule)
    if asset.freshness is not None and asset.freshness.deadline_cron is not None:
        _judge_cron((*here, "freshness", "deadline_cron"), asset.freshness.deadline_cron)
    if asset.freshness is not None:
        try:
            declared_policy(asset.freshness)
        except (CheckError, dg.DagsterInvalidDefinitionError) as error:
            reason = " ".join(str(error).split()).removeprefix("Invariant failed. Description: ")
            raise error_at((*here, "freshness"), f"Dagster does not accept it: {reason}") from None
    condition = asset.automation_condition
    if condition is not None and not isinstance(condition, dg.AutomationCondition):
        raise error_at(
            (*here, "automation_condition"),
            "this is no automation condition. Write it as in Dagster's components, such as "
            '`"{{ dg.AutomationCondition.on_cron(\'0 2 * * *\') }}"` or `"{{ dg.AutomationCondition.eager() }}"`.',
        )
    if condition is not None:
        _judge_time_zones((*here, "automation_condition"), condition)


def _judge_time_zones(place: Location, condition: dg.AutomationCondition[Any]) -> None:
    """Judges the time zones of the cron expressions in a condition. Dagster would fail at each tick of the sensor."""
    zone = getattr(condition, "cron_timezone", None)
    if zone is not None:
        try:
            dg.ScheduleDefinition(
                name="probe", cron_schedule="0 2 * * *", job_name="probe", execution_timezone=zone
            )
        except dg.DagsterInvalidDefinitionError:
            raise error_at(place, no_such_zone(zone)) from None
    for one in condition.children:
        _judge_time_zones(place, one)


def _judge_tag(place: Location, tag: str, text: str) -> None:
    signs = "letters, digits, `_`, `-` and `.`, at most 63 of them"
    for value, sentence in (
        (
            "",
            f"`{tag}` cannot be the name of a tag. Write {signs}, after a namespace and a slash if there is one.",
        ),
        (text, f"`{text}` cannot be the value of the tag `{tag}`. Write {signs}."),
    ):
        try:
            dg.AssetSpec("probe", tags={tag: value})
        except dg.DagsterInvalidDefinitionError:
            raise error_at(place, sentence) from None


def _judge_step_and_runs(here: Location, asset: AssetDefaults) -> None:
    of_step: dict[str, dict[str, Any]] = {"pool": {"pool": asset.pool}, "op_tags": {"tags": asset.op_tags}}
    for name, attribute in of_step.items():
        try:
            dg.op(name="probe", **attribute)(_nothing)
        except dg.DagsterInvalidDefinitionError as error:
            raise error_at((*here, name), " ".join(str(error).split())) from None
    if "dagster/concurrency_key" in asset.op_tags:
        raise error_at(
            (*here, "op_tags", "dagster/concurrency_key"), "Dagster has pools in its place. Set `pool`."
        )
    for tag in asset.run_tags:
        if tag.startswith(_OF_A_RUN):
            raise error_at((*here, "run_tags", tag), f"Dagster sets `{tag}` for each run. Remove it.")
    if asset.max_runtime is not None and "dagster/max_runtime" in asset.run_tags:
        raise error_at((*here, "run_tags", "dagster/max_runtime"), "`max_runtime` sets it, too. Remove one.")


def _nothing() -> None:
    pass


def _judge_cron(place: Location, cron: str) -> None:
    try:
        dg.ScheduleDefinition(name="probe", cron_schedule=cron, job_name="probe")
    except dg.DagsterInvalidDefinitionError:
        raise error_at(
            place,
            f"`{cron}` is not a cron expression. Write one such as `0 2 * * *`, which is daily at 02:00.",
        ) from None

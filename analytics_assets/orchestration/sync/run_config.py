"""The options of a sync, which a user can set in Dagster's launchpad, as run config or as run tags.

What belongs here: the fields and their descriptions. `run_tags.py` reads the tags. All fields have defaults, because a
run of a schedule or sensor has no config.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from analytics_assets.config.models import SyncConfig
from analytics_assets.config.validation_errors import error_at, sentence_of
from analytics_assets.ingestion.errors import (
    ConfigError,
    OptionInBackfillError,
    UnfitRunConfigError,
    UnknownOpError,
)
from analytics_assets.ingestion.plan.load_plan import RunOptions
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.orchestration.dagster_internals import op_names
from analytics_assets.orchestration.runs import BACKFILL_TAG, OPTION_PREFIX
from analytics_assets.orchestration.sync.run_tags import OWN_TAGS, options_from_tags


class RunConfig(dg.Config):
    """The run config of any resource."""

    dry_run: bool = Field(
        default=False,
        description="Fetch one page (or max_pages), hold it against the declared columns, and write nothing: no row, "
        "no cursor, no materialization, no check. An observation of the asset says what would load, and what would go "
        "to quarantine and why.",
    )
    max_pages: int | None = Field(
        default=None,
        ge=1,
        description="The most pages that this run may fetch of the resource, and of each that it takes values from. If "
        "there are more, the run fails and loads nothing: a green run has them all. In a dry run, how many to look at.",
    )

    @property
    def lookback_partitions(self) -> int:
        """The number of earlier partitions that the run loads in addition."""
        return 0

    def options(self) -> RunOptions:
        """Converts the run config to the options of the plan."""
        return RunOptions(dry_run=self.dry_run, max_pages=self.max_pages)


class CursorRunConfig(RunConfig):
    """The run config of a resource that continues from a stored cursor."""

    full_refresh: bool = Field(
        default=False,
        description="Forget the cursor and fetch everything from the beginning. After the run the table has exactly "
        "the rows that the API has; rows that are gone there are gone. If the run fails, table and cursor stay as they "
        "were.",
    )

    def options(self) -> RunOptions:  # noqa: D102
        return RunOptions(dry_run=self.dry_run, max_pages=self.max_pages, full_refresh=self.full_refresh)


class WindowRunConfig(RunConfig):
    """The run config of a partitioned resource."""

    lookback: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Partitions before those of the run that are loaded along with them, for rows that come late. Each "
        "has a materialization of its own.",
    )

    @property
    def lookback_partitions(self) -> int:  # noqa: D102
        return self.lookback


def run_config_class(info: ResourceInfo, *, partitioned: bool) -> type[RunConfig]:
    """Returns the run config class of a resource.

    Only a resource with a stored cursor has `full_refresh`. Each run of a partitioned resource replaces its windows,
    and each run of a resource without a cursor reads all rows.
    """
    if partitioned:
        return WindowRunConfig
    return CursorRunConfig if info.can_start_over else RunConfig


def judge_run_tags(config: SyncConfig, info: ResourceInfo) -> None:
    """Judges the `run_tags` of a resource that begin as our options do.

    Raises:
        ValidationError: a tag is no option of the resource, has no possible value, or is one that the sync sets.
    """
    asset = config.asset(info.name)
    kind = run_config_class(info, partitioned=asset.partitions is not None)
    for tag, text in asset.run_tags.items():
        own = config.assets.get(info.name)
        place = ("assets", info.name) if own and tag in own.run_tags else ("asset_defaults",)
        try:
            if tag in OWN_TAGS:
                raise error_at((), f"the sync sets `{tag}` itself. Remove it.")
            kind(**_tagged(info, {tag: text}, {}, kind))
        except ConfigError as error:
            raise error_at(
                (*place, "run_tags", tag), str(error).replace(". Nothing was requested", "")
            ) from None
        except ValidationError as error:
            raise error_at((*place, "run_tags", tag), sentence_of(error.errors()[0])) from None


def _tagged(
    info: ResourceInfo, tags: Mapping[str, str], configured: Mapping[str, Any], kind: type[RunConfig]
) -> dict[str, Any]:
    """Reads the options of a resource from run tags."""
    known = {name for one in (RunConfig, CursorRunConfig, WindowRunConfig) for name in one.model_fields}
    flags = {name for name, one in kind.model_fields.items() if one.annotation is bool}
    return options_from_tags(info.name, tags, configured, known, kind.model_fields, flags)


def read_run_config(context: dg.AssetExecutionContext, info: ResourceInfo) -> RunConfig:
    """Reads the options of this run, from its run config and from its tags.

    Raises:
        UnknownOpError: the config names an op that does not exist. Dagster drops the config of such an op, and so a
            misspelled dry run writes.
        UnfitRunConfigError: a value is out of range, or a tag is wrong. Dagster's launchpad does not check the range of
            a number.
        OptionInBackfillError: the run belongs to a backfill, and the option is for a single run.
    """
    configured: dict[str, Any] = dict(context.run.run_config.get("ops") or {})  # type: ignore[call-overload]
    unknown = configured.keys() - op_names(context.job_def)
    if unknown:
        raise UnknownOpError(info.name, min(unknown), context.op_execution_context.op.name)
    kind = run_config_class(info, partitioned=context.assets_def.partitions_def is not None)
    written = (configured.get(context.op_execution_context.op.name) or {}).get("config") or {}
    # Dagster's launchpad fills in every default, so a default contradicts no tag.
    fields = kind.model_fields
    in_config = {
        name: value for name, value in written.items() if name not in fields or value != fields[name].default
    }
    tagged = _tagged(info, context.run.tags, in_config, kind)
    try:
        asked = kind(**context.op_execution_context.op_config | tagged)
    except ValidationError as error:
        wrong = "; ".join(f"{_place(one['loc'], tagged)}: {one['msg']}" for one in error.errors())
        raise UnfitRunConfigError(info.name, wrong) from None
    # A backfill waits for a materialization of each of its partitions, and owns no others.
    refused = {"dry_run": asked.dry_run, "lookback": asked.lookback_partitions}
    for option, is_set in refused.items():
        if is_set and BACKFILL_TAG in context.run.tags:
            raise OptionInBackfillError(info.name, option)
    return asked


def _place(path: tuple[int | str, ...], tagged: Mapping[str, Any]) -> str:
    """Returns the name of an option, or of its tag."""
    name = ".".join(map(str, path))
    return f"the tag `{OPTION_PREFIX}{name}`" if name in tagged else name

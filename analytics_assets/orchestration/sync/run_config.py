"""What a person may ask of one run, in the launchpad: fields of each sync's op config.

What belongs here: the fields and what they say. All have defaults: a run of a schedule or a sensor has no config.
"""

from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from analytics_assets.ingestion.http.page_limit import PageLimit
from analytics_assets.ingestion.plan.resource_info import ResourceInfo


class RunConfig(dg.Config):
    """For one run of any resource."""

    dry_run: bool = Field(
        default=False,
        description="Fetch one page (or max_pages), hold it against the declared columns, and write nothing: no row, "
        "no cursor, no materialization, no check. What would load, and what would go to quarantine and why, is an "
        "observation of the asset.",
    )
    max_pages: int | None = Field(
        default=None,
        ge=1,
        description="The most pages that this run may fetch of the resource, and of each that it takes values from. If "
        "there are more the run fails and loads nothing: a green run has them all. In a dry run, how many to look at.",
    )

    def page_limit(self) -> PageLimit:
        """The pages of one attempt: a sync that begins anew counts anew."""
        return PageLimit(self.max_pages or (1 if self.dry_run else None), cuts=self.dry_run)


class CursorRunConfig(RunConfig):
    """For one run of a resource that goes on where its cursor is."""

    full_refresh: bool = Field(
        default=False,
        description="Forget the cursor and fetch everything anew. After the run the table has exactly the rows that "
        "the API has; those that are gone there are gone. If the run fails, table and cursor stay as they were.",
    )


class WindowRunConfig(RunConfig):
    """For one run of a partitioned resource."""

    lookback: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="So many partitions before those of the run are loaded along with them, for rows that come late. "
        "Each has a materialization of its own.",
    )


def run_config_class(info: ResourceInfo, *, partitioned: bool) -> type[RunConfig]:
    """What may be asked of a run of this resource.

    A partitioned resource replaces its windows in every run, and one without a cursor its table: there is nothing to
    refresh in full.
    """
    if partitioned:
        return WindowRunConfig
    return CursorRunConfig if info.can_start_over else RunConfig


def read_run_config(context: dg.AssetExecutionContext, info: ResourceInfo) -> RunConfig:
    """What was asked of this run.

    Raises:
        dg.Failure: a value is out of its range, which the launchpad does not look at.
    """
    try:
        partitioned = context.assets_def.partitions_def is not None
        return run_config_class(info, partitioned=partitioned)(**context.op_execution_context.op_config)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise dg.Failure(f"{info.name}: the config of this run: {told}", allow_retries=False) from None


def is_dry_run(run: dg.DagsterRun, asset: dg.AssetKey) -> bool:
    """Whether `run` only looks at what it would load into `asset`."""
    ops: Any = run.run_config.get("ops") or {}
    op = ops.get("__".join(asset.path)) or {}
    return bool((op.get("config") or {}).get("dry_run"))

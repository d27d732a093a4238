"""What a person may ask of one run, in the launchpad: fields of each sync's op config.

What belongs here: the fields and their descriptions. All have defaults: a run of a schedule or a sensor has no config.
"""

import dagster as dg
from pydantic import Field, ValidationError

from analytics_assets.ingestion.plan.load_plan import RunOptions
from analytics_assets.ingestion.plan.resource_info import ResourceInfo


class RunConfig(dg.Config):
    """For one run of any resource."""

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
        """Partitions before those of the run that are loaded along with them."""
        return 0

    def options(self) -> RunOptions:
        """The same for the plan of the sync."""
        return RunOptions(dry_run=self.dry_run, max_pages=self.max_pages)


class CursorRunConfig(RunConfig):
    """For one run of a resource that goes on where its cursor is."""

    full_refresh: bool = Field(
        default=False,
        description="Forget the cursor and fetch everything from the beginning. After the run the table has exactly "
        "the rows that the API has; rows that are gone there are gone. If the run fails, table and cursor stay as they "
        "were.",
    )

    def options(self) -> RunOptions:  # noqa: D102
        return RunOptions(dry_run=self.dry_run, max_pages=self.max_pages, full_refresh=self.full_refresh)


class WindowRunConfig(RunConfig):
    """For one run of a partitioned resource."""

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
        dg.Failure: a value is out of its range, which the launchpad does not check.
    """
    try:
        partitioned = context.assets_def.partitions_def is not None
        return run_config_class(info, partitioned=partitioned)(**context.op_execution_context.op_config)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise dg.Failure(f"{info.name}: the config of this run: {wrong}", allow_retries=False) from None

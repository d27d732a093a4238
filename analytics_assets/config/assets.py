"""What Dagster adds to one dlt resource: the block of it under `assets`.

What belongs here: the models of that block, and the rules within it.
What does not: rules that need `rest_api` as well (`models.py`), and anything that happens in a run.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, ValidationInfo, field_validator, model_validator

from analytics_assets.config.rest_api import is_template
from analytics_assets.config.strict_model import StrictModel
from analytics_assets.config.validation_errors import error_at, suggestion


class PartitionsConfig(StrictModel):
    """Time partitions: each is one half-open window of the resource's cursor."""

    type: Literal["hourly", "daily", "weekly", "monthly"]
    timezone: str = Field(
        "UTC", description="IANA name of the zone whose hours, days, weeks or months they are."
    )
    start_date: datetime = Field(description="The first moment of the first partition, in that zone.")
    end_offset: int = Field(
        0,
        ge=0,
        le=1000,
        description="Partitions after the last complete one: 1 is the one that is not over yet.",
    )
    cursor_unit: Literal["seconds", "milliseconds", "microseconds"] | None = Field(
        None, description="What a cursor that is a whole number counts since 1970."
    )

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if not is_template(value) and value not in available_timezones():
            # Not the likes of EST, which have no summer.
            places = [name for name in available_timezones() if "/" in name]
            near = suggestion(value, places) or ": use an IANA name, such as Europe/Berlin"
            raise ValueError(f"there is no time zone `{value}`{near}")
        return value

    @field_validator("start_date", mode="before")
    @classmethod
    def _no_number(cls, value: Any) -> Any:
        if isinstance(value, (int, float)):
            # Else it counts seconds since 1970.
            raise ValueError('write a date, such as "2026-01-01"')  # noqa: TRY004  pydantic's way
        return value

    @field_validator("start_date")
    @classmethod
    def _in_the_past(cls, value: datetime, info: ValidationInfo) -> datetime:
        timezone = info.data.get("timezone")  # None where it is wrong
        if is_template(value) or timezone is None or is_template(timezone):
            return value
        zone = ZoneInfo(timezone)
        value = value.astimezone(zone) if value.tzinfo else value.replace(tzinfo=zone)
        if value > datetime.now(UTC):
            raise ValueError(
                "start_date is in the future: there is no partition to load yet; use a past date"
            )
        if value.year < 1970:
            raise ValueError("start_date is before 1970: use a date from 1970 on")
        return value

    @model_validator(mode="after")
    def _whole_first_partition(self) -> PartitionsConfig:
        """Dagster would start with the next whole period, and never load the rows before it."""
        if any(is_template(one) for one in (self.type, self.timezone, self.start_date)):
            return self
        start = self.start_date.replace(minute=0, second=0, microsecond=0)
        if self.type != "hourly":
            start = start.replace(hour=0)
        if self.type == "weekly":
            start -= timedelta(days=start.isoweekday() % 7)  # Dagster's weeks start on Sunday
        if self.type == "monthly":
            start = start.replace(day=1)
        if start != self.start_date:
            raise error_at(
                ("start_date",),
                f"{self.type} partitions start at whole periods, and rows before the first would never be "
                f"loaded: use {start:%Y-%m-%d}" + (f"T{start:%H:%M}" if self.type == "hourly" else ""),
            )
        return self


class CheckConfig(StrictModel):
    """How much a check that fails matters; what is not said is as the check has it."""

    severity: Literal["warn", "error"] | None = Field(
        None, description="How the UI shows a check that fails."
    )
    blocking: bool | None = Field(
        None, description="Whether a failure keeps downstream assets of the same run from starting."
    )


class ChecksConfig(StrictModel):
    """The checks of an asset, by name."""

    schema_nullability: CheckConfig = CheckConfig()
    schema_drift: CheckConfig = CheckConfig()
    primary_key_unique: CheckConfig = CheckConfig()
    complete: CheckConfig = CheckConfig()


class FreshnessConfig(StrictModel):
    """How old the latest materialization may be."""

    fail_after_hours: float = Field(gt=0, le=8760)
    warn_after_hours: float | None = Field(None, gt=0, le=8760)

    @model_validator(mode="after")
    def _in_order(self) -> FreshnessConfig:
        warn, fail = self.warn_after_hours, self.fail_after_hours
        if warn is None or is_template(warn) or is_template(fail) or warn < fail:
            return self
        raise error_at(
            ("warn_after_hours",),
            f"it is not less than fail_after_hours ({fail:g}): lower it, or raise the other",
        )


class BackfillPolicyConfig(StrictModel):
    """How many partitions of a backfill, or of what is caught up, are one run."""

    max_partitions_per_run: int | None = Field(
        None, ge=1, description="Any number of neighbours if absent: Dagster's `single_run`."
    )


class AssetConfig(StrictModel):
    """What Dagster adds to one dlt resource."""

    description: str | None = None
    owners: list[str] = Field(default_factory=list, description="E-mail addresses, or `team:name`.")
    tags: dict[str, str] = Field(default_factory=dict)
    partitions: PartitionsConfig | None = None
    schedule: str | None = Field(
        None, description="A cron expression, in the time zone of the partitions; in UTC without any."
    )
    catch_up: int = Field(
        30,
        ge=0,
        le=1000,
        description="Partitions before the last one that a tick asks for if they are missing.",
    )

    checks: ChecksConfig = ChecksConfig()
    freshness: FreshnessConfig | None = None
    child_tables: list[str] = Field(
        default_factory=list,
        description="Lists in a row that dlt makes tables of, by field: each is an asset downstream.",
    )
    max_quarantined: int | str = Field(
        "50%",
        description="Rows of one sync that may break the contract, as a number or a share (`5%`); more fail it.",
    )

    max_removed: int | str | None = Field(
        None,
        description="Rows of a partition that may be gone from the API, as a number or a share; more fail the sync, "
        "and none is removed. Any number if absent.",
    )
    backfill_policy: BackfillPolicyConfig = BackfillPolicyConfig()
    lookback: int = Field(
        0,
        ge=0,
        le=1000,
        description="Partitions before the last one that each tick asks for again, for rows that come late.",
    )

    @field_validator("max_quarantined", "max_removed", mode="before")
    @classmethod
    def _number_or_share(cls, value: Any) -> Any:
        share = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value) if isinstance(value, str) else None
        fits = value >= 0 if isinstance(value, int) else share and float(share[1]) <= 100
        if value is not None and not fits and not is_template(value):
            raise ValueError("write a number of rows, such as 100, or a share of them, such as 5%")
        return value

    @model_validator(mode="after")
    def _about_partitions(self) -> AssetConfig:
        for name in ("catch_up", "lookback", "max_removed", "backfill_policy"):
            if name in self.model_fields_set and self.partitions is None:
                raise error_at(
                    (name,), "it is about partitions, and there are none: remove it, or set `partitions`"
                )
        return self

    @field_validator("child_tables")
    @classmethod
    def _tables_there_can_be(cls, value: list[str]) -> list[str]:
        for index, name in enumerate(value if isinstance(value, list) else ()):
            if is_template(name):
                continue
            if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or name == "quarantine":
                raise error_at(
                    (index,),
                    f"there is no child table `{name}`: name the list as in the warehouse, in lower "
                    "case with underscores",
                )
            if name in value[:index]:
                raise error_at((index,), f"`{name}` is there twice: remove one")
        return value

    @field_validator("owners")
    @classmethod
    def _owners_dagster_takes(cls, value: list[str]) -> list[str]:
        for index, owner in enumerate(value if isinstance(value, list) else ()):
            if not is_template(owner) and not re.fullmatch(r"team:.+|[^@\s]+@[^@\s]+\.[^@\s]+", owner):
                raise error_at(
                    (index,), f"Dagster takes no owner `{owner}`: write an e-mail address, or `team:{owner}`"
                )
        return value

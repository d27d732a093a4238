"""What Dagster adds to one dlt resource: the keys under `assets.<resource>`.

What belongs here: the models of the keys under `assets.<resource>`, and the rules that need only these keys.
`asset_defaults.py` has the keys that resources
may share, and `models.py` has the rules that also need `rest_api`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from analytics_assets.config.asset_defaults import AssetDefaults
from analytics_assets.config.filter import FilterConfig
from analytics_assets.config.strict_model import StrictModel
from analytics_assets.config.time_zone import TimeZone
from analytics_assets.config.validation_errors import error_at

EmptyAnswer = Literal["null", "absent"]
"""What the API sends in place of the list of rows if there are none."""

_PERIODS = {"hourly": "an hour", "daily": "a day", "weekly": "a week", "monthly": "a month"}


class PartitionsConfig(StrictModel):
    """Time partitions. Each partition is one half-open window of the resource's cursor."""

    type: Literal["hourly", "daily", "weekly", "monthly"] = Field(
        description="The length of a partition. Weeks start on Sunday."
    )
    timezone: TimeZone = Field(
        "UTC",
        description="The IANA time zone in which partitions start and end, and in which the schedule ticks.",
    )
    start_date: datetime = Field(
        description="The start of the first partition, in `timezone`: the start of a whole hour, day, week or month."
    )
    end_offset: int = Field(
        0,
        ge=0,
        le=1000,
        description="How many partitions to add after the last complete one. 1 adds the current partition.",
    )
    cursor_unit: Literal["seconds", "milliseconds", "microseconds"] | None = Field(
        None,
        description="The unit of a cursor that is a whole number: what it counts since 1970. Required for a `bigint` "
        "cursor. Absent: the cursor is a timestamp or a date.",
    )

    @field_validator("start_date", mode="before")
    @classmethod
    def _no_number(cls, value: Any) -> Any:
        if isinstance(value, (int, float)):
            # Pydantic reads a number as seconds since 1970.
            raise ValueError('a number is not a date. Write a date, such as "2026-01-01".')  # noqa: TRY004  pydantic
        return value

    @field_validator("start_date")
    @classmethod
    def _in_the_past(cls, value: datetime, info: ValidationInfo) -> datetime:
        timezone = info.data.get("timezone")  # absent if pydantic rejected the value
        if timezone is None:
            return value
        zone = ZoneInfo(timezone)
        value = value.astimezone(zone) if value.tzinfo else value.replace(tzinfo=zone)
        if value > datetime.now(UTC):
            raise ValueError(
                "start_date is in the future, so there is no partition to load. Use a past date."
            )
        if value.year < 1970:
            raise ValueError("start_date is before 1970. Use a date from 1970 on.")
        return value

    @model_validator(mode="after")
    def _whole_first_partition(self) -> PartitionsConfig:
        """Rejects a `start_date` in the middle of an hour, day, week or month.

        Dagster would begin at the next full hour, day, week or month, and would never load the earlier rows.
        """
        start = self.start_date.replace(minute=0, second=0, microsecond=0)
        if self.type != "hourly":
            start = start.replace(hour=0)
        if self.type == "weekly":
            start -= timedelta(days=start.isoweekday() % 7)  # Dagster's weeks start on Sunday
        if self.type == "monthly":
            start = start.replace(day=1)
        if start != self.start_date:
            form = "%Y-%m-%dT%H:%M" if self.type == "hourly" else "%Y-%m-%d"
            raise error_at(
                ("start_date",),
                f"start_date is not the start of {_PERIODS[self.type]} in {self.timezone}, so the rows until the next "
                f"one would never be loaded. Use {start:{form}}.",
            )
        return self


class CheckConfig(StrictModel):
    """How Dagster treats a failure of one check. If a key is absent, the default of the check applies."""

    severity: Literal["warn", "error"] | None = Field(
        None,
        description="The severity of a failure of this check. Absent: `warn` for schema_drift, `error` for the others.",
    )
    blocking: bool | None = Field(
        None,
        description="Whether a failure of this check keeps downstream assets of the same run from starting. "
        "Absent: true for primary_key_unique and complete, false for the others.",
    )


class BackfillPolicyConfig(StrictModel):
    """The number of partitions of a backfill, or of a catch-up, that share one run."""

    max_partitions_per_run: int | None = Field(
        None,
        ge=1,
        description="The most consecutive partitions in one run. Absent: no limit, as Dagster's `single_run`.",
    )


class AssetConfig(AssetDefaults):
    """What Dagster adds to one dlt resource."""

    description: str | None = Field(
        None,
        description="What the Dagster UI shows about the asset. Absent: the endpoint and how it is read.",
    )
    partitions: PartitionsConfig | None = Field(
        None,
        description="Time partitions. The resource needs a cursor, a primary key and `write_disposition: merge`. "
        "Absent: the asset has none.",
    )
    filter: FilterConfig | None = Field(
        None,
        description="How the API wants the times by which it filters rows. The resource needs a cursor that is a time. "
        "Absent: ISO 8601 in UTC.",
    )
    catch_up: int = Field(
        30,
        ge=0,
        le=1000,
        description="How many partitions before the last one a tick of the schedule checks. "
        "It requests those that are missing or failed.",
    )
    checks: dict[str, CheckConfig] = Field(
        default_factory=dict,
        description="Severity and blocking, by name of the check. Absent: the defaults of each check.",
    )
    child_tables: list[str] = Field(
        default_factory=list,
        description="Fields that hold a list in each row. dlt loads each list into a table of its own, and that table "
        "becomes an asset downstream. Absent: dlt loads the tables, but Dagster shows no asset.",
    )
    max_quarantined: int | str = Field(
        "50%",
        description="The most rows of one sync that may break the contract: a number, or a share such as `5%`. "
        "With more, the sync fails and loads nothing.",
    )
    max_removed: int | str | None = Field(
        None,
        description="The most rows of a partition, or of a fully loaded table, that a sync may remove because the API "
        "no longer returns them: a number, or a share such as `5%`. With more, the sync fails and removes none. "
        "Absent: no limit.",
    )
    max_new_columns: int = Field(
        300,
        ge=0,
        description="The most columns that one sync may add, without those declared. Columns of child tables and new "
        "child tables count too. With more, the sync fails and loads nothing.",
    )
    backfill_policy: BackfillPolicyConfig = Field(
        BackfillPolicyConfig(),
        description="How Dagster splits a backfill into runs. Absent: consecutive partitions share one run.",
    )
    lookback: int = Field(
        0,
        ge=0,
        le=1000,
        description="How many partitions before the last one each tick loads again, to get rows that arrive late.",
    )

    rename: dict[str, str] = Field(
        default_factory=dict,
        description="New names of fields, by the name that the API sends. Needed if two fields become one column. "
        "A dot leads into an object, or into the objects of a list. Absent: the names of dlt.",
    )
    empty_answer: EmptyAnswer | None = Field(
        None,
        description="What the API sends in place of the list of rows if there are none: `null`, or `absent` if the "
        "field may also be missing. Absent: only an empty list means no rows.",
    )
    accept_repeated_rows: bool = Field(
        False,
        description="Whether the API may send the same row on several pages. Absent: the sync takes this for a sign "
        "that rows moved between the pages, and starts over.",
    )
    ignore_total: bool | None = Field(
        None,
        description="Accept the end of paging of this resource even if the last response says that there is more. "
        "Absent: `requests.ignore_total`.",
    )
    allow_empty: bool = Field(
        False,
        description="Whether a full load without any row may empty a table that has rows. Absent: the sync fails.",
    )
    quarantine_secrets: bool = Field(
        False,
        description="Whether a row goes to quarantine if the whole value of a field is a secret of this API. "
        "Secrets of less than 8 characters are not searched. Absent: the row is loaded, and the check "
        "`no_secrets` reports it.",
    )
    future_hours: float = Field(
        24,
        ge=0,
        le=876_000,
        description="Hours: how far after the start of a run a cursor value is still plausible. A later row is loaded, "
        "and does not move the stored cursor.",
    )
    one_object: bool = Field(
        False,
        description="Whether the API sends one object in place of a list if there is one row. Set it for an API that "
        "sends lists at other times.",
    )

    @field_validator("rename")
    @classmethod
    def _possible_names(cls, value: dict[str, str]) -> dict[str, str]:
        seen: dict[str, str] = {}
        for written, name in value.items():
            if not all(part.strip() for part in written.split(".")):
                raise error_at(
                    (written,),
                    "the name of a field is empty. Write the name that the API sends, or remove the entry.",
                )
            if not re.fullmatch(r"[a-z_][a-z0-9]*(_[a-z0-9]+)*", name) or name.startswith("_dlt"):
                raise error_at(
                    (written,),
                    f"`{name}` cannot be the name of a column. Write a name in lower case, with single underscores.",
                )
            if name in seen:
                raise error_at(
                    (written,), f"`{seen[name]}` already gets the name `{name}`. Use another name."
                )
            seen[name] = written
        return value

    @field_validator("empty_answer", mode="before")
    @classmethod
    def _null_is_a_word(cls, value: Any) -> Any:
        return (
            "null" if value is None else value
        )  # pydantic calls validators only for a key that the file has

    @field_validator("max_quarantined", "max_removed", mode="before")
    @classmethod
    def _number_or_share(cls, value: Any) -> Any:
        share = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value) if isinstance(value, str) else None
        fits = value >= 0 if isinstance(value, int) else share and float(share[1]) <= 100
        if value is not None and not fits:
            raise ValueError(
                "this is neither a number of rows nor a share of them. Write 100, or 5%, for example."
            )
        return value

    @model_validator(mode="after")
    def _needs_partitions(self) -> AssetConfig:
        for name in ("catch_up", "lookback", "backfill_policy"):
            if name in self.model_fields_set and self.partitions is None:
                raise error_at(
                    (name,),
                    f"`{name}` needs partitions, and this asset has none. Remove it, or set `partitions`.",
                )
        if self.partitions is not None and "timezone" in self.model_fields_set:
            raise error_at(
                ("timezone",),
                "the schedule of an asset with partitions ticks in their time zone. Remove `timezone`, or set "
                "`partitions.timezone`.",
            )
        return self

    @field_validator("child_tables")
    @classmethod
    def _possible_table_names(cls, value: list[str]) -> list[str]:
        for index, name in enumerate(value if isinstance(value, list) else ()):
            if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or name == "quarantine":
                raise error_at(
                    (index,),
                    f"`{name}` cannot be the name of a child table. Write the name of the list as in the warehouse: "
                    "in lower case, with underscores.",
                )
            if name in value[:index]:
                raise error_at((index,), f"`{name}` is listed twice. Remove one.")
        return value

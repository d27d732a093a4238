"""The grammar of a `defs.yaml`: what may be written in `attributes`, and what a mistake is told.

What belongs here: the models, and every rule that needs no network, secret or database; those of `rest_api`
alone are in `rest_api.py`.
A broken rule is a pydantic error located at the key it is about, so that Dagster can add the file and line.
What does not: Dagster, and anything that happens in a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from analytics_assets.config.rest_api import (
    NAME,
    Location,
    check_rest_api,
    disposition_of,
    error_at,
    expand,
    has_template,
    is_template,
    suggestion,
    unbuildable,
)

CIRCUIT = "circuit"
"""The last part of the key of the asset that is the circuit's history."""


_OF_WINDOWS: dict[str, tuple[Any, ...]] = {
    "last_value_func": ("max", max),
    "range_start": ("closed",),
    "range_end": ("open",),
    "lag": (None, 0),
}
"""Options of dlt's incremental that a window leaves no choice of, and what they may be."""


class _Strict(BaseModel):
    """A model that names the unknown key, and that lets a Jinja template stand for any value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            known = list(cls.model_fields)
            for key in values:
                if key not in known:
                    near = suggestion(str(key), known) or f"; the keys here are {', '.join(known)}"
                    raise error_at((str(key),), f"unknown key `{key}`{near}")
        return values

    @field_validator("*", mode="wrap")
    @classmethod
    def _template(cls, value: Any, handler: ModelWrapValidatorHandler[Any], info: ValidationInfo) -> Any:
        if isinstance(value, bool) and not {int, float}.isdisjoint(_alternatives(cls, info.field_name)):
            raise ValueError("write a number; `yes` and `true` are none")
        return value if is_template(value) else handler(value)


def _alternatives(model: type[BaseModel], field: str | None) -> set[Any]:
    annotation = model.model_fields[str(field)].annotation
    return {annotation, *get_args(annotation)}


class RequestsConfig(_Strict):
    """How the one door to the network behaves: its pace, its patience, and when it gives up."""

    max_retries: int = Field(3, ge=0, le=10, description="Retries after the first attempt.")
    backoff_factor: float = Field(
        2, gt=0, le=60, description="Seconds before the first retry; doubles at each further one."
    )
    retry_statuses: frozenset[Annotated[int, Field(ge=400, le=599)]] = Field(
        frozenset({429, 500, 502, 503, 504}),
        description="HTTP statuses worth another try; any other error status fails at once.",
    )
    max_retry_delay: float = Field(
        300, gt=0, le=3600, description="Seconds; the most that a Retry-After or a rate limit is waited for."
    )
    connect_timeout: float = Field(10, gt=0, le=600, description="Seconds to wait for a connection.")
    read_timeout: float = Field(60, gt=0, le=3600, description="Seconds to wait for the next bytes.")
    max_in_flight: int = Field(8, ge=1, le=128, description="Requests of this API at the same time.")
    requests_per_second: float | None = Field(
        None, gt=0, description="At most so many requests of this API; no limit if absent."
    )
    page_overlap: bool = Field(
        True,
        description="Ask for one row of the page before with each page of offset paging: proof that none moved.",
    )


class CircuitBreakerConfig(_Strict):
    """How long an API that was given up on is left alone, by every run and process."""

    cooldown_minutes: float = Field(
        5, gt=0, le=1440, description="After a sync has halted; doubles with each probe that fails."
    )
    max_cooldown_minutes: float = Field(360, gt=0, le=10080, description="The most it grows to.")

    @model_validator(mode="after")
    def _in_order(self) -> CircuitBreakerConfig:
        if is_template(self.cooldown_minutes) or is_template(self.max_cooldown_minutes):
            return self
        if self.max_cooldown_minutes < self.cooldown_minutes:
            raise error_at(
                ("max_cooldown_minutes",),
                f"it is less than cooldown_minutes ({self.cooldown_minutes:g}): raise it, or lower the other",
            )
        return self


class AlertsConfig(_Strict):
    """What alerts say. Where they go is a secret: `sources.alerts`."""

    dagster_url: str = Field(
        "http://127.0.0.1:3000", description="Where people open Dagster; alerts link to runs there."
    )

    @field_validator("dagster_url")
    @classmethod
    def _whole_url(cls, value: str) -> str:
        if not is_template(value) and not re.match(r"https?://[^/]", value):
            raise ValueError("write it as it is in the browser, with http:// or https://")
        return value


class PartitionsConfig(_Strict):
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


def _or_template(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    return value if is_template(value) else handler(value)


class CheckConfig(_Strict):
    """How much a failure of a check matters. An absent key leaves it as the check defines it."""

    severity: Literal["warn", "error"] | None = Field(
        None, description="How the UI shows a check that fails."
    )
    blocking: bool | None = Field(
        None, description="Whether a failure keeps downstream assets of the same run from starting."
    )


class FreshnessConfig(_Strict):
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


class BackfillPolicyConfig(_Strict):
    """How many partitions of a backfill, or of what is caught up, are one run."""

    max_partitions_per_run: int | None = Field(
        None, ge=1, description="Any number of neighbours if absent: Dagster's `single_run`."
    )


class AssetConfig(_Strict):
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

    checks: dict[str, Annotated[CheckConfig, WrapValidator(_or_template)]] = Field(
        default_factory=dict, description="Severity and blocking of the checks, by name of the check."
    )
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


class SyncConfig(_Strict):
    """One API: the `attributes` of a `defs.yaml`."""

    name: str = Field(description="Dataset; prefix of asset keys; Dagster group; section of the secret.")
    rest_api: dict[str, Any] = Field(description="dlt's RESTAPIConfig, verbatim; the secret stays outside.")
    requests: RequestsConfig = RequestsConfig()
    circuit_breaker: CircuitBreakerConfig = CircuitBreakerConfig()
    alerts: AlertsConfig = AlertsConfig()
    assets: dict[str, AssetConfig] = Field(default_factory=dict, description="By dlt resource name.")

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not is_template(value) and not NAME.fullmatch(value):
            raise ValueError("use lower-case letters, digits and single underscores, starting with a letter")
        return value

    @field_validator("rest_api")
    @classmethod
    def _valid_rest_api(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not is_template(value):
            check_rest_api(value)
        return value

    @model_validator(mode="after")
    def _assets_fit_resources(self) -> SyncConfig:
        if is_template(self.rest_api) or is_template(self.assets):
            return self
        names = list(self.resource_names)
        for name in (CIRCUIT, f"{CIRCUIT}_open", f"{CIRCUIT}_reset"):
            if name in names:
                raise error_at(
                    ("rest_api", "resources", names.index(name), "name"),
                    f"`{name}` is a name of the circuit breaker's: name the resource otherwise",
                )
        for name, asset in self.assets.items():
            if name not in names:
                near = suggestion(name, names) or f"; the resources are {', '.join(names)}"
                raise error_at(("assets", name), f"there is no resource `{name}` in rest_api.resources{near}")
            if (
                isinstance(asset, AssetConfig)
                and asset.partitions
                and not has_template(self.rest_api["resources"])
            ):
                self._check_partitioned(name)
        return self

    @property
    def resource_names(self) -> Iterator[str]:
        """Names of the dlt resources, in the order of the file."""
        for resource in self.rest_api["resources"]:
            if isinstance(resource, dict):
                yield resource["name"]
            else:
                yield resource if isinstance(resource, str) else resource.name

    def asset(self, resource: str) -> AssetConfig:
        """What the file says of `resource` for Dagster; the defaults where it says nothing."""
        return self.assets.get(resource, AssetConfig())

    def _check_partitioned(self, name: str) -> None:
        here: Location = ("assets", name, "partitions")
        try:
            resource = expand(self.rest_api)[name]
        except ValueError as error:
            raise unbuildable(error) from error
        incremental = resource["endpoint"].get("incremental") if isinstance(resource, dict) else None
        if not isinstance(resource, dict) or not incremental:
            raise error_at(
                here,
                f"`{name}` is partitioned but has no cursor: give the resource "
                "`endpoint.incremental` with a `cursor_path`, or drop `partitions` for a full refresh",
            )
        if not re.fullmatch(r"(\$\.)?[^.\[\]$*]+(\.[^.\[\]$*]+)*", str(incremental.get("cursor_path"))):
            raise error_at(
                here, f"`{name}` is partitioned: its cursor_path must be a field, or fields joined by dots"
            )
        for bound in ("initial_value", "end_value"):
            if bound in incremental:
                raise error_at(
                    here,
                    f"`{name}` is partitioned, so each partition sets {bound}: remove it from incremental",
                )
        for option, fitting in _OF_WINDOWS.items():
            if incremental.get(option, fitting[0]) not in fitting:
                raise error_at(
                    here,
                    f"`{name}` is partitioned, and each partition is a window of its own, its start in it and its end "
                    f"not: remove {option} from incremental; `lookback` is for rows that come late",
                )
        if disposition_of(resource.get("write_disposition")) != "merge" or not resource.get("primary_key"):
            raise error_at(
                here,
                f"`{name}` is partitioned, so loading a partition again must replace its rows: "
                "set `write_disposition: merge` and a `primary_key`",
            )

"""What Dagster adds to a dlt resource, and what all resources may share: the keys under `asset_defaults`.

What belongs here: Dagster's own attributes of an asset, of its step and of its job, under the names that Dagster uses.
`assets.py` has the keys that only one resource can have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from analytics_assets.config.strict_model import StrictModel
from analytics_assets.config.time_zone import TimeZone
from analytics_assets.config.validation_errors import error_at

Status = Literal["running", "stopped"]
"""Whether a schedule or sensor is on before a person turns it on or off in the UI."""

LONGEST_RUNTIME = 31_536_000
"""Seconds: the largest `max_runtime`, which is a year."""

_MERGED = ("tags", "metadata", "op_tags", "run_tags")
"""The mappings to which a resource adds its own entries."""


_PART = r"[.-]*[A-Za-z0-9_][A-Za-z0-9_.-]*"
_KEY = re.compile(rf"{_PART}(/{_PART})*")


def _filled(key: str, source: str, resource: str) -> str:
    return key.replace("{source}", source).replace("{resource}", resource)


class FreshnessConfig(StrictModel):
    """The age that the latest materialization of an asset may have, as Dagster's time-window or cron policy."""

    fail_after_hours: float | None = Field(
        None,
        gt=0,
        le=8760,
        description="Hours since the latest materialization after which the asset is overdue.",
    )
    warn_after_hours: float | None = Field(
        None,
        gt=0,
        le=8760,
        description="Hours since the latest materialization after which Dagster warns. It must be less than "
        "fail_after_hours. Absent: no warning.",
    )
    deadline_cron: str | None = Field(
        None,
        description="In place of hours: a cron expression of the times at which the asset must be materialized.",
    )
    lower_bound_hours: float | None = Field(
        None,
        gt=0,
        le=8760,
        description="With `deadline_cron`: hours before each deadline in which the materialization counts.",
    )
    timezone: TimeZone | None = Field(
        None, description="With `deadline_cron`: its IANA time zone. Absent: that of the schedule."
    )

    @model_validator(mode="after")
    def _one_policy(self) -> FreshnessConfig:
        if (self.fail_after_hours is None) == (self.deadline_cron is None):
            raise ValueError("write either `fail_after_hours`, or `deadline_cron` with `lower_bound_hours`.")
        if self.deadline_cron is not None and self.lower_bound_hours is None:
            raise error_at(
                ("deadline_cron",),
                "`deadline_cron` needs `lower_bound_hours`: how many hours before the deadline the asset may be "
                "materialized. Write `lower_bound_hours: 24` for a daily deadline, for example.",
            )
        other = ("warn_after_hours",) if self.deadline_cron else ("lower_bound_hours", "timezone")
        for name in other:
            if name in self.model_fields_set:
                raise error_at((name,), f"`{name}` belongs to the other kind of freshness. Remove it.")
        warn, fail = self.warn_after_hours, self.fail_after_hours
        if warn is not None and fail is not None and warn >= fail:
            raise error_at(
                ("warn_after_hours",),
                f"warn_after_hours is not less than fail_after_hours ({fail:g}). Lower it, or raise fail_after_hours.",
            )
        return self


class RetryPolicyConfig(StrictModel):
    """Dagster's retries of the step after an unexpected error, for which neither the API nor the config is to blame."""

    max_retries: int = Field(1, ge=1, le=100, description="The most retries of the step.")
    delay: float | None = Field(None, gt=0, le=86_400, description="Seconds before a retry. Absent: none.")
    backoff: Literal["linear", "exponential"] | None = Field(
        None, description="How `delay` grows with each retry. Absent: it does not."
    )
    jitter: Literal["full", "plus_minus"] | None = Field(
        None, description="How `delay` is spread at random, as in Dagster. Absent: it is not."
    )

    @model_validator(mode="after")
    def _delay_is_set(self) -> RetryPolicyConfig:
        for name in ("backoff", "jitter"):
            if getattr(self, name) and self.delay is None:
                raise error_at((name,), f"`{name}` needs `delay`. Set it, or remove `{name}`.")
        return self


class AssetDefaults(StrictModel):
    """What Dagster adds to each resource of an API, unless the resource says otherwise."""

    group_name: str | None = Field(None, description="Dagster's group. Absent: the name of the API.")
    key_prefix: str | list[str] | None = Field(
        None,
        description="The first parts of the asset keys of resources and child tables, before the name of the API. "
        "Absent: none.",
    )
    key: str | None = Field(
        None,
        description="The whole asset key, with slashes between its parts. `{source}` and `{resource}` in it stand for "
        "the names of the API and of the resource. Absent: `key_prefix`, `{source}/{resource}`.",
    )
    owners: list[str] = Field(
        default_factory=list,
        description="Owners of the asset: e-mail addresses, or `team:name`. Absent: none.",
    )
    tags: dict[str, str] = Field(default_factory=dict, description="Dagster tags of the asset. Absent: none.")
    kinds: list[str] | None = Field(
        None, max_length=3, description="Dagster's kinds, at most three. Absent: `dlt` and the destination."
    )
    metadata: dict[str, Any] = Field(
        default_factory=dict, description="More metadata of the asset. Absent: none."
    )
    code_version: str | None = Field(
        None,
        description="Dagster's code version of the asset. Absent: a hash of what the file declares of its rows.",
    )
    automation_condition: Any = Field(
        None,
        description="Dagster's automation condition, such as `{{ dg.AutomationCondition.on_cron('0 2 * * *') }}`. "
        "Absent: none.",
    )
    freshness: FreshnessConfig | None = Field(
        None,
        description="How old the latest materialization may be. Absent: two ticks of the schedule, if its "
        "`default_status` is `running`, or else any age.",
    )
    schedule: str | None = Field(
        None,
        description="A cron expression, in the time zone of the partitions, or without partitions in `timezone`. "
        "The schedule is off until it is turned on in the UI, unless `default_status` says otherwise. Absent: no "
        "schedule.",
    )
    timezone: TimeZone | None = Field(
        None, description="The IANA time zone of the schedule of an asset without partitions. Absent: UTC."
    )
    default_status: Status = Field(
        "stopped", description="Whether the schedule is on before a person turns it on or off in the UI."
    )
    retry_policy: RetryPolicyConfig | None = Field(
        None,
        description="Dagster's retries of the step after an error that is not of the API or of the config. "
        "Absent: none.",
    )
    op_tags: dict[str, Any] = Field(
        default_factory=dict,
        description="Dagster tags of the step, such as `dagster-k8s/config`. Absent: none.",
    )
    run_tags: dict[str, str] = Field(
        default_factory=dict,
        description="Tags of the runs that the job of the asset makes: of its schedule, and of catching up. Absent: "
        "none.",
    )
    max_runtime: int | None = Field(
        None,
        gt=0,
        le=LONGEST_RUNTIME,
        description="Seconds after which Dagster's run monitoring ends a run of the job of the asset. Absent: none.",
    )
    pool: str | None = Field(
        None, description="Dagster's pool, which limits the steps at a time. Absent: the name of the API."
    )

    @field_validator("key_prefix")
    @classmethod
    def _plain_parts(cls, value: str | list[str] | None) -> str | list[str] | None:
        parts = [value] if isinstance(value, str) else value or []
        for part in parts:
            if not re.fullmatch(_PART, part):
                raise ValueError(
                    f"`{part}` cannot be a part of an asset key. Use letters, digits and underscores; for several "
                    "parts write a list."
                )
        if value == []:
            raise ValueError("the list is empty. Write a part of the asset key, or remove the key.")
        return value

    @field_validator("pool")
    @classmethod
    def _named_pool(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("the name of a pool is empty. Write a name, or remove the key.")
        return value

    @field_validator("kinds")
    @classmethod
    def _named_kinds(cls, value: list[str] | None) -> list[str] | None:
        for index, kind in enumerate(value if isinstance(value, list) else ()):
            if not kind.strip():
                raise error_at((index,), "a kind is empty. Write a word such as `python`, or remove it.")
            if not re.fullmatch(r"[A-Za-z0-9_.-]{1,63}", kind):
                raise error_at(
                    (index,),
                    f"`{kind}` cannot be a kind. Write letters, digits, `_`, `-` and `.`, at most 63 of them.",
                )
        return value

    @field_validator("code_version")
    @classmethod
    def _written_version(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("the code version is empty. Write one such as `2`, or remove the key.")
        return value

    @field_validator("metadata")
    @classmethod
    def _named_metadata(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value if isinstance(value, dict) else ():
            if not name.strip():
                raise error_at((name,), "the name of an entry is empty. Write a name, or remove the entry.")
        return value

    @field_validator("tags", "op_tags", "run_tags")
    @classmethod
    def _named_tags(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value if isinstance(value, dict) else ():
            if not name.strip():
                raise error_at((name,), "the name of a tag is empty. Write a name, or remove the tag.")
        return value

    @field_validator("key")
    @classmethod
    def _whole_key(cls, value: str | None) -> str | None:
        if value is not None and not _KEY.fullmatch(_filled(value, "x", "x")):
            raise ValueError(
                f"`{value}` cannot be an asset key. Write it as `warehouse/orders`, or as `warehouse/{{resource}}`."
            )
        return value

    @field_validator("owners")
    @classmethod
    def _owners_that_dagster_accepts(cls, value: list[str]) -> list[str]:
        for index, owner in enumerate(value if isinstance(value, list) else ()):
            if not re.fullmatch(r"team:.+|[^@\s]+@[^@\s]+\.[^@\s]+", owner):
                raise error_at(
                    (index,),
                    f"Dagster does not accept the owner `{owner}`. Write an e-mail address, or `team:{owner}`.",
                )
        return value

    @model_validator(mode="after")
    def _one_way_to_the_key(self) -> AssetDefaults:
        if self.key is not None and self.key_prefix is not None:
            raise error_at(
                ("key_prefix",), "`key` is the whole asset key. Write `key_prefix` into it, or remove `key`."
            )
        return self

    def key_path(self, source: str, resource: str) -> tuple[str, ...]:
        """The parts of the asset key.

        Args:
            source: the name of the API.
            resource: the dlt resource name.
        """
        if self.key is not None:
            return tuple(_filled(self.key, source, resource).split("/"))
        prefix = [self.key_prefix] if isinstance(self.key_prefix, str) else self.key_prefix or ()
        return (*prefix, source, resource)

    def shared_with(self, own: AssetDefaults) -> Mapping[str, Any]:
        """Returns what the keys of one resource take from these defaults, by name of the key.

        Args:
            own: the keys of the resource. Those that it sets stay, and its mappings are added to those here.
        """
        found = {}
        for name in self.model_fields_set:
            if name in _MERGED:
                found[name] = getattr(self, name) | getattr(own, name)
            elif name not in own.model_fields_set:
                found[name] = getattr(self, name)
        return found

"""The models of a `defs.yaml`: the keys that `attributes` may have, and the rules between the keys.

What belongs here: the models of one API, and every rule that needs no network, secret or database.
`rest_api.py` has the rules that need only `rest_api`, and `assets.py` has the rules that need only one asset.
A broken rule raises a pydantic error at the key that is wrong, so that Dagster can add file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from analytics_assets.config.asset_defaults import AssetDefaults, Status
from analytics_assets.config.assets import AssetConfig
from analytics_assets.config.key_places import refuse_unknown_keys
from analytics_assets.config.responses import ResponseRule
from analytics_assets.config.rest_api import (
    NAME,
    check_rest_api,
    disposition_of,
    expand,
    name_of,
    unbuildable,
)
from analytics_assets.config.strict_model import StrictModel
from analytics_assets.config.templates import SourceFile, Unset
from analytics_assets.config.validation_errors import Location, error_at, suggestion

CIRCUIT = "circuit"
"""The last part of the asset key of the asset that shows the history of the circuit breaker."""

DEFAULT_LOCK_TIMEOUT = 600.0
"""Seconds: how long a sync waits for another program that has the DuckDB file open."""

LONGEST_RETRY_DELAY = 3600.0
"""Seconds: the largest `requests.max_retry_delay`."""

_NAMES_OF_DATABASES = ("information_schema", "pg_catalog", "pg_temp", "pg_toast", "system", "temp")
"""Names that no dataset may have, because DuckDB or PostgreSQL gives them to its own schemas or databases."""

PLAIN_PATH = re.compile(r"[^.\[\]$*]+(\.[^.\[\]$*]+)*")
"""The pattern for the name of a field, or of fields joined by dots."""

_FIXED_BY_WINDOWS: dict[str, tuple[Any, ...]] = {
    "last_value_func": ("max", max),
    "range_start": ("closed",),
    "range_end": ("open",),
    "lag": (None, 0),
}
"""Options of dlt's incremental that partition windows restrict, each with the values that windows allow."""


class RequestsConfig(StrictModel):
    """The pace, the timeouts and the retries of requests to the API."""

    max_retries: int = Field(
        3,
        ge=0,
        le=10,
        description="Retries of a request after its first attempt. If the last one fails, the sync halts.",
    )
    backoff_factor: float = Field(
        2, gt=0, le=60, description="Seconds before the first retry. Each further retry waits twice as long."
    )
    retry_statuses: frozenset[Annotated[int, Field(ge=400, le=599)]] = Field(
        frozenset({429, 500, 502, 503, 504}),
        description="HTTP statuses that are retried. Any other error status fails the sync at once.",
    )
    max_retry_delay: float = Field(
        300,
        gt=0,
        le=LONGEST_RETRY_DELAY,
        description="Seconds: the longest wait before a retry. If Retry-After or a rate limit asks for more, the sync "
        "halts at once, and the circuit stays open until then.",
    )
    connect_timeout: float = Field(10, gt=0, le=600, description="Seconds to wait for a connection.")
    read_timeout: float = Field(
        60, gt=0, le=3600, description="Seconds to wait for the next bytes of a response."
    )
    total_timeout: float | None = Field(
        None,
        gt=0,
        le=36_000,
        description="Seconds from sending a request until its response is complete, even if bytes arrive all the time. "
        "Absent: ten times `read_timeout`.",
    )
    max_answer_bytes: int = Field(
        2**30,
        ge=1024,
        description="The most bytes of one response, after decompression. With more, the sync fails.",
    )
    max_in_flight: int = Field(
        8, ge=1, le=128, description="The most requests to this API at the same time, per process."
    )
    requests_per_second: float | None = Field(
        None, gt=0, description="The most requests to this API in a second, per process. Absent: no limit."
    )
    page_overlap: bool = Field(
        True,
        description="With offset pagination, each page repeats the last row of the page before. "
        "The repeated row proves that no row moved between the two requests.",
    )
    ignore_total: bool = Field(
        False,
        description="Accept the end of paging even if the last response says that there is more, such as a `total` "
        "above the number of rows read. Set it if these fields mean something else. "
        "`assets.<resource>.ignore_total` is for one resource.",
    )
    max_empty_pages: int = Field(
        3,
        ge=1,
        le=100_000,
        description="The most pages in succession without a new row. With more, the sync fails, because the API "
        "probably never ends.",
    )
    max_pages: int = Field(
        1_000_000,
        ge=1,
        description="The most pages of one read of all rows, or of all rows of one parent row. With more, the sync "
        "fails.",
    )
    max_offset: int | None = Field(
        None,
        ge=1,
        description="The most rows that the API pages through in one read, such as 10,000. A partition with more rows "
        "is read in smaller ranges of time. Absent: the sync sees from the responses where the API ends.",
    )
    trusted_origins: list[str] = Field(
        default_factory=list,
        description="Servers that belong to the API beside `base_url`, such as `https://eu.example.com`. Links and "
        "redirects to them are followed with the secrets. Absent: none.",
    )
    download_origins: list[str] = Field(
        default_factory=list,
        description="Servers that links and redirects may lead to without the secrets, such as the storage of "
        "downloads. Absent: none.",
    )
    responses: list[ResponseRule] = Field(
        default_factory=list,
        description="What a response means if its status does not say so. The first rule that fits decides, before "
        "dlt's `response_actions`. Absent: the status decides.",
    )

    @property
    def seconds_in_all(self) -> float:
        """The seconds that an exchange may take."""
        return self.total_timeout or 10 * self.read_timeout

    @field_validator("trusted_origins", "download_origins")
    @classmethod
    def _origins_alone(cls, value: list[str]) -> list[str]:
        for index, origin in enumerate(value if isinstance(value, list) else ()):
            if not re.fullmatch(r"https?://[^/?#@\s\\]+", origin):
                raise error_at(
                    (index,),
                    "this is not an origin. Write scheme and host, and a port if there is one, such as "
                    "`https://files.example.com`.",
                )
        return value


class CircuitBreakerConfig(StrictModel):
    """The cool-down of the circuit breaker: the time without requests after a sync has halted."""

    cooldown_minutes: float = Field(
        5,
        gt=0,
        le=1440,
        description="Minutes without requests after a sync has halted. Each probe that fails doubles them.",
    )
    max_cooldown_minutes: float = Field(
        360,
        gt=0,
        le=10080,
        description="Minutes: the longest cool-down, however many probes fail. A time that the API names, such as the "
        "end of a daily quota, may be later.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> CircuitBreakerConfig:
        if self.max_cooldown_minutes < self.cooldown_minutes:
            raise error_at(
                ("max_cooldown_minutes",),
                f"max_cooldown_minutes is less than cooldown_minutes ({self.cooldown_minutes:g}). Raise it, or lower "
                "cooldown_minutes.",
            )
        return self


class AlertsConfig(StrictModel):
    """What alerts are about, and what they contain. The channels of alerts are a secret, `sources.alerts`."""

    dagster_url: str = Field(
        "http://127.0.0.1:3000",
        description="The address of the Dagster UI, as in a browser. Alerts link to runs there.",
    )
    failed_sync: bool = Field(
        True,
        description="Whether an alert is sent about a sync that failed for a reason other than an outage.",
    )
    failed_check: bool = Field(
        True, description="Whether an alert is sent about a check that failed with the severity `error`."
    )
    quarantine: bool = Field(True, description="Whether an alert is sent about rows in quarantine.")

    @field_validator("dagster_url")
    @classmethod
    def _whole_url(cls, value: str) -> str:
        if not re.match(r"https?://[^/]", value):
            raise ValueError("this is not a whole URL. Copy it from the browser, with http:// or https://.")
        return value


class SensorsConfig(StrictModel):
    """The sensors of this API: `sync_failure`, which sends alerts, and `recovery`."""

    default_status: Status = Field(
        "running", description="Whether the sensors are on before a person turns them on or off in the UI."
    )


class DestinationConfig(StrictModel):
    """The requirements of this API on the destination. dlt's own settings choose the destination."""

    accept_missing_guarantees: bool = Field(
        False,
        description="Load into a destination that lacks guarantees of this product. Each run and asset lists what is "
        "missing.",
    )
    lock_timeout: float = Field(
        DEFAULT_LOCK_TIMEOUT,
        ge=0,
        le=86_400,
        description="Seconds: how long a run waits for another program that has the DuckDB file open.",
    )


class SyncConfig(StrictModel):
    """The config of one API, from the `attributes` of a `defs.yaml`."""

    name: str = Field(
        description="The name of the source: its dataset, the prefix of its asset keys, its asset group, "
        "and the section of its secrets."
    )
    rest_api: dict[str, Any] = Field(
        description="dlt's RESTAPIConfig, as in dlt's documentation. Secrets stay outside this file."
    )
    requests: RequestsConfig = Field(
        RequestsConfig(),
        description="Pace, timeouts and retries of requests. Absent: the defaults of each key.",
    )
    circuit_breaker: CircuitBreakerConfig = Field(
        CircuitBreakerConfig(),
        description="How long no run sends a request after a sync has halted. Absent: the defaults of each key.",
    )
    alerts: AlertsConfig = Field(
        AlertsConfig(),
        description="What alerts are about. Their channels are the secret `sources.alerts`. Absent: the defaults.",
    )
    destination: DestinationConfig = Field(
        DestinationConfig(),
        description="Which limits of the destination this API accepts. Absent: the defaults of each key.",
    )
    sensors: SensorsConfig = Field(
        SensorsConfig(), description="The sensors of this API. Absent: they are on."
    )
    dataset_name: str | None = Field(
        None,
        description="The dataset in the warehouse, such as a schema of DuckDB. Absent: `name`. Several APIs may share "
        "one if no table has the same name.",
    )
    asset_defaults: AssetDefaults = Field(
        AssetDefaults(), description="What Dagster adds to each resource. Absent: the defaults of each key."
    )
    assets: dict[str, AssetConfig] = Field(
        default_factory=dict,
        description="What Dagster adds to each resource, by the name of the resource. "
        "Absent: an asset without partitions or a schedule.",
    )
    _file: SourceFile = PrivateAttr(SourceFile())
    _merged: dict[str, AssetConfig] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            refuse_unknown_keys(cls, values)
        return values

    @field_validator("name", "dataset_name")
    @classmethod
    def _plain_name(cls, value: str | None) -> str | None:
        if value is None:
            return value
        if not NAME.fullmatch(value):
            raise ValueError(
                f"`{value}` cannot be the name of a dataset and of assets. Use lower-case letters, digits and single "
                "underscores, starting with a letter."
            )
        if value in _NAMES_OF_DATABASES:
            raise ValueError(
                f"`{value}` is a name that databases reserve. Use another name, such as `{value}_api`."
            )
        return value

    @field_validator("rest_api")
    @classmethod
    def _valid_rest_api(cls, value: dict[str, Any], known: ValidationInfo) -> dict[str, Any]:
        check_rest_api(value, known.data.get("name", "<NAME>"))
        return value

    @model_validator(mode="after")
    def _assets_fit_resources(self) -> SyncConfig:
        names = list(self.resource_names)
        for name in (CIRCUIT, f"{CIRCUIT}_open", f"{CIRCUIT}_reset"):
            if name in names:
                raise error_at(
                    ("rest_api", "resources", names.index(name), "name"),
                    f"the name `{name}` is reserved for the circuit breaker. Rename the resource.",
                )
        for name, asset in self.assets.items():
            if name not in names:
                near = suggestion(name, names) or f" The resources are {', '.join(names)}."
                raise error_at(
                    ("assets", name), f"there is no resource `{name}` in rest_api.resources.{near}"
                )
            if asset.partitions:
                self._check_partitioned(name)
        return self

    def model_post_init(self, context: Any, /) -> None:
        """Keeps the file that the caller of the validation passes."""
        if isinstance(context, SourceFile):
            self._file = context

    @property
    def unset(self) -> tuple[Unset, ...]:
        """The variables of templates that were not set when the file was loaded."""
        return self._file.unset

    @property
    def file(self) -> str:
        """The path of the `defs.yaml`, for error texts."""
        return self._file.path

    @property
    def resource_names(self) -> Iterator[str]:
        """The names of the dlt resources, in the order of the `defs.yaml`."""
        yield from map(name_of, self.rest_api["resources"])

    def asset(self, resource: str) -> AssetConfig:
        """The keys under `assets.<resource>` of the `defs.yaml`, with those of `asset_defaults` for absent keys."""
        if resource not in self._merged:
            own = self.assets.get(resource, AssetConfig())
            self._merged[resource] = own.model_copy(update=dict(self.asset_defaults.shared_with(own)))
        return self._merged[resource]

    @property
    def dataset(self) -> str:
        """The name of the dataset in the warehouse."""
        return self.dataset_name or self.name

    def _check_partitioned(self, name: str) -> None:
        here: Location = ("assets", name, "partitions")
        try:
            resource = expand(self.rest_api)[name]
        except ValueError as error:
            raise unbuildable(error, self.rest_api) from error
        incremental = resource["endpoint"].get("incremental") if isinstance(resource, dict) else None
        if not isinstance(resource, dict) or not incremental:
            raise error_at(
                here,
                f"`{name}` has partitions but no cursor. Give the resource `endpoint.incremental` with a "
                "`cursor_path`, or remove `partitions` for a full refresh.",
            )
        if not PLAIN_PATH.fullmatch(str(incremental.get("cursor_path")).removeprefix("$.")):
            raise error_at(
                here,
                f"`{name}` has partitions, but its cursor_path is not the name of a field. "
                "Use a field, or fields joined by dots.",
            )
        for bound in ("initial_value", "end_value"):
            if bound in incremental:
                raise error_at(
                    here,
                    f"`{name}` has partitions, and each partition sets {bound}. Remove {bound} from incremental.",
                )
        for option, fitting in _FIXED_BY_WINDOWS.items():
            if incremental.get(option, fitting[0]) not in fitting:
                raise error_at(
                    here,
                    f"`{name}` has partitions. Each is a window that includes its start and excludes its end, and "
                    f"{option} contradicts that. Remove {option} from incremental. For late rows, set `lookback`.",
                )
        if disposition_of(resource.get("write_disposition")) != "merge" or not resource.get("primary_key"):
            raise error_at(
                here,
                f"`{name}` has partitions, but to load one again would not replace its rows. "
                "Set `write_disposition: merge` and a `primary_key`.",
            )

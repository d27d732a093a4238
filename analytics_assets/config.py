"""The grammar of a `defs.yaml`: what may be written in `attributes`, and what a mistake is told.

What belongs here: the models, and every rule that can be checked without a network, a secret or a database.
A broken rule is a pydantic error located at the key it is about, so that Dagster can add the file and line.
What does not: Dagster, and anything that happens in a run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_type_hints

from dlt.common.configuration.specs.base_configuration import is_secret_hint
from dlt.common.data_types import TDataType
from dlt.common.exceptions import DictValidationException
from dlt.common.schema.typing import TColumnSchema
from dlt.common.validation import validate_dict
from dlt.sources.rest_api import typing as rest_api_typing
from dlt.sources.rest_api.config_setup import AUTH_MAP
from dlt.sources.rest_api.typing import RESTAPIConfig
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

Location = tuple[str | int, ...]

PLACEHOLDER = "resolved-when-a-run-starts"
"""Stands for a secret wherever a config is only looked at."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_COLUMN_KEYS = frozenset(get_type_hints(TColumnSchema))
_DATA_TYPES = get_args(TDataType)
_REST_API_KEYS = frozenset(
    key
    for name, typed_dict in vars(rest_api_typing).items()
    if hasattr(typed_dict, "__required_keys__") and not name.startswith("_")
    for key in typed_dict.__annotations__
)


def is_template(value: object) -> bool:
    """Whether `value` is a Jinja template, which Dagster renders after the first look at the file."""
    return isinstance(value, str) and "{{" in value


def error_at(location: Location, message: str) -> ValidationError:
    """A validation error of one plain sentence at `location`. Raised in a validator, it keeps its place.

    Of pydantic's own type `value_error`: to add file and line, Dagster builds errors anew, and can do so for
    no custom type.
    """
    error = InitErrorDetails(type="value_error", loc=location, input=None, ctx={"error": ValueError(message)})
    return ValidationError.from_exception_data("defs.yaml", [error])


def suggestion(word: str, known: frozenset[str] | list[str]) -> str:
    """`; did you mean …?` for the nearest of `known`, or nothing where none is near."""
    matches = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean `{matches[0]}`?" if matches else ""


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
    def _template(cls, value: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        return value if is_template(value) else handler(value)


class RequestsConfig(_Strict):
    """How the one door to the network behaves when the API does not."""

    max_retries: int = Field(3, ge=0, le=10, description="Retries after the first attempt.")
    backoff_factor: float = Field(
        2, gt=0, le=60, description="Seconds before the first retry; doubles at each further one."
    )
    retry_statuses: frozenset[int] = Field(
        frozenset({429, 500, 502, 503, 504}),
        description="HTTP statuses worth another try; any other error status fails at once.",
    )


class PartitionsConfig(_Strict):
    """Time partitions: each is one half-open window of the resource's cursor, in UTC."""

    type: Literal["hourly", "daily", "weekly", "monthly"]
    start_date: datetime = Field(description="The first moment of the first partition; UTC.")

    @field_validator("start_date")
    @classmethod
    def _in_the_past(cls, value: datetime) -> datetime:
        value = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        if value > datetime.now(UTC):
            raise ValueError(
                "start_date is in the future: there is no partition to load yet; use a past date"
            )
        return value


class AssetConfig(_Strict):
    """What Dagster adds to one dlt resource."""

    description: str | None = None
    owners: list[str] = Field(default_factory=list, description="E-mail addresses, or `team:name`.")
    tags: dict[str, str] = Field(default_factory=dict)
    partitions: PartitionsConfig | None = None
    schedule: str | None = Field(None, description="A cron expression, in UTC.")


class SyncConfig(_Strict):
    """One API: the `attributes` of a `defs.yaml`."""

    name: str = Field(description="dlt source, schema and dataset name; asset-key prefix; Dagster group.")
    rest_api: dict[str, Any] = Field(description="dlt's RESTAPIConfig, verbatim; the secret stays outside.")
    requests: RequestsConfig = RequestsConfig()
    assets: dict[str, AssetConfig] = Field(default_factory=dict, description="By dlt resource name.")

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("use lower-case letters, digits and single underscores, starting with a letter")
        return value

    @field_validator("rest_api")
    @classmethod
    def _valid_rest_api(cls, value: dict[str, Any]) -> dict[str, Any]:
        _check_secrets_stay_out(value)
        _check_against_dlt(value)
        _check_resource_names(value)
        for index, resource in _mappings(value.get("resources")):
            _check_columns(resource.get("columns"), ("resources", index, "columns"))
        _check_columns(_defaults(value).get("columns"), ("resource_defaults", "columns"))
        return value

    @model_validator(mode="after")
    def _assets_fit_resources(self) -> SyncConfig:
        names = list(self.resource_names)
        for name, asset in self.assets.items():
            if name not in names:
                near = suggestion(name, names) or f"; the resources are {', '.join(names)}"
                raise error_at(("assets", name), f"there is no resource `{name}` in rest_api.resources{near}")
            if isinstance(asset, AssetConfig) and asset.partitions:
                self._check_partitioned(name)
        return self

    @property
    def resource_names(self) -> Iterator[str]:
        """Names of the dlt resources, in the order of the file."""
        for resource in self.rest_api["resources"]:
            if isinstance(resource, str):
                yield resource
            else:
                yield resource["name"] if isinstance(resource, Mapping) else resource.name

    def asset(self, resource: str) -> AssetConfig:
        """What the file says of `resource` for Dagster; the defaults where it says nothing."""
        return self.assets.get(resource, AssetConfig())

    def resource_value(self, resource: str, key: str) -> Any:
        """The value of a resource's key, or else that of `resource_defaults`; None where neither has it."""
        found: Mapping[str, Any] = next(
            (one for _, one in _mappings(self.rest_api["resources"]) if one["name"] == resource), {}
        )
        return found.get(key, _defaults(self.rest_api).get(key))

    def incremental(self, resource: str) -> Mapping[str, Any] | None:
        """The resource's `endpoint.incremental`, its own or the default's."""
        for one in (
            next((one for _, one in _mappings(self.rest_api["resources"]) if one["name"] == resource), {}),
            _defaults(self.rest_api),
        ):
            endpoint = one.get("endpoint")
            if isinstance(endpoint, Mapping) and endpoint.get("incremental"):
                incremental: Mapping[str, Any] = endpoint["incremental"]
                return incremental
        return None

    def _check_partitioned(self, name: str) -> None:
        here: Location = ("assets", name, "partitions")
        incremental = self.incremental(name)
        if incremental is None:
            raise error_at(
                here,
                f"`{name}` is partitioned but has no cursor: give the resource "
                "`endpoint.incremental` with a `cursor_path`, or drop `partitions` for a full refresh",
            )
        if not re.fullmatch(r"[^.\[\]$*]+(\.[^.\[\]$*]+)*", str(incremental.get("cursor_path"))):
            raise error_at(
                here, f"`{name}` is partitioned: its cursor_path must be a field, or fields joined by dots"
            )
        for bound in ("initial_value", "end_value"):
            if bound in incremental:
                raise error_at(
                    here,
                    f"`{name}` is partitioned, so each partition sets {bound}: remove it from incremental",
                )
        disposition = self.resource_value(name, "write_disposition") or "append"
        if isinstance(disposition, Mapping):
            disposition = disposition.get("disposition")
        if disposition != "merge" or not self.resource_value(name, "primary_key"):
            raise error_at(
                here,
                f"`{name}` is partitioned, so loading a partition again must replace its rows: "
                "set `write_disposition: merge` and a `primary_key`",
            )


def _copy(value: Any) -> Any:
    """Copies the mappings and lists of a config; Python objects in it (a paginator, a resource) are shared."""
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _defaults(rest_api: Mapping[str, Any]) -> Mapping[str, Any]:
    return rest_api.get("resource_defaults") or {}


def _mappings(resources: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for index, resource in enumerate(resources or ()):
        if isinstance(resource, Mapping):
            yield index, resource


def with_secrets(rest_api: Mapping[str, Any], secret: Callable[[str], str]) -> dict[str, Any]:
    """A copy of a REST API config in which `secret` has given a value to every secret field left open."""
    copied: dict[str, Any] = _copy(rest_api)
    for place, auth in _auth_places(rest_api):
        written = {"type": auth} if isinstance(auth, str) else auth  # dlt's shorthand
        if isinstance(written, Mapping):
            holder: Any = copied
            for part in place[:-1]:
                holder = holder[part]
            given = {field: secret(field) for field in _secret_fields(written) if not written.get(field)}
            holder["auth"] = {**written, **given}
    return copied


def _auth_places(rest_api: Mapping[str, Any]) -> Iterator[tuple[Location, Any]]:
    """Every `auth` of a REST API config, with its place: the client's, and those of endpoints."""
    yield ("client", "auth"), (rest_api.get("client") or {}).get("auth")
    places: list[tuple[Location, Any]] = [(("resource_defaults",), _defaults(rest_api))]
    places += [(("resources", index), one) for index, one in _mappings(rest_api.get("resources"))]
    for place, resource in places:
        endpoint = resource.get("endpoint")
        if isinstance(endpoint, Mapping):
            yield (*place, "endpoint", "auth"), endpoint.get("auth")


def _secret_fields(auth: Mapping[str, Any]) -> list[str]:
    """The fields of an auth mapping that hold secrets, such as `api_key` or `token`."""
    spec = AUTH_MAP.get(auth.get("type", "bearer"))
    fields = spec.get_resolvable_fields() if spec else {}
    # A field that dlt never resolves (`NotResolved`, such as an OAuth2 access token) is made at run time.
    return [
        field for field, hint in fields.items() if is_secret_hint(hint) and "NotResolved" not in str(hint)
    ]


def _check_secrets_stay_out(rest_api: Mapping[str, Any]) -> None:
    for place, auth in _auth_places(rest_api):
        if not isinstance(auth, Mapping):
            continue
        for field in _secret_fields(auth):
            if auth.get(field) is not None:
                raise error_at(
                    (*place, field),
                    f"a secret does not belong in this file: remove `{field}` and give it to dlt when the run "
                    f"starts, as SOURCES__<NAME>__{field.upper()} or in .dlt/secrets.toml",
                )


def _check_resource_names(rest_api: Mapping[str, Any]) -> None:
    if not rest_api["resources"]:
        raise error_at(("resources",), "there is no resource: name at least one endpoint to load")
    seen: set[str] = set()
    for index, resource in enumerate(rest_api["resources"]):
        name = resource if isinstance(resource, str) else None
        if isinstance(resource, Mapping):
            name = resource.get("name")
            if not isinstance(name, str):
                raise error_at(("resources", index), "the resource has no `name`")
        if name is None:
            continue
        if not _NAME.fullmatch(name):
            raise error_at(
                ("resources", index, "name"),
                f"`{name}` names a table and an asset: use lower-case letters, digits and single underscores, "
                "starting with a letter, and put the URL in endpoint.path",
            )
        if name in seen:
            raise error_at(
                ("resources", index, "name"), f"there are two resources named `{name}`: rename one of them"
            )
        seen.add(name)


def _check_columns(columns: Any, place: Location) -> None:
    if isinstance(columns, Mapping):
        named = [((*place, name), name, column) for name, column in columns.items()]
    elif isinstance(columns, list):
        named = [((*place, i), str(one.get("name")), one) for i, one in enumerate(columns)]
    else:
        return  # absent, or a pydantic model in the Python form
    for here, name, column in named:
        if re.search(r"[.\[\]$*/]", name):
            path = re.sub(r"[^\w]+", "__", name.removeprefix("$.")).strip("_")
            raise error_at(
                here,
                f"no column of the table is reached by `{name}`: name the column as it is in the warehouse, "
                f"nested fields joined by two underscores, such as `{path}`",
            )
        for key in column or {}:
            if key not in _COLUMN_KEYS and not key.startswith("x-"):
                raise error_at((*here, key), f"unknown key `{key}`{suggestion(key, _COLUMN_KEYS)}")
        data_type = (column or {}).get("data_type")
        if data_type is not None and data_type not in _DATA_TYPES:
            near = suggestion(str(data_type), list(_DATA_TYPES)) or f"; dlt has {', '.join(_DATA_TYPES)}"
            raise error_at((*here, "data_type"), f"unknown data_type `{data_type}`{near}")


def _check_against_dlt(rest_api: Mapping[str, Any]) -> None:
    try:
        validate_dict(RESTAPIConfig, with_secrets(rest_api, lambda _: PLACEHOLDER), path=".")
    except DictValidationException as error:
        raise _located(error, rest_api) from None


def _located(error: DictValidationException, rest_api: Mapping[str, Any]) -> ValidationError:
    """Dlt's complaint as one sentence at its place.

    For a union dlt lists a complaint per alternative; the one deepest in the document, and among those the
    one of the alternative that the document's own `type` names, is what the user meant.
    """
    leaves = list(_leaves(error))
    depth = max(leaf.path.count("/") for leaf in leaves)
    deepest = [leaf for leaf in leaves if leaf.path.count("/") == depth]
    location = _location(deepest[0].path)
    meant = str(_at(rest_api, location, "type")).replace("_", "")
    named = (one for one in deepest if meant in str(getattr(one.expected_type, "__name__", "")).lower())
    no_such_type = (one for one in deepest if one.field == "type")
    leaf = next(named, None) or next(no_such_type, None) or deepest[0]
    location = _location(leaf.path)
    unexpected = re.match(r"received unexpected fields `\{'(.+?)'", leaf.msg)
    if unexpected:
        key = unexpected[1]
        return error_at((*location, key), f"unknown key `{key}`{suggestion(key, _REST_API_KEYS)}")
    missing = re.match(r"missing required fields `\{(.+)\}`", leaf.msg)
    if missing:
        return error_at(location, f"missing {missing[1]}")
    if leaf.field:
        location = (*location, *_location(leaf.field))
    return error_at(location, leaf.msg.partition("\n")[0])


def _leaves(error: DictValidationException) -> Iterator[DictValidationException]:
    if not error.nested_exceptions:
        yield error
    for nested in error.nested_exceptions or ():
        yield from _leaves(nested)


def _location(path: str) -> Location:
    """`./resources[0]/endpoint` as `("resources", 0, "endpoint")`."""
    parts = re.findall(r"[^./\[\]]+|\[\d+\]", path)
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in parts)


def _at(document: Any, location: Location, key: str) -> Any:
    for part in location:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document.get(key) if isinstance(document, Mapping) else None

"""dlt's REST API config: finds its mistakes, fills in its secrets, and applies its defaults.

What belongs here: the functions that need only the key `rest_api`, and no other key of a `defs.yaml`.
`validation_errors.py` reports each error at the key that is wrong. `assets.py` and `models.py` define the keys outside
`rest_api`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.exceptions import DictValidationException
from dlt.common.validation import validate_dict
from dlt.extract.resource import DltResource
from dlt.sources.rest_api.config_setup import AUTH_MAP, expand_and_index_resources
from dlt.sources.rest_api.typing import EndpointResource, RESTAPIConfig
from pydantic import ValidationError
from requests import Session

from analytics_assets.config.column_rules import refuse_unusable_columns
from analytics_assets.config.endpoint_rules import refuse_unusable_settings
from analytics_assets.config.endpoints import written_resources
from analytics_assets.config.json_paths import refuse_bad_paths
from analytics_assets.config.normal_form import with_doubled_braces, with_one_cursor
from analytics_assets.config.placeholders import refuse_bad_placeholders
from analytics_assets.config.pydantic_columns import with_plain_columns
from analytics_assets.config.template_engine import is_template
from analytics_assets.config.validation_errors import Location, error_at, named, value_at
from analytics_assets.config.value_types import refuse_wrong_types
from analytics_assets.config.written_secrets import auths, refuse_written_secrets, secret_names_of

PLACEHOLDER = "resolved-when-a-run-starts"
"""The value that replaces each secret while a config is only checked."""

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
"""The pattern for names of sources and resources, which also name datasets, tables and assets."""

_OAUTH2 = "oauth2_client_credentials"


def disposition_of(hint: Any) -> str:
    """The write disposition of `hint`: a name, or a mapping with a strategy. dlt's default is `append`."""
    return str((hint.get("disposition") if isinstance(hint, dict) else hint) or "append")


def check_rest_api(rest_api: dict[str, Any], source: str) -> None:
    """Finds mistakes in `rest_api` without the network.

    Args:
        rest_api: the config of the API.
        source: the name of the API.

    Raises:
        ValidationError: `rest_api` has a mistake. The error names the key of the first mistake.
    """
    refuse_wrong_types(rest_api)
    refuse_written_secrets(rest_api, source)
    _check_against_dlt(rest_api)
    _check_base_url(rest_api["client"])
    _check_resource_names(rest_api)
    resources = list(written_resources(rest_api))
    refuse_bad_paths(rest_api["client"], resources)
    refuse_unusable_settings(rest_api, resources)
    refuse_bad_placeholders(resources, [name_of(one) for one in rest_api["resources"]])
    for index, resource in _dicts(rest_api["resources"]):
        refuse_unusable_columns(rest_api, resource, ("resources", index))
    refuse_unusable_columns(rest_api, rest_api.get("resource_defaults") or {}, ("resource_defaults",))
    if rest_api["client"].get("session") is not None:
        raise error_at(
            ("client", "session"),
            "a sync sends its requests through a session of its own, which has the retries and the rate limit. Remove "
            "`session`. Write its headers as `client.headers`, its auth as `client.auth`, its timeouts as `requests`.",
        )


def expand(rest_api: dict[str, Any]) -> dict[str, dict[str, Any] | DltResource]:
    """Returns the resources by name. dlt's own code applies `resource_defaults`, and makes each `endpoint` a mapping.

    A cursor in `endpoint.params` becomes `endpoint.incremental`. A resource that is a Python object stays unchanged.

    Raises:
        ValueError: dlt cannot parse the config of a resource.
    """
    copied = _copy(rest_api)
    defaults = cast(EndpointResource, with_doubled_braces(copied.get("resource_defaults") or {}))
    resources = [with_doubled_braces(one) for one in copied["resources"]]
    return {
        name: with_plain_columns(with_one_cursor(cast(dict[str, Any], one))) if isinstance(one, dict) else one
        for name, one in expand_and_index_resources(resources, defaults).items()
    }


def for_dlt(resources: Iterable[dict[str, Any] | DltResource]) -> list[Any]:
    """Returns expanded resources in the form in which dlt expands them again, to the same resources."""
    return [with_doubled_braces(one) for one in resources]


@dataclass(frozen=True)
class SecretField:
    """A secret field of an `auth` that the file leaves out, so that it is dlt's setting `sources.<name>.<field>`.

    Attributes:
        name: the name of the field, such as `api_key`.
        auth_type: the auth type.
        place: the keys that lead to the `auth` in `rest_api`.
    """

    name: str
    auth_type: str
    place: Location


def secret_fields(rest_api: Mapping[str, Any]) -> Iterator[SecretField]:
    """Yields the secret fields that the file leaves out."""
    for place, auth in auths(rest_api):
        for name in secret_names_of(auth):
            if not auth.get(name):
                yield SecretField(name, str(auth.get("type", "bearer")), place)


def with_secrets(
    rest_api: dict[str, Any], secret: Callable[[SecretField], str], token_session: Session | None = None
) -> dict[str, Any]:
    """Returns a copy of a REST API config in which the function `secret` supplies each absent secret field.

    Args:
        rest_api: the config as the user wrote it.
        secret: a function that takes a secret field and returns the secret.
        token_session: the session that requests an OAuth2 token; None for dlt's own session.
    """
    copied: dict[str, Any] = _copy(rest_api)
    for place, auth in auths(rest_api):
        holder: Any = copied
        for part in place[:-1]:
            holder = holder[part]
        session = {"session": token_session} if token_session and auth.get("type") == _OAUTH2 else {}
        holder["auth"] = {**_copy(auth), **session}
    for field in secret_fields(rest_api):
        value_at(copied, field.place)[field.name] = secret(field)
    return copied


def _copy(value: Any) -> Any:
    """Copies dicts and lists. Keeps all other objects, such as dlt's specs, which are no dicts."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _dicts(resources: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, resource in enumerate(resources or ()):
        if isinstance(resource, dict):
            yield index, resource


def _check_base_url(client: Mapping[str, Any]) -> None:
    if "base_url" not in client:
        raise error_at(
            ("client",), "the client has no `base_url`. Add the URL that all endpoints begin with."
        )
    base_url = client["base_url"]
    if base_url and not is_template(base_url) and not re.fullmatch(r"https?://[^/\s]\S*", str(base_url)):
        raise error_at(
            ("client", "base_url"), f"`{base_url}` is not a URL. Write https:// or http://, then the host."
        )


def _check_resource_names(rest_api: Mapping[str, Any]) -> None:
    if not rest_api["resources"]:
        raise error_at(("resources",), "the list of resources is empty. Add at least one resource to load.")
    seen: set[str] = set()
    for index, resource in enumerate(rest_api["resources"]):
        name = resource if isinstance(resource, str) else None
        if isinstance(resource, dict):
            name = resource.get("name")
            if not isinstance(name, str):
                raise error_at(("resources", index), "the resource has no `name`. Add one.")
        if name is None:
            continue
        if not NAME.fullmatch(name):
            raise error_at(
                ("resources", index, "name"),
                f"`{name}` cannot be the name of a table and an asset. Use lower-case letters, digits and single "
                "underscores, starting with a letter. Put the URL in endpoint.path.",
            )
        if name in seen:
            raise error_at(
                ("resources", index, "name"), f"there are two resources named `{name}`. Rename one of them."
            )
        seen.add(name)


def name_of(resource: Any) -> str:
    """Returns the dlt resource name of a resource as written: a mapping, a text or a Python object."""
    if isinstance(resource, dict):
        return str(resource["name"])
    return resource if isinstance(resource, str) else str(resource.name)


def unbuildable(error: Exception, rest_api: Mapping[str, Any]) -> ValidationError:
    """Makes an error from dlt's error about a config that dlt cannot build. The places are from the whole file.

    The rules of `config` find almost every such config before dlt does.
    """
    if isinstance(error, ConfigFieldMissingException):
        missing = ", ".join(f"`{field}`" for field in error.traces)
        for place, auth in auths(rest_api):
            if getattr(AUTH_MAP.get(str(auth.get("type"))), "__name__", "") == error.spec_name:
                sentence = f"the auth `{auth['type']}` needs {missing}. Add it."
                return error_at(("rest_api", *place), named(rest_api, place, sentence))
    sentence = " ".join(str(error).split())
    return error_at(("rest_api",), f"dlt cannot build this source: {sentence}")


def _check_against_dlt(rest_api: dict[str, Any]) -> None:
    try:
        validate_dict(RESTAPIConfig, with_secrets(rest_api, lambda *_: PLACEHOLDER), path=".")
    except DictValidationException as error:
        sentence = " ".join(error.msg.partition("\n")[0].split())
        raise error_at((), f"dlt refuses this config: {sentence}") from None

"""Reads settings and secrets from dlt's config providers, such as the environment and `.dlt/secrets.toml`.

This module calls the providers directly, because `dlt.secrets.get` stores each value in the pipeline's trace.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import dlt

from analytics_assets.config.models import SyncConfig
from analytics_assets.config.rest_api import SecretField, secret_fields
from analytics_assets.config.secret_names import name_of_setting
from analytics_assets.config.secret_reference import secret_reference
from analytics_assets.config.template_engine import UnsetError
from analytics_assets.config.templates import AtRun
from analytics_assets.config.validation_errors import Location, value_at
from analytics_assets.config.written_secrets import secret_templates, secrets_of_objects
from analytics_assets.ingestion.errors import (
    FailingTemplateError,
    MissingSecretError,
    SyncError,
    UnsendableSecretError,
    UnsetVariableError,
)
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.plan.resource_info import ResourceInfo

ONLY_SENT = frozenset({"api_key", "bearer", "http_basic", "oauth2_client_credentials"})
"""Auth types that only copy the secret into the request, so that dlt needs only a reference to the secret.

`_PLAIN_AUTHS` in `http/page_group.py` has the classes of the same auth types. A new auth type usually
belongs in both constants."""

log = logging.getLogger("analytics_assets")


def provided(field: str, *sections: str) -> str | None:
    """The value of a setting such as `sources.my_api.api_key`, without surrounding whitespace; None if unset.

    Args:
        field: the last part of the setting's name.
        sections: the parts of the name before the field, in order.
    """
    value = _looked_up(field, *sections)
    return None if value is None else str(value).strip()


def _looked_up(field: str, *sections: str) -> Any:
    found = (
        provider.get_value(field, str, None, *sections)[0]
        for provider in dlt.secrets.config_providers
        if not provider.is_empty
    )
    return next((one for one in found if one is not None), None)


def check_variables(config: SyncConfig, resource: ResourceInfo) -> None:
    """Checks that every environment variable is set that the templates of a resource need.

    Raises:
        UnsetVariableError: a variable was not set when the file was loaded, or is not set now.
    """
    for one in config.unset:
        if one.resource is None or one.resource in resource.lineage:
            raise UnsetVariableError(
                resource.name, one.variable, config.file, _field(one.place), is_secret=one.is_secret
            )
    with_variables(config, resource, config.rest_api)


def with_variables(config: SyncConfig, resource: ResourceInfo, rest_api: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy of a REST API config in which each template that is no secret has its text.

    A template of a secret keeps its references, which the transport replaces. An auth type that computes with its
    secrets gets the values.

    Args:
        config: the config of the API.
        resource: the resource to sync. A template of a resource that it does not need keeps its references.
        rest_api: the REST API config, perhaps with secrets.

    Raises:
        UnsetVariableError: an environment variable of a template is not set.
        FailingTemplateError: a template fails.
    """

    def read(value: Any, *, computes: bool = False) -> Any:
        if isinstance(value, dict):
            auth = value.get("auth")
            own = isinstance(auth, dict) and auth.get("type", "bearer") not in ONLY_SENT
            return {
                key: read(item, computes=computes or (own and key == "auth")) for key, item in value.items()
            }
        if isinstance(value, list):
            return [read(item, computes=computes) for item in value]
        if (
            not isinstance(value, AtRun)
            or (value.is_secret and not computes)
            or not _needs(value.place[1:], config, resource)
        ):
            return value
        return value.with_values(_values(config, resource.name, value))

    return dict(read(rest_api))


def _needs(place: Location, config: SyncConfig, resource: ResourceInfo) -> bool:
    """Whether a sync of a resource needs what is at a place in `rest_api`."""
    match place:
        case ("resources", int(index), *_):
            return list(config.resource_names)[index] in resource.lineage
    return True


def _values(config: SyncConfig, resource: str, template: AtRun) -> dict[str, str]:
    try:
        return template.values(_Settings(config))
    except UnsetError as error:
        raise UnsetVariableError(
            resource, str(error), config.file, _field(template.place), is_secret=template.is_secret
        ) from None
    except ValueError as error:
        problem = "this template of a secret fails. Check its filters." if template.is_secret else str(error)
        raise FailingTemplateError(resource, config.file, _field(template.place), problem) from None


class _Settings:
    """The secrets in a template: `secrets.NAME` is dlt's setting `sources.<name>.NAME`."""

    def __init__(self, config: SyncConfig) -> None:
        self._config = config

    def __getattr__(self, key: str) -> str:
        if key.startswith(("jinja", "_")) or key in ("unsafe_callable", "alters_data"):
            raise AttributeError(key)  # Jinja asks each object for marks of its own
        return setting(self._config, key)

    def __getitem__(self, key: str) -> str:
        return setting(self._config, key)

    __call__ = __getitem__


def _field(place: Location) -> str:
    return ".".join(map(str, place))


def read_secrets(config: SyncConfig, resource: ResourceInfo) -> Secrets:
    """Reads the secrets that a sync of a resource needs.

    Raises:
        UnsetVariableError: an environment variable of a template is not set.
        FailingTemplateError: a template fails, or a secret field of an auth is empty.
        MissingSecretError: a secret is not set.
        UnsendableSecretError: a secret is no text, or has characters that cannot be sent.
    """
    return _secrets_where(config, lambda place: _needs(place, config, resource))


def known_secrets(config: SyncConfig) -> Secrets:
    """Reads the secrets of a source that are set, to redact them. A secret that cannot be read is left out."""
    return _secrets_where(config, lambda _: True, SyncError)


def _secrets_where(
    config: SyncConfig, is_needed: Callable[[Location], bool], *ignored: type[SyncError]
) -> Secrets:
    """Reads the secrets of a source.

    Args:
        config: the config of the API.
        is_needed: a function that returns whether the secret at a place in `rest_api` is read.
        ignored: the errors after which a secret is left out.
    """
    values: dict[str, str] = {}
    ids: set[str] = set()
    names: list[str] = []
    for template in secret_templates(config.rest_api):
        if is_needed(template.place[1:]):
            with suppress(*ignored):
                found = _sendable(config, template)
                values |= found
                ids |= set() if template.is_key else found.keys()
                names += _names_in(config.name, template) if _is_credential(template) else []
    for field in secret_fields(config.rest_api):
        if is_needed(field.place):
            with suppress(*ignored):
                values[secret_reference(field.name)] = read_secret(config, field)
                names.append(name_of_setting(config.name, field.name))
    for number, (name, value) in enumerate(secrets_of_objects(config.rest_api), 1):
        values[secret_reference(f"{name}.{number}")] = value
        names.append(name)
    return Secrets(values, ids, names)


def _is_credential(template: AtRun) -> bool:
    return template.is_key or "auth" in template.place


def _names_in(source: str, template: AtRun) -> Iterator[str]:
    """Yields the names of the variables and the settings that a template reads."""
    for part in template.parts.values():
        yield from sorted(part.variables)
        yield from (name_of_setting(source, name) for name in sorted(part.settings) if name)


def _sendable(config: SyncConfig, template: AtRun) -> dict[str, str]:
    place = _field(template.place)
    values = {reference: value.strip() for reference, value in _values(config, "", template).items()}
    if "auth" in template.place and not any(values.values()):
        raise FailingTemplateError("", config.file, place, "the secret is empty.")
    in_auth = "auth" in template.place
    for value in values.values():
        # Elsewhere, a line break is encoded, as in a key of several lines in `json`.
        if "\0" in value or ((in_auth or "headers" in template.place) and not value.isprintable()):
            raise UnsendableSecretError("", config.name, str(template.place[-1]), place=place)
        if not value.isascii() and _in_header(config, template.place[1:]):
            raise UnsendableSecretError("", config.name, str(template.place[-1]), place=place)
    return values


def _in_header(config: SyncConfig, place: Location) -> bool:
    """Whether the secret at a place in `rest_api` is in a header as it is, so that it must be ASCII.

    HTTP basic auth writes a secret in base64, as UTF-8 by RFC 7617. A query and the body of a token request also have
    encodings.
    """
    if "auth" not in place:
        return "headers" in place
    written = value_at(config.rest_api, place[: place.index("auth") + 1])
    auth = written if isinstance(written, Mapping) else {"type": written}
    kind = auth.get("type", "bearer")
    in_query = kind == "api_key" and auth.get("location") in ("query", "param")
    return not (in_query or kind in ("http_basic", "oauth2_client_credentials"))


def read_secret(config: SyncConfig, field: SecretField) -> str:
    """Reads one secret field of an `auth`, which is dlt's setting `sources.<name>.<field>`.

    Args:
        config: the config of the API.
        field: the secret field of the auth type, such as `api_key`.

    Raises:
        MissingSecretError: the secret is not set.
        UnsendableSecretError: the secret is no text, or has characters that no HTTP header can carry.
    """
    value = setting(config, field.name)
    if not value.isprintable() or (not value.isascii() and _in_header(config, field.place)):
        raise UnsendableSecretError("", config.name, field.name)
    return value


def setting(config: SyncConfig, name: str) -> str:
    """Reads the setting `sources.<name of the source>.<name>` of dlt.

    Raises:
        MissingSecretError: the setting is not there, or is empty.
        UnsendableSecretError: the setting is a list, a table or another value that is no text.
    """
    value = _looked_up(name, "sources", config.name)
    if value is None:
        raise MissingSecretError("", config.name, name)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise UnsendableSecretError("", config.name, name, kind=_KINDS.get(type(value), "no text"))
    text = str(value).strip()
    if not text:
        raise MissingSecretError("", config.name, name)
    if text[0] in "'\"" and text[-1] == text[0]:
        log.warning(
            "the secret `%s` of %s is in quotes, which are sent, too. Remove them.", name, config.name
        )
    return text


_KINDS = {bool: "true or false", list: "a list", dict: "a table", float: "a number with a point"}

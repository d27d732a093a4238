"""Reads settings and secrets from dlt's config providers, such as the environment and `.dlt/secrets.toml`.

This module calls the providers directly, because `dlt.secrets.get` stores each value in the pipeline's trace.
"""

from __future__ import annotations

from typing import Any

import dlt

from analytics_assets.config.models import SyncConfig
from analytics_assets.config.rest_api import SecretField, with_secrets
from analytics_assets.config.template_engine import UnsetError
from analytics_assets.config.templates import AtRun
from analytics_assets.config.validation_errors import Location
from analytics_assets.ingestion.errors import (
    FailingTemplateError,
    MissingSecretError,
    UnsendableSecretError,
    UnsetVariableError,
)
from analytics_assets.ingestion.http.redaction import Secrets, secret_reference
from analytics_assets.ingestion.plan.resource_info import ResourceInfo


def provided(field: str, *sections: str) -> str | None:
    """The value of a setting such as `sources.my_api.api_key`, without surrounding whitespace; None if unset.

    Args:
        field: the last part of the setting's name.
        sections: the parts of the name before the field, in order.
    """
    looked_up = (
        provider.get_value(field, str, None, *sections)[0]
        for provider in dlt.secrets.config_providers
        if not provider.is_empty
    )
    value = next((one for one in looked_up if one is not None), None)
    return None if value is None else str(value).strip()


def check_variables(config: SyncConfig, resource: ResourceInfo) -> None:
    """Checks that every environment variable is set that the templates of a resource need.

    Raises:
        UnsetVariableError: a variable was not set when the file was loaded, or is not set now.
    """
    for one in config.unset:
        if one.resource is None or one.resource in resource.lineage:
            raise UnsetVariableError(resource.name, one.variable, config.file, _field(one.place))
    with_variables(config, resource, config.rest_api)


def with_variables(config: SyncConfig, resource: ResourceInfo, rest_api: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy of a REST API config in which each template of `auth` and `headers` has its text.

    Args:
        config: the config of the API.
        resource: the resource to sync. A template of a resource that it does not need keeps a placeholder.
        rest_api: the REST API config, perhaps with secrets.

    Raises:
        UnsetVariableError: an environment variable of a template is not set.
        FailingTemplateError: a template fails.
    """

    def read(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: read(item) for key, item in value.items()}
        if isinstance(value, list):
            return [read(item) for item in value]
        return _text(config, resource, value) if isinstance(value, AtRun) else value

    return dict(read(rest_api))


def _text(config: SyncConfig, resource: ResourceInfo, template: AtRun) -> str:
    match template.place:
        case ("rest_api", "resources", int(index), *_) if (
            list(config.resource_names)[index] not in resource.lineage
        ):
            return str(template)
    return _read(config, resource.name, template)


def _read(config: SyncConfig, resource: str, template: AtRun) -> str:
    try:
        return template.read()
    except UnsetError as error:
        raise UnsetVariableError(resource, str(error), config.file, _field(template.place)) from None
    except ValueError as error:
        raise FailingTemplateError(resource, config.file, _field(template.place), str(error)) from None


def _field(place: Location) -> str:
    return ".".join(map(str, place))


def read_secrets(config: SyncConfig) -> Secrets:
    """Reads all secrets of a source.

    Raises:
        UnsetVariableError: an environment variable of a template is not set, or is empty.
        MissingSecretError: a secret is not set.
        UnsendableSecretError: a secret has characters that no HTTP header can carry.
    """
    values: dict[str, str] = {}

    def read(field: SecretField) -> str:
        values[secret_reference(field.key)] = read_secret(config, field)
        return ""

    with_secrets(config.rest_api, read)
    return Secrets(values)


def read_secret(config: SyncConfig, field: SecretField) -> str:
    """Reads one secret of a source.

    Args:
        config: the config of the API.
        field: the secret field of the auth type, such as `api_key`.

    Raises:
        MissingSecretError: the secret is not set.
        UnsetVariableError: an environment variable of the field's template is not set, or is empty.
        UnsendableSecretError: the secret has characters that no HTTP header can carry.
    """
    if field.template is not None:
        value = _read(config, "", field.template).strip()
        if not value:
            raise FailingTemplateError("", config.file, _field(field.template.place), "the secret is empty.")
    else:
        value = provided(field.name, "sources", config.name) or ""
        if not value:
            raise MissingSecretError("", config.name, field.name)
    if not (value.isascii() and value.isprintable()):
        raise UnsendableSecretError(
            "", config.name, field.name, field.key if field.template is not None else ""
        )
    return value

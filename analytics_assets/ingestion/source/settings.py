"""Reads settings and secrets from dlt's config providers, such as the environment and `.dlt/secrets.toml`.

This module calls the providers directly, because `dlt.secrets.get` stores each value in the pipeline's trace.
"""

from __future__ import annotations

import dlt

from analytics_assets.config.models import SyncConfig
from analytics_assets.config.rest_api import with_secrets
from analytics_assets.ingestion.errors import MissingSecretError, UnsendableSecretError
from analytics_assets.ingestion.http.redaction import Secrets, secret_reference


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


def read_secrets(config: SyncConfig) -> Secrets:
    """Reads all secrets of a source.

    Raises:
        MissingSecretError: a secret is not set.
        UnsendableSecretError: a secret has characters that no HTTP header can carry.
    """
    values: dict[str, str] = {}

    def read(field: str, _: str) -> str:
        values[secret_reference(field)] = read_secret(config.name, field)
        return ""

    with_secrets(config.rest_api, read)
    return Secrets(values)


def read_secret(source: str, field: str) -> str:
    """Reads one secret of a source.

    Args:
        source: the dlt source name.
        field: the secret field of the auth type, such as `api_key`.

    Raises:
        MissingSecretError: the secret is not set.
        UnsendableSecretError: the secret has characters that no HTTP header can carry.
    """
    value = provided(field, "sources", source) or ""
    if not value:
        raise MissingSecretError("", source, field)
    if not (value.isascii() and value.isprintable()):
        raise UnsendableSecretError("", source, field)
    return value

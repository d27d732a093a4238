"""Settings and secrets from dlt's providers: the environment, `.dlt/secrets.toml`, and others.

The providers are asked directly: `dlt.secrets.get` keeps what it finds in the pipeline's trace.
"""

from __future__ import annotations

import dlt

from analytics_assets.config.models import SyncConfig
from analytics_assets.config.rest_api import with_secrets
from analytics_assets.ingestion.errors import MissingSecretError, UnsendableSecretError
from analytics_assets.ingestion.http.redaction import Secrets, secret_reference


def provided(field: str, *sections: str) -> str | None:
    """The value of a setting such as `sources.my_api.api_key`; None where it is not set.

    The last newline of a value that comes from a file is left out.

    Args:
        field: the last part of its name.
        sections: the parts before, from the first.
    """
    looked_up = (
        provider.get_value(field, str, None, *sections)[0]
        for provider in dlt.secrets.config_providers
        if not provider.is_empty
    )
    value = next((one for one in looked_up if one is not None), None)
    return None if value is None else str(value).strip()


def read_secrets(config: SyncConfig) -> Secrets:
    """The secrets of a source.

    Raises:
        MissingSecretError: one is not set.
        UnsendableSecretError: one cannot be sent.
    """
    values: dict[str, str] = {}

    def read(field: str, _: str) -> str:
        values[secret_reference(field)] = read_secret(config.name, field)
        return ""

    with_secrets(config.rest_api, read)
    return Secrets(values)


def read_secret(source: str, field: str) -> str:
    """One secret of a source.

    Args:
        source: dlt source name.
        field: of the auth, such as `api_key`.

    Raises:
        MissingSecretError: it is not set.
        UnsendableSecretError: it cannot be sent.
    """
    value = provided(field, "sources", source) or ""
    if not value:
        raise MissingSecretError("", source, field)
    if not (value.isascii() and value.isprintable()):
        raise UnsendableSecretError("", source, field)
    return value

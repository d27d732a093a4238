"""What dlt's providers (the environment, `.dlt/secrets.toml`, …) say of a setting, without a record of it in dlt."""

from __future__ import annotations

import dlt


def provided(field: str, *sections: str) -> str | None:
    """The value of a setting such as `sources.my_api.api_key`, without a file's last newline; None where it is not set.

    The providers are asked directly: `dlt.secrets.get` keeps what it finds in the pipeline's trace.

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

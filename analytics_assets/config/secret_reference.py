"""The text that takes the place of a secret in a config, so that dlt never has the secret itself."""

from __future__ import annotations

import re
from secrets import token_hex

_PROCESS = token_hex(4)  # a random part, so that no text of an API looks like a reference


def secret_reference(name: str) -> str:
    """Returns the reference to a secret with this name, such as `api_key`. URL encoding does not change it."""
    return f"hidden.{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.{_PROCESS}"

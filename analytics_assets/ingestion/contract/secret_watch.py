"""Finds the rows that hold a secret of the API, such as an API key that the API returns as a field.

What belongs here: what happens to such a row. It is counted, and goes to quarantine if the `defs.yaml` says so. The
values of the secrets belong to `http/redaction.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from analytics_assets.ingestion.contract.rejected import HOLDS_SECRET, Violation


class SecretFinder(Protocol):
    """Knows the secrets.

    Attributes:
        in_responses: whether a response had a secret, so that a row may hold it.
    """

    in_responses: bool

    def fields_with(self, row: Any) -> list[str]:
        """Returns the names of the fields of a row whose whole value is a secret."""


class SecretWatch:
    """Counts the rows that hold a secret.

    Args:
        secrets: the secrets of the API.
        quarantines: whether such a row goes to quarantine.

    Attributes:
        rows: the number of rows that are loaded, by name of the field that holds a secret.
    """

    def __init__(self, secrets: SecretFinder, *, quarantines: bool = False) -> None:
        self._secrets = secrets
        self._quarantines = quarantines
        self.rows: Counter[str] = Counter()

    def violations(self, rows: Sequence[Any]) -> dict[int, list[Violation]]:
        """Counts the rows with a secret. Returns the violations of those that go to quarantine, by position.

        Args:
            rows: the rows of a page, parsed or as JSON.
        """
        if not self._secrets.in_responses:
            return {}
        found = {
            index: fields for index, row in enumerate(rows) if (fields := self._secrets.fields_with(row))
        }
        if not self._quarantines:
            for fields in found.values():
                self.rows.update(fields)
            return {}
        return {
            index: [Violation(one, HOLDS_SECRET, None) for one in fields] for index, fields in found.items()
        }

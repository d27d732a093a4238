"""A row that breaks the contract, and its violations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

HOLDS_SECRET = "holds the secret of the API"  # noqa: S105  a reason, and no secret
"""The reason of a row with a field whose whole value is a secret."""


class Violation(NamedTuple):
    """One way in which a row breaks the contract.

    Attributes:
        column: the warehouse name of the column; None if the whole row is wrong.
        reason: the reason, as text that follows the column name.
        value: the wrong value; None if there is no value.
    """

    column: str | None
    reason: str
    value: Any


@dataclass(frozen=True)
class Rejected:
    """A row that breaks the contract.

    Attributes:
        violations: the violations of the contract.
        row: the row of the API as JSON text.
        values: the values of the row in the declared types, by column; None for a wrong value.
    """

    violations: tuple[Violation, ...]
    row: str
    values: Mapping[str, Any]

    @property
    def reason(self) -> str:
        """All violations as one text."""
        return "; ".join(
            f"{one.column} {one.reason}" if one.column else one.reason for one in self.violations
        )

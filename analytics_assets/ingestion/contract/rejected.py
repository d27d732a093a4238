"""A row that breaks the contract, and how it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Violation(NamedTuple):
    """One way in which a row breaks the contract.

    Attributes:
        column: the column; None where the row as a whole is wrong.
        reason: what is wrong, to follow the column's name.
        value: the value that is wrong; None where there is none.
    """

    column: str | None
    reason: str
    value: Any


@dataclass(frozen=True)
class Rejected:
    """A row that breaks the contract.

    Attributes:
        violations: what is wrong.
        row: the row as the API sent it, as JSON text.
        values: its values that the declared types can hold, by column.
    """

    violations: tuple[Violation, ...]
    row: str
    values: Mapping[str, Any]

    @property
    def reason(self) -> str:
        """All violations in one sentence."""
        return "; ".join(
            f"{one.column} {one.reason}" if one.column else one.reason for one in self.violations
        )

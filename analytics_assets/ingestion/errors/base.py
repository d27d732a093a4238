"""The base class of all failures, and the origins of a failure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from analytics_assets.ingestion.errors.shown import all_shown


class Fault(StrEnum):
    """The origin of a failure, like `failure_type` in Airbyte's protocol."""

    CONFIG = "config"  # the `defs.yaml`, a setting or a secret is wrong, and the user can correct it
    SYSTEM = "system"  # the API or the warehouse has wrong data, or does not work
    TRANSIENT = "transient"  # the same sync may succeed later


@dataclass(eq=False)
class SyncError(Exception):
    """The base class of all sync failures on which a user can act.

    Attributes:
        resource: the dlt resource; empty if the failure is not about one resource.
        code: the stable name of the failure, for tests, alerts and automation.
        fault: the origin of the failure: config, system or transient.
    """

    resource: str

    code: ClassVar[str] = "sync_failed"
    fault: ClassVar[Fault] = Fault.SYSTEM

    def __post_init__(self) -> None:
        """Cuts and escapes the texts of others. So the texts of an error and its facts need no more care."""
        for one in fields(self):
            setattr(self, one.name, all_shown(getattr(self, one.name)))

    @property
    def cause(self) -> str:
        """The sentence that says what happened and where, without the resource and without the full stop."""
        raise NotImplementedError

    @property
    def cure(self) -> str:
        """The sentences that say what to do, without the last full stop; empty if `cause` already says what to do."""
        return ""

    def facts(self) -> dict[str, Any]:
        """The fields of this failure by name, for metadata and alerts."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def __str__(self) -> str:
        where = f"{self.resource}: " if self.resource else ""
        sentences = [f"{where}{self.cause}", *([self.cure] if self.cure else [])]
        return ". ".join(sentences) + ("." if self.cure else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.facts())


def _restored(kind: type[SyncError], facts: dict[str, Any]) -> SyncError:
    return kind(**facts)


def utc(moment: float) -> str:
    """Formats a time in seconds since 1970 as text in UTC, to the second."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def counted(number: int, what: str) -> str:
    """Formats a count with its noun, such as `1 row` or `1,200 rows`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"

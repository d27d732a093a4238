"""The base class of all failures, and the origins of a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Self, TypeVar

from analytics_assets.ingestion.errors.shown import all_shown

_LONGEST_WORDS = 500

_Error = TypeVar("_Error", bound="SyncError")


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

    def redacted(self, redact: Callable[[str], str]) -> Self:
        """Returns this failure without secrets.

        Args:
            redact: a function that replaces the secrets in a text.
        """
        facts = {
            name: value if name == "resource" else redacted(value, redact)
            for name, value in self.facts().items()
        }
        return self if facts == self.facts() else _restored(type(self), facts)

    def __str__(self) -> str:
        where = f"{self.resource}: " if self.resource else ""
        sentences = [f"{where}{self.cause}", *([self.cure] if self.cure else [])]
        return ". ".join(sentences) + ("." if self.cure else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.facts())


@dataclass(eq=False)
class UnexpectedError(SyncError):
    """An error that no rule of this project knows, and whose own text holds a secret.

    Attributes:
        kind: the class of the error.
        words: the text of the error, redacted.
        where: the line of code that raised the error.
    """

    kind: str
    words: str
    where: str
    code = "unexpected"

    @property
    def cause(self) -> str:
        return f"the sync failed with {self.kind} ({self.where}): {self.words[:_LONGEST_WORDS]}"

    @property
    def cure(self) -> str:
        return "The traceback is left out, because it holds a secret"


def _restored(kind: type[_Error], facts: dict[str, Any]) -> _Error:
    return kind(**facts)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and its causes, the error first. An error that is raised again may be among its own causes."""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """Returns a value in which each text, also in lists and mappings, is redacted."""
    if isinstance(value, str):
        return redact(value) if type(value) is str else value
    if isinstance(value, Mapping):
        return {redacted(key, redact): redacted(item, redact) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(redacted(item, redact) for item in value)
    return value


def utc(moment: float) -> str:
    """Formats a time in seconds since 1970 as text in UTC, to the second."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def counted(number: int, what: str) -> str:
    """Formats a count with its noun, such as `1 row` or `1,200 rows`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"

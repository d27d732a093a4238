"""The ways a sync fails that are no bug of ours: each is one sentence that names the place and the cure."""

from __future__ import annotations

from functools import partial
from typing import Any


class SyncError(Exception):
    """Base of every failure of a sync that a user can act on. Its text holds no secret and no row."""


class MissingSettingError(SyncError):
    """A secret or setting the run needs is nowhere to be found."""


class UnfitResourceError(SyncError):
    """What is written of a resource does not go together.

    Args:
        resource: dlt resource name.
        message: what is wrong, and the cure.
    """

    def __init__(self, resource: str, message: str) -> None:
        self.resource = resource
        super().__init__(message)


class UnfitCursorError(UnfitResourceError):
    """A partitioned resource's cursor cannot tell its partitions apart."""


class NoSqlError(SyncError):
    """The destination cannot be asked what it holds, so nothing can be counted or checked there."""


class UnreadableAnswerError(SyncError):
    """The API answered, but not with what the config says it answers with."""


class UndeclaredFieldError(SyncError):
    """The API sends a field that is not declared, and the contract is frozen.

    Args:
        resource: dlt resource name.
        name: of the field, as it would be in the warehouse.
    """

    def __init__(self, resource: str, name: str) -> None:
        super().__init__(
            f"{resource}: the API sends a field `{name}` that is not declared, and schema_contract is freeze: nothing "
            "was loaded. Declare it under columns, or set schema_contract to evolve (load it) or discard_value "
            "(leave it out)"
        )


class TooManyPagesError(SyncError):
    """There are more pages than the run may ask for.

    Args:
        resource: dlt resource whose pages they are.
        endpoint: method and path of the page that was one too many, without query.
        pages: the limit.
    """

    def __init__(self, resource: str, endpoint: str, pages: int) -> None:
        super().__init__(
            f"{resource}: there is more to read at {endpoint} after {pages:,} {'page' if pages == 1 else 'pages'}, and "
            "max_pages of this run allows no more: nothing was loaded. Raise max_pages, or leave it out to fetch all"
        )


class TooManyRejectedError(SyncError):
    """So many rows break the contract that it is not the rows that are wrong."""


class RetypedColumnError(SyncError):
    """A column is declared with another type than it has in the warehouse."""


class UnreachableWarehouseError(SyncError):
    """The embedded warehouse cannot be opened, or nothing can be written beside it."""


class TwiceInALoadError(SyncError):
    """A primary key comes twice in one load, and its strategy would load both rows, or none."""


class WarehouseBusyError(SyncError):
    """A program that is not ours has the DuckDB file open for writing."""


class TooManyRemovedError(SyncError):
    """So many rows of a partition are gone from the API that it may be the API that is wrong."""


class ReadAnewError(SyncError):
    """What was read does not hold any more, or does not fit together: nothing is loaded, and it is read anew."""

    what = cure = ""

    def for_good(self, resource: str, times: int) -> ReadAnewError:
        """That reading anew did not help.

        Args:
            resource: dlt resource name.
            times: how often it was read.
        """
        told = f"{resource}: {self.what}, {times} times over: {self}; nothing was loaded. {self.cure}"
        return type(self)(told)


class RowsMovedError(ReadAnewError):
    """Rows moved while they were read page by page, so that some may be missing or doubled."""

    what = "rows moved while they were read"
    cure = (
        "Have the API sort them by a field that does not change (endpoint.params), or sync when it is quiet"
    )


class OvertakenError(ReadAnewError):
    """Another run has loaded what is newer than what this one has read."""

    what = "another run was faster"
    cure = "Materialize again when fewer runs of the asset are under way"


class SyncHalted(SyncError):  # noqa: N818  a state of the sync, and the name users read
    """The API would not answer, and the sync stopped asking.

    Args:
        resource: dlt resource being loaded.
        endpoint: method and path, without query.
        status: HTTP status of the last answer; None where there was none.
        attempts: requests made for this page, the first included.
        reason: what went wrong, in a few words.
        outage: whether the API as a whole is down or refuses the key, and not this request alone.

    Attributes:
        facts: attempts, endpoint and reason in one phrase.
    """

    def __init__(
        self,
        resource: str,
        endpoint: str,
        status: int | None,
        attempts: int,
        reason: str,
        *,
        outage: bool = False,
    ) -> None:
        self.resource = resource
        self.endpoint = endpoint
        self.status = status
        self.attempts = attempts
        self.reason = reason
        self.outage = outage
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        self.facts = f"halted after {tries} of {endpoint}: {reason}"
        super().__init__(f"{resource}: {self.facts}")

    @property
    def answer(self) -> int | str:
        """The status as it is told; in words where there was none."""
        return "no answer" if self.status is None else self.status

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        facts = (self.resource, self.endpoint, self.status, self.attempts, self.reason)
        return partial(SyncHalted, outage=self.outage), facts


class CircuitOpenError(SyncError):
    """The API is not asked: a sync has given up on it a while ago, or a person has said so."""

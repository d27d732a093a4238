"""The ways a sync fails that are no bug of ours: each is one sentence that names the place and the cure."""

from __future__ import annotations


class SyncError(Exception):
    """Base of every failure of a sync that a user can act on. Its text holds no secret and no row."""


class MissingSettingError(SyncError):
    """A secret or setting the run needs is nowhere to be found."""


class CursorValueError(SyncError):
    """A row's cursor is no timestamp or date, so it cannot be said which window the row belongs to."""


class UnfitCursorError(SyncError):
    """A partitioned resource's cursor cannot tell its partitions apart.

    Args:
        resource: dlt resource name.
        message: what is wrong, and the cure.
    """

    def __init__(self, resource: str, message: str) -> None:
        self.resource = resource
        super().__init__(message)


class NoSqlError(SyncError):
    """The destination cannot be asked what it holds, so nothing can be counted or checked there."""


class UnreadableAnswerError(SyncError):
    """The API answered, but not with what the config says it answers with."""


class WarehouseBusyError(SyncError):
    """A program that is not ours has the DuckDB file open for writing."""


class SyncHalted(SyncError):  # noqa: N818  a state of the sync, and the name users read
    """The API would not answer, and the sync stopped asking.

    Args:
        resource: dlt resource being loaded.
        endpoint: method and path, without query.
        status: HTTP status of the last answer; None where there was none.
        attempts: requests made for this page, the first included.
        reason: what went wrong, in a few words.
    """

    def __init__(self, resource: str, endpoint: str, status: int | None, attempts: int, reason: str) -> None:
        self.resource = resource
        self.endpoint = endpoint
        self.status = status
        self.attempts = attempts
        self.reason = reason
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(f"{resource}: halted after {tries} of {endpoint}: {reason}")

    def __reduce__(self) -> tuple[type[SyncHalted], tuple[str, str, int | None, int, str]]:
        return SyncHalted, (self.resource, self.endpoint, self.status, self.attempts, self.reason)

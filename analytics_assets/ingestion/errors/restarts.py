"""Failures after which the sync starts over, because its rows are out of date."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from analytics_assets.ingestion.errors.api import ApiError
from analytics_assets.ingestion.errors.base import Fault


@dataclass(eq=False)
class RestartError(ApiError):
    """The rows that the sync fetched are out of date, so the sync loads nothing and starts over.

    Attributes:
        observation: the clause that says what the sync noticed.
        attempts: the number of attempts of the sync, set when the sync gives up; before that, 1.
    """

    observation: str
    attempts: int = field(default=1, kw_only=True)
    fault = Fault.TRANSIENT

    def after(self, attempts: int, *, recurs: bool = False) -> Self:  # noqa: ARG002  a subclass uses it
        """Returns the same failure with another number of attempts.

        Args:
            attempts: the number of attempts.
            recurs: whether the attempt before failed in the same way.
        """
        return replace(self, attempts=attempts)

    def recurs(self, before: RestartError | None) -> bool:  # noqa: ARG002  a subclass knows more
        """Whether another attempt is useless, because the attempt `before` failed in the same way."""
        return False

    @property
    def _times(self) -> str:
        return f" in {self.attempts} attempts" if self.attempts > 1 else ""


@dataclass(eq=False)
class RowsMovedError(RestartError):
    """Rows moved between pages during the sync, so that some rows may be missing or doubled.

    Attributes:
        endpoint: the method and path of the request, without the query.
        suspect: what to do if the config is wrong and no row moved; empty if the config cannot be the cause.
        way_out: what to set if the API always does this, and no row moved; empty if there is no such setting.
        fault: transient; config after an attempt that failed in exactly the same way.
    """

    endpoint: str
    suspect: str = field(default="", kw_only=True)
    way_out: str = field(default="", kw_only=True)
    fault: Fault = field(default=Fault.TRANSIENT, kw_only=True)  # type: ignore[misc]  # as in `SyncHalted`
    code = "rows_moved"

    @property
    def cause(self) -> str:
        return f"rows of {self.endpoint} moved while they were read{self._times}: {self.observation}"

    def after(self, attempts: int, *, recurs: bool = False) -> Self:
        """Returns the same failure with another number of attempts, and with the fault `config` if it recurs."""
        return replace(self, attempts=attempts, fault=Fault.CONFIG if recurs else self.fault)

    def recurs(self, before: RestartError | None) -> bool:
        """Whether the attempt before failed in exactly the same way, so that the config is probably wrong."""
        return bool(self.suspect) and before is not None and before.observation == self.observation

    @property
    def cure(self) -> str:
        if self.suspect:
            return f"Nothing was loaded. {self.suspect}. If it is right, sync when the API is quiet"
        return (
            "Nothing was loaded. Have the API sort them by a unique field that does not change (endpoint.params), or "
            "sync when it is quiet" + (f". {self.way_out}" if self.way_out else "")
        )


@dataclass(eq=False)
class StaleLoadError(RestartError):
    """Another run has loaded newer rows or new columns since this run began."""

    code = "stale_load"

    @property
    def cause(self) -> str:
        return f"another run was faster{self._times}: {self.observation}"

    @property
    def cure(self) -> str:
        return "Nothing was loaded. Materialize again when fewer runs of the asset are under way"


@dataclass(eq=False)
class LockLostError(RestartError):
    """The server gave the lock of this run to another run, so the rows that this run fetched may be out of date."""

    code = "lock_lost"

    @property
    def cause(self) -> str:
        return f"the run lost its lock in PostgreSQL{self._times}: {self.observation}"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Materialize again. If it recurs, look for a limit that ends idle connections, such as "
            "idle_session_timeout of the server"
        )

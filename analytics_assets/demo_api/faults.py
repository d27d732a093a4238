"""Faults on demand, which make chosen requests to an endpoint fail.

A test, or a person with curl, posts a list of faults to `/_faults`. Each fault names an endpoint and the numbers of the
requests that it affects. The first request after `POST /_faults` has the number 1.
"""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """One fault of an endpoint. An absent key leaves its part of the response unchanged."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(description="The endpoint, such as /v1/transactions.")
    requests: list[int] | None = Field(None, description="Request numbers, from 1. Absent: every request.")
    status: int | None = Field(None, description="Answer with this status and a small error body.")
    retry_after: str | None = Field(None, description="Send this Retry-After header along with `status`.")
    delay: float = Field(0, ge=0, description="Seconds to wait before answering.")
    reset: bool = Field(False, description="Reset the TCP connection instead of answering.")
    truncate: bool = Field(False, description="Send half of the promised body, then close.")
    body: str | None = Field(None, description="Send this text as the body of a 200.")
    row: int | None = Field(
        0,
        description="The row of the page, from 0, that `set_fields` and `drop_fields` change. null: every row.",
    )
    set_fields: dict[str, Any] = Field(
        default_factory=dict, description="Fields to overwrite, for example with a wrong type or null."
    )
    drop_fields: list[str] = Field(default_factory=list, description="Fields to leave out.")
    shift: int = Field(0, ge=0, description="Rows missing from the start of the list, as if just deleted.")

    def applied_to(self, page: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Returns a copy of the page, changed by this fault."""
        if not (self.set_fields or self.drop_fields):
            return page
        return [self._changed(row) if self.row in (None, index) else row for index, row in enumerate(page)]

    def _changed(self, row: dict[str, Any]) -> dict[str, Any]:
        changed = {**row, **self.set_fields}
        return {name: value for name, value in changed.items() if name not in self.drop_fields}


class FaultPlan:
    """The current faults, and the number of requests per endpoint. The class is thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._faults: list[Fault] = []
        self._counts: Counter[str] = Counter()

    def set(self, faults: list[Fault]) -> None:
        """Replaces all faults and sets the request counts to zero."""
        with self._lock:
            self._faults = faults
            self._counts.clear()

    def next(self, path: str) -> list[Fault]:
        """Counts one request to `path`, and returns the faults that affect the request."""
        with self._lock:
            self._counts[path] += 1
            number = self._counts[path]
            return [
                fault
                for fault in self._faults
                if fault.path == path and (fault.requests is None or number in fault.requests)
            ]

    def counts(self) -> dict[str, int]:
        """Returns the number of requests per endpoint since the faults were last set."""
        with self._lock:
            return dict(self._counts)

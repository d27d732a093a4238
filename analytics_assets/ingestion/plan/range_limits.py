"""What a run knows about the ranges of time that the API answers. Each sync of the run may learn more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self

from analytics_assets.ingestion.errors import RangeTooLargeError, RangeTooSlowError
from analytics_assets.ingestion.time_window import Window


@dataclass(frozen=True, kw_only=True)
class RangeLimits:
    """What is known about the ranges that the API answers.

    Attributes:
        max_offset: the most rows that the API pages through; None if unknown.
        too_long: the length of a range for which the API took too long; None if unknown.
        slow_tries: the tries that took too long since the last answer, each for a larger range than the next.
    """

    max_offset: int | None = None
    too_long: timedelta | None = None
    slow_tries: int = 0

    def after(self, error: RangeTooLargeError, window: Window) -> Self:
        """Returns what is known after a failure.

        Args:
            error: why the range was too large.
            window: the range.
        """
        if isinstance(error, RangeTooSlowError):
            too_long = min(window.length, self.too_long or window.length)
            return replace(self, too_long=too_long, slow_tries=self.slow_tries + error.attempts)
        return replace(self, max_offset=error.rows)  # a later range is not read up to the limit again

    def after_answer(self) -> Self:
        """Returns what is known after a range was loaded."""
        return replace(self, slow_tries=0)

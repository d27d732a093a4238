"""How many pages a run may ask for: a sync keeps within it or fails, a dry run ends there.

What belongs here: the count. It is kept where pages are asked for, in `session.py`, so that it holds for every
paginator and for pages asked for ahead.
"""

from __future__ import annotations

from collections import Counter
from threading import Lock

from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException

from analytics_assets.ingestion.errors import TooManyPagesError


class PagesCutError(IgnoreResponseException):
    """A dry run has all the pages that it is to have; dlt's client ends its paging at it."""


class PageLimit:
    """The pages of each resource that one attempt of a run may still ask for. Safe across threads.

    Args:
        pages: of each resource, for a resource may read those of its parent as well; None for all there are.
        cuts: whether what is beyond is left out, as in a dry run, and no failure.
    """

    def __init__(self, pages: int | None = None, *, cuts: bool = False) -> None:
        self._pages = pages
        self._cuts = cuts
        self._taken: Counter[str] = Counter()
        self._lock = Lock()

    def take(self, resource: str, endpoint: str) -> None:
        """One page is about to be asked for; a retry of it is none of its own.

        Args:
            resource: whose page it is.
            endpoint: method and path, for the message.

        Raises:
            TooManyPagesError: it is one too many.
            PagesCutError: the same, in a dry run.
        """
        if self._pages is None:
            return
        with self._lock:
            if self._taken[resource] < self._pages:
                self._taken[resource] += 1
                return
        if self._cuts:
            raise PagesCutError
        raise TooManyPagesError(resource, endpoint, self._pages)

"""How many pages a run may fetch. A sync that needs more fails; a dry run ends there.

Only the count is here. It is taken where pages are fetched (`session.py`, `page_group.py`), so that it holds for every
paginator, and for pages that are read ahead.
"""

from __future__ import annotations

from collections import Counter
from threading import Lock

from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException

from analytics_assets.ingestion.errors import TooManyPagesError


class PagesCutError(IgnoreResponseException):
    """A dry run has all its pages. dlt's client ends its paging at this error."""


class PageLimit:
    """The pages of each resource that one attempt of a run may still fetch. Safe across threads.

    Args:
        pages: of each resource, for a resource may read the pages of its parent as well; None for no limit.
        cuts: whether the pages beyond are left out, as in a dry run, and are no failure.
    """

    def __init__(self, pages: int | None = None, *, cuts: bool = False) -> None:
        self._pages = pages
        self._cuts = cuts
        self._taken: Counter[str] = Counter()
        self._lock = Lock()

    def take(self, resource: str, endpoint: str) -> None:
        """Counts a page that is about to be fetched. A retry of it does not count.

        Args:
            resource: whose page it is.
            endpoint: method and path, for the message.

        Raises:
            TooManyPagesError: it is beyond the limit.
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

"""The limit on the pages that a run may fetch. A sync that needs more pages fails, and a dry run ends at the limit.

This module counts the pages. `session.py` and `page_group.py` call `PageLimit.take` before each page, so the limit
applies to every paginator and to pages that are fetched ahead.
"""

from __future__ import annotations

from collections import Counter
from threading import Lock

from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException

from analytics_assets.ingestion.errors import TooManyPagesError


class PagesCutError(IgnoreResponseException):
    """A dry run has fetched all pages within its limit. This error ends the paging of dlt's client."""


class PageLimit:
    """Counts the pages of each resource in one attempt of a sync. The class is thread-safe.

    Args:
        pages: the most pages of each resource, the parent of a resource included; None for no limit.
        cuts: whether paging ends at the limit without a failure, as in a dry run.
    """

    def __init__(self, pages: int | None = None, *, cuts: bool = False) -> None:
        self._pages = pages
        self._cuts = cuts
        self._taken: Counter[str] = Counter()
        self._lock = Lock()

    def take(self, resource: str, endpoint: str) -> None:
        """Counts a page before the page is fetched. A retry of a request is not counted.

        Args:
            resource: the dlt resource of the page.
            endpoint: the method and path of the request, for the error text.

        Raises:
            TooManyPagesError: the page is beyond the limit.
            PagesCutError: the page is beyond the limit of a dry run.
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

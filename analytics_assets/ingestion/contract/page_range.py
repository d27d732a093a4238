"""The range of time that the request for the current page asked for, if a sync reads several ranges side by side."""

from __future__ import annotations

from dataclasses import dataclass

from analytics_assets.ingestion.time_window import Window


@dataclass
class PageRange:
    """The range of the page that is in dlt's pipe. A page goes through all steps before the next one comes.

    Attributes:
        window: the range. A row outside the range is one that another request brings.
    """

    window: Window | None = None

"""A third-party analytics API in your warehouse, as Dagster assets, from one dlt config.

`RestApiSync` is the public name: the component a `defs.yaml` names as its type, and its Python form.
It is loaded on first use, so that `analytics_assets.ingestion` and the demo API start without Dagster.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analytics_assets.component import RestApiSync

__all__ = ["RestApiSync"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("analytics_assets.component"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

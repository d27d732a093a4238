"""A third-party analytics API in your warehouse, as Dagster assets, from one dlt config.

`RestApiSync` is the component that a `defs.yaml` names as its type. `read_warehouse` opens the DuckDB file with the
loaded tables. The package imports `RestApiSync` and `read_warehouse` on first use, so that
`import analytics_assets.ingestion` does not import Dagster.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analytics_assets.component import RestApiSync
    from analytics_assets.ingestion.warehouse.reader import read_warehouse

__all__ = ["RestApiSync", "read_warehouse"]

_HOME = {"RestApiSync": "component", "read_warehouse": "ingestion.warehouse.reader"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Lists the names that are imported on first use, because `dg` finds components by `dir`."""
    return sorted({*globals(), *__all__})

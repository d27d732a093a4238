"""A third-party analytics API in your warehouse, as Dagster assets, from one dlt config.

`RestApiSync` is the component that a `defs.yaml` names as its type. `read_warehouse` and `write_warehouse` open the
DuckDB file with the loaded tables, and `lock_warehouse` keeps syncs away from it. The package imports all of them on
first use, so that `import analytics_assets.ingestion` does not import Dagster.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analytics_assets.component import RestApiSync
    from analytics_assets.ingestion.warehouse.connections import (
        lock_warehouse,
        read_warehouse,
        write_warehouse,
    )

__all__ = ["RestApiSync", "lock_warehouse", "read_warehouse", "write_warehouse"]

_HOME = {
    "RestApiSync": "component",
    "lock_warehouse": "ingestion.warehouse.connections",
    "read_warehouse": "ingestion.warehouse.connections",
    "write_warehouse": "ingestion.warehouse.connections",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Lists the names that are imported on first use, because `dg` finds components by `dir`."""
    return sorted({*globals(), *__all__})

"""The config that a user of dlt writes for this API; every way through dlt has it, whole or in part."""

from __future__ import annotations

from typing import Any

# What dlt imports in the midst of its first run, which is no part of what is measured.
import dlt.common.libs.pyarrow
import dlt.common.libs.sql_alchemy_compat
import dlt.destinations.impl.duckdb.factory  # noqa: F401
import duckdb  # noqa: F401
import pyarrow.parquet  # noqa: F401
from api import COLUMNS, PAGE, PATH

SOURCE, TABLE = "analytics_api", "transactions"

_HINTS: dict[str, dict[str, Any]] = {
    "BIGINT": {"data_type": "bigint"},
    "DECIMAL(18,2)": {"data_type": "decimal", "precision": 18, "scale": 2},
    "VARCHAR": {"data_type": "text"},
    "TIMESTAMP WITH TIME ZONE": {"data_type": "timestamp"},
}
DECLARED = {
    name: {**_HINTS[sql_type], "nullable": name in ("refunded_amount", "note")}
    for name, sql_type in COLUMNS.items()
}


def rest_api(url: str, **resource: Any) -> dict[str, Any]:
    """The REST API config of dlt, without the secret.

    Args:
        url: of the API.
        resource: more that is said of the resource, such as its columns.
    """
    return {
        "client": {
            "base_url": url,
            "auth": {"type": "api_key", "name": "api_key", "location": "query"},
            "paginator": {"type": "offset", "limit": PAGE, "total_path": "total"},
        },
        "resources": [
            {
                "name": TABLE,
                "primary_key": "id",
                "write_disposition": "merge",
                "endpoint": {"path": PATH, "data_selector": "data"},
                **resource,
            }
        ],
    }

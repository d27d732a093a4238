"""The dlt config for this API, which every way with dlt uses as a whole or in part."""

from __future__ import annotations

from typing import Any

# dlt imports these modules during its first run, and the measurement excludes imports.
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
    """Returns dlt's REST API config, without the secret.

    Args:
        url: the base URL of the API.
        resource: more settings of the resource, such as its columns.
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

"""A second `defs.yaml` loads an API with cursor pagination, a key in a header, and names in camel case."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
import yaml

from analytics_assets_tests.conftest import DemoApi, Project, check_of

ORDERS = """
type: analytics_assets.RestApiSync
attributes:
  name: shop
  rest_api:
    client:
      base_url: "{{ env.SHOP_URL }}"
      auth: {type: api_key, name: X-Api-Key, location: header}
      paginator: {type: cursor, cursor_path: next, cursor_param: cursor}
    resources:
      - name: orders
        primary_key: orderId
        write_disposition: merge
        endpoint:
          path: /v2/orders
          data_selector: items
          incremental: {cursor_path: changedAt, start_param: updated_since, end_param: updated_until}
        columns:
          orderId: {data_type: bigint, nullable: false}
          amount: {data_type: decimal, precision: 18, scale: 2, nullable: false}
          changedAt: {data_type: timestamp, nullable: false}
          buyer__customerId: {data_type: bigint, nullable: false}
  assets:
    orders: {partitions: {type: weekly, start_date: "2026-01-04"}}
"""


@pytest.fixture(autouse=True)
def shop(api: DemoApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", api.url)
    monkeypatch.setenv("SOURCES__SHOP__API_KEY", "demo-key")


def orders(project: Project) -> list[dict[str, Any]]:
    rows = project.query("SELECT * FROM shop.orders ORDER BY order_id")
    return [{key: row[key] for key in row if not key.startswith("_dlt_")} for row in rows]


def expected(api: DemoApi, since: str, until: str) -> list[dict[str, Any]]:
    rows = sorted(api.rows("transactions", since, until), key=lambda row: int(row["id"]))
    return [
        {
            "order_id": row["id"],
            "amount": Decimal(row["transaction_amount"]),
            "changed_at": datetime.fromisoformat(row["updated_at"]),
            "buyer__customer_id": row["customer_id"],
        }
        for row in rows
    ]


def test_weeks_of_orders(project: Project, api: DemoApi) -> None:
    definitions = project.definitions(ORDERS)
    for _ in range(2):
        result = project.run(definitions, "orders", "2026-01-11", "2026-01-18", source="shop")
        assert result.success
    assert orders(project) == expected(api, "2026-01-11", "2026-01-25")
    assert all(check.passed for check in result.get_asset_check_evaluations())


def test_a_null_is_reported_with_column_and_primary_key(project: Project, api: DemoApi) -> None:
    row = api.rows("transactions", "2026-01-11")[3]
    api.set_faults({"path": "/v2/orders", "requests": [1], "row": 3, "set_fields": {"buyer": {}}})
    result = project.run(project.definitions(ORDERS), "orders", "2026-01-11", source="shop")
    check = check_of(result, "schema_nullability")
    assert f"buyer__customer_id is absent in 1 row (primary key {row['id']})" in str(check.description)


def test_a_whole_table_without_columns_or_cursor(project: Project, api: DemoApi) -> None:
    """The shortest possible config: no columns, no keys, no assets."""
    document = yaml.safe_load(ORDERS)
    document["attributes"]["rest_api"]["resources"] = [
        {"name": "orders", "endpoint": {"path": "/v2/orders"}, "write_disposition": "replace"}
    ]
    del document["attributes"]["assets"]
    definitions = project.definitions(yaml.safe_dump(document))
    for _ in range(2):
        assert project.run(definitions, "orders", source="shop").success
    assert project.query("SELECT count(*) AS n FROM shop.orders") == [{"n": len(api.rows("transactions"))}]


def test_two_apis_in_one_project(project: Project, api: DemoApi, shipped_yaml: str) -> None:
    """Two files share one code location and one warehouse, and their data stays apart."""
    del api
    other = project.defs_yaml.parent.parent / "shop/defs.yaml"
    other.parent.mkdir()
    other.write_text(ORDERS)
    definitions = project.definitions(shipped_yaml)
    assert project.run(definitions, "products").success
    assert project.run(definitions, "orders", "2026-01-11", source="shop").success
    schemas = {
        row["table_schema"] for row in project.query("SELECT table_schema FROM information_schema.tables")
    }
    assert {"analytics_api", "shop"} <= schemas

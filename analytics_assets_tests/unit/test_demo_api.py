"""The demo API is deterministic, changes from day to day, and fails exactly as its faults say."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import date, timedelta
from typing import Any

import pytest
import requests

from analytics_assets.demo_api.data import EPOCH, Snapshot
from analytics_assets.demo_api.server import DEFAULT_KEY, PAGE_CAP
from analytics_assets_tests.conftest import DemoApi

COLLECTIONS = ("customers", "products", "transactions", "events")


def get(api: DemoApi, path: str = "/v1/transactions", **params: Any) -> requests.Response:
    return requests.get(api.url + path, {"api_key": DEFAULT_KEY, **params}, timeout=5)


def test_the_same_day_is_the_same_data() -> None:
    day = EPOCH + timedelta(days=20)
    for collection in COLLECTIONS:
        assert Snapshot(day).rows(collection) == Snapshot(day).rows(collection)


def test_between_days_rows_are_added_updated_late_and_deleted() -> None:
    before, after = Snapshot(date(2026, 1, 20)), Snapshot(date(2026, 1, 27))
    was, now = ({row["id"]: row for row in one.rows("transactions")} for one in (before, after))
    assert now.keys() - was.keys(), "added"
    assert was.keys() - now.keys(), "deleted"
    late = [row for key, row in now.items() if key in was and row != was[key]]
    assert late, "updated"
    assert all(row["updated_at"] > was[row["id"]]["updated_at"] for row in late)


def test_a_filter_is_half_open_and_a_day_is_in_order(api: DemoApi) -> None:
    body = get(api, updated_since="2026-01-05", updated_until="2026-01-06T00:00:00Z", limit=100).json()
    stamps = [row["updated_at"] for row in body["data"]]
    assert stamps[0] == "2026-01-05T00:00:00Z"
    assert stamps[-1] == "2026-01-05T23:59:59.999999Z"
    assert stamps == sorted(stamps)
    assert body["total"] == len(stamps)


def test_pages_are_capped_and_add_up(api: DemoApi) -> None:
    first = get(api, limit=1000).json()
    assert len(first["data"]) == PAGE_CAP
    ids = []
    for offset in range(0, first["total"], PAGE_CAP):
        ids += [row["id"] for row in get(api, limit=PAGE_CAP, offset=offset).json()["data"]]
    assert len(ids) == len(set(ids)) == first["total"]


def test_money_is_text_and_some_fields_are_null(api: DemoApi) -> None:
    rows = get(api, limit=100).json()["data"]
    assert all(isinstance(row["transaction_amount"], str) for row in rows)
    assert {row["note"] is None for row in rows} == {True, False}


@pytest.mark.parametrize(
    "path", ["/v1/customers", "/v1/products", "/v1/transactions", "/v1/events", "/v2/orders"]
)
def test_no_key_no_data(api: DemoApi, path: str) -> None:
    assert requests.get(api.url + path, timeout=5).status_code == 401
    assert requests.get(api.url + path, {"api_key": "wrong"}, timeout=5).status_code == 401


@pytest.mark.parametrize("params", [{"offset": "-1"}, {"limit": "many"}, {"updated_since": "yesterday"}])
def test_a_bad_parameter_is_a_400_that_names_it(api: DemoApi, params: dict[str, str]) -> None:
    answer = get(api, **params)
    assert answer.status_code == 400
    assert next(iter(params)) in answer.json()["error"]


def fault(**what: Any) -> dict[str, Any]:
    return {"path": "/v1/transactions", **what}


def test_faults_hit_the_requests_they_name(api: DemoApi) -> None:
    api.set_faults(fault(requests=[2], status=429, retry_after="7"))
    answers = [get(api) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 200]
    assert answers[1].headers["Retry-After"] == "7"
    assert get(api, "/v1/products").status_code == 200
    assert api.request_counts() == {"/v1/transactions": 3, "/v1/products": 1}


def test_a_delay(api: DemoApi) -> None:
    api.set_faults(fault(delay=0.3))
    started = time.monotonic()
    assert get(api).status_code == 200
    assert time.monotonic() - started >= 0.3


def test_a_reset_connection(api: DemoApi) -> None:
    api.set_faults(fault(reset=True))
    with pytest.raises(requests.ConnectionError, match="reset"):
        get(api)


def test_a_truncated_body(api: DemoApi) -> None:
    api.set_faults(fault(truncate=True))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        get(api)


def test_a_body_that_is_no_json(api: DemoApi) -> None:
    api.set_faults(fault(body="<html>maintenance</html>"))
    assert get(api).text == "<html>maintenance</html>"


def test_wrong_types_nulls_and_missing_fields(api: DemoApi) -> None:
    clean = get(api).json()["data"]
    api.set_faults(fault(row=3, set_fields={"quantity": "many", "status": None}, drop_fields=["currency"]))
    spoiled = get(api).json()["data"]
    assert spoiled[3]["quantity"] == "many"
    assert spoiled[3]["status"] is None
    assert "currency" not in spoiled[3]
    assert spoiled[:3] + spoiled[4:] == clean[:3] + clean[4:]


def test_a_shifting_offset(api: DemoApi) -> None:
    clean = get(api, limit=100).json()
    api.set_faults(fault(shift=7))
    shifted = get(api, limit=100).json()
    assert shifted["total"] == clean["total"] - 7
    assert shifted["data"][:10] == clean["data"][7:17]


def test_a_taken_port_is_reported_in_a_sentence(api: DemoApi) -> None:
    port = api.url.rpartition(":")[2]
    program = [sys.executable, "-m", "analytics_assets.demo_api", "--port", port]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"Port {port} is taken (Address already in use). Stop what listens there")


def test_a_fault_with_a_typo_is_refused(api: DemoApi) -> None:
    answer = requests.post(f"{api.url}/_faults", json=[{"path": "/v1/events", "statuss": 500}], timeout=5)
    assert answer.status_code == 400
    assert "statuss" in answer.json()["error"]

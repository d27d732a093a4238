"""Codes and messages of real APIs beside an empty list: which of them say that the request failed."""

from __future__ import annotations

from typing import Any

import pytest

from analytics_assets.ingestion.http.error_fields import error_member

FAILED: list[tuple[dict[str, Any], str]] = [
    # the response, whose rows are at `data.list`; the field that says that the request failed
    ({"code": 40100, "message": "Too many requests", "data": {"list": []}}, "code"),  # TikTok
    ({"code": "40001", "message": "Invalid token", "request_id": "7"}, "code"),
    ({"errcode": 40001, "errmsg": "invalid credential"}, "errcode"),  # WeChat
    ({"code": 99991663, "msg": "token is invalid"}, "code"),  # Feishu
    ({"code": -1121, "msg": "Invalid symbol."}, "code"),  # Binance
    ({"error_code": 110, "error_msg": "Access token expired"}, "error_code"),  # Baidu
    ({"retCode": 10006, "retMsg": "Too many visits"}, "retCode"),  # Bybit
    ({"code": 500, "message": "busy"}, "code"),
    ({"code": 404, "message": "not succeeded"}, "code"),
    ({"code": 7, "message": "unsuccessful"}, "code"),
    ({"code": 7, "message": "not successful"}, "code"),
    ({"code": "ERROR", "message": "down"}, "code"),
    ({"code": "InvalidApiKey", "message": "The key is unknown"}, "code"),
    ({"meta": {"code": 403, "message": "Rate limit"}, "data": []}, "meta.code"),
    ({"status": {"error_code": 1002, "error_message": "API key missing."}}, "status.error_code"),  # CoinMarketCap
    ({"data": {"code": 4003, "message": "denied", "list": []}}, "data.code"),
]  # fmt: skip

SUCCEEDED: list[dict[str, Any]] = [
    {"code": 0, "message": "OK"},
    {"code": "0", "message": "anything"},
    {"code": "00000", "message": "anything"},
    {"code": 1, "msg": "操作成功"},
    {"code": 1, "message": "anything"},
    {"code": 200, "message": "anything"},
    {"code": 204, "message": "anything"},
    {"code": "200", "message": "anything"},
    {"code": 1000, "message": "anything"},
    {"code": "10000", "msg": "Success"},  # Alipay
    {"code": 20000, "message": "anything"},
    {"code": 200000, "message": "anything"},
    {"code": "OK", "message": "anything"},
    {"code": "SUCCESS", "message": "anything"},
    {"code": "success", "message": "anything"},
    {"code": "NO_ERROR", "message": "anything"},
    {"code": "noError", "message": "anything"},
    {"code": True, "message": "anything"},
    {"code": None, "message": "anything"},
    {"code": "US", "message": "anything"},
    {"code": 40100},
    {"code": 40100, "message": ""},
    {"code": 40100, "message": None},
    {"code": 3, "message": "Query succeeded"},
    {"code": 3, "message": "Request successful."},
    {"code": 3, "message": "ok"},
    {"code": 404, "message": "No data found"},
    {"code": 3, "message": "0 results"},
    {"code": 3, "message": "暂无数据"},
    {"message": "Too many requests"},
    {"meta": {"code": 200, "message": "anything"}},
    {"status": {"error_code": 0, "error_message": None}},
    {"page": {"code": 7, "message": "anything"}},
    {"data": {"code": 0, "message": "anything", "list": []}},
]


@pytest.mark.parametrize(("response", "member"), FAILED)
def test_a_code_with_a_message_is_an_error(response: dict[str, Any], member: str) -> None:
    assert error_member(response, ["data", "list"], has_row_field=False, may_be_row=False) == member


@pytest.mark.parametrize("response", SUCCEEDED)
def test_a_code_of_success_is_none(response: dict[str, Any]) -> None:
    assert error_member(response, ["data", "list"], has_row_field=False, may_be_row=False) is None


@pytest.mark.parametrize(("has_row_field", "may_be_row"), [(True, False), (False, True)])
def test_a_code_may_be_data(has_row_field: bool, may_be_row: bool) -> None:
    response = {"code": 40100, "message": "Too many requests"}
    assert error_member(response, [], has_row_field=has_row_field, may_be_row=may_be_row) is None

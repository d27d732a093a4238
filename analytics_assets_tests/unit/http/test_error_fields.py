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
    ({"code": -1, "message": "no data permission"}, "code"),
    ({"code": 404.0, "message": "gone"}, "code"),
    ({"code": 5, "message": "Could not be completed"}, "code"),
    ({"code": 5, "message": "Complete your profile first"}, "code"),
    ({"code": 5, "message": "No such endpoint found"}, "code"),
    ({"code": 5, "message": "No servers available"}, "code"),
    ({"code": 5, "message": "No right to read data"}, "code"),
    ({"code": 5, "message": "Payment details are not up to date"}, "code"),
    ({"code": 404, "message": "Not found"}, "code"),
    ({"message": "You do not have permission to do that"}, "message"),
    ({"message": "Your account is suspended"}, "message"),
    ({"message": "API key is missing"}, "message"),
    ({"message": "Quota reached"}, "message"),
    ({"message": "Down for maintenance"}, "message"),
    ({"message": "Error: results could not be retrieved"}, "message"),
    ({"code": 2, "message": "auth failed"}, "code"),
    ({"code": "1", "msg": "All operations failed", "data": []}, "code"),  # OKX
    ({"code": 1, "message": "User not found"}, "code"),
    ({"code": 1, "message": "Please try again"}, "code"),
    ({"code": 10, "message": "Please try again"}, "code"),
    ({"code": 20, "message": "Please try again"}, "code"),
    ({"code": 100, "msg": "系统繁忙"}, "code"),  # Tianapi
    ({"code": 1000, "message": "Please check your parameters"}, "code"),  # Wish
    ({"code": 1000.0, "message": "Please check your parameters"}, "code"),
    ({"error_code": 1}, "error_code"),  # Baidu, VK
    ({"errno": "100"}, "errno"),
    ({"errcode": 1000, "errmsg": "busy"}, "errcode"),
    ({"code": 200, "message": "Unauthorized"}, "message"),
    ({"code": 0, "message": "401: Unauthorized"}, "message"),  # Discord
    ({"message": "Too many requests"}, "message"),
    ({"message": "Invalid API key"}, "message"),
    ({"message": "Your session has expired."}, "message"),
    ({"message": "Access denied: no data"}, "message"),
    ({"message": "Request failed, 0 results"}, "message"),
    ({"message": "No valid token found"}, "message"),
    ({"message": "NOTOK", "status": "0"}, "message"),  # Etherscan
    ({"message": "Login unsuccessful"}, "message"),
    ({"message": "Missing parameter: id"}, "message"),
    ({"message": "Rate limit reached"}, "message"),
    ({"message": "Service temporarily unavailable"}, "message"),
    ({"message": "登录失败"}, "message"),
    ({"detail": "Authentication credentials are invalid"}, "detail"),
    ({"status": "REQUEST_DENIED", "error_message": "x"}, "status"),  # Google
    ({"status": "OVER_QUERY_LIMIT"}, "status"),
    ({"status": "INVALID_REQUEST"}, "status"),
    ({"status": "UNKNOWN_ERROR"}, "status"),
    ({"status": "RESOURCE_EXHAUSTED"}, "status"),
    ({"status": "not ok"}, "status"),
    ({"status": "401"}, "status"),
    ({"status": 401.0}, "status"),
    ({"status": "401 Unauthorized"}, "status"),
    ({"status": "Error"}, "status"),
    ({"status": False, "message": "please wait"}, "status"),
    ({"stat": "fail", "code": 100, "message": "x"}, "stat"),  # Flickr
    ({"success": 0, "message": "x"}, "success"),
    ({"success": "no"}, "success"),
    ({"ok": 0}, "ok"),
    ({"ok": "0"}, "ok"),
    ({"hasError": True}, "hasError"),
    ({"has_errors": "true"}, "has_errors"),
    ({"isError": 1}, "isError"),
    ({"failed": True}, "failed"),
    ({"error_code": "AUTH_EXPIRED", "error_message": "Token expired"}, "error_code"),
    ({"error_code": "AUTH_EXPIRED"}, "error_code"),
    ({"errcode": 40001}, "errcode"),
    ({"errorMessage": "x"}, "errorMessage"),
    ({"errorMessages": ["x"]}, "errorMessages"),  # Jira
    ({"error_message": "x"}, "error_message"),
    ({"err": "x"}, "err"),
    ({"fault": {"faultstring": "x"}}, "fault"),  # Apigee
    ({"exception": "java.lang.Exception"}, "exception"),
    ({"type": "error"}, "type"),
    ({"state": "ERROR"}, "state"),
    ({"meta": {"error": "bad"}}, "meta.error"),
    ({"meta": {"errors": ["bad"]}}, "meta.errors"),
    ({"meta": {"status": 401}}, "meta.status"),
    ({"meta": {"success": False}}, "meta.success"),
    ({"meta": {"message": "Unauthorized"}}, "meta.message"),
    ({"response": {"status": "error"}}, "response.status"),
    ({"data": {"success": False, "list": []}}, "data.success"),
    ({"error": "rate limited"}, "error"),
    ({"error": True}, "error"),
    ({"error": 1}, "error"),
    ({"error": {"code": 1, "message": "x"}}, "error"),
    ({"error": {"code": 200, "message": "Unauthorized"}}, "error"),
    ({"error": {"message": "No data found", "code": 7}}, "error"),
    ({"error": {"reason": "x"}}, "error"),
    ({"error": ["x"]}, "error"),
    ({"errors": [None, {"message": "x"}]}, "errors"),
    ({"errors": {"name": ["is required"]}}, "errors"),
]  # fmt: skip

SUCCEEDED: list[dict[str, Any]] = [
    {"code": 0, "message": "OK"},
    {"code": "0", "message": "anything"},
    {"code": "00000", "message": "anything"},
    {"code": 1, "msg": "操作成功"},
    {"code": 200, "message": "anything"},
    {"code": 204, "message": "anything"},
    {"code": "200", "message": "anything"},
    {"code": 1000, "message": "OK"},  # BitMart
    {"code": 1, "msg": "获取成功"},  # FastAdmin, ThinkPHP
    {"code": 1, "msg": ""},  # OKX has texts in its rows
    {"code": 1, "data": []},
    {"code": 1, "message": "No data found"},
    {"code": 100, "message": "Success"},
    {"code": 2000, "message": "anything"},
    {"code": 10000, "msg": "anything"},  # Amap
    {"code": 100000, "message": "anything"},
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
    {"message": "Your campaigns"},
    {"message": "Expired coupons"},
    {"message": "Suspended users"},
    {"message": "Missing persons"},
    {"message": "Permissions of the user"},
    {"message": "Maintenance windows"},
    {"message": "Rate limit: 99 of 100"},
    {"message": "Quota: 5 of 100"},
    {"message": "Request completed."},
    {"code": 5, "message": "Request is finished"},
    {"code": 5, "message": "No matching customers"},
    {"code": 5, "message": "0 customers found"},
    {"code": 5, "message": "No new data available"},
    {"message": "No errors"},
    {"message": "0 errors, 0 rows"},
    {"message": "Finished without errors"},
    {"message": "errors: 0"},
    {"message": "Successfully skipped 2 invalid rows"},
    {"message": "No expired coupons found"},
    {"message": "No failed payments found."},
    {"message": "No transactions found", "status": "0"},  # Etherscan
    {"message": ["invalid"]},
    {"code": 1001, "message": "No customers found"},
    {"code": 1001, "message": "No active sessions found"},
    {"code": 5, "message": "completed"},
    {"code": 304, "message": "Not modified"},
    {"errcode": 0, "errmsg": "ok"},
    {"errcode": 0, "errmsg": "anything"},
    {"errcode": 5, "errmsg": "completed"},
    {"error_code": "NONE", "error_message": "N/A"},
    {"error_code": None, "error_message": None},
    {"error_message": ""},
    {"errorMessages": []},
    {"status": "ZERO_RESULTS"},  # Google
    {"status": "OK"},
    {"status": "ok", "code": 200},
    {"status": "No error"},
    {"status": "expired"},
    {"status": 200},
    {"status": "200 OK"},
    {"status": False, "message": "No records found"},
    {"status": False},
    {"status": 0},
    {"type": "error_log"},
    {"type": "failed_payments"},
    {"state": "expired"},
    {"state": 404},
    {"success": None},
    {"success": 1},
    {"ok": "yes"},
    {"hasError": False},
    {"hasError": 0},
    {"failed": 0},
    {"err": None},
    {"err": 0},
    {"fault": {}},
    {"exception": ""},
    {"error": {"code": "0000", "message": "OK"}},
    {"error": {"message": "Success"}},
    {"error": {"code": 0, "message": ""}},
    {"error": {"code": "ok", "message": "", "log_id": "7"}},  # TikTok
    {"error": {"code": None, "message": None, "details": []}},
    {"error": "No error"},
    {"error": "No errors found."},
    {"error": "N/A"},
    {"error": " "},
    {"error": 0.0},
    {"error": False},
    {"errors": [None]},
    {"errors": [{}]},
    {"errors": [{"message": None}]},
    {"errors": {"count": 0, "items": []}},
    {"meta": {"error": None, "status": 200, "success": True}},
    {"data": {"id": 7, "status": "failed", "message": "payment denied", "list": []}},
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


@pytest.mark.parametrize(
    "row",
    [
        {"message": "Invalid API key"},
        {"status": "401"},
        {"status": "REQUEST_DENIED"},
        {"success": 0, "failed": 2},
        {"fault": "broken"},
        {"type": "error"},
        {"error_message": "x"},
        {"meta": {"error": "x"}},
    ],
)
def test_an_object_that_may_be_the_only_row_fails_only_by_plain_fields(row: dict[str, Any]) -> None:
    assert error_member(row, [], has_row_field=False, may_be_row=True) is None


@pytest.mark.parametrize(
    ("row", "member"),
    [
        ({"error": "x"}, "error"),
        ({"status": "failed"}, "status"),
        ({"status": 401}, "status"),
        ({"success": False}, "success"),
    ],
)
def test_an_object_with_a_plain_field_is_no_row(row: dict[str, Any], member: str) -> None:
    assert error_member(row, [], has_row_field=False, may_be_row=True) == member
    kept = error_member(row, [], has_row_field=True, may_be_row=True)
    assert kept == (member if member == "error" else None)


def test_an_object_around_the_rows_with_fields_of_a_row_has_a_status_of_its_own() -> None:
    order = {"id": 7, "status": "failed", "message": "payment denied", "items": []}
    assert error_member(order, ["items"], has_row_field=True, may_be_row=False) is None
    assert (
        error_member({**order, "success": False}, ["items"], has_row_field=True, may_be_row=False)
        == "success"
    )

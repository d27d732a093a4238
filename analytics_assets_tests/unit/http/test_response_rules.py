"""A rule in `requests.responses` means the same for a large response, of which only some fields are parsed."""

from __future__ import annotations

from typing import Any

import pytest

from analytics_assets.config.responses import ResponseRule
from analytics_assets.ingestion.http import response_rules
from analytics_assets.ingestion.http.exchange import Exchange

ROWS = b'[{"id": 1, "error": 2}, {"id": 1.50}]'
BODY = (
    b'{"a": {"b": null, "c": 12.50}, "data": ' + ROWS + b', "\\u0065rror": "x", "error": "Quota", "list": []}'
)


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("ending", [b"", b" ", b"]"])
@pytest.mark.parametrize("odd", [b"1.50", b"NaN", b'"\xff"', b'"\\ud800"', b'"\x01"'])
@pytest.mark.parametrize(
    ("body", "matches"),
    [
        ({"error": "quota"}, False),
        ({"error": "Quota"}, True),
        ({"error": "*", "a.c": 12.5}, True),
        ({"data": "*", "data.id": None}, True),
        ({"a": "*", "a.c": "12.5"}, True),
        ({"a.b": "*"}, False),
        ({"a.b": None, "a.z": None, "z": None}, True),
        ({"list": "[]"}, True),
        ({"data": "[]"}, False),
        ({"data[*].error": 2}, True),
        ({"error.code": "*"}, False),
    ],
)
def test_a_rule_on_the_body(
    monkeypatch: pytest.MonkeyPatch,
    body: dict[str, Any],
    matches: bool,
    odd: bytes,
    ending: bytes,
    is_large: bool,
) -> None:
    if is_large:
        monkeypatch.setattr(response_rules, "_PIECE", 10)
        monkeypatch.setattr(response_rules, "_LARGEST_VALUE", 10)
    rule = ResponseRule(status=200, body=body, action="retry")
    answer = Exchange(200, {}, BODY.replace(b"1.50", odd) + ending)
    expected = rule if matches and ending != b"]" else None  # with this ending, the body is not JSON
    assert response_rules.matching_rule([rule], answer) is expected


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("quota", True),
        ("QUOTA", True),
        ("straße €", True),
        ("no such text", False),
        ("\ufffd", True),
        ("12", True),
    ],
)
def test_a_rule_on_a_text(monkeypatch: pytest.MonkeyPatch, text: str, matches: bool, piece: int) -> None:
    monkeypatch.setattr(response_rules, "_PIECE", piece)
    rule = ResponseRule(status=200, text=text, action="retry")
    body = "... Quota, STRAßE €, 12".encode() + b"\xff."
    assert (response_rules.matching_rule([rule], Exchange(200, {}, body)) is rule) is matches

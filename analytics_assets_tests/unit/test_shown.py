"""Text of others is cut and escaped before it is in a text of ours."""

from __future__ import annotations

import unicodedata

import pytest

from analytics_assets.ingestion.errors import NoListError, SyncHalted, names_shown, shown
from analytics_assets.ingestion.http.api_words import words_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("orders", "orders"),
        ("Größe, 日本, नमस्ते, 👩‍💻", "Größe, 日本, नमस्ते, 👩‍💻"),
        ("a\nb\r\tc\x00", r"a\nb\r\tc\x00"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u2028b\u0085", r"a\u2028b\x85"),
        ("user\u202efdp.exe", r"user\u202efdp.exe"),
        ("\u2066a\u2069", r"\u2066a\u2069"),
        ("\ud800 half", r"\ud800 half"),
        ("\ufeffid", r"\ufeffid"),
        (5, "5"),
    ],
)
def test_a_text_that_is_shown_obeys_no_one(text: object, expected: str) -> None:
    assert shown(text) == expected
    assert shown(shown(text)) == expected, "an error is copied"


def test_no_character_of_the_dangerous_categories_is_left() -> None:
    every = "".join(map(chr, range(0x3000))) + "\ufeff\ufff9\U000e0001"
    left = shown(every, 10**6)
    assert {unicodedata.category(one) for one in left}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    assert {unicodedata.bidirectional(one) for one in left}.isdisjoint(
        {"RLO", "LRO", "RLE", "LRE", "RLI", "LRI"}
    )


@pytest.mark.parametrize("text", ["x" * 5_000_000, "\x1b" * 5_000_000, "x" * 201])
def test_a_text_that_is_shown_has_a_length(text: str) -> None:
    assert len(shown(text)) == 200
    assert shown(text).endswith("…")


def test_a_list_of_names_has_a_length() -> None:
    assert names_shown(["a", "b\n"]) == ["a", r"b\n"]
    assert names_shown(map(str, range(250)))[-2:] == ["99", "and 150 more"]


def test_an_error_keeps_its_cure_whatever_its_fields_are() -> None:
    error = NoListError("orders", "GET /\x1b[31m" + "x" * 5_000_000, " (it has\na)")
    assert len(str(error)) < 1500
    assert str(error).endswith("or to `$` if the response is the only row.")
    assert "\n" not in str(error)
    assert error.facts()["present"] == r" (it has\na)"
    halted = SyncHalted("orders", "GET /orders", 500, 4, "500; the API says: \x1b[2J", outage=True)
    assert halted.facts()["reason"] == r"500; the API says: \x1b[2J"
    assert halted.facts()["outage"] is True


def test_the_words_of_the_api_are_escaped() -> None:
    assert words_of({"error": "bad\x1b[31m\nkey"}, str) == r"bad\x1b[31m key"
    assert len(words_of({"error": "x " * 5_000_000}, str)) == 200

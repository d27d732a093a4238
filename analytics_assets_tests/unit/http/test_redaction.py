"""A text that this project writes has no part of a secret, whatever the secret's neighbours and encoding."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets_tests.examples import examples

OVERLAPS: list[tuple[list[str], str, str]] = [
    # the secrets, the text, the text without them
    (["abcdef", "defghi"], "x abcdefghi y", "x [0] y"),
    (["defghi", "abcdef"], "x abcdefghi y", "x [1] y"),
    (["abcdefgh", "cdef"], "x abcdefgh y", "x [0] y"),
    (["abcdefgh", "cdef"], "x abcdefcdef y", "x ab[1][1] y"),
    (["abcd", "cdef", "efgh"], "abcdefgh", "[0]"),
    (["abcd", "efgh"], "abcdefgh", "[0][1]"),
    (["abab"], "x ababab y", "x [0] y"),
    (["aaaa"], "aaaaaaa", "[0]"),
]


@pytest.mark.parametrize(("secrets", "text", "expected"), OVERLAPS)
def test_secrets_that_overlap_are_redacted_whole(secrets: list[str], text: str, expected: str) -> None:
    known = Secrets({f"[{number}]": one for number, one in enumerate(secrets)})
    assert known.redact(text) == expected


@given(
    secrets=st.lists(st.text("ab", min_size=4, max_size=7), min_size=1, max_size=4, unique=True),
    text=st.text("abc ", max_size=60),
)
@settings(max_examples=examples(200), deadline=None)
def test_no_character_of_a_secret_is_left(secrets: list[str], text: str) -> None:
    covered = {
        index
        for one in secrets
        for start in range(len(text))
        if text.startswith(one, start)
        for index in range(start, start + len(one))
    }
    rest = "".join(letter for index, letter in enumerate(text) if index not in covered)
    redacted = Secrets({f"<{number}>": one for number, one in enumerate(secrets)}).redact(text)
    for number in range(len(secrets)):
        redacted = redacted.replace(f"<{number}>", "")
    assert redacted == rest


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode], ids=["plain", "url"])
@pytest.mark.parametrize(
    "around", ["user:{}", "{}:", "u:{}", "us:{}", "{}", '{{"key": "{}"}}', "ü{}ü", "{}{}"]
)
@pytest.mark.parametrize("secret", ["the-password", "hunter2", "pässwörd", "?>?>?>~~~"])
def test_a_secret_in_base64_text_that_was_never_sent_is_redacted(
    secret: str, around: str, encode: object
) -> None:
    assert callable(encode)
    encoded = encode(around.replace("{}", secret).encode()).decode()
    known = Secrets({"[0]": secret})
    assert known.redact(f"got Basic {encoded}, sorry") == "got Basic [0], sorry"
    assert known.redact(f"(Basic {encoded.rstrip('=')})") == "(Basic [0])"


def test_a_link_with_secrets_that_overlap_leads_where_it_led() -> None:
    known = Secrets({"hidden.0": "abcdef", "hidden.1": "defghi", "hidden.2": "/k+y/"})
    for path in ("/x/abcdefghi/y?k=%2Fk%2By%2F", "/abcdef", "/abcdefdefghi?/k+y/", "/abcdef%2Fk%2By%2F"):
        hidden = known.hide_in(f"https://host{path}")
        assert not any(one in hidden for one in ("abcdef", "defghi", "k+y", "k%2By"))
        assert known.in_url(hidden) == f"https://host{path}"

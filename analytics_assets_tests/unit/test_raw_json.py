"""Bodies in any encoding, of any depth and with any number are parsed, and written as they came."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from analytics_assets.ingestion.raw_json import JsonNumber, TooDeep, read_body, write_json

TEXT = '{"name": "café €"}'
LATIN = '{"name": "café"}'


@pytest.mark.parametrize(
    ("body", "charset", "name"),
    [
        (TEXT.encode(), None, "café €"),
        (TEXT.encode("utf-8-sig"), None, "café €"),
        (TEXT.encode("utf-16"), None, "café €"),
        (TEXT.encode("utf-16-be"), "UTF-16", "café €"),
        (TEXT.encode("utf-32"), None, "café €"),
        (TEXT.encode("cp1252"), "windows-1252", "café €"),
        (LATIN.encode("latin-1"), "ISO-8859-1", "café"),
        (LATIN.encode("latin-1"), "no-such-charset", "caf\udce9"),
        (LATIN.encode("latin-1"), "utf-8", "caf\udce9"),
        (LATIN.encode("latin-1"), None, "caf\udce9"),
        (TEXT.encode(), "ISO-8859-1", "café €"),
        (
            TEXT.encode().replace(b"caf", b"\xff"),
            "ISO-8859-1",
            "\udcffé €",
        ),  # mostly UTF-8, with one bad byte
        (TEXT.encode("utf-8-sig").replace(b"caf", b"\xff"), None, "\udcffé €"),
        (json.dumps({"name": "東京"}, ensure_ascii=False).encode("gbk"), "gbk", "東京"),
    ],
)
def test_the_encoding_of_a_body(body: bytes, charset: str | None, name: str) -> None:
    assert read_body(body, charset) == {"name": name}


@pytest.mark.parametrize(
    "literal", ["1" * 5000, "-" + "1" * 5000, "1e400", "NaN", "-Infinity", "0." + "1" * 5000]
)
def test_a_number_keeps_its_digits(literal: str) -> None:
    [value] = read_body(f"[{literal}]".encode())
    assert isinstance(value, JsonNumber)
    assert value.literal == literal
    assert value == read_body(literal.encode()), "a row equals itself when it comes again"
    assert hash(value) == hash(read_body(literal.encode()))
    assert write_json([value]) == f"[{literal}]"


def test_only_the_deep_value_stays_text() -> None:
    deep = "[" * 2000 + '"]\\"[{", NaN' + "]" * 2000
    body = f'[{{"a": NaN, "x": {deep}, "b": -Infinity, "s": "[NaN"}}, 5]'
    rows = read_body(body.encode())
    assert (str(rows[0]["a"]), str(rows[0]["b"]), rows[0]["s"], rows[1]) == ("NaN", "-Infinity", "[NaN", 5)
    assert write_json(rows) == body

    def inmost(value: Any) -> Any:
        while isinstance(value, list):
            [value] = value
        return value

    assert isinstance(inmost(rows[0]["x"]), TooDeep)


@pytest.mark.parametrize(
    "body", ["[" * 5000, "[" * 5000 + "]" * 4999, '{"a": ' * 5000, "[" * 5000 + "}" * 5000 + "]"]
)
def test_a_deep_body_that_is_no_json(body: str) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        read_body(body.encode())


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("opening", ["[", "{'a':"])
def test_the_process_survives_any_depth(opening: str) -> None:
    """In a process of its own, because a stack that overflows ends the process."""
    code = (
        "from analytics_assets.ingestion.raw_json import read_body, write_json\n"
        f"opening, closing = {opening.replace(chr(39), chr(34))!r}, {']' if opening == '[' else '}'!r}\n"
        "body = opening * 1_000_000 + '1' + closing * 1_000_000\n"
        "value = read_body(body.encode())\n"
        "assert write_json(value).replace(' ', '') == body\n"
        "print(len(str(value)))\n"
        "del value"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr[-500:]

"""A key that a file has twice in one place is refused, and so is a template without quotes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from analytics_assets.config.yaml_keys import (
    UnquotedTemplateError,
    refuse_repeated_keys,
    refuse_unquoted_templates,
    unquoted_templates,
)
from analytics_assets.definitions import load


@pytest.mark.parametrize(
    ("text", "place", "lines"),
    [
        ("a: 1\nb: 2\na: 3", ("a",), (1, 3)),
        ("a: 1\n'a': 3", ("a",), (1, 2)),
        ("{a: 1, a: 2}", ("a",), (1, 1)),
        ("x:\n  - y: {b: 1,\n     b: 2}", ("x", 0, "y", "b"), (2, 3)),
        ("a: &one {b: 1, b: 2}\nc: *one", ("a", "b"), (1, 1)),
        ("a: {<<: {b: 1, b: 2}}", ("a", "<<", "b"), (1, 1)),
        ("1: a\n1: b", ("1",), (1, 2)),
    ],
)
def test_a_repeated_key(text: str, place: tuple[object, ...], lines: tuple[int, int]) -> None:
    with pytest.raises(ValidationError) as caught:
        refuse_repeated_keys(text, 1)
    [error] = caught.value.errors()
    assert error["loc"] == place
    assert f"`{place[-1]}` is here twice, in line {lines[0]} and in line {lines[1]}" in error["msg"]


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: {a: 1}",
        "- {a: 1}\n- {a: 1}",
        "base: &base {b: 1, c: 2}\nx:\n  <<: *base\n  b: 3",
        "one: &one {b: 1}\ntwo: &two {b: 2}\nx: {<<: [*one, *two], b: 3}",
        "one: &one {b: 1}\nx: {<<: *one, <<: *one}",
        "1: a\n'1': b",
        "a: &loop\n  b: *loop",
        "a: '{{ env.X }}'\nb: 2\n---\na: 1\na: 2",  # another document of the file
        "",
    ],
)
def test_what_is_no_repetition(text: str) -> None:
    refuse_repeated_keys(text, 1)


def test_each_document_is_judged_alone() -> None:
    text = "a: 1\n---\n# the second\nb: 1\nb: 2"
    refuse_repeated_keys(text, 1)
    with pytest.raises(ValidationError):
        refuse_repeated_keys(text, 4)


def test_many_aliases_are_judged_once() -> None:
    lines = ["a0: &a0 {b: 1}"]
    lines += [f"a{one}: &a{one} [{', '.join([f'*a{one - 1}'] * 9)}]" for one in range(1, 60)]
    refuse_repeated_keys("\n".join(lines), 1)


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("{{ env.URL }}", [2]),
        ("{{env.URL}}", [2]),
        ("{{ env('A', 'b') }}", [2]),
        ("{{ env['A'] }}", [2]),
        ("{{ env.A | default('b') }}", [2]),
        ("{{ env.A }}/v1", [2]),
        ("{% if env.A %}b{% endif %}", [2]),
        ("{# a comment #}", [2]),
        ("[{{ env.A }}, b]", [2]),
        ("{k: {{ env.A }}}", [2]),
        ("\n  - {{ env.A }}\n  - {{ env.B }}", [3, 4]),
        ("'{{ env.A }}'", []),
        ('"{{ env.A }}"', []),
        ("https://host/{{ env.A }}", []),
        ("a {% if b %}c{% endif %}", []),
        (">\n  {{ env.A }}", []),
        ("b # {{ env.A }}", []),
        ("{k: '{{ env.A }}'}", []),
        ("{k: {l: m}}", []),
        ("{resources.shops.id}", []),
    ],
)
def test_a_template_without_quotes(tmp_path: Path, value: str, lines: list[int]) -> None:
    text = f"# a file\nkey: {value}\n"
    assert list(unquoted_templates(text)) == lines
    (tmp_path / "api").mkdir()
    file = tmp_path / "api/defs.yaml"
    file.write_text(text)
    if not lines:
        refuse_unquoted_templates([file])
        return
    with pytest.raises(UnquotedTemplateError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{file}, line {lines[0]}: ")
    assert "Put quotes around the whole value" in str(caught.value)

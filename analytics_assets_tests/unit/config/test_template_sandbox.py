"""A template computes a value, and can neither run code nor fill the memory."""

from __future__ import annotations

from typing import Any

import pytest

from analytics_assets.config.template_engine import STAND_INS, VARIABLES, parse

CODE = [
    ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "`cycler` in this template is unknown"),
    ("{{ range(10) }}", "`range` in this template is unknown"),
    ("{{ lipsum() }}", "`lipsum` in this template is unknown"),
    ("{{ namespace(a=1) }}", "`namespace` in this template is unknown"),
    ("{{ ''.__class__.__mro__ }}", "'__class__' of 'str' object is unsafe"),
    ("{{ ''['__class__'] }}", "'__class__' of 'str' object is unsafe"),
    ("{{ '' | attr('__class__') }}", "'__class__' of 'str' object is unsafe"),
    ("{{ '{0.__class__}'.format(5) }}", "'__class__' of 'int' object is unsafe"),
    ("{{ ('{0.__class__}' | attr('format'))(5) }}", "'__class__' of 'int' object is unsafe"),
    ("{{ double.__globals__ }}", "'__globals__' of 'function' object is unsafe"),
    ("{{ env.__init__.__globals__ }}", "'__init__' of 'Variables' object is unsafe"),
    ("{{ env.__class__ }}", "'__class__' of 'Variables' object is unsafe"),
]
LARGE = [
    ("{{ 'a' * 10**9 }}", "has more than 200,000 characters"),
    ("{{ 10**9 * 'a' }}", "has more than 200,000 characters"),
    ("{{ [1] * 10**9 }}", "has more than 200,000 characters or items"),
    ("{{ [[1] * 9999] * 999 }}", "repeats a list of lists"),
    ("{{ ['a' * 9999] * 9999 }}", "has more than 200,000 characters or items"),
    ("{{ 10 ** (10 ** 9) }}", "number is too large"),
    ("{{ 9**999 * 9**999 }}", "number is too large"),
    ("{{ '%1000000000d' % 1 }}", "too wide"),
    ("{{ '%.1000000000f' % 1 }}", "too wide"),
    ("{{ '%*d' % (1000000000, 1) }}", "too wide"),
    ("{{ '%1000000000d' | format(1) }}", "too wide"),
    ("{{ '{:1000000000d}'.format(1) }}", "takes no width"),
    ("{{ '{:{}}'.format(1, 10**9) }}", "takes no width"),
    ("{{ 'a'.center(10**9) }}", "'center' of 'str' object is unsafe"),
    ("{{ 'a'.zfill(10**9) }}", "'zfill' of 'str' object is unsafe"),
    ("{{ 5 .to_bytes(10**9, 'big') }}", "'to_bytes' of 'int' object is unsafe"),
    ("{{ 'a' | center(10**9) }}", "No filter named 'center'"),
    ("{{ 'a' | indent(10**9) }}", "No filter named 'indent'"),
    ("{{ {} | tojson(indent=10**9) }}", "indent is too wide"),
    ("{{ ('a' * 99999).replace('a', 'b' * 99999) }}", "may be too long"),
    ("{{ ('a' * 99999) | replace('a', 'b' * 99999) }}", "may be too long"),
    ("{{ ('a' * 99999) | join('b' * 99999) }}", "may be too long"),
    ("{{ 'a' * 150000 ~ 'a' * 150000 }}", "has more than 200,000 characters"),
    ("{{ 'a' * 150000 }}{{ 'a' * 150000 }}", "has more than 200,000 characters"),
    ("{% for a in 'a' * 999 %}{{ 'x' * 199999 }}{% endfor %}", "has more than 200,000 characters"),
    ("{% for a in 'a' * 9999 %}{% endfor %}", "loop has more than 1,000 rounds"),
    ("{% for a in 'ab' %}{% for b in 'ab' %}x{% endfor %}{% endfor %}", "a loop within a loop"),
    ("{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}", "a loop within a loop"),
    (
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "(Macro). It may have `if`, `for` and `raw`",
    ),
    ("{% set a = 'x' %}{{ a }}", "(Assign). It may have `if`, `for` and `raw`"),
    ("{% include 'other' %}", "(Include). It may have `if`, `for` and `raw`"),
]


def value(text: str, env: Any = None, *, formatted: bool = False) -> Any:
    scope = {"env": VARIABLES, "double": lambda one: one * 2}
    return parse(text, scope, formatted=formatted).value(env)


@pytest.mark.parametrize(("text", "sentence"), CODE + LARGE, ids=[one[0] for one in CODE + LARGE])
@pytest.mark.parametrize("formatted", [False, True])
def test_what_a_template_may_not_do(text: str, sentence: str, formatted: bool) -> None:
    with pytest.raises(ValueError, match="this template") as caught:
        value(text, formatted=formatted)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ env._NAME }}", "a,b"),
        ("{{ env('_NAME') }}", "a,b"),
        ("{{ env['_NAME'] }}", "a,b"),
        ("{{ env('NOWHERE', 'c') }}", "c"),
        ("{{ double(env._NAME) }}", "a,ba,b"),
        ("{{ env._NAME.split(',') }}", ["a", "b"]),
        ("{{ env._NAME.split(',') | map('upper') | join(';') }}", "A;B"),
        ("{% for one in env._NAME.split(',') %}{{ one }}.{% endfor %}", "a.b."),
        ("{{ 'a' ~ env._NAME ~ 5 }}", "aa,b5"),
        ("{{ '%s-%05.1f' % ('a', 5) }}", "a-005.0"),
        ("{{ '%s-%s' | format('a', 'b') }}", "a-b"),
        ("{{ '{}-{}'.format('a', 1) }}", "a-1"),
        ("{{ env._NAME.replace(',', ';') }}", "a;b"),
        ("{{ [1, 2] + [3] }}", [1, 2, 3]),
        ("{{ 60 * 60 * 24 }}", 86_400),
        ("{{ 2 ** 40 }}", 2**40),
        ("{{ {'a': [1]} | tojson }}", '{"a": [1]}'),
    ],
)
def test_what_a_template_may_do(monkeypatch: pytest.MonkeyPatch, text: str, expected: Any) -> None:
    monkeypatch.setenv("_NAME", "a,b")
    assert value(text) == expected


@pytest.mark.parametrize("text", ["{{ env.NOWHERE }}", "{{ env('NOWHERE') }}"])
def test_a_stand_in_can_be_read_and_called(text: str) -> None:
    assert value(text, STAND_INS) == "unset"

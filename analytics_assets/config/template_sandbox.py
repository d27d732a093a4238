"""Jinja in which a template can only compute a value: it runs no code, and cannot fill the memory.

What belongs here: what a template may not do. `template_engine.py` has the dialect of the templates.

Jinja's own sandbox keeps a template from the inside of Python objects. This module also bounds what a short template
can become, such as `'a' * 10**9`, and leaves out the statements that a value does not need.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import wraps
from itertools import islice
from string import Formatter
from typing import Any

from jinja2 import nodes, pass_context, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.nativetypes import NativeEnvironment
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_CHARACTERS = 200_000
"""The most characters or items of a value. An environment variable cannot be longer than about 130,000."""

_MOST_ROUNDS = 1000
_MOST_BITS = 4096
_STATEMENTS = (nodes.Template, nodes.Output, nodes.If, nodes.For)
_WIDENING = frozenset(
    {"center", "expandtabs", "format_map", "ljust", "maketrans", "rjust", "to_bytes", "translate", "zfill"}
)
"""Methods whose result may be much longer than the text."""

_WIDENING_FILTERS = (
    "batch",
    "center",
    "indent",
    "pprint",
    "round",
    "slice",
    "urlize",
    "wordwrap",
    "xmlattr",
)
_WIDE = re.compile(r"%[^%a-zA-Z]*(?:\*|\d{4})")
"""A place in a text for `%` that is wider than 999 characters, or as wide as an argument says."""


class Sandbox(ImmutableSandboxedEnvironment, NativeEnvironment):
    """Jinja for one value. No name is known beside those of the scope."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.globals.clear()
        for name in _WIDENING_FILTERS:
            del self.filters[name]
        self.filters |= {
            "format": _format,
            "join": _bounded_product(FILTERS["join"]),
            "replace": _bounded_product(FILTERS["replace"]),
            "tojson": _tojson,
            "map": _bounded_map,
            "_rounds": _rounds,
            "_joined": bounded_text,
        }

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may read an attribute."""
        if attr in _WIDENING and isinstance(obj, (str, bytes, int)):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Any:
        """Returns a safe function in place of a text's method `format`; None for any other value."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None and any(one[2] for one in Formatter().parse(value.__self__)):
            raise SecurityError("`format` takes no width here")
        return wrapped

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  as in Jinja
        """Calls a function of a template."""
        owner = getattr(__obj, "__self__", None)
        of_text = owner is None or isinstance(owner, (str, bytes))  # a condition also has a method `replace`
        if of_text and getattr(__obj, "__name__", "") in ("join", "replace"):
            _judge_product((owner, *args))
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Computes an operator of a template."""
        if operator == "%" and isinstance(left, (str, bytes)):
            return _format(left, right)
        is_sized = _size(left) is not None or _size(right) is not None
        size = 0
        if operator == "+" and is_sized:
            size = (_size(left) or 0) + (_size(right) or 0)
        elif operator == "*" and is_sized:
            sizes = [one if isinstance(one, int) else _weight(one) for one in (left, right)]
            size = sizes[0] * sizes[1]
        _judge(size)
        if operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if bits > _MOST_BITS:
                raise SecurityError("its number is too large")
        return super().call_binop(context, operator, left, right)


def bound(tree: nodes.Template) -> None:
    """Bounds the loops and the joined texts of a template.

    Raises:
        ValueError: the template has a statement that a value does not need, or a loop within a loop.
    """
    for statement in tree.find_all(nodes.Stmt):
        if not isinstance(statement, _STATEMENTS):
            name = type(statement).__name__
            raise ValueError(  # noqa: TRY004  a mistake in the file
                f"this template has a statement that a value does not need ({name}). It may have `if`, `for` and "
                "`raw`. Write the value itself."
            )
    for loop in tree.find_all(nodes.For):
        if loop.recursive or loop.find(nodes.For):
            raise ValueError("this template has a loop within a loop. Write the values themselves.")
        loop.iter = nodes.Filter(loop.iter, "_rounds", [], [], None, None, lineno=loop.lineno)
        loop.iter.environment = tree.environment
    _bound_joins(tree)


def _bound_joins(tree: nodes.Template) -> None:
    """Lets a filter join what a `~` joins, because Jinja's sandbox does not ask about `~`."""
    for concat in tree.find_all(nodes.Concat):
        parts = nodes.List(concat.nodes, lineno=concat.lineno)
        joined = nodes.Filter(parts, "_joined", [], [], None, None, lineno=concat.lineno)
        joined.environment = parts.environment = tree.environment
        concat.nodes = [joined]


def bounded_text(parts: Iterable[Any]) -> str:
    """Joins values to one text.

    Raises:
        SecurityError: the text is too long.
    """
    pieces: list[str] = []
    size = 0
    for one in parts:
        pieces.append(str(one))
        size += len(pieces[-1])
        _judge(size)
    return "".join(pieces)


def _size(value: Any) -> int | None:
    return len(value) if isinstance(value, (str, bytes, list, tuple)) else None


def _weight(value: Any) -> int:
    """The characters and items that a list or a text has, in order to repeat it.

    Raises:
        SecurityError: the value is a list of lists.
    """
    if not isinstance(value, (list, tuple)):
        return _size(value) or 0
    if any(isinstance(one, (list, tuple, dict)) for one in value):
        raise SecurityError("it repeats a list of lists")
    return sum(max(1, _size(one) or 0) for one in value)


def _judge(size: int) -> None:
    if size > MOST_CHARACTERS:
        raise SecurityError(f"its value has more than {MOST_CHARACTERS:,} characters or items")


def _judge_product(values: Iterable[Any]) -> None:
    """Judges a result that may be as long as the product of the lengths of its parts."""
    product = 1
    for one in values:
        product *= max(1, _size(one) or 0)
        if isinstance(one, (list, tuple)):
            _judge(sum(_size(item) or 1 for item in one))
    if product > 10 * MOST_CHARACTERS:
        raise SecurityError("its value may be too long")


def _bounded_product(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)  # which keeps Jinja's marks on the function
    def judged(*args: Any, **kwargs: Any) -> Any:
        _judge_product([*args, *kwargs.values()])
        return function(*args, **kwargs)

    return judged


def _format(text: Any, *args: Any, **kwargs: Any) -> Any:
    """Formats as `%` and Jinja's filter `format` do."""
    template = text.decode("latin-1") if isinstance(text, bytes) else str(text)
    if _WIDE.search(template):
        raise SecurityError("a place in its text is too wide")
    values = kwargs or (args[0] if len(args) == 1 else args)
    return text % values


@pass_eval_context
def _tojson(context: Any, value: Any, indent: int | None = None) -> Any:
    if indent is not None and indent > 16:
        raise SecurityError("its indent is too wide")
    return FILTERS["tojson"](context, value, indent)


@pass_context
def _bounded_map(context: Any, values: Any, *args: Any, **kwargs: Any) -> Any:
    return FILTERS["map"](context, _rounds(values), *args, **kwargs)


def _rounds(values: Any) -> list[Any]:
    """The values of a loop."""
    found = list(islice(values, _MOST_ROUNDS + 1))
    if len(found) > _MOST_ROUNDS:
        raise SecurityError(f"its loop has more than {_MOST_ROUNDS:,} rounds")
    return found

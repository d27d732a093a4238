"""Finds the texts that a template has itself: the defaults of what it reads, and all others.

What belongs here: reading the parsed template. `written_secrets.py` and `secret_names.py` say which text is a secret.

The text of an expression that is only a text, as `{{ 'public' }}`, is left out: so the file says that it is no secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import nodes

_DEFAULTS = frozenset({"default", "d"})


@dataclass(frozen=True)
class WrittenTexts:
    """The texts of a template.

    Attributes:
        defaults: the texts that may be the whole value of an expression, such as the default of a variable.
        others: all other texts.
    """

    defaults: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


NO_TEXTS = WrittenTexts()


def written_texts(tree: nodes.Template) -> WrittenTexts:
    """Returns the texts of a parsed template."""
    outputs = list(tree.find_all(nodes.Output))
    whole = {id(node) for output in outputs for node in output.nodes if isinstance(node, nodes.Const)}
    defaults: list[str] = []
    for output in outputs:
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                defaults += _branch(output, tree)
            elif id(node) not in whole:
                defaults += _values(node)
    others = [one.value for one in tree.find_all(nodes.Const) if id(one) not in whole]
    others += [one.data for one in tree.find_all(nodes.TemplateData)]
    return WrittenTexts(tuple(defaults), tuple(one for one in others if isinstance(one, str)))


def _branch(output: nodes.Output, tree: nodes.Template) -> Iterator[str]:
    """The text of a branch of `{% if … %}`, which is a value as a default is."""
    if output not in tree.body and all(isinstance(one, nodes.TemplateData) for one in output.nodes):
        yield "".join(one.data for one in output.nodes if isinstance(one, nodes.TemplateData)).strip()


def _values(node: nodes.Expr | None) -> Iterator[str]:
    """The texts that may be the value of an expression. A part of a text, as in `'Bearer ' ~ env.TOKEN`, is none."""
    match node:
        case nodes.Const(value=str(value)):
            yield value
        case nodes.Call():
            yield from _values_of_call(node)
        case nodes.Filter():
            yield from _values(node.node)
            if node.name in _DEFAULTS:
                yield from _arguments(node, 0)
        case nodes.Add() | nodes.Mul() | nodes.Concat():
            parts = node.nodes if isinstance(node, nodes.Concat) else [node.left, node.right]
            yield from _parts(parts)
        case _:
            for one in _alternatives(node):
                yield from _values(one)


def _alternatives(node: nodes.Expr | None) -> list[nodes.Expr | None]:
    """The expressions of which one is the value of an expression."""
    match node:
        case nodes.CondExpr():
            return [node.expr1, node.expr2]
        case nodes.Or() | nodes.And():
            return [node.left, node.right]
        case nodes.List() | nodes.Tuple():
            return list(node.items)
        case nodes.Dict():
            return [pair.value for pair in node.items]
        case nodes.Getitem() | nodes.Getattr():
            return [node.node]
    return []


def _values_of_call(node: nodes.Call) -> Iterator[str]:
    called = node.node
    if isinstance(called, nodes.Name):
        yield from _arguments(node, 1)  # `env('NAME', 'a default')`
    elif isinstance(called, nodes.Getattr):
        if called.attr == "get":
            yield from _arguments(node, 1)
        if not isinstance(called.node, nodes.Const):
            yield from _values(called.node)  # `(env.NAME or 'a default').strip()`


def _arguments(node: nodes.Call | nodes.Filter, first: int) -> Iterator[str]:
    for one in (*node.args[first:], *(keyword.value for keyword in node.kwargs)):
        yield from _values(one)


def _parts(parts: list[nodes.Expr]) -> Iterator[str]:
    """The texts in the parts of a joined text. A text beside a variable is only a part, such as `Bearer `."""
    constant = all(isinstance(one, nodes.Const) for one in parts)
    for one in parts:
        if constant or not isinstance(one, nodes.Const):
            yield from _values(one)

"""Jinja for the templates of a `defs.yaml`: parses one template, and computes its value.

What belongs here: the dialect of the templates. `templates.py` knows where in a file a template is.

The dialect is Jinja's own, with three differences: a value is never read as a Python literal, an environment variable
that is not set is an error, and the filter `from_json` reads JSON.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from jinja2 import (
    Template,
    TemplateError,
    TemplateSyntaxError,
    Undefined,
    UndefinedError,
    meta,
    nodes,
)

from analytics_assets.config.template_sandbox import Sandbox, bound, bounded_text
from analytics_assets.config.template_texts import NO_TEXTS, WrittenTexts, written_texts
from analytics_assets.config.validation_errors import suggestion

_TEMPLATE = re.compile(r"\{\{|\{%|\{#.*?#\}", re.DOTALL)
_DLT_PLACEHOLDER = re.compile(r"(\{(?:resources|incremental)\.[^{}]*\})")
_REASON = "Description: "
"""What Dagster's checks of arguments write before the reason."""

_FAILURES = (TemplateError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError)

RAW = "For braces that are text, write {% raw %}…{% endraw %} around them."


def is_template(value: object) -> bool:
    """Whether `value` is a text with a Jinja template."""
    return isinstance(value, str) and bool(_TEMPLATE.search(value))


class WholeText(str):
    """The text that a string of the file has, if the string is one whole template. Its key gives it a type."""

    __slots__ = ()


class UnsetError(UndefinedError):
    """A template needs an environment variable that is not set. The text of the error is the variable's name."""


@dataclass(frozen=True)
class Parsed:
    """A template that was parsed and compiled.

    Attributes:
        compiled: the compiled template.
        scope: what the template may use, by name.
        is_whole: whether the string is one whole template, without text around it, and may get the type of its key.
        has_expressions: whether the template is more than `{% raw %}` blocks.
        variables: the names of the environment variables that the template reads.
        settings: the names of the secrets that the template reads with `secrets.NAME`.
        is_constant: whether the template reads nothing of its scope.
        literal: the number or the boolean that is the whole template; None if it is none.
        texts: the texts that the template has itself, such as a default.
    """

    compiled: Template
    scope: Mapping[str, Any]
    is_whole: bool
    has_expressions: bool
    variables: frozenset[str] = frozenset()
    settings: frozenset[str] = frozenset()
    is_constant: bool = False
    literal: Any = None
    texts: WrittenTexts = NO_TEXTS

    def value(self, env: Variables | None = None, secrets: Any = None) -> Any:
        """Renders the template. A whole template that is a text becomes a `WholeText`.

        Args:
            env: the environment variables; None for those of the process.
            secrets: the secrets of the source, by name; None when Dagster loads the file.

        Raises:
            UnsetError: the template needs a variable that is not set.
            ValueError: the template fails.
        """
        try:
            value = self.compiled.render(**{**self.scope, "env": env or VARIABLES, "secrets": secrets})
            if isinstance(value, Undefined):
                str(value)  # raises the error of the undefined value
        except UnsetError:
            raise
        except Exception as error:
            if not isinstance(error, _FAILURES) and not _is_of_dagster(error):
                raise  # such as the error of a secret, which has its own sentence
            raise ValueError(f"this template fails: {_sentence(error)} {RAW}") from error
        if isinstance(value, Variables):
            sentence = "`env` alone has no value. Write the name of a variable, such as `{{ env.LIMIT }}`."
            raise ValueError(sentence)  # noqa: TRY004  a mistake in the file, not in the code
        return WholeText(value) if isinstance(value, str) and self.is_whole else value

    def __deepcopy__(self, _: Any) -> Parsed:
        return self


class _Unknown(Undefined):
    """A name without a value: false in a condition, and an error in a text."""

    __slots__ = ()
    __str__ = __iter__ = __len__ = __html__ = Undefined._fail_with_undefined_error

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, _Unknown)

    def __hash__(self) -> int:
        return id(self)


_NO_DEFAULT = object()


class Variables:
    """The environment variables in a template: `env.NAME`, `env('NAME')` and `env('NAME', 'a default')`."""

    def __call__(self, key: str, default: Any = _NO_DEFAULT) -> Any:  # noqa: D102  the class describes it
        value = os.environ.get(key)
        if value is not None or default is not _NO_DEFAULT:
            return default if value is None else value
        return self._missing(key)

    def __getattr__(self, key: str) -> Any:
        if key.startswith(("jinja", "__")):
            raise AttributeError(key)  # Jinja asks each callable for marks of its own
        return self(key)

    def __getitem__(self, key: str) -> Any:
        return self(key)

    def _missing(self, key: str) -> Any:
        return _Unknown(hint=key, name=key, exc=UnsetError)


class StandIns(Variables):
    """The environment variables, with a stand-in for each that is not set."""

    def _missing(self, key: str) -> Any:  # noqa: ARG002  every variable has the same stand-in
        return "unset"


VARIABLES = Variables()
STAND_INS = StandIns()


def parse(text: str, scope: Mapping[str, Any], *, formatted: bool) -> Parsed:
    """Parses and compiles a template.

    Args:
        text: the template.
        scope: what the template may use, by name.
        formatted: whether dlt formats the result with `str.format`, so that the braces of a value must be doubled.

    Raises:
        ValueError: the template cannot be parsed, or uses an unknown name.
    """
    environment = _ENVIRONMENTS[formatted]
    try:
        tree = environment.parse(text)
        unknown = meta.find_undeclared_variables(tree) - {*scope, *environment.globals}
        top = [part for one in tree.body if isinstance(one, nodes.Output) for part in one.nodes]
        has_text = any(isinstance(one, nodes.TemplateData) and one.data.strip() for one in top)
        is_text = len(top) == 1 and isinstance(top[0], nodes.Filter) and top[0].name == "string"
        literal = all(isinstance(one, nodes.Output) for one in tree.body) and all(
            isinstance(one, nodes.TemplateData) for one in top
        )
        texts = written_texts(tree)
        compiled = environment.compiled(tree)
    except TemplateSyntaxError as error:
        raise ValueError(f"this template cannot be read: {_sentence(error)} {RAW}") from None
    if unknown:
        raise ValueError(
            f"`{min(unknown)}` in this template is unknown. Known are {', '.join(sorted(scope))}: "
            f"`{{{{ env.NAME }}}}` is an environment variable. {RAW}"
        )
    constant = not any(one.name in scope for one in tree.find_all(nodes.Name))
    alone = top[0] if len(top) == 1 else None
    return Parsed(
        compiled,
        scope,
        not (has_text or is_text),
        not literal,
        *_read_by(tree),
        is_constant=constant,
        literal=alone.value if isinstance(alone, nodes.Const) and not isinstance(alone.value, str) else None,
        texts=texts,
    )


def parts_of(text: str, scope: Mapping[str, Any]) -> list[str | Parsed]:
    """Returns the texts and the expressions of a template, in order. A template with statements is one expression.

    Args:
        text: the template, which `parse` has accepted.
        scope: what the template may use, by name.
    """
    environment = _ENVIRONMENTS[False]
    tree = environment.parse(text)
    if not all(isinstance(one, nodes.Output) for one in tree.body):
        return [parse(text, scope, formatted=False)]
    parts: list[str | Parsed] = []
    for one in (node for output in tree.find_all(nodes.Output) for node in output.nodes):
        if isinstance(one, nodes.TemplateData):
            parts.append(one.data)
        elif isinstance(one, nodes.Const):
            parts.append(str(one.value))
        else:
            alone = nodes.Template([nodes.Output([one], lineno=1)], lineno=1)
            alone.set_environment(environment)
            texts = written_texts(alone)
            parts.append(
                Parsed(environment.compiled(alone), scope, False, True, *_read_by(alone), texts=texts)
            )
    return parts


def _read_by(tree: nodes.Template) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a template reads of `env` and of `secrets`."""
    found: dict[str, set[str]] = {"env": set(), "secrets": set()}
    for holder in tree.find_all((nodes.Getattr, nodes.Getitem, nodes.Call)):
        name = getattr(getattr(holder, "node", None), "name", None)
        if name not in found:
            continue
        if isinstance(holder, nodes.Getattr):
            found[name].add(holder.attr)
            continue
        key = (
            holder.arg if isinstance(holder, nodes.Getitem) else next(iter(getattr(holder, "args", ())), None)
        )
        if isinstance(key, nodes.Const):
            found[name].add(str(key.value))
    if not found["secrets"] and any(one.name == "secrets" for one in tree.find_all(nodes.Name)):
        found["secrets"].add("")  # used in another way
    return frozenset(found["env"]), frozenset(found["secrets"])


def _is_of_dagster(error: Exception) -> bool:
    """Whether a function of Dagster that the template calls refuses its arguments. `config` never imports Dagster."""
    return type(error).__module__.partition(".")[0].startswith("dagster")


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()).rpartition(_REASON)[2]
    return text if text.endswith("?") else text.removesuffix(".") + "."


class _Environment(Sandbox):
    """Jinja without Python's literals: a whole template keeps the value of its expression.

    Dagster's own environment reads `1.10` as the number 1.1.
    """

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may read an attribute. A variable may begin with an underscore."""
        is_variable = isinstance(obj, Variables) and not attr.startswith("__")
        return is_variable or super().is_safe_attribute(obj, attr, value)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Reads an attribute. Jinja would take a misspelled method of a class for a type parameter."""
        if isinstance(obj, type) and not hasattr(obj, attribute):
            near = suggestion(attribute, [name for name in dir(obj) if not name.startswith("_")])
            raise UndefinedError(f"`{obj.__name__}` has no `{attribute}`.{near}")
        return super().getattr(obj, attribute)

    def is_safe_callable(self, obj: Any) -> bool:
        """Whether a template may call an object. Jinja would look for a mark among the variables."""
        return isinstance(obj, Variables) or super().is_safe_callable(obj)

    def compiled(self, tree: nodes.Template) -> Template:
        """Compiles a parsed template. The literal texts in its expressions count as written in the file."""
        for output in tree.find_all(nodes.Output):
            output.nodes = [
                nodes.TemplateData(one.value, lineno=one.lineno)
                if isinstance(one, nodes.Const) and isinstance(one.value, str)
                else one
                for one in output.nodes
            ]
        bound(tree)
        return Template.from_code(self, self.compile(tree), self.make_globals(None))

    @staticmethod
    def concat(values: Any) -> Any:
        """Returns a single value as it is, and joins several to a text."""
        rest = iter(values)
        found = list(islice(rest, 2))
        return found[0] if len(found) == 1 else bounded_text(chain(found, rest))


def doubled(value: Any) -> Any:
    """Doubles the braces of a value for dlt's `str.format`, except in dlt's own placeholders."""
    if not isinstance(value, str):
        return value
    parts = _DLT_PLACEHOLDER.split(value)
    parts[::2] = [one.replace("{", "{{").replace("}", "}}") for one in parts[::2]]
    return "".join(parts)


def _from_json(value: str) -> Any:
    return value if isinstance(value, Undefined) else read_literal(value)


def read_literal(text: str) -> Any:
    """Reads a text as JSON, or as a Python literal.

    Raises:
        ValueError: the text is neither.
    """
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    raise ValueError("the value is no JSON")


def _environment(*, formatted: bool) -> _Environment:
    environment = _Environment(
        keep_trailing_newline=True, undefined=_Unknown, finalize=doubled if formatted else None
    )
    environment.filters["from_json"] = _from_json
    environment.tests["none"] = lambda value: value is None or isinstance(value, Undefined)
    return environment


_ENVIRONMENTS = {formatted: _environment(formatted=formatted) for formatted in (False, True)}

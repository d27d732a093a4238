"""What is wrong in a `defs.yaml`, as one sentence at the place where it is wrong.

What belongs here: how an error is made, and the translation of dlt's own. What does not: the rules themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from dlt.common.exceptions import DictValidationException
from dlt.sources.rest_api import typing as rest_api_typing
from pydantic import ValidationError
from pydantic_core import InitErrorDetails

Location = tuple[str | int, ...]

_REST_API_KEYS = frozenset(
    key
    for name, typed_dict in vars(rest_api_typing).items()
    if hasattr(typed_dict, "__required_keys__") and not name.startswith("_")
    for key in typed_dict.__annotations__
)


def error_at(location: Location, message: str) -> ValidationError:
    """A validation error of one plain sentence at `location`. Raised in a validator, it keeps its place.

    Of pydantic's own type `value_error`: to add file and line, Dagster builds errors anew, and can do so for
    no custom type.
    """
    error = InitErrorDetails(type="value_error", loc=location, input=None, ctx={"error": ValueError(message)})
    return ValidationError.from_exception_data("defs.yaml", [error])


def unbuildable(error: Exception) -> ValidationError:
    """What dlt says when it cannot make a source of a config, as an error of `rest_api`."""
    sentence = " ".join(str(error).split())
    return error_at(("rest_api",), f"dlt cannot build this source: {sentence}")


def suggestion(word: str, known: frozenset[str] | list[str]) -> str:
    """`; did you mean …?` for the nearest of `known`, or nothing where none is near."""
    matches = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean `{matches[0]}`?" if matches else ""


def from_dlt(error: DictValidationException, rest_api: Mapping[str, Any]) -> ValidationError:
    """What dlt complains of, as one sentence at its place.

    For a union dlt lists a complaint per alternative; the one deepest in the document, and among those the
    one of the alternative that the document's own `type` names, is what the user meant.
    """
    leaves = list(_leaves(error))
    depth = max(leaf.path.count("/") for leaf in leaves)
    deepest = [leaf for leaf in leaves if leaf.path.count("/") == depth]
    location = _location(deepest[0].path)
    meant = str(value_at(rest_api, (*location, "type"))).replace("_", "")
    named = [one for one in deepest if meant in str(getattr(one.expected_type, "__name__", "")).lower()]
    no_such_type = [one for one in deepest if one.field == "type"]
    # A key that another alternative knows, and complains of its value, is no unknown one.
    foreign = set(_unexpected(deepest[0]))
    bad_value = [one for one in deepest if one.field in foreign]
    leaf = min(named or no_such_type or bad_value[:1] or deepest[:1], key=lambda one: len(_unexpected(one)))
    location = _location(leaf.path)
    unexpected = _unexpected(leaf)
    if unexpected:
        key = next((one for one in unexpected if one not in _REST_API_KEYS), unexpected[0])
        return error_at((*location, key), f"unknown key `{key}`{suggestion(key, _REST_API_KEYS)}")
    missing = re.match(r"missing required fields `\{(.+)\}`", leaf.msg)
    if missing:
        return error_at(location, f"missing {missing[1]}")
    if leaf.field:
        location = (*location, *_location(leaf.field))
    return error_at(location, leaf.msg.partition("\n")[0])


def _unexpected(error: DictValidationException) -> list[str]:
    """The keys dlt does not know; it lists them in no particular order."""
    listed = re.match(r"received unexpected fields `\{(.+)\}`", error.msg)
    return sorted(re.findall(r"'([^']+)'", listed[1])) if listed else []


def _leaves(error: DictValidationException) -> Iterator[DictValidationException]:
    if not error.nested_exceptions:
        yield error
    for nested in error.nested_exceptions or ():
        yield from _leaves(nested)


def _location(path: str) -> Location:
    """`./resources[0]/endpoint` as `("resources", 0, "endpoint")`."""
    parts = re.findall(r"[^./\[\]]+|\[\d+\]", path)
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in parts)


def value_at(document: Any, location: Location) -> Any:
    """The value at `location`; None where there is none."""
    for part in location:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document

"""Reports a mistake in a `defs.yaml` at its key: what is wrong, and what to write instead.

What belongs here: functions that make an error at a key, and the translation of dlt's errors. The other modules of
`config` have the rules.
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
    """Makes a validation error with `message` at the key `location`.

    The error has pydantic's own type `value_error`, because Dagster adds file and line only to errors of pydantic's own
    types.
    """
    error = InitErrorDetails(type="value_error", loc=location, input=None, ctx={"error": ValueError(message)})
    return ValidationError.from_exception_data("defs.yaml", [error])


def unbuildable(error: Exception) -> ValidationError:
    """Makes an error at the key `rest_api` from dlt's error about a config that dlt cannot build."""
    sentence = " ".join(str(error).split())
    return error_at(("rest_api",), f"dlt cannot build this source: {sentence}")


def suggestion(word: str, known: frozenset[str] | list[str]) -> str:
    """Returns ` Did you mean …?` with the closest of `known`, or an empty text if none is close."""
    matches = get_close_matches(word, sorted(known), n=1)
    return f" Did you mean `{matches[0]}`?" if matches else ""


def from_dlt(error: DictValidationException, rest_api: Mapping[str, Any]) -> ValidationError:
    """Converts dlt's errors about `rest_api` into one error at the key that is wrong.

    If a key allows several types of value, dlt lists one error per type. The likely mistake is the error at the most
    deeply nested key. If several errors are equally deep, the function picks the type that the user wrote as `type`.
    """
    leaves = list(_leaves(error))
    depth = max(leaf.path.count("/") for leaf in leaves)
    deepest = [leaf for leaf in leaves if leaf.path.count("/") == depth]
    location = _location(deepest[0].path)
    meant = str(value_at(rest_api, (*location, "type"))).replace("_", "")
    named = [one for one in deepest if meant in str(getattr(one.expected_type, "__name__", "")).lower()]
    no_such_type = [one for one in deepest if one.field == "type"]
    # If another allowed type knows this key and rejects only the value, then only the value is wrong.
    foreign = set(_unexpected(deepest[0]))
    bad_value = [one for one in deepest if one.field in foreign]
    leaf = min(named or no_such_type or bad_value[:1] or deepest[:1], key=lambda one: len(_unexpected(one)))
    location = _location(leaf.path)
    unexpected = _unexpected(leaf)
    if unexpected:
        key = next((one for one in unexpected if one not in _REST_API_KEYS), unexpected[0])
        return error_at((*location, key), f"unknown key `{key}`.{suggestion(key, _REST_API_KEYS)}")
    missing = re.match(r"missing required fields `\{(.+)\}`", leaf.msg)
    if missing:
        return error_at(location, f"required keys are missing: {missing[1]}. Add them.")
    if leaf.field:
        location = (*location, *_location(leaf.field))
    return error_at(location, leaf.msg.partition("\n")[0])


def _unexpected(error: DictValidationException) -> list[str]:
    """The keys that dlt does not know. The keys are sorted, because dlt lists them in random order."""
    listed = re.match(r"received unexpected fields `\{(.+)\}`", error.msg)
    return sorted(re.findall(r"'([^']+)'", listed[1])) if listed else []


def _leaves(error: DictValidationException) -> Iterator[DictValidationException]:
    if not error.nested_exceptions:
        yield error
    for nested in error.nested_exceptions or ():
        yield from _leaves(nested)


def _location(path: str) -> Location:
    """Turns `./resources[0]/endpoint` into `("resources", 0, "endpoint")`."""
    parts = re.findall(r"[^./\[\]]+|\[\d+\]", path)
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in parts)


def value_at(document: Any, location: Location) -> Any:
    """The value at `location` in a document; None if there is no value."""
    for part in location:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document

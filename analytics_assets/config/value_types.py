"""Reports the first value in `rest_api` whose type dlt does not take, and says what to write instead.

What belongs here: types of values, and keys that are missing. `key_places.py` reports keys at a wrong place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Literal, get_args, get_origin

from dlt.common.typing import is_optional_type
from dlt.sources.rest_api.typing import RESTAPIConfig

from analytics_assets.config.shapes import is_shape, item_of, keys_of, members, type_of, value_of
from analytics_assets.config.validation_errors import Location, error_at, named, suggestion

_EXPECTED = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_PRIVATE = frozenset({"auth", "headers", "params", "json", "data"})
"""The keys whose values no error text repeats, because they may be secrets."""


def refuse_wrong_types(rest_api: Mapping[str, Any]) -> None:
    """Fails at the first value of a wrong type, and at the first mapping that lacks a required key.

    Raises:
        ValidationError: a value has a wrong type, or a key is missing.
    """
    refuse_wrong_type(rest_api, RESTAPIConfig, (), rest_api)


def refuse_wrong_type(value: Any, annotation: Any, place: Location, rest_api: Mapping[str, Any]) -> None:
    """Fails if a value, or a value inside it, does not fit an annotation.

    Args:
        value: the value.
        annotation: the type annotation of dlt for the value.
        place: the keys that lead to the value in `rest_api`.
        rest_api: the REST API config, for the name of the resource.

    Raises:
        ValidationError: a value has a wrong type, or a key is missing.
    """
    for location, sentence in wrong_types(value, annotation, place):
        raise error_at(location, named(rest_api, location, sentence))


def wrong_types(value: Any, annotation: Any, place: Location) -> Iterator[tuple[Location, str]]:
    """Yields the values that do not fit an annotation, each with its place and a sentence.

    Args:
        value: the value.
        annotation: the type annotation of dlt for the value.
        place: the keys that lead to the value.
    """
    allowed = members(annotation)
    if Any in allowed:
        return
    fitting = [one for one in allowed if _is_of_kind(value, one)]
    if not fitting:
        yield place, _wrong_kind(value, allowed, place)
        return
    found = [(_foreign(value, one), list(_inside(value, one, place, allowed))) for one in fitting]
    if all(foreign or mistakes for foreign, mistakes in found):
        # Of several shapes, the user meant the one with all keys of the value. The mistake is then inside it.
        yield from min(found, key=lambda one: (one[0], len(one[1])))[1]


def _foreign(value: Any, member: Any) -> int:
    """Returns the number of keys that a shape does not have."""
    return len(value.keys() - keys_of(member).keys()) if is_shape(member) and isinstance(value, dict) else 0


def _inside(
    value: Any, member: Any, place: Location, allowed: tuple[Any, ...]
) -> Iterator[tuple[Location, str]]:
    if get_origin(member) is Literal:
        if value not in get_args(member):
            yield place, _not_one_of(value, get_args(member), place, allowed)
    elif is_shape(member):
        hints = keys_of(member)
        missing = _missing(value, member, allowed)
        if missing:
            yield place, f"required keys are missing: {missing}. Add them."
        for key, item in value.items():
            if key in hints:
                yield from wrong_types(item, hints[key], (*place, key))
    elif item_of(member) is not None:
        for index, item in enumerate(value):
            yield from wrong_types(item, item_of(member), (*place, index))
    elif value_of(member) is not None:
        for key, item in value.items():
            if isinstance(key, str):
                yield from wrong_types(item, value_of(member), (*place, key))
            else:
                yield place, f"the key `{key}` is {_kind(key)}. Write it in quotes."


def _missing(value: Mapping[str, Any], shape: type, allowed: tuple[Any, ...]) -> str:
    """Lists the required keys that a mapping lacks. The secret keys of an `auth` are not in the file."""
    typed = type_of([one for one in allowed if is_shape(one)], value)
    if typed is not None:
        return "" if "type" in value or typed[0] == "auth" else "'type'"
    hints = keys_of(shape)
    required = sorted(key for key in shape.__required_keys__ if not is_optional_type(hints[key]))  # type: ignore[attr-defined]
    return ", ".join(f"'{key}'" for key in required if key not in value)


def _is_of_kind(value: Any, member: Any) -> bool:  # noqa: PLR0911  one case for each kind of type
    if member is type(None):
        return value is None
    if get_origin(member) is Literal:
        return isinstance(value, tuple({type(one) for one in get_args(member)}))
    if member is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if member is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_shape(member) or value_of(member) is not None:
        return isinstance(value, dict)
    if item_of(member) is not None:
        return isinstance(value, list)
    if isinstance(member, type) and get_origin(member) is None:
        return isinstance(value, member)
    # The rest are Python objects, such as functions and classes. dlt judges them.
    return not isinstance(value, (str, int, float, list, dict, date, type(None)))


def _wrong_kind(value: Any, allowed: tuple[Any, ...], place: Location) -> str:
    kinds = [one for one in allowed if one is not int or float not in allowed]
    expected = dict.fromkeys(filter(None, map(_expectation, kinds)))
    what = f"Write {' or '.join(expected)}" if expected else "Only Python code can set it, so remove it"
    if value is None:
        return f"{_key(place)} is empty. {what}, or remove the key."
    if isinstance(value, str) and not {int, float, bool}.isdisjoint(allowed):
        what += ", without quotes"
    if isinstance(value, (int, float, date)) and str in allowed:
        what += ", in quotes"
    return f"{_key(place)} is {_shown(value, place)}. {what}."


def _expectation(member: Any) -> str:
    if get_origin(member) is Literal:
        return f"one of {', '.join(map(str, get_args(member)))}"
    if is_shape(member) or value_of(member) is not None:
        return "a mapping"
    if item_of(member) is not None:
        return "a list"
    return _EXPECTED.get(member, "")


def _not_one_of(value: Any, known: tuple[Any, ...], place: Location, allowed: tuple[Any, ...]) -> str:
    shown = (
        _kind(value) if place[-1:] == ("auth",) or len(str(value)) > 60 else f"`{value}`"
    )  # it may be a key
    key = _key_with(value, allowed)
    if key:
        return (
            f"{_key(place)} is {shown}, which is a value of `{key}`. Write a mapping with `{key}: {value}`."
        )
    near = suggestion(str(value), map(str, known)) or suggestion(str(value).upper(), map(str, known))
    listed = ", ".join(map(str, known))
    return f"{_key(place)} is {shown}, and dlt knows only {listed}.{near or ' Write one of them.'}"


def _key_with(value: Any, allowed: tuple[Any, ...]) -> str | None:
    """Returns the key of an allowed mapping that takes a value, such as `strategy` for `upsert`; None if none does."""
    for shape in filter(is_shape, allowed):
        for key, hint in keys_of(shape).items():
            if any(get_origin(one) is Literal and value in get_args(one) for one in members(hint)):
                return key
    return None


def _key(place: Location) -> str:
    last = place[-1] if place else "rest_api"
    return f"`{last}`" if isinstance(last, str) else f"`{place[-2]}[{last}]`"


def _shown(value: Any, place: Location) -> str:
    if _is_private(value, place):
        return _kind(value)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`, which is text" if isinstance(value, str) else f"`{value}`"


def _is_private(value: Any, place: Location) -> bool:
    """Whether no error text repeats a value, because it may be a secret, or is long."""
    is_short = isinstance(value, (str, int, float)) and len(str(value)) <= 60
    return not is_short or not _PRIVATE.isdisjoint(place)


def _kind(value: Any) -> str:
    kinds = (
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "text"),
        (list, "a list"),
        (dict, "a mapping"),
        (date, "a date"),
    )
    return next((words for kind, words in kinds if isinstance(value, kind)), "a Python object")

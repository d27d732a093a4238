"""Reports the first key of a `defs.yaml` that is not known at its place, and says where it belongs.

What belongs here: names of keys. `value_types.py` reports values of a wrong type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from analytics_assets.config.shapes import (
    is_shape,
    item_of,
    keys_of,
    keys_of_type,
    members,
    type_of,
    types_with,
    value_of,
)
from analytics_assets.config.validation_errors import Location, error_at, named, suggestion

Place = tuple[str, ...]
"""The keys that lead to a place, with `*` for a name that the user chooses and `[]` for an item of a list."""

_SURE = 0.7
"""How similar a key must be to a key here before it is suggested, although the key is also known elsewhere."""

_RECURSIVE = "nested_hints"
"""The key of a resource whose values have the keys of a resource again."""

_NAMES = {"assets": "<resource>", "columns": "<column>", "checks": "<check>"}
"""What the user names under a key, for error texts."""


def refuse_unknown_keys(model: type[BaseModel], values: Mapping[str, Any]) -> None:
    """Fails at the first unknown key.

    Args:
        model: the model of the whole file.
        values: the attributes of the file.

    Raises:
        ValidationError: a key is not known at its place.
    """
    for location, place, known in _unknown(values, model, (), ()):
        inside = location[1:] if location[0] == "rest_api" else ()
        raise error_at(location, named(values.get("rest_api"), inside, _sentence(model, place, known)))


def _unknown(
    value: Any, annotation: Any, location: Location, place: Place
) -> Iterator[tuple[Location, Place, tuple[str, ...]]]:
    """Yields the unknown keys, each with its location, its place, and the keys that are known there."""
    allowed = members(annotation)
    if Any in allowed:
        return
    if isinstance(value, dict):  # a Python object for `auth` is a mapping, too
        shapes = [one for one in allowed if is_shape(one)]
        free = [one for one in map(value_of, allowed) if one is not None]
        hints: dict[str, list[Any]] = {}
        for shape in shapes:
            for key, hint in keys_of(shape).items():
                hints.setdefault(key, []).append(hint)
        typed = type_of(shapes, value)
        known = (keys_of_type(*typed) if typed else ()) or tuple(hints)
        for key, item in value.items():
            if free or not shapes or (key in known and key in hints):
                nested = hints.get(key, free)
                step = str(key) if key in hints else "*"
                for hint in nested:
                    yield from _unknown(item, hint, (*location, str(key)), (*place, step))
            else:
                at = place if typed is None else (*place, f"type {typed[1]}")
                yield (*location, str(key)), (*at, str(key)), known
    elif isinstance(value, list):
        for hint in map(item_of, allowed):
            for index, item in enumerate(value if hint is not None else ()):
                yield from _unknown(item, hint, (*location, index), (*place, "[]"))


def _sentence(model: type[BaseModel], place: Place, known: tuple[str, ...]) -> str:
    *here, key = place
    if here and here[-1].startswith("type "):
        family, name = here[-2], here[-1].removeprefix("type ")
        others = types_with(family, key)
        if others:
            keys = ", ".join(one for one in known if one != "type") or "no key but `type`"
            params = "; if the API takes it, write it in `endpoint.params`" if family == "paginator" else ""
            return (
                f"the {family} `{name}` has no key `{key}`, which belongs to `{'`, `'.join(others)}`. The keys here "
                f"are {keys}. Change `type`, or remove `{key}`{params}."
            )
        here.pop()
    places = _places_of(model, key, tuple(here))
    if places:
        near = suggestion(key, known, _SURE)
        return f"unknown key `{key}`.{near} {'`' + key + '` itself' if near else 'It'} belongs {places}."
    near = suggestion(key, known)
    if near:
        return f"unknown key `{key}`.{near}"
    for other in sorted(_all_keys(model)):
        if suggestion(key, [other], 0.8):
            return f"unknown key `{key}`. Did you mean `{other}`? It belongs {_places_of(model, other, tuple(here))}."
    return f"unknown key `{key}`. The keys here are {', '.join(known)}."


def _places_of(model: type[BaseModel], key: str, here: Place) -> str:
    """Describes where a key belongs, as seen from a place; empty if the key is known nowhere."""
    found = [place for place, keys in _places(model).items() if key in keys and place != here]
    above = [place for place in found if here[: len(place)] == place]
    if above:
        holder = max(above, key=len)
        return f"beside `{here[len(holder)]}`"
    other = "resources" if "resource_defaults" in here else "resource_defaults"
    # Each key of `asset_defaults` is also a key of a resource.
    found = [place for place in found if other not in place and place[:1] != ("asset_defaults",)]
    found = [place for place in found if not any(place != one and place[: len(one)] == one for one in found)]
    found = [place for place in found if place[-1] != "[]" or (*place[:-1], "*") not in found]
    nearest: dict[str, Place] = {}  # one place of each kind, such as `paginator`
    for place in sorted(found, key=lambda place: _distance(here, place)):
        nearest.setdefault(".".join(place[-2:] if place[-1] == "*" else place[-1:]), place)
    return f"in {' or '.join(_as_text(place, here) for place in [*nearest.values()][:2])}" if found else ""


def _distance(here: Place, there: Place) -> tuple[int, int]:
    common = 0
    while common < min(len(here), len(there)) and here[common] == there[common]:
        common += 1
    return len(here) + len(there) - 2 * common, len(there)


def _as_text(place: Place, here: Place) -> str:
    start = len(here) if place[: len(here)] == here else 0
    parts: list[str] = []
    for before, part in zip(("", *place[start:]), place[start:], strict=False):
        if part == "[]":
            parts[-1] += "[]"
        else:
            parts.append(_NAMES.get(before, "*") if part == "*" else part)
    return f"`{'.'.join(parts)}`"


def _all_keys(model: type[BaseModel]) -> frozenset[str]:
    return frozenset().union(*_places(model).values())


@cache
def _places(model: type[BaseModel]) -> Mapping[Place, frozenset[str]]:
    """Returns the known keys of each place of a file."""
    found: dict[Place, frozenset[str]] = {}
    _collect(model, (), found)
    return found


def _collect(annotation: Any, place: Place, found: dict[Place, frozenset[str]]) -> None:
    for member in members(annotation):
        if is_shape(member):
            keys = keys_of(member)
            found[place] = found.get(place, frozenset()) | keys.keys()
            for key, hint in keys.items():
                if key != _RECURSIVE:
                    _collect(hint, (*place, key), found)
        elif item_of(member) is not None:
            _collect(item_of(member), (*place, "[]"), found)
        elif value_of(member) is not None:
            _collect(value_of(member), (*place, "*"), found)

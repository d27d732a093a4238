"""The shapes of a `defs.yaml`: which keys may be at a place, and of which types, by our models and dlt's TypedDicts.

What belongs here: reading type annotations. `key_places.py` reports keys at a wrong place, and `value_types.py` reports
values of a wrong type.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from dlt.sources.rest_api import typing as rest_api_typing
from dlt.sources.rest_api.config_setup import AUTH_MAP, PAGINATOR_MAP
from dlt.sources.rest_api.typing import RESTAPIConfig
from pydantic import BaseModel

_DLT_SHAPES = {"rest_api": RESTAPIConfig}
"""The keys of our models whose values have the shape of a TypedDict of dlt."""

_TYPED = {
    "paginator": rest_api_typing.PaginatorTypeConfig,
    "auth": rest_api_typing.BearerTokenAuthConfig,
}
"""The values whose key `type` decides which keys they may have, each with one of their shapes."""


@cache
def members(annotation: Any) -> tuple[Any, ...]:
    """Returns the types that an annotation allows. A union is no type here, and neither is `Annotated`."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return tuple(one for part in get_args(annotation) for one in members(part))
    if origin in (typing.Annotated, typing.NotRequired, typing.Required):
        return members(get_args(annotation)[0])
    return (annotation,)


def is_shape(member: Any) -> bool:
    """Whether a type has a fixed set of keys."""
    return isinstance(member, type) and (
        hasattr(member, "__required_keys__") or issubclass(member, BaseModel)
    )


@cache
def keys_of(shape: type) -> Mapping[str, Any]:
    """Returns the annotations of a shape by key."""
    if issubclass(shape, BaseModel):
        return {name: _DLT_SHAPES.get(name, field.annotation) for name, field in shape.model_fields.items()}
    return get_type_hints(shape)


def item_of(member: Any) -> Any:
    """Returns the annotation of the items of a list type; None if the type is no list."""
    origin = get_origin(member)
    is_list = isinstance(origin, type) and issubclass(origin, Sequence)
    return get_args(member)[0] if is_list and get_args(member) else None


def value_of(member: Any) -> Any:
    """Returns the annotation of the values of a mapping type without fixed keys; None for any other type."""
    origin = get_origin(member)
    is_mapping = isinstance(origin, type) and issubclass(origin, Mapping)
    return get_args(member)[1] if is_mapping and len(get_args(member)) == 2 else None


def type_of(shapes: Sequence[type], value: Mapping[Any, Any]) -> tuple[str, str] | None:
    """Returns `paginator` or `auth`, and the type of that paginator or auth; None for any other mapping."""
    for family, known in _TYPED.items():
        if any(shape is known or known in getattr(shape, "__orig_bases__", ()) for shape in shapes):
            default = "auto" if family == "paginator" else "bearer"
            return family, str(value.get("type") or default)
    return None


def keys_of_type(family: str, name: str) -> tuple[str, ...]:
    """Returns the keys of a paginator or auth of one type; empty if dlt does not know the type, or takes any key."""
    if family == "paginator":
        paginator = PAGINATOR_MAP.get(name)
        return ("type", *parameters_of(paginator)) if paginator and not _takes_any_key(paginator) else ()
    auth = AUTH_MAP.get(name)
    return ("type", *auth.get_resolvable_fields()) if auth else ()


def parameters_of(paginator: type) -> Mapping[str, inspect.Parameter]:
    """Returns the parameters of a paginator's class by name."""
    return {
        name: one
        for name, one in inspect.signature(paginator).parameters.items()
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    }


def _takes_any_key(paginator: type) -> bool:
    return any(one.kind is one.VAR_KEYWORD for one in inspect.signature(paginator).parameters.values())


def types_with(family: str, key: str) -> list[str]:
    """Returns the types of a paginator or auth that have a key."""
    named = PAGINATOR_MAP if family == "paginator" else AUTH_MAP
    return [name for name in named if name != "json_response" and key in keys_of_type(family, name)]

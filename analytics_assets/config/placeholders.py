"""Reports a mistake in a placeholder, such as `{resources.shops.id}`, and in how resources depend on each other.

dlt reads each text of an endpoint with Python's `str.format`, so braces that are text must be doubled. What belongs
here: the placeholders of an endpoint, its parameters of type `resolve`, and the parents that they name.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from dlt.extract.incremental import Incremental

from analytics_assets.config.endpoints import WrittenResource
from analytics_assets.config.json_paths import problem_of
from analytics_assets.config.templates import AtRun
from analytics_assets.config.validation_errors import Location, suggestion

_PARTS = ("path", "params", "json", "data", "headers")
"""The keys of an endpoint whose texts dlt formats for each request."""

_BOUNDS = ("start_value", "end_value", "initial_value", "last_value")
"""What a placeholder may take from a cursor. dlt also takes its other settings, which nobody needs."""


def refuse_bad_placeholders(resources: Sequence[WrittenResource], names: Collection[str]) -> None:
    """Fails at the first placeholder that dlt cannot fill in, and at the first parent that a resource cannot have.

    Args:
        resources: the resources as written.
        names: the names of all resources, also of those that are Python objects.

    Raises:
        ValidationError: a placeholder, a parameter or a parent is wrong.
    """
    parents = {resource.name: _parent(resource, names) for resource in resources}
    for resource in resources:
        line = [resource.name]
        while (parent := parents.get(line[-1])) is not None:
            if parent in line:
                circle = " → ".join(f"`{name}`" for name in (*line[line.index(parent) :], parent))
                raise resource.error(
                    f"resources take values from each other in a circle: {circle}. Remove one of the placeholders "
                    "`{resources.…}`, so that one resource comes first.",
                    "endpoint",
                )
            line.append(parent)


def _parent(resource: WrittenResource, names: Collection[str]) -> str | None:
    """Checks the placeholders of a resource, and returns the resource that supplies their values."""
    found: dict[str, Location] = {}
    for keys, field in _placeholders(resource):
        parent = _checked(resource, keys, field, names)
        if parent:
            found.setdefault(parent, keys)
    for name, param in (resource.endpoint.get("params") or {}).items():
        if isinstance(param, dict):  # an `Incremental` is a mapping, too
            parent = _checked_param(resource, str(name), param, names)
            if parent:
                found.setdefault(parent, ("params", name))
    if len(found) > 1:
        raise resource.error(
            f"the placeholders take values from the rows of several resources, {_listed(found)}, and dlt takes them "
            "from one. Use fields of one parent. It may carry fields of its own parent, by `include_from_parent`.",
            "endpoint",
            *list(found.values())[-1],
        )
    if not found and resource.values.get("include_from_parent"):
        raise resource.error(
            "`include_from_parent` needs a parent. Use a field of it in the request, as in "
            "`path: shops/{resources.shops.id}/orders`, or remove `include_from_parent`.",
            "include_from_parent",
        )
    return next(iter(found), None)


def _placeholders(resource: WrittenResource) -> Iterator[tuple[Location, str]]:
    """Yields the name of each placeholder, with the keys of the endpoint that lead to its text."""
    for part in _PARTS:
        for keys, text in _texts(resource.endpoint.get(part), (part,)):
            try:
                fields = [field for _, field, _, _ in string.Formatter().parse(text)]
            except ValueError:
                raise resource.error(_braces(keys, ""), "endpoint", *keys) from None
            for field in fields:
                if field is not None:
                    yield keys, field


def _texts(value: Any, keys: Location) -> Iterator[tuple[Location, str]]:
    if isinstance(value, AtRun):
        return
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key, keys)
            yield from _texts(item, (*keys, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _texts(item, (*keys, index))


def _checked(resource: WrittenResource, keys: Location, field: str, names: Collection[str]) -> str | None:
    """Checks one placeholder. Returns the parent that it names; None if it names none."""
    params = resource.endpoint.get("params") or {}
    if keys == ("path",) and field in params:
        if isinstance(params[field], dict) and params[field].get("type") != "resolve":
            raise resource.error(
                f"endpoint.path has `{{{field}}}`, and endpoint.params.{field} is a cursor or a mapping. Write the "
                "value of the cursor as `{incremental.start_value}` in the path.",
                "endpoint",
                "path",
            )
        return None
    scope, _, rest = field.partition(".")
    if scope == "incremental" and rest:
        _check_bound(resource, keys, rest)
        return None
    if scope == "resources":
        parent, _, path = rest.partition(".")
        if not parent or not path:
            raise resource.error(
                f"`{{{field}}}` in {_dotted(keys)} names no field. Write "
                f"`{{resources.{parent or '<resource>'}.<field>}}`.",
                "endpoint",
                *keys,
            )
        _check_source(resource, keys, parent, path, names)
        return parent
    if keys == ("path",) and field.isidentifier():
        raise resource.error(
            f"endpoint.path has `{{{field}}}`, and endpoint.params has no `{field}`. Add it there, or take it from the "
            f"rows of another resource, as in `{{resources.<resource>.{field}}}`.",
            "endpoint",
            "path",
        )
    raise resource.error(_braces(keys, field), "endpoint", *keys)


def _check_bound(resource: WrittenResource, keys: Location, name: str) -> None:
    params = (resource.endpoint.get("params") or {}).values()
    in_params = any(isinstance(one, Incremental) or _type_of(one) == "incremental" for one in params)
    if not resource.endpoint.get("incremental") and (keys == ("path",) or not in_params):
        raise resource.error(
            f"`{{incremental.{name}}}` in {_dotted(keys)} needs a cursor. Add `incremental: {{cursor_path: …}}` to the "
            "endpoint.",
            "endpoint",
            *keys,
        )
    attribute = name.partition(".")[0].partition("[")[0]
    if not hasattr(Incremental, attribute) and attribute not in dir(Incremental("field")):
        near = suggestion(attribute, _BOUNDS) or f" Write one of {', '.join(_BOUNDS)}."
        raise resource.error(
            f"a cursor has no `{attribute}`, which {_dotted(keys)} takes.{near}", "endpoint", *keys
        )


def _checked_param(
    resource: WrittenResource, name: str, param: Mapping[str, Any], names: Collection[str]
) -> str | None:
    """Checks a parameter that is a mapping. Returns the parent that it names; None if it names none."""
    kind, keys = _type_of(param), ("params", name)
    if kind == "incremental":
        return None
    if kind != "resolve":
        what = f"of the type `{kind}`" if kind else "a mapping"
        near = suggestion(str(kind), ("resolve", "incremental"))
        raise resource.error(
            f"endpoint.params.{name} is {what}, and dlt knows only the types resolve and incremental.{near} Write the "
            "value of a parameter as text.",
            "endpoint",
            *keys,
        )
    parent, field = param.get("resource"), param.get("field")
    if not isinstance(parent, str) or not field:
        raise resource.error(
            f"endpoint.params.{name} needs `resource` and `field`. Write "
            "`{type: resolve, resource: <parent>, field: <field>}`.",
            "endpoint",
            *keys,
        )
    path = resource.endpoint["path"]
    if name not in [one for _, one, _, _ in string.Formatter().parse(path)]:
        raise resource.error(
            f"endpoint.params.{name} takes `{field}` of `{parent}` for the path, and the path has no `{{{name}}}`. Put "
            f'it into the path, or write `{name}: "{{resources.{parent}.{field}}}"` to send it as a parameter.',
            "endpoint",
            *keys,
        )
    _check_source(resource, keys, parent, field, names)
    return parent


def _check_source(
    resource: WrittenResource, keys: Location, parent: str, path: Any, names: Collection[str]
) -> None:
    """Checks the resource and the field that a placeholder or a parameter names."""
    if parent == resource.name:
        problem = (
            f"{_dotted(keys)} takes `{path}` from the rows of this resource itself. Name another resource."
        )
    elif parent not in names:
        near = suggestion(parent, names) or f" The resources are {', '.join(names)}."
        problem = f"{_dotted(keys)} takes `{path}` from the rows of `{parent}`, and there is no such resource.{near}"
    elif problem_of(path):
        problem = f"{_dotted(keys)} takes `{path}` from the rows of `{parent}`, and this {problem_of(path)}"
    else:
        return
    raise resource.error(problem, "endpoint", *keys)


def _braces(keys: Location, field: str) -> str:
    what = f"`{{{field}}}`" if len(field) <= 40 else f"`{{{field[:40]}…`"
    has = (
        f"{_dotted(keys)} has {what}, which is no placeholder"
        if field
        else f"{_dotted(keys)} has single braces"
    )
    return (
        f"{has}. If braces are text, as in GraphQL or JSON, double each, and write the value between `{{% raw %}}` and "
        "`{% endraw %}`. A placeholder is `{resources.<resource>.<field>}` or `{incremental.start_value}`."
    )


def _type_of(param: Any) -> str | None:
    return str(param["type"]) if isinstance(param, dict) and param.get("type") else None


def _dotted(keys: Location) -> str:
    return ".".join(map(str, ("endpoint", *keys)))


def _listed(names: Collection[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)

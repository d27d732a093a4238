"""The normal form of one resource, after dlt has applied its defaults: each thing is written in one way only.

What belongs here: dlt's short forms of a resource, and the forms that dlt reads in another way than its docs say.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from dlt.extract.incremental import Incremental

_SETTINGS = (
    "cursor_path", "initial_value", "end_value", "last_value_func", "row_order", "allow_external_schedulers",
    "on_cursor_value_missing", "lag", "range_start", "range_end",
)  # fmt: skip
"""The settings of an `Incremental` object. Each is also a key of `endpoint.incremental`."""


def with_doubled_braces(resource: Any) -> Any:
    """Returns a resource whose path dlt reads as written.

    dlt removes the doubling of `{{` and `}}` in a path once when it binds parameters, and once more in each request.
    """
    if not isinstance(resource, Mapping):
        return resource
    endpoint = resource.get("endpoint")
    if isinstance(endpoint, str):
        return {**resource, "endpoint": _doubled(endpoint)}
    if isinstance(endpoint, Mapping) and isinstance(endpoint.get("path"), str):
        bound = _bound_twice(endpoint)
        return {**resource, "endpoint": {**bound, "path": _doubled(bound["path"])}}
    return resource


def _bound_twice(endpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rewrites a parameter that is in the path more than once, because dlt leaves out all but the first."""
    path, params = str(endpoint["path"]), dict(endpoint.get("params") or {})
    for name, one in list(params.items()):
        placeholder = f"{{{name}}}"
        if isinstance(one, Mapping) and one.get("type") == "resolve" and path.count(placeholder) > 1:
            path = path.replace(placeholder, f"{{resources.{one.get('resource')}.{one.get('field')}}}")
            del params[name]
    return {**endpoint, "path": path, **({"params": params} if "params" in endpoint else {})}


def _doubled(path: str) -> str:
    if "{{" not in path and "}}" not in path:
        return path
    try:
        parts = list(string.Formatter().parse(path))
    except ValueError:
        return path  # dlt says what is wrong with the path
    return "".join(
        literal.replace("{", "{{{{").replace("}", "}}}}") + ("" if field is None else f"{{{field}}}")
        for literal, field, _, _ in parts
    )


def cursors_of(endpoint: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """Returns the cursors of an endpoint, each by the keys that lead to it. A resource can have only one."""
    params = endpoint.get("params") or {}
    found: dict[tuple[str, ...], Any] = {
        ("params", param): value for param, value in params.items() if _is_incremental(value)
    }
    if endpoint.get("incremental"):
        found["incremental",] = endpoint["incremental"]
    return found


def with_one_cursor(resource: dict[str, Any]) -> dict[str, Any]:
    """Returns a resource whose cursor is in `endpoint.incremental`, and not in `endpoint.params`."""
    endpoint = resource["endpoint"]
    in_params = [keys[1] for keys in cursors_of(endpoint) if keys[0] == "params"]
    if not in_params:
        return resource
    [param] = in_params
    params = endpoint["params"]
    written = params[param]
    settings = _settings(written) if isinstance(written, Incremental) else dict(written)
    settings.pop("type", None)
    if settings.get("transform") is not None:
        settings.setdefault("convert", settings.pop("transform"))  # dlt's old name
    others = {key: value for key, value in params.items() if key != param}
    return {
        **resource,
        "endpoint": {**endpoint, "params": others, "incremental": {**settings, "start_param": param}},
    }


def _is_incremental(value: Any) -> bool:
    return isinstance(value, Incremental) or (
        isinstance(value, Mapping) and value.get("type") == "incremental"
    )


def _settings(written: Incremental[Any]) -> dict[str, Any]:
    default: Incremental[Any] = Incremental(written.cursor_path)
    found = {key: getattr(written, key) for key in _SETTINGS}
    return {
        key: value for key, value in found.items() if key == "cursor_path" or value != getattr(default, key)
    }

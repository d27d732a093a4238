"""The JSON schema of a `defs.yaml`, by which editors and `dg check yaml` judge a file as written, with its templates.

What belongs here: what pydantic's JSON schema refuses, and our models accept. The models make the schema itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEMPLATE = {"type": "string", "pattern": r"\{\{|\{%|\{#"}
_NULL = {"type": "null"}
_ABOUT = ("title", "description", "default")
"""The keys of a schema that say something about a value, and refuse none."""


def for_written_file(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a schema that takes a template wherever `schema` takes no text.

    An `if` keeps the sentences of the validator: with `anyOf`, it could only say that nothing fits.

    Args:
        schema: the JSON schema of a model.
    """
    found = _inside(schema)
    if "$defs" in schema:
        found["$defs"] = {name: _inside(one) for name, one in schema["$defs"].items()}
    return found


def _inside(schema: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(schema)
    found.pop("format", None)  # the models also take a date without a time
    if "properties" in found:
        found["properties"] = {name: _value(one) for name, one in found["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), Mapping):
            found[key] = _value(found[key])
    if "anyOf" in found:
        found["anyOf"] = [_inside(one) for one in found["anyOf"]]
    return found


def _value(schema: Mapping[str, Any]) -> dict[str, Any]:
    if _takes_text(schema):
        return _inside(schema)
    about = {key: schema[key] for key in _ABOUT if key in schema}
    rule = _inside({key: item for key, item in schema.items() if key not in _ABOUT})
    free: dict[str, Any] = _TEMPLATE
    kinds = rule.get("anyOf", [])
    if _NULL in kinds and len(kinds) == 2:
        free = {"anyOf": [_TEMPLATE, _NULL]}
        rule = next(one for one in kinds if one != _NULL)
    # This `anyOf` refuses nothing. It is where `dg utils inspect-component` looks for the type of a value.
    return {**about, "if": free, "else": rule, "anyOf": [rule, {}]}


def _takes_text(schema: Mapping[str, Any]) -> bool:
    if "anyOf" in schema:
        return any(map(_takes_text, schema["anyOf"]))
    return schema.get("type") == "string" and "enum" not in schema

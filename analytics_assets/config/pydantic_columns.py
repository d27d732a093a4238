"""`columns` as a pydantic model, in Python code: its fields, types and `extra`, as dlt reads them.

What belongs here: the conversion of a model to `columns` and `schema_contract`. The sync checks rows against columns,
and never runs a model, so a rule of a model that columns cannot express is refused.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal, get_args, get_origin

from dlt.common.libs.pydantic import (
    extra_to_column_mode,
    get_extra_from_model,
    pydantic_to_table_schema_columns,
)
from pydantic import BaseModel

_VALIDATORS = ("field_validators", "model_validators", "root_validators", "validators")


def with_plain_columns(resource: dict[str, Any]) -> dict[str, Any]:
    """Returns a resource whose `columns` are no pydantic model.

    As in dlt, `extra` of the model is the `schema_contract` of the columns, unless the resource has one: `forbid` is
    `freeze`, `allow` is `evolve`, and `ignore`, pydantic's default, is `discard_value`.
    """
    model = model_of(resource.get("columns"))
    if model is None:
        return resource
    written = resource.get("schema_contract")
    contract = {} if written is None else written
    if isinstance(contract, dict):
        mode = extra_to_column_mode(get_extra_from_model(model) or "ignore")
        contract = {"columns": mode, **contract}
    return {**resource, "columns": pydantic_to_table_schema_columns(model), "schema_contract": contract}


def model_of(columns: Any) -> type[BaseModel] | None:
    """The pydantic model in `columns`, a class or an instance; None if there is none."""
    kind = columns if isinstance(columns, type) else type(columns)
    return kind if issubclass(kind, BaseModel) else None


def unfit_rule(model: type[BaseModel]) -> str | None:
    """The first rule of a model that columns cannot express, as a clause; None if there is none."""
    if getattr(model, "__pydantic_root_model__", False):
        return "is a RootModel"
    decorators = model.__pydantic_decorators__
    for kind in _VALIDATORS:
        for name in getattr(decorators, kind, {}):
            return f"has the validator `{name}`"
    for name, field in model.model_fields.items():
        if field.metadata:
            return f"has a constraint on `{name}`"
        if field.default_factory is not None or (not field.is_required() and field.default is not None):
            return f"has a default for `{name}`"
        if _is_choice(field.annotation):
            return f"lists the values of `{name}`"
    return None


def _is_choice(annotation: Any) -> bool:
    if get_origin(annotation) is Literal or (isinstance(annotation, type) and issubclass(annotation, Enum)):
        return True
    return any(map(_is_choice, get_args(annotation)))

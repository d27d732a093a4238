"""The base class of all models of a `defs.yaml`. Each model rejects unknown keys, and accepts a template as any value.

What belongs here: the rules that apply to every key. `assets.py` and `models.py` define the keys of a `defs.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)

from analytics_assets.config.rest_api import is_template
from analytics_assets.config.validation_errors import error_at, suggestion


class StrictModel(BaseModel):
    """A pydantic model that rejects unknown keys, and accepts a Jinja template in place of any value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            known = list(cls.model_fields)
            for key in values:
                if key not in known:
                    near = suggestion(str(key), known) or f" The keys here are {', '.join(known)}."
                    raise error_at((str(key),), f"unknown key `{key}`.{near}")
        return values

    @field_validator("*", mode="wrap")
    @classmethod
    def _template(cls, value: Any, handler: ModelWrapValidatorHandler[Any], info: ValidationInfo) -> Any:
        if isinstance(value, bool) and not {int, float}.isdisjoint(_alternatives(cls, info.field_name)):
            raise ValueError("`yes`, `no`, `true` and `false` are not numbers. Write a number.")
        return value if is_template(value) else handler(value)


def _alternatives(model: type[BaseModel], field: str | None) -> set[Any]:
    annotation = model.model_fields[str(field)].annotation
    return {annotation, *get_args(annotation)}

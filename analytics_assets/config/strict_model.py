"""The base class of all models of a `defs.yaml`. Each model rejects unknown keys.

What belongs here: the rules that apply to every key. `assets.py` and `models.py` define the keys of a `defs.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from analytics_assets.config.template_engine import WholeText
from analytics_assets.config.template_types import as_type, kinds_of
from analytics_assets.config.validation_errors import in_sentences


class StrictModel(BaseModel):
    """A pydantic model that rejects unknown keys, and gives a whole template the type of its key."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _templates_in_their_types(cls, values: Any) -> Any:
        if isinstance(values, WholeText):
            values = as_type(values, frozenset({dict}))
        if not isinstance(values, Mapping):
            return values
        return {
            key: as_type(value, cls._kinds(key))
            if isinstance(value, WholeText) and key in cls.model_fields
            else value
            for key, value in values.items()
        }

    @classmethod
    def _kinds(cls, field: str | None) -> frozenset[Any]:
        return kinds_of(cls.model_fields[str(field)].annotation)

    @field_validator("*", mode="wrap")
    @classmethod
    def _in_sentences(cls, value: Any, handler: ModelWrapValidatorHandler[Any], info: ValidationInfo) -> Any:
        if isinstance(value, bool) and not {int, float}.isdisjoint(cls._kinds(info.field_name)):
            raise ValueError("`yes`, `no`, `true` and `false` are not numbers. Write a number.")
        try:
            return handler(value)
        except ValidationError as error:
            raise in_sentences(error, cls.model_fields[str(info.field_name)].description) from None

"""The rules of `requests.responses`: what a response of the API means if its status does not say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from analytics_assets.config.json_paths import problem_of
from analytics_assets.config.strict_model import StrictModel
from analytics_assets.config.template_engine import WholeText
from analytics_assets.config.template_types import only_text
from analytics_assets.config.validation_errors import error_at

ANY = "*"
"""The value in a rule that equals every value except null."""


class ResponseRule(StrictModel):
    """What a response means, if all conditions of this rule hold. The first rule that fits decides."""

    status: int | None = Field(None, ge=100, le=599, description="The HTTP status. Absent: any status.")
    header: dict[str, str] = Field(
        default_factory=dict, description="Headers and their values; `*` is any value. Absent: any headers."
    )
    body: dict[str, Any] = Field(
        default_factory=dict,
        description="JSONPaths of the JSON body and their values; `*` is any value that is not null. Absent: any body.",
    )
    text: str | None = Field(
        None,
        min_length=1,
        description="A text that the body contains, in upper or lower case. Absent: any body.",
    )
    action: Literal["retry", "rate_limited", "refresh_token", "empty", "fail", "success"] = Field(
        description="What the sync does: `retry` and `rate_limited` send the request again, and open the circuit after "
        "the last retry. `refresh_token` sends the request again once with a new OAuth2 token, and then opens the "
        "circuit. `empty` is a page without rows, `fail` ends the sync, and `success` reads the response."
    )

    @field_validator("body", mode="before")
    @classmethod
    def _texts_or_numbers(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            for path, item in value.items():
                if isinstance(item, WholeText):
                    only_text(item, (path,))
        return value

    @model_validator(mode="after")
    def _has_a_condition(self) -> ResponseRule:
        if self.status is None and not (self.header or self.body or self.text):
            raise ValueError("the rule fits every response. Set `status`, `header`, `body` or `text`.")
        for path in self.body:
            problem = problem_of(path)
            if problem:
                raise error_at(("body", path), f"`{path}` {problem}")
        return self

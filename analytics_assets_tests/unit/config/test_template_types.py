"""Numbers and booleans by template: every key that takes one takes it from a template too."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from dlt.common.schema.typing import TColumnSchema
from dlt.sources.rest_api import typing as rest_api_typing
from dlt.sources.rest_api.config_setup import AUTH_MAP, PAGINATOR_MAP
from pydantic import BaseModel, ValidationError

from analytics_assets import RestApiSync
from analytics_assets.config.models import SyncConfig
from analytics_assets.config.shapes import is_shape, keys_of, members, parameters_of
from analytics_assets.config.template_engine import WholeText
from analytics_assets.config.template_types import kinds_of, typed_rest_api
from analytics_assets_tests.real_api import defs

PLAIN = {int: "7", float: "0.5", bool: "true"}


def keys_of_models(model: type[BaseModel]) -> Iterator[tuple[type[BaseModel], str, type]]:
    """The keys of a model, and of the models in it, that take a number or a boolean and no other text."""
    for name, annotation in keys_of(model).items():
        kinds = kinds_of(annotation)
        yield from ((model, name, kind) for kind in (float, int, bool) if kind in kinds)
        for member in (one for part in members(annotation) for one in (part, *getattr(part, "__args__", ()))):
            if is_shape(member) and issubclass(member, BaseModel):
                yield from keys_of_models(member)


@pytest.mark.parametrize(("model", "key", "kind"), sorted(set(keys_of_models(SyncConfig)), key=str))
def test_a_key_of_ours_takes_a_template(model: type[BaseModel], key: str, kind: type) -> None:
    """The value may be out of range, but it is of the right type."""

    def judged(value: Any) -> Any:
        try:
            return getattr(model.model_validate({key: value}), key)
        except ValidationError as error:
            return {one["type"]: one["msg"] for one in error.errors() if one["loc"] == (key,)}

    text = PLAIN[kind]
    value = kind(text) if kind is not bool else True
    assert judged(WholeText(text)) == judged(value)


SHAPES = [
    one
    for name, one in vars(rest_api_typing).items()
    if hasattr(one, "__required_keys__") and not name.startswith("_")
]
KEYS_OF_DLT = {
    (key, kind)
    for shape in [*SHAPES, TColumnSchema]
    for key, annotation in keys_of(shape).items()
    for kind in (float, int, bool)
    if kind in kinds_of(annotation)
}


@pytest.mark.parametrize(("key", "kind"), sorted(KEYS_OF_DLT, key=str))
def test_a_key_of_dlt_takes_a_template(key: str, kind: type) -> None:
    place = "columns" if key in keys_of(TColumnSchema) else "endpoint"
    typed = typed_rest_api({place: {key: WholeText(PLAIN[kind])}})[place][key]
    assert (typed, type(typed)) == (kind(PLAIN[kind]) if kind is not bool else True, kind)


def test_no_number_of_a_paginator_or_an_auth_is_unknown() -> None:
    known = {key for key, _ in KEYS_OF_DLT}
    for paginator in filter(None, PAGINATOR_MAP.values()):
        module = vars(inspect.getmodule(paginator))
        for name, one in parameters_of(paginator).items():
            annotation = eval(one.annotation, module) if isinstance(one.annotation, str) else one.annotation  # noqa: S307
            assert kinds_of(annotation).isdisjoint(PLAIN) or name in known
    for auth in filter(None, AUTH_MAP.values()):
        for name, annotation in auth.get_resolvable_fields().items():
            assert kinds_of(annotation).isdisjoint(PLAIN) or name in known


CURSOR = {
    "type": "incremental",
    "cursor_path": "n",
    "initial_value": "{{ env.SEVEN }}",
    "lag": "{{ env.SEVEN }}",
}
OAUTH2 = {
    "type": "oauth2_client_credentials",
    "access_token_url": "http://x/token",
    "default_token_expiration": "{{ env.SEVEN }}",
}


def test_a_cursor_in_params_and_an_auth_take_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVEN", "7")
    columns = {"n": {"data_type": "bigint"}}
    text = defs("http://x", params={"since": CURSOR}, client={"auth": OAUTH2}, resource={"columns": columns})
    rest_api = RestApiSync.rendered(yaml.safe_load(text)["attributes"]).rest_api
    since = rest_api["resources"][0]["endpoint"]["params"]["since"]
    assert (since["lag"], since["initial_value"]) == (7, 7)
    assert rest_api["client"]["auth"]["default_token_expiration"] == 7


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        (" yes ", True),
        ("NO", False),
        ("on", True),
        ("0", False),
        ("1", True),
    ],
)
def test_a_boolean_is_a_word_of_yaml_or_a_digit(text: str, value: bool) -> None:
    assert typed_rest_api({"selected": WholeText(text)}) == {"selected": value}


@pytest.mark.parametrize("text", ["7", "false", "null"])
def test_a_value_of_a_rule_for_responses_may_have_any_type(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As text, the rule would never fit a response with a number."""
    monkeypatch.setenv("SEEN", text)
    document = yaml.safe_load(defs("http://x"))["attributes"]
    rule = {"body": {"ok": "{{ env.SEEN }}"}, "action": "fail"}
    with pytest.raises(ValidationError, match=r"Write `\| from_json` before `}}`"):
        RestApiSync.rendered({**document, "requests": {"responses": [rule]}})
    rule["body"] = {"ok": "{{ env.SEEN | string }}"}
    sync = RestApiSync.rendered({**document, "requests": {"responses": [rule]}})
    assert sync.requests.responses[0].body == {"ok": text}

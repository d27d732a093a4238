"""The JSON schema of a `defs.yaml` takes a template at every key, as the config does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from analytics_assets import RestApiSync

SCHEMA = RestApiSync.model_json_schema()


def values(schema: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The schemas of all values, by place."""
    for key, one in schema.items():
        if key == "properties":
            yield from ((f"{place}.{name}", value) for name, value in one.items())
        elif key in ("items", "additionalProperties") and isinstance(one, Mapping):
            yield f"{place}[]", one
        if isinstance(one, Mapping):
            yield from values(one, f"{place}.{key}")


def takes(schema: Mapping[str, Any], value: str) -> bool:
    """Whether a schema takes a text, by the words of JSON schema that ours uses."""
    if "$ref" in schema:
        return takes(SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], value)
    if "if" in schema and not takes(schema["if"], value) and not takes(schema["else"], value):
        return False
    return (
        schema.get("type", "string") == "string"
        and value in schema.get("enum", [value])
        and bool(re.search(schema.get("pattern", ""), value))
        and ("anyOf" not in schema or any(takes(one, value) for one in schema["anyOf"]))
    )


@pytest.mark.parametrize("template", ["{{ env.VALUE }}", "{% if env.A %}1{% endif %}"])
def test_every_value_may_be_a_template(template: str) -> None:
    places = list(values(SCHEMA))
    assert len(places) > 70
    assert [place for place, schema in places if not takes(schema, template)] == []


@pytest.mark.parametrize(
    ("definition", "key", "value"),
    [
        ("RequestsConfig", "max_in_flight", "eight"),
        ("RequestsConfig", "page_overlap", "never"),
        ("PartitionsConfig", "type", "dayly"),
        ("AssetConfig", "partitions", "daily"),
    ],
)
def test_a_text_that_is_no_template_is_still_refused(definition: str, key: str, value: str) -> None:
    assert not takes(SCHEMA["$defs"][definition]["properties"][key], value)

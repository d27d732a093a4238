"""Every key of a `defs.yaml` is described, for the reference page and for editors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from analytics_assets.config.models import SyncConfig


def properties() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of every model in the JSON schema, as `Model.key`."""
    schema = SyncConfig.model_json_schema()
    for model, definition in {"SyncConfig": schema, **schema["$defs"]}.items():
        for key, written in definition["properties"].items():
            yield f"{model}.{key}", written


@pytest.mark.parametrize(("place", "written"), [pytest.param(*one, id=one[0]) for one in properties()])
def test_a_key_is_described_in_sentences(place: str, written: dict[str, Any]) -> None:
    description = written.get("description", "")
    assert description, f"{place} has no description"
    assert description[0].isupper() or description.startswith("dlt"), place
    assert description.endswith("."), place
    sentences = description.replace(": ", ". ").split(". ")
    assert max(len(sentence.split()) for sentence in sentences) <= 25, place


def test_every_model_is_walked() -> None:
    models = {place.partition(".")[0] for place, _ in properties()}
    assert {"SyncConfig", "RequestsConfig", "AssetConfig", "PartitionsConfig", "CheckConfig"} <= models
    assert "SyncConfig.rest_api" in dict(properties())

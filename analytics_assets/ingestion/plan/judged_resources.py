"""Builds the dlt resources of a config only to judge them, as `rest_api_source` does, at a fraction of its time.

`rest_api_source` validates its config twice, and `config` has done so before. It also makes an HTTP session for each
resource. `resource_info.py` builds the source of a sync.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dlt
from dlt.extract.resource import DltResource
from dlt.sources.rest_api import create_resources
from dlt.sources.rest_api.config_setup import build_resource_dependency_graph
from requests import Session


def judged_resources(section: str, rest_api: dict[str, Any]) -> Mapping[str, DltResource]:
    """Builds the resources, by name; parents come first. They send no request.

    Args:
        section: the config section that dlt reads the settings of the source from.
        rest_api: the REST API config, without `resource_defaults`, which dlt has validated.

    Raises:
        ValueError: dlt cannot build the resources from this config.
    """
    client: Any = {**rest_api["client"], "session": Session()}

    def resources() -> list[DltResource]:
        graph = build_resource_dependency_graph({}, rest_api["resources"])
        return [*create_resources(client, *graph).values()]

    return dlt.source(resources, name=section, section=section)().resources

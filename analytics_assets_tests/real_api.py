"""The `defs.yaml` of an API with one resource, `things`, for tests that imitate one habit of a real API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml


def defs(
    url: str,
    *,
    resource: Mapping[str, Any] | None = None,
    asset: Mapping[str, Any] | None = None,
    requests: Mapping[str, Any] | None = None,
    client: Mapping[str, Any] | None = None,
    parents: tuple[Mapping[str, Any], ...] = (),
    **endpoint: Any,
) -> str:
    """Returns the text of a `defs.yaml` of the source `api`.

    Args:
        url: the base URL of the API.
        resource: keys of the resource `things`, in place of the defaults here; None removes a key.
        asset: the keys of `assets.things`.
        requests: the keys of `requests`; retries take milliseconds by default.
        client: keys of `client`.
        parents: further resources.
        endpoint: keys of the endpoint, in place of the defaults here; None removes a key.
    """
    things: dict[str, Any] = {
        "name": "things",
        "primary_key": "id",
        "write_disposition": "replace",
        "endpoint": _without_none({"path": "things", "data_selector": "data", **endpoint}),
        "columns": {"id": {"data_type": "bigint"}},
    }
    attributes = {
        "name": "api",
        "rest_api": {
            "client": {"base_url": url, **(client or {})},
            "resources": [*map(dict, parents), _without_none({**things, **(resource or {})})],
        },
        "requests": {"backoff_factor": 0.001, **(requests or {})},
        "assets": {"things": dict(asset)} if asset else {},
    }
    return yaml.safe_dump({"type": "analytics_assets.RestApiSync", "attributes": attributes}, sort_keys=False)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}

"""The endpoints of `rest_api` as written, each with the defaults of `resource_defaults`, and where each key stands.

What belongs here: finding keys in the file. dlt's own code applies the defaults for a sync, in `rest_api.expand`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from analytics_assets.config.validation_errors import Location, error_at, named, value_at

_MERGED = ("params", "json")
"""The keys of an endpoint whose mappings dlt merges with those of `resource_defaults`."""


@dataclass(frozen=True)
class WrittenResource:
    """One resource as written.

    Attributes:
        name: the dlt resource name.
        place: the keys that lead to the resource in `rest_api`.
        values: the keys of the resource, with the defaults.
        endpoint: the keys of its endpoint, with the defaults.
        rest_api: the REST API config.
    """

    name: str
    place: Location
    values: Mapping[str, Any]
    endpoint: Mapping[str, Any]
    rest_api: Mapping[str, Any]

    def error(self, sentence: str, *keys: str | int) -> ValidationError:
        """Makes an error at a key of the resource, such as `endpoint`, `params`, or at the default of the key."""
        for end in range(len(keys), 0, -1):
            for start in (self.place, ("resource_defaults",)):
                if value_at(self.rest_api, (*start, *keys[:end])) is not None:
                    return error_at((*start, *keys[:end]), f"{self.name}: {sentence}")
        return error_at(self.place, f"{self.name}: {sentence}")


def clients(rest_api: Mapping[str, Any]) -> Iterator[tuple[Location, dict[str, Any]]]:
    """Yields the client and each written endpoint, each with its place in the config.

    The client and each endpoint may have `auth`, `headers` and a `paginator`.
    """
    yield ("client",), rest_api.get("client") or {}
    resources = range(len(rest_api.get("resources") or ()))
    for place in (("resource_defaults",), *(("resources", index) for index in resources)):
        endpoint = value_at(rest_api, (*place, "endpoint"))
        if isinstance(endpoint, dict):
            yield (*place, "endpoint"), endpoint


def written_resources(rest_api: Mapping[str, Any]) -> Iterator[WrittenResource]:
    """Yields the resources that are no Python objects.

    Raises:
        ValidationError: an endpoint or its path is empty, or `resource_defaults` has an endpoint of text.
    """
    defaults = rest_api.get("resource_defaults") or {}
    common: dict[str, Any] = defaults.get("endpoint") or {}
    if isinstance(common, str):
        raise error_at(
            ("resource_defaults", "endpoint"),
            "the defaults of an endpoint are text. Write a mapping, or give each resource its own path.",
        )
    for index, resource in enumerate(rest_api["resources"]):
        place = ("resources", index)
        if isinstance(resource, str):
            yield WrittenResource(
                resource, place, {**defaults, "name": resource}, {**common, "path": resource}, rest_api
            )
        elif isinstance(resource, dict):
            _refuse_nothing(rest_api, resource, ("name", "endpoint"), place)
            written = resource.get("endpoint", {})
            own: dict[str, Any] = {"path": written} if isinstance(written, str) else dict(written)
            _refuse_nothing(rest_api, own, ("path", "json"), (*place, "endpoint"))
            own.setdefault("path", resource["name"])
            merged = {
                key: {**(common.get(key) or {}), **(own.get(key) or {})}
                for key in _MERGED
                if key in common or key in own
            }
            yield WrittenResource(
                resource["name"], place, {**defaults, **resource}, {**common, **own, **merged}, rest_api
            )


def _refuse_nothing(
    rest_api: Mapping[str, Any], values: Mapping[str, Any], keys: tuple[str, ...], place: Location
) -> None:
    for key in keys:
        if key in values and values[key] is None:
            sentence = f"`{key}` is empty. Write a value, or remove the key."
            raise error_at((*place, key), named(rest_api, place, sentence))

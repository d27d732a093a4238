"""Finds asset keys that two assets of our files would share: within one file, and between the files of one project.

What belongs here: which assets an API has, where a file sets their keys, and the sentence about a key that is taken.
Dagster's own error names only the key.
"""

from collections.abc import Iterator, Mapping
from weakref import WeakKeyDictionary

import dagster as dg

from analytics_assets.config.assets import AssetConfig
from analytics_assets.config.models import SyncConfig
from analytics_assets.config.validation_errors import InvalidFileError, Location, error_at
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.orchestration.circuit.event_log import circuit_key
from analytics_assets.orchestration.dagster_internals import load_of
from analytics_assets.orchestration.translator import SyncTranslator

_OF_ALL: Location = ("asset_defaults", "key")

_files: WeakKeyDictionary[object, dict[str, tuple[SyncConfig, dict[dg.AssetKey, str]]]] = WeakKeyDictionary()
"""The APIs of each load of a code location, by the place of the API, with the assets by key."""


def refuse_shared_keys(
    config: SyncConfig, infos: Mapping[str, ResourceInfo], translator: SyncTranslator
) -> None:
    """Fails if two assets of one API have the same key.

    Args:
        config: the config of the API.
        infos: the facts about each resource, by dlt resource name.
        translator: the translator, which knows the keys.

    Raises:
        ValidationError: two assets have the same key. The error is at the key of the file that sets it.
    """
    taken: dict[dg.AssetKey, str] = {}
    for key, what, place in _assets(config, infos, translator):
        if key in taken:
            raise error_at(
                place,
                f"{what} would have the asset key {key.to_user_string()}, which {taken[key]} has. "
                + ("Write `{resource}` in it." if place == _OF_ALL else "Write another `key`."),
            )
        taken[key] = what


def refuse_keys_of_other_files(
    config: SyncConfig,
    infos: Mapping[str, ResourceInfo],
    translator: SyncTranslator,
    context: dg.ComponentLoadContext,
) -> None:
    """Fails if another API of the same project has the name of this API, or the key of one of its assets.

    Args:
        config: the config of the API.
        infos: the facts about each resource, by dlt resource name.
        translator: the translator, which knows the keys.
        context: the context with which Dagster loads the API.

    Raises:
        InvalidFileError: another API has the name or a key. The error names both files.
    """
    others = _files.setdefault(load_of(context), {})
    here = str(context.component_path)
    own = {key: (what, place) for key, what, place in _assets(config, infos, translator)}
    for path, (other, keys) in others.items():
        if path == here:
            continue  # Dagster builds the same API again
        if other.name == config.name:
            raise InvalidFileError(
                error_at(
                    ("name",),
                    f"both {other.file} and {config.file} have the name `{config.name}`. Give each API its own name.",
                )
            )
        for key in own.keys() & keys.keys():
            what, place = own[key]
            raise InvalidFileError(
                error_at(
                    place,
                    f"{what} in {config.file} would have the asset key {key.to_user_string()}, which {keys[key]} in "
                    f"{other.file} has. "
                    + (
                        "Write `{source}` in it."
                        if place == _OF_ALL
                        else "Write another `key` in one of them."
                    ),
                )
            )
    others[here] = config, {key: what for key, (what, _) in own.items()}


def _assets(
    config: SyncConfig, infos: Mapping[str, ResourceInfo], translator: SyncTranslator
) -> Iterator[tuple[dg.AssetKey, str, Location]]:
    """Yields the key of each asset, what the asset is, and where the file sets the key.

    The assets whose keys a file cannot set come first, so that an error is at a key that it can.
    """
    yield circuit_key(config.name), f"the circuit of `{config.name}`", ("name",)
    for name, info in infos.items():
        yield translator.api_key(info), f"the endpoint of `{name}`", _place(config, name)
    selected = [one for one in infos.values() if one.selected]
    for info in selected:
        for index, child in enumerate(config.asset(info.name).child_tables):
            place = ("assets", info.name, "child_tables", index)
            yield translator.child_key(info, child), f"the child table `{child}` of `{info.name}`", place
    for info in selected:
        yield translator.key(info), f"`{info.name}`", _place(config, info.name)


def _place(config: SyncConfig, resource: str) -> Location:
    if config.assets.get(resource, AssetConfig()).key is not None:
        return ("assets", resource, "key")
    if config.asset_defaults.key is not None:
        return _OF_ALL
    return ("rest_api", "resources", list(config.resource_names).index(resource))

"""Automation conditions of synced assets: what they mean beside an endpoint.

The endpoint above a synced asset is external, and nothing tells when the API has new data. So for a condition, the
endpoint is never missing and never late, and each event that somebody reports for it counts as new data
(docs/adr/0043).
"""

from collections.abc import Callable, Collection
from typing import Any

import dagster as dg


def beside_endpoints(spec: dg.AssetSpec, endpoints: Collection[dg.AssetKey]) -> dg.AssetSpec:
    """Returns a spec whose condition does not wait for endpoints. An event of an endpoint still counts as an update.

    Args:
        spec: the spec of a synced asset.
        endpoints: the keys of the endpoints of the API.
    """
    condition = spec.automation_condition
    # A condition without dependencies has no `ignore`.
    if condition is None or not hasattr(condition, "ignore"):
        return spec
    selection = dg.AssetSelection.assets(*endpoints)
    updated = dg.AutomationCondition.any_deps_updated()
    patient = condition.ignore(selection).replace(updated.ignore(selection), updated)
    return spec.replace_attributes(automation_condition=patient)


class ApiDefinitions(dg.Definitions):
    """The definitions of one API, in which conditions wait for no endpoint.

    The conditions that `post_processing` of a `defs.yaml` sets come after the definitions are built.
    """

    def permissive_map_resolved_asset_specs(
        self, func: Callable[[dg.AssetSpec], dg.AssetSpec], selection: Any = None
    ) -> dg.Definitions:
        """Maps a function over the specs, as Dagster's method does, which `post_processing` calls."""
        keys = {one.key: [dep.asset_key for dep in one.deps] for one in self._specs()}

        def mapped(spec: dg.AssetSpec) -> dg.AssetSpec:
            after = func(spec)
            return (
                after
                if after.automation_condition is spec.automation_condition
                else beside_endpoints(after, keys[spec.key])
            )

        return super().permissive_map_resolved_asset_specs(func=mapped, selection=selection)

    def _specs(self) -> list[dg.AssetSpec]:
        found: list[dg.AssetSpec] = []
        for asset in self.assets or ():
            found += [asset] if isinstance(asset, dg.AssetSpec) else getattr(asset, "specs", ())
        return found

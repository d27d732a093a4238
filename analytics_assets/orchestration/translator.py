"""Builds the asset specs of a dlt resource: key, group, kinds, owners, and the schema before the first run."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltTranslator
from dagster_dlt.translator import DltResourceTranslatorData

from analytics_assets.config.assets import AssetConfig
from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.contract.columns import Contract, data_type_name
from analytics_assets.ingestion.plan.resource_info import ResourceInfo
from analytics_assets.ingestion.warehouse.destination import destination_name, missing_guarantees
from analytics_assets.orchestration.circuit.event_log import circuit_key
from analytics_assets.orchestration.conditions import beside_endpoints
from analytics_assets.orchestration.freshness import freshness_policy
from analytics_assets.orchestration.metadata import COLUMN_SCHEMA, TABLE_NAME
from analytics_assets.orchestration.partitions import partitions_def
from analytics_assets.orchestration.runs import RESOURCE_KEY, SOURCE_KEY


class SyncTranslator(DagsterDltTranslator):
    """The translator for dagster-dlt, which builds asset specs from the config alone.

    dagster-dlt's default translator makes keys `dlt_<source>_<resource>`, empty upstream assets, and a wrong table
    name.

    Args:
        config: the config of the API.
        infos: the facts about each resource, by dlt resource name.
        spec_of: a function that returns the spec of a resource's asset; None for the spec that the config describes.
    """

    def __init__(
        self,
        config: SyncConfig,
        infos: Mapping[str, ResourceInfo],
        spec_of: Callable[[ResourceInfo], dg.AssetSpec] | None = None,
    ) -> None:
        self._config = config
        self._infos = infos
        self._spec_of = spec_of or self.described_spec
        self._specs: dict[str, dg.AssetSpec] = {}

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        """Returns the spec of the asset of a dlt resource, as dagster-dlt requires."""
        return self.spec(self._infos[data.resource.name])

    def spec(self, info: ResourceInfo) -> dg.AssetSpec:
        """Returns the spec of one resource's asset."""
        if info.name not in self._specs:
            endpoints = [self.api_key(one) for one in self._infos.values()]
            self._specs[info.name] = beside_endpoints(self._spec_of(info), endpoints)
        return self._specs[info.name]

    def described_spec(self, info: ResourceInfo) -> dg.AssetSpec:
        """Returns the spec that the config describes."""
        asset = self._config.asset(info.name)
        upstream = [self.api_key(info)]
        if info.parent:
            upstream.append(self.api_key(self._infos[info.parent]))
        return dg.AssetSpec(
            key=dg.AssetKey(asset.key_path(self._config.name, info.name)),
            deps=upstream,
            group_name=asset.group_name or self._config.name,
            description="\n\n".join([asset.description or _description(info, asset), *self._warning()]),
            owners=asset.owners,
            tags=asset.tags,
            kinds=self._kinds(asset),
            code_version=asset.code_version or _code_version(info),
            automation_condition=asset.automation_condition,
            freshness_policy=freshness_policy(asset),
            metadata={
                **asset.metadata,
                SOURCE_KEY: self._config.name,
                RESOURCE_KEY: info.name,
                TABLE_NAME: f"{self._config.dataset}.{info.table}",
                COLUMN_SCHEMA: declared_schema(info.contract),
            },
        )

    def _kinds(self, asset: AssetConfig) -> set[str]:
        return {"dlt", destination_name()} if asset.kinds is None else {*asset.kinds}

    def _warning(self) -> list[str]:
        """Returns a paragraph about missing guarantees of the configured destination; empty if none is missing."""
        missing = missing_guarantees()
        if not missing:
            return []
        accepted = self._config.destination.accept_missing_guarantees
        consequence = "The file accepts this." if accepted else "Runs fail until the file accepts this."
        return [f"**Missing guarantees** of {destination_name()}: {'; '.join(missing)}. {consequence}"]

    def api_spec(self, info: ResourceInfo) -> dg.AssetSpec:
        """Returns the spec of the external upstream asset, which stands for the endpoint of the resource."""
        return dg.AssetSpec(
            key=self.api_key(info),
            group_name=self._config.name,
            description=f"`{info.method} {info.path}` of the API.",
            kinds={"api"},
        )

    def child_spec(self, info: ResourceInfo, name: str) -> dg.AssetSpec:
        """Returns the spec of a child table.

        A child table has no run of its own, because dlt loads it with its parent.
        """
        spec, asset = self.spec(info), self._config.asset(info.name)
        return dg.AssetSpec(
            key=self.child_key(info, name),
            deps=[spec.key],
            group_name=spec.group_name,
            description=f"`{name}` of each row of `{info.table}`: join `_dlt_parent_id` to its `_dlt_id`.",
            owners=[*spec.owners],
            tags=asset.tags,
            kinds=self._kinds(asset),
            partitions_def=partitions_def(asset.partitions),
            metadata={TABLE_NAME: f"{self._config.dataset}.{info.table}__{name}"},
        )

    def circuit_spec(self) -> dg.AssetSpec:
        """Returns the spec of the external asset whose materializations are the history of the circuit.

        The circuit asset is downstream of the endpoints, and has no downstream asset. So the events of the circuit make
        no table stale, and start no run.
        """
        name = self._config.name
        return dg.AssetSpec(
            key=circuit_key(name),
            deps=[self.api_key(info) for info in self._infos.values()],
            group_name=name,
            description=(
                f"Whether runs may send requests to {name}. When a sync gives up on the API, the circuit opens: every "
                "run then ends at once, without a request. After the cool-down, one request tests whether the API is "
                "back. Each event is a materialization.\n\n"
                f"**By hand**: launch the job `{name}__circuit_reset` or `{name}__circuit_open`, or report a "
                "materialization here. Its description is `reset`, or `open:` and a reason; an empty one is a reset."
            ),
            kinds={"api"},
        )

    def key(self, info: ResourceInfo) -> dg.AssetKey:
        """Returns the asset key of a resource, by default `<source>/<resource>`."""
        return self.spec(info).key

    def child_key(self, info: ResourceInfo, name: str) -> dg.AssetKey:
        """Returns the asset key of a child table, which stands beside its resource as `<table>__<field>`."""
        return dg.AssetKey([*self.key(info).path[:-1], f"{info.table}__{name}"])

    def api_key(self, info: ResourceInfo) -> dg.AssetKey:
        """Returns the asset key of an endpoint, `<source>/api/<resource>`."""
        return dg.AssetKey([self._config.name, "api", info.name])


def declared_schema(contract: Contract) -> dg.TableSchema:
    """Builds Dagster's table schema of the declared columns."""
    return dg.TableSchema(
        columns=[
            _column(column.name, column.data_type or "text", contract, column.description)
            for column in contract.columns
        ]
    )


def loaded_schema(contract: Contract, columns: Mapping[str, Mapping[str, Any]]) -> dg.TableSchema:
    """Builds Dagster's table schema after a load: the declared columns first, and then all other columns.

    Args:
        contract: the declared columns.
        columns: dlt's column schemas, by warehouse name.
    """
    types = {column.name: column.data_type for column in contract.columns}
    for name, hints in columns.items():
        if not name.startswith("_dlt_") and types.get(name) is None:
            types[name] = data_type_name(hints)
    descriptions = {name: hints.get("description") for name, hints in columns.items()}
    return dg.TableSchema(
        columns=[
            _column(name, kind or "text", contract, descriptions.get(name)) for name, kind in types.items()
        ]
    )


def _column(name: str, data_type: str, contract: Contract, description: str | None) -> dg.TableColumn:
    declared = contract.column(name)
    return dg.TableColumn(
        name=name,
        type=data_type,
        description=description,
        constraints=dg.TableColumnConstraints(
            nullable=declared.nullable if declared else True,
            unique=declared.unique if declared else False,
            other=["primary key"] if declared and declared.primary_key else [],
        ),
    )


def _code_version(info: ResourceInfo) -> str:
    """Returns a hash of what the file declares of the rows. Dagster shows an asset as stale if it changes."""
    declared = [
        info.write_disposition,
        info.contract.undeclared,
        *(
            [one.name, one.data_type, one.nullable, one.primary_key, one.unique]
            for one in sorted(info.contract.columns, key=lambda one: one.name)
        ),
    ]
    return hashlib.sha256(json.dumps(declared).encode()).hexdigest()[:16]


def _description(info: ResourceInfo, asset: AssetConfig) -> str:
    return f"`{info.method} {info.path}`, loaded by dlt ({_mode(info, asset)})."


def _mode(info: ResourceInfo, asset: AssetConfig) -> str:
    if asset.partitions:
        return f"{asset.partitions.type} partitions of `{info.cursor.path if info.cursor else ''}`"
    return f"incremental on `{info.cursor.path}`" if info.cursor else f"full read, {info.write_disposition}"

"""`RestApiSync`: turns the config of one API into Dagster definitions.

What belongs here: the code that builds the definitions, and the config checks that need dlt or Dagster.
Python code builds the same definitions with `RestApiSync(name=…, rest_api={…}).build_defs(context)`.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dlt.common.exceptions import DltException
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from analytics_assets.config.assets import AssetConfig
from analytics_assets.config.json_schema import for_written_file
from analytics_assets.config.models import SyncConfig
from analytics_assets.config.rest_api import unbuildable
from analytics_assets.config.template_types import typed_rest_api
from analytics_assets.config.templates import DEFS_YAML, SourceFile, render
from analytics_assets.config.validation_errors import InvalidFileError, error_at, suggestion
from analytics_assets.config.yaml_keys import refuse_repeated_keys
from analytics_assets.ingestion.errors import UnfitCursorError, UnfitFilterError, UnfitResourceError
from analytics_assets.ingestion.plan.resource_info import ResourceInfo, describe
from analytics_assets.ingestion.plan.write_mode import WriteMode
from analytics_assets.orchestration.alerts.sensor import failure_sensor
from analytics_assets.orchestration.asset_keys import refuse_keys_of_other_files, refuse_shared_keys
from analytics_assets.orchestration.attributes import judge_attributes
from analytics_assets.orchestration.automation.recovery import recovery_sensor
from analytics_assets.orchestration.automation.schedules import AutomatedSync
from analytics_assets.orchestration.checks.registry import CHECKS
from analytics_assets.orchestration.circuit.jobs import circuit_check, circuit_jobs
from analytics_assets.orchestration.conditions import ApiDefinitions
from analytics_assets.orchestration.dagster_internals import (
    LoadContextScope,
    enrich_validation_errors_with_source_position,
)
from analytics_assets.orchestration.partitions import partitions_def
from analytics_assets.orchestration.sync.assets import sync_asset
from analytics_assets.orchestration.sync.run_config import judge_run_tags
from analytics_assets.orchestration.translator import SyncTranslator
from analytics_assets.scaffolder import RestApiSyncScaffolder


class WrittenFile(BaseModel):
    """The `attributes` of a `defs.yaml` as written, with templates. Its JSON schema is that of `RestApiSync`."""

    model_config = ConfigDict(extra="allow")

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Returns the JSON schema of `RestApiSync`."""
        return RestApiSync.model_json_schema(*args, **kwargs)


@dg.scaffold_with(RestApiSyncScaffolder)
class RestApiSync(SyncConfig, dg.Component):
    """A REST API that dlt syncs. Each resource becomes a Dagster asset with checks."""

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Returns the model class that takes a `defs.yaml` as written, because `load` renders and validates it."""
        return WrittenFile

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Renders the Jinja templates of a `defs.yaml`, and then validates it in full.

        Raises:
            InvalidFileError: the file has a mistake. The error names the key, the file and the line.
        """
        try:
            return cls._loaded(attributes, context)
        except ValidationError as error:
            raise InvalidFileError(error) from None

    @classmethod
    def _loaded(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        positions = context.resolution_context.source_position_tree
        file = Path(positions.position.filename) if positions else None
        if positions and file and file.is_file():
            with enrich_validation_errors_with_source_position(positions, []):
                refuse_repeated_keys(file.read_text(), positions.position.start.line)
        scope = {**context.resolution_context.scope, "context": LoadContextScope(context)}  # type: ignore[no-untyped-call]
        tree = positions.children.get("attributes") if positions else None
        with enrich_validation_errors_with_source_position(tree, ["attributes"]) if tree else nullcontext():
            written = (attributes.model_extra if attributes else None) or {}
            return cls.rendered(written, scope, positions.position.filename if positions else DEFS_YAML)

    @classmethod
    def rendered(
        cls, written: Mapping[str, Any], scope: Mapping[str, Any] | None = None, path: str = DEFS_YAML
    ) -> Self:
        """Builds the component from the `attributes` of a `defs.yaml`.

        If a variable of a template is not set, the component still loads, and a run that needs the variable fails.

        Args:
            written: the attributes as written.
            scope: what the templates may use beside `env`, by name.
            path: the path of the file, for error texts.

        Raises:
            ValidationError: the file has a mistake. The error names the key.
        """
        file = render(written, scope or {})
        values = dict(file.values)
        if "rest_api" in values:
            values["rest_api"] = typed_rest_api(values["rest_api"])
        written_in = SourceFile(path, tuple(file.unset))
        try:
            return cls.model_validate(values, context=written_in)
        except ValidationError:
            if not file.has_gaps:
                raise
            return cls.model_validate(_without_settings(values), context=written_in)

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Returns the JSON schema of a file as written, with the names of the checks, for editors and `dg`."""
        schema = super().model_json_schema(*args, **kwargs)
        checks = schema["$defs"]["AssetConfig"]["properties"]["checks"]
        config = checks["additionalProperties"]
        checks["properties"] = {
            name: {**config, "description": check.description} for name, check in CHECKS.items()
        }
        checks["additionalProperties"] = False
        return for_written_file(schema)

    @cached_property
    def resources(self) -> dict[str, ResourceInfo]:
        """What is known about each dlt resource before any run, by resource name."""
        return describe(self)

    @model_validator(mode="after")
    def _checks_are_known(self) -> Self:
        for resource, asset in self.assets.items():
            for name in asset.checks:
                if name not in CHECKS:
                    near = suggestion(name, list(CHECKS)) or f" The keys here are {', '.join(CHECKS)}."
                    raise error_at(("assets", resource, "checks", name), f"unknown check `{name}`.{near}")
        return self

    @model_validator(mode="after")
    def _dlt_can_build_it(self) -> Self:
        try:
            infos = self.resources
        except UnfitCursorError as error:
            raise error_at(("assets", error.resource, "partitions"), str(error)) from error
        except UnfitFilterError as error:
            raise error_at(("assets", error.resource, "filter"), str(error)) from error
        except UnfitResourceError as error:
            place = ("rest_api", "resources", list(self.resource_names).index(error.resource))
            raise error_at(place, str(error)) from error
        except (DltException, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
            raise unbuildable(error, self.rest_api) from error
        for name, asset in self.assets.items():
            self._check_asset(("assets", name), asset, infos[name])
        return self

    def _check_asset(self, here: tuple[str, str], asset: AssetConfig, info: ResourceInfo) -> None:
        if not info.selected:
            raise error_at(
                here,
                f"`{info.name}` has `selected: false`, so it is not an asset. Remove this block, or `selected`.",
            )
        if (
            asset.max_removed is not None
            and not asset.partitions
            and info.write_mode is not WriteMode.REPLACE
        ):
            raise error_at(
                (*here, "max_removed"),
                f"`max_removed` needs partitions or `write_disposition: replace`, and `{info.name}` has neither. "
                "Remove it, or set one of them.",
            )
        for name in asset.checks:
            if not CHECKS[name].applies(info):
                raise error_at(
                    (*here, "checks", name),
                    f"`{info.name}` cannot have this check: it needs {CHECKS[name].needs}. Remove the check, or change "
                    "the resource.",
                )
        for index, child in enumerate(asset.child_tables):
            column = info.contract.column(child)
            if column is not None and column.data_type:
                raise error_at(
                    (*here, "child_tables", index),
                    f"`{child}` is a declared column, so dlt makes no table of it. Remove it from `columns`, or here.",
                )

    @model_validator(mode="after")
    def _dagster_takes_the_attributes(self) -> Self:
        judge_attributes(("asset_defaults",), self.asset_defaults)
        for name, asset in self.assets.items():
            judge_attributes(("assets", name), asset)
        for info in self.resources.values():
            if info.selected:
                judge_run_tags(self, info)
        refuse_shared_keys(self, self.resources, self._translator)
        return self

    @cached_property
    def _translator(self) -> SyncTranslator:
        return SyncTranslator(self, self.resources, self.get_asset_spec)

    def get_asset_spec(self, resource: ResourceInfo) -> dg.AssetSpec:
        """Returns the spec of a resource's asset. A subclass may override it, and may change every attribute.

        Args:
            resource: what is known about the dlt resource, such as `name`, `table`, `path` and `contract`.
        """
        return SyncTranslator(self, self.resources).described_spec(resource)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Builds the assets, checks, jobs, schedules and sensors of this API.

        Raises:
            InvalidFileError: another API of the project has the same name, or the key of an asset.
        """
        translator = self._translator
        refuse_keys_of_other_files(self, self.resources, translator, context)
        assets: list[Any] = [translator.circuit_spec()]
        syncs: dict[str, AutomatedSync] = {}
        for info in self.resources.values():
            assets.append(translator.api_spec(info))
            if not info.selected:
                continue
            asset = self.asset(info.name)
            partitions = partitions_def(asset.partitions)
            assets.append(sync_asset(self, info, translator, partitions))
            assets += [translator.child_spec(info, name) for name in asset.child_tables]
            syncs[info.name] = AutomatedSync(self, info.name, translator.key(info), partitions)
        loaded = {sync.key: name for name, sync in syncs.items()}
        return ApiDefinitions(
            assets=assets,
            asset_checks=[circuit_check(self)],
            jobs=circuit_jobs(self),
            schedules=[one.schedule for one in syncs.values() if one.schedule is not None],
            sensors=[failure_sensor(self, loaded), *([recovery_sensor(self, syncs)] if syncs else [])],
        )


def _without_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a config with the names of `values`, for a file that cannot be judged before a variable is set.

    Its assets exist, and each of their runs fails with the variable.
    """
    rest_api = values.get("rest_api")
    written = rest_api.get("resources") if isinstance(rest_api, dict) else None
    listed = written if isinstance(written, list) else []
    names = [one.get("name") if isinstance(one, dict) else one for one in listed]
    resources = [{"name": name} for name in names if isinstance(name, str)] or [{"name": "unset"}]
    return {
        "name": values.get("name"),
        "rest_api": {"client": {"base_url": ""}, "resources": resources},
    }

"""The destination that dlt's settings choose, and the errors of these settings.

What belongs here: what is known without a connection. A backend does all that needs one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigFieldMissingException, InvalidNativeValue
from dlt.common.configuration.specs import ConnectionStringCredentials
from dlt.common.destination import Destination, TDestinationReferenceArg
from dlt.common.destination.client import JobClientBase
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.exceptions import MissingDependencyException
from dlt.pipeline.pipeline import Pipeline

from analytics_assets.ingestion.errors import DestinationSettingsError, InexactDestinationError
from analytics_assets.ingestion.warehouse.duckdb_merge import duckdb
from analytics_assets.ingestion.warehouse.generic import MISSING
from analytics_assets.ingestion.warehouse.merge_jobs import MergeObserver

DEFAULT_DATABASE = Path("data/analytics.duckdb")
"""The path of the DuckDB file if dlt has no other setting, relative to the working directory of Dagster."""

STAGING_LAYOUT = "_%s_staging"
"""The pattern for the name of dlt's staging dataset. No API has such a name, because its name starts with a letter.
With dlt's own pattern, the staging dataset of `shop` would be the dataset of an API `shop_staging`."""

INEXACT = {
    "sqlite": "it stores decimals as floating-point numbers",
    "mysql": "it stores JSON as text within JSON",
    "mariadb": "it stores JSON as text within JSON",
}
"""The databases of dlt's destination `sqlalchemy` that change values, by the name of their driver."""


def destination_name() -> str:
    """Returns the type of the configured destination, such as `duckdb`, without a connection."""
    return str(dlt.config.get("destination_type", str) or "duckdb").rpartition(".")[-1]


def missing_guarantees() -> Sequence[str]:
    """Returns the guarantees that the configured destination lacks, without a connection."""
    return () if destination_name() in ("duckdb", "postgres") else MISSING


def client_of(pipeline: Pipeline, resource: str) -> JobClientBase:
    """Returns a client of a pipeline's destination, which is not open.

    Args:
        pipeline: the dlt pipeline.
        resource: the dlt resource name.

    Raises:
        DestinationSettingsError: the destination's driver or its credentials are missing, or cannot be read.
        InexactDestinationError: the destination does not store each value as it came.
    """
    with _settings(resource):
        client = pipeline.destination_client()
    credentials = getattr(client.config, "credentials", None)
    if isinstance(credentials, ConnectionStringCredentials):
        database = str(credentials.drivername or "").partition("+")[0]
        if database in INEXACT:
            raise InexactDestinationError(resource, database, INEXACT[database])
    return client


@contextmanager
def _settings(resource: str) -> Iterator[None]:
    name = destination_name()
    variable = f"DESTINATION__{name.upper()}__CREDENTIALS"
    example = "postgresql://user:password@host:5432/database" if name == "postgres" else "..."
    export = f"Export {variable}={example}, or write [destination.{name}.credentials] in .dlt/secrets.toml"
    try:
        yield
    except UnknownDestinationModule as error:
        cure = "Set DESTINATION_TYPE to `duckdb`, to `postgres`, or to another SQL destination of dlt"
        raise DestinationSettingsError(resource, name, "dlt has no such destination", cure) from error
    except MissingDependencyException as error:
        packages = ", ".join(error.dependencies)
        cure = f"Install them where the syncs run: pip install {packages}"
        problem = f"packages are not installed: {packages}"
        raise DestinationSettingsError(resource, name, problem, cure) from error
    except ConfigFieldMissingException as error:
        raise DestinationSettingsError(
            resource, name, "its credentials are not set, or not complete", export
        ) from error
    except InvalidNativeValue as error:
        problem = f"{variable} is no connection string"
        raise DestinationSettingsError(resource, name, problem, export) from error


def destination_for(resource: str, observer: MergeObserver | None) -> TDestinationReferenceArg:
    """Returns the configured destination.

    Args:
        resource: the dlt resource name.
        observer: the observer of the merges; None for no observer.

    Raises:
        DestinationSettingsError: the destination is unknown, or its driver is not installed.
    """
    name, chosen = destination_name(), dict[str, Any]()
    if not _configured("destination.replace_strategy", f"destination.{name}.replace_strategy"):
        # With dlt's default replace strategy, a killed full refresh leaves an incomplete table.
        chosen["replace_strategy"] = "insert-from-staging"
    layout = "staging_dataset_name_layout"
    if not _configured(f"destination.{layout}", f"destination.{name}.{layout}"):
        chosen[layout] = STAGING_LAYOUT
    if name == "postgres":
        try:
            from analytics_assets.ingestion.warehouse.postgres_merge import postgres  # noqa: PLC0415  an extra
        except ImportError as error:
            problem, cure = (
                f"its driver is not installed ({error})",
                "Install it where the syncs run: pip install 'analytics_assets[postgres]'",
            )
            raise DestinationSettingsError(resource, name, problem, cure) from error
        return postgres(observer=observer, **chosen)
    if name != "duckdb":
        with _settings(resource):
            return Destination.from_reference(name, **chosen)
    if not _configured("destination.duckdb.credentials", "destination.duckdb.credentials.database"):
        chosen["credentials"] = str(DEFAULT_DATABASE.absolute())
    return duckdb(observer=observer, **chosen)


def _configured(*keys: str) -> bool:
    """Whether dlt's config has a value for one of `keys`. A whole config section does not count as a value."""
    values: list[Any] = [one.get(key) for one in (dlt.secrets, dlt.config) for key in keys]
    return any(value is not None and not isinstance(value, dict) for value in values)

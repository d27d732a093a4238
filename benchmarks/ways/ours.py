"""The way of this project: one sync of one resource without Dagster, because Dagster's cost is per run."""

from __future__ import annotations

import os
from pathlib import Path

from api import SECRET
from circuit import MemoryCircuit

from analytics_assets.config.models import RequestsConfig, SyncConfig
from analytics_assets.ingestion.plan.load_plan import plan_load
from analytics_assets.ingestion.plan.resource_info import describe
from analytics_assets.ingestion.sync import run_sync
from ways.config import DECLARED, SOURCE, TABLE, rest_api


def sync(url: str, database: Path, in_flight: int) -> None:
    """Runs one sync, which starts with the config."""
    os.environ[f"SOURCES__{SOURCE.upper()}__API_KEY"] = SECRET
    os.environ["DESTINATION__DUCKDB__CREDENTIALS"] = str(database)
    config = SyncConfig(
        name=SOURCE,
        rest_api=rest_api(url, columns=DECLARED),
        requests=RequestsConfig(max_in_flight=in_flight),
    )
    run_sync(plan_load(config, describe(config)[TABLE]), MemoryCircuit())

"""The way of this project: one resource as its asset syncs it, without Dagster, whose cost is per run."""

from __future__ import annotations

import os
from pathlib import Path

from api import SECRET

from analytics_assets.config.models import RequestsConfig, SyncConfig
from analytics_assets.ingestion.http.breaker_client import Breaker, LocalLog
from analytics_assets.ingestion.http.circuit_breaker import Policy
from analytics_assets.ingestion.http.rate_limit import rate_limiter_of
from analytics_assets.ingestion.http.session import ApiSession
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets.ingestion.plan.resource_info import describe
from analytics_assets.ingestion.source.build import build_source, read_secrets
from analytics_assets.ingestion.warehouse.pipeline import loader_file_format, open_pipeline
from ways.config import DECLARED, SOURCE, TABLE, rest_api


def sync(url: str, database: Path, in_flight: int) -> None:
    """What `_load` of orchestration/sync/assets.py does, from the config on."""
    os.environ[f"SOURCES__{SOURCE.upper()}__API_KEY"] = SECRET
    os.environ["DESTINATION__DUCKDB__CREDENTIALS"] = str(database)
    config = SyncConfig(
        name=SOURCE,
        rest_api=rest_api(url, columns=DECLARED),
        requests=RequestsConfig(max_in_flight=in_flight),
    )
    resource = describe(config)[TABLE]
    limiter = rate_limiter_of(config.name, config.requests)
    breaker = Breaker(LocalLog(Policy(cooldown=300, max_cooldown=300, lease=100)), TABLE, "")
    api = ApiSession(TABLE, limiter, breaker, read_secrets(config), Telemetry(TABLE), may_repeat=False)
    with open_pipeline(config.name, TABLE) as pipeline, api as session:
        sync = build_source(config, resource, session, pipeline.destination.capabilities())
        pipeline.settlement = sync.settlement
        pipeline.run(sync.source, loader_file_format=loader_file_format(pipeline))

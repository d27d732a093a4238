"""Dagster: assets, partitions, checks, schedules and sensors over `analytics_assets.ingestion`."""

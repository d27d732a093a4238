"""The Dagster definitions: assets, partitions, checks, schedules and sensors that use `analytics_assets.ingestion`."""

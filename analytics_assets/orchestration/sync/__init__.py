"""The Dagster asset of one resource: makes the plan, runs the sync, and records the result."""

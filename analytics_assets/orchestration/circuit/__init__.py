"""The circuit breaker of a source in Dagster: the event store, the jobs and the check."""

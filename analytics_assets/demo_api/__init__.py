"""A real HTTP server to sync from: a small shop's analytics API, deterministic, with faults on demand.

What belongs here: the demo data, its endpoints, and the faults a test can inject. It knows nothing of dlt,
Dagster or the rest of this package, and keeps no files.
"""

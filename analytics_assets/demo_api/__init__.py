"""A real HTTP server to sync from: the analytics API of a small shop, with faults on demand.

What belongs here: the demo data, its endpoints, and the faults that a test can inject.
The package stores no files, and imports neither dlt, Dagster nor the rest of the product.
"""

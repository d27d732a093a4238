"""The demo API: a real HTTP server with the analytics data of a small shop, and with faults on demand.

What belongs here: the demo data, its endpoints, and the faults that a test can inject.
The package stores no files, and imports neither dlt, Dagster nor the rest of the product.
"""

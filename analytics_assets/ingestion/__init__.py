"""Loads rows from an API into the warehouse with dlt. This package never imports Dagster; a lint rule checks that."""

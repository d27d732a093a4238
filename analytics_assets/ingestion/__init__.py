"""Loads rows from an API into the warehouse with dlt. A lint rule checks that this package never imports Dagster."""

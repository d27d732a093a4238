"""Builds the dlt source of a sync from the config and the plan."""

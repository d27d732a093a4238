"""From the config and the plan to a dlt source."""

"""The plan of a sync. Each run makes one plan, and nothing changes the plan afterwards."""

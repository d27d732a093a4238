"""Requests runs automatically: schedules, catch-up of missing partitions, and recovery after an outage."""

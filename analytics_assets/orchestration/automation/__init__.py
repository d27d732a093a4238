"""Runs that no person launches: schedules, catch-up, recovery."""

"""What runs without a person: schedules, catch-up, recovery."""

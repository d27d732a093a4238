"""The warehouse: locks, the load through dlt, and reading the tables."""

"""The warehouse: takes locks, loads rows through dlt, and reads tables."""

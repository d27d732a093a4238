"""The ways from an API to a table that `sync.py` compares; each is imported alone, in a process of its own."""

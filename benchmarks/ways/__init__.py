"""The ways to sync an API that `sync.py` compares. Each way is imported alone, in a separate process."""

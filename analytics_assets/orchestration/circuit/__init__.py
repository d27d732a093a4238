"""The circuit of a source in Dagster: its history, its jobs and its check."""

"""What a sync is to do: decided once per run, passed down, never changed."""

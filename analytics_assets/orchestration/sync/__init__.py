"""One resource as one asset: plan, run, record."""

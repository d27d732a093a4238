"""Tests of what only PostgreSQL does as the warehouse. `make postgres` starts a server for them."""

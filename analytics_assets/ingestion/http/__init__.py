"""Sends requests to the API, and checks every response. For one request of dlt, this package may fetch many pages."""

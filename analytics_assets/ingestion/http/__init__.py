"""Sends requests to the API, and checks every response. One request of dlt may become many page requests."""

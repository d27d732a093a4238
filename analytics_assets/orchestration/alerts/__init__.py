"""Alerts: incidents, the sensor, the channels."""

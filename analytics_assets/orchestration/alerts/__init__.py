"""Alerts about incidents: the sensor, its cursor, and the channels."""

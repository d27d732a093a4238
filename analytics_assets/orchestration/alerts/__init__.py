"""What people are told: incidents, the sensor, the channels."""

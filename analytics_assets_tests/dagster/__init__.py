"""The project of a user of Dagster, with assets, jobs, sensors, conditions and resources beside ours."""

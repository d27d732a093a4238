"""The asset checks: their definitions, their functions, and their evaluations in Dagster."""

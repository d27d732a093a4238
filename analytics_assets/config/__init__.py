"""What may be written in a `defs.yaml`: the models, and what dlt makes of `rest_api`. No network, no Dagster."""

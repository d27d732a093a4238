"""What a `defs.yaml` may contain: the models, and the rules of `rest_api`. No network, no Dagster."""
